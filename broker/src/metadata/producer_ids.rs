//! Ids of idempotent producers: never given out twice, also not after a crash.
//!
//! Ids come in blocks (as Kafka's `AllocateProducerIds`, KIP-730); a block is written down in the
//! metadata log, durably, before its first id leaves. What was left of a block is skipped after a
//! restart.
use std::ops::Range;
use std::sync::Arc;

use protocol::error::ErrorCode;
use tokio::sync::Mutex;
use tracing::error;

use super::Topics;
use super::change::Change;
use super::store::CommitError;

/// Ids of a block.
const BLOCK: i64 = 1000;

/// The source of producer ids.
#[derive(Debug)]
pub struct ProducerIds {
    topics: Arc<Topics>,
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// A source that reserves its first block when the first id is asked for.
    pub fn new(topics: Arc<Topics>) -> Self {
        Self {
            topics,
            block: Mutex::new(0..0),
        }
    }

    /// An id that nobody had.
    pub async fn next(&self) -> Result<i64, ErrorCode> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let topics = Arc::clone(&self.topics);
            let reserved = tokio::task::spawn_blocking(move || topics.reserve_producer_ids(BLOCK));
            *block = match reserved.await {
                Ok(Ok(reserved)) => reserved,
                Ok(Err(error)) => {
                    error!(%error, "cannot reserve producer ids");
                    return Err(ErrorCode::CoordinatorNotAvailable);
                }
                Err(_) => return Err(ErrorCode::CoordinatorNotAvailable),
            };
        }
        block.next().ok_or(ErrorCode::CoordinatorNotAvailable)
    }
}

impl Topics {
    /// Takes `count` producer ids out of circulation; blocks until that lasts.
    fn reserve_producer_ids(&self, count: i64) -> Result<Range<i64>, CommitError> {
        let mut store = self.store();
        let first = store.image().next_producer_id;
        let next = first.saturating_add(count);
        store.commit(vec![Change::ProducerIds(next)])?;
        store.flush()?;
        Ok(first..next)
    }
}
