//! One partition's log.
mod append;
mod cleaning;
mod flush;
mod lookup;
mod read;
mod recall;
mod retention;
mod roll;
mod transactions;
mod truncate;
mod validate;
mod visible;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};

use bytes::Bytes;

use crate::LogConfig;
use crate::checkpoint::PartitionKey;
use crate::files::Files;
use crate::flusher::FlushState;
use crate::hold::{Hold, HoldShared};
use crate::leader_epochs::LeaderEpochs;
use crate::recovery::Recovered;
use crate::segments::Segments;
use crate::services::Services;
use crate::txn_index::AbortedIndex;
use cleaning::Cleaning;
use writer::Writer;

/// Told about facts of a log by the threads of storage. Implementations must not block and must not
/// call back into the log.
pub trait LogObserver: Send + Sync {
    /// Everything below `offset` is durable.
    fn flushed(&self, offset: i64);
    /// The log start offset moved (retention).
    fn start_moved(&self, offset: i64);
    /// A flush failed: the log takes no more writes.
    fn poisoned(&self);
    /// The log was cut: it ends at `offset` now, and all of that is durable.
    fn truncated(&self, offset: i64);
}

/// Who appends; decides what is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client's Produce: exactly one batch, everything checked, no control batch.
    Client,
    /// A coordinator or another part of the broker: any number of whole batches, producer state
    /// tracked but not checked, `max.message.bytes` not applied.
    Internal,
}

/// One append.
#[derive(Debug, Clone, Copy)]
pub struct Append {
    /// Who appends.
    pub origin: Origin,
    /// Stamped into the batch.
    pub leader_epoch: i32,
    /// Wall clock, epoch ms.
    pub now_ms: i64,
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record; the first answer's again if it was a duplicate.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Set under `LogAppendTime`, else -1.
    pub log_append_time_ms: i64,
    /// Log start offset at that moment.
    pub log_start_offset: i64,
    /// One of the producer's last five batches: nothing was written.
    pub duplicate: bool,
    /// `flush.messages` has it made durable before it is answered, whatever the acks (as Apache
    /// Kafka's `UnifiedLog.append`, which flushes then). The flush is asked for.
    pub flush_forced: bool,
}

/// What a read found: whole batches, the first of which holds the offset asked for.
#[derive(Debug, Clone)]
pub struct Read {
    /// A slice of one segment's mapping; empty at the end of the log. Never null.
    pub records: Bytes,
    /// Offset after the last batch; the one asked for if there is none.
    pub next_offset: i64,
    /// Whether the page cache holds it all; if not, touching it may block.
    pub resident: bool,
}

/// A place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Epoch ms.
    pub timestamp: i64,
    /// Offset of that record.
    pub offset: i64,
    /// Leader epoch of its batch.
    pub leader_epoch: i32,
}

/// End of a leader epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch known that is not above the one asked for.
    pub leader_epoch: i32,
    /// The first offset after it.
    pub end_offset: i64,
}

/// What is known of a producer in this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerInfo {
    /// Producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// Timestamp of its last batch, epoch ms.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker, -1 without one.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction, -1 without one.
    pub transaction_start_offset: i64,
}

/// One partition's log: appends, reads and look-ups. All methods may be called from any thread.
pub struct Log {
    key: PartitionKey,
    dir: PathBuf,
    me: Weak<Self>,
    services: Arc<Services>,
    config: RwLock<Arc<LogConfig>>,
    observer: RwLock<Option<Arc<dyn LogObserver>>>,
    segments: Segments,
    epochs: Mutex<LeaderEpochs>,
    writer: Mutex<Writer>,
    /// Held by whoever flushes, cuts or deletes. Taken before the writer's lock.
    maintenance: Mutex<()>,
    start: AtomicI64,
    end: AtomicI64,
    flushed: AtomicI64,
    /// See `cleaning`.
    settled: AtomicI64,
    /// Readers see what is below, see `visible`.
    visible: AtomicI64,
    /// See `transactions`. Changes under the writer's lock only.
    first_open: AtomicI64,
    aborted: RwLock<AbortedIndex>,
    /// What the checkpoint file may say is durable and whole.
    recovery_point: AtomicI64,
    /// Wall clock of the first append since the last flush, 0 without one.
    unflushed_since_ms: AtomicI64,
    poisoned: AtomicBool,
    closed: AtomicBool,
    cleaning: Cleaning,
    pub(crate) flush_state: FlushState,
    #[cfg(test)]
    pub(crate) fail_next_flush: AtomicBool,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("key", &self.key)
            .field("start", &self.start_offset())
            .field("end", &self.end_offset())
            .finish_non_exhaustive()
    }
}

impl Log {
    /// The log that recovery found in `dir`.
    pub(crate) fn new(
        key: PartitionKey,
        dir: &Path,
        config: LogConfig,
        services: Arc<Services>,
        recovered: Recovered,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            key,
            dir: dir.to_owned(),
            me: Weak::clone(me),
            services,
            config: RwLock::new(Arc::new(config)),
            observer: RwLock::new(None),
            start: AtomicI64::new(recovered.start),
            end: AtomicI64::new(recovered.end),
            flushed: AtomicI64::new(recovered.end),
            settled: AtomicI64::new(recovered.producers.first_open().unwrap_or(recovered.end)),
            visible: AtomicI64::new(visible::EVERYTHING),
            first_open: AtomicI64::new(
                recovered
                    .producers
                    .first_open()
                    .unwrap_or(transactions::NONE_OPEN),
            ),
            recovery_point: AtomicI64::new(recovered.recovery_point),
            unflushed_since_ms: AtomicI64::new(0),
            poisoned: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            cleaning: Cleaning::default(),
            flush_state: FlushState::default(),
            #[cfg(test)]
            fail_next_flush: AtomicBool::new(false),
            maintenance: Mutex::new(()),
            writer: Mutex::new(Writer::new(&recovered)),
            epochs: Mutex::new(recovered.epochs),
            aborted: RwLock::new(recovered.aborted),
            segments: Segments::new(recovered.segments),
        })
    }

    /// First offset that can be read.
    pub fn start_offset(&self) -> i64 {
        self.start.load(Ordering::Acquire)
    }
    /// Offset of the next append.
    pub fn end_offset(&self) -> i64 {
        self.end.load(Ordering::Acquire)
    }
    /// Everything below is durable.
    pub fn flushed_offset(&self) -> i64 {
        self.flushed.load(Ordering::Acquire)
    }
    /// Leader epoch of the last append, -1 for an empty log.
    pub fn latest_epoch(&self) -> i32 {
        self.epochs.hold().latest()
    }
    /// Leader epoch at the log start offset; `None` for an empty log.
    pub fn earliest_epoch(&self) -> Option<i32> {
        self.epochs.hold().earliest()
    }
    /// KIP-320: where the epoch ends for readers; `None` if nothing is known.
    pub fn epoch_end(&self, leader_epoch: i32) -> Option<EpochEnd> {
        let high_watermark = self.high_watermark();
        let end = self.epochs.hold().end_of(leader_epoch, high_watermark)?;
        let end_offset = end.end_offset.min(high_watermark);
        Some(EpochEnd { end_offset, ..end })
    }
    /// Producers with state in this log.
    pub fn producers(&self) -> Vec<ProducerInfo> {
        self.writer.hold().producers.describe()
    }
    /// One producer, if it has state in this log.
    pub fn producer(&self, producer_id: i64) -> Option<ProducerInfo> {
        self.writer.hold().producers.describe_one(producer_id)
    }
    /// Bytes of record batches.
    pub fn size_bytes(&self) -> u64 {
        self.segments.size_bytes()
    }
    /// How many segments.
    pub fn segment_count(&self) -> usize {
        self.segments.count()
    }
    /// The settings in force.
    pub fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.config.shared())
    }
    /// Replaces the settings; they hold from the next append on.
    pub fn set_config(&self, config: LogConfig) {
        *self.config.exclusive() = Arc::new(config);
    }
    /// Sets who is told about flushes; replaces an earlier one.
    pub fn set_observer(&self, observer: Arc<dyn LogObserver>) {
        *self.observer.exclusive() = Some(observer);
    }
    /// Whether a flush failed.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    pub(crate) fn files(&self) -> &Files {
        &self.services.files
    }
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
    fn tell(&self, what: impl FnOnce(&dyn LogObserver)) {
        let observer = self.observer.shared().clone();
        if let Some(observer) = observer {
            what(observer.as_ref());
        }
    }
}
