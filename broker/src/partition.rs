//! One partition: its log, its offsets as clients see them, and who waits for them.
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use append_clock::AppendClock;
use storage::{Append, AppendError, Appended, Log, Origin};

mod append_clock;
mod bell;
mod compression;
mod hidden;
mod signals;
mod waiters;

pub use bell::Bell;
pub use compression::recompress;
pub use signals::Signals;
pub use waiters::{Registration, Waiters, Wake};

/// One partition of a topic. There is one replica and one leader, so the leader epoch never changes
/// while it is served, and the high watermark is the log end offset, unless its writer moves it by hand (`hidden`).
#[derive(Debug)]
pub struct Partition {
    /// Index within the topic.
    pub index: i32,
    /// The log; handlers read its facts, every writer goes through [`Partition::append`].
    pub log: Arc<Log>,
    /// Stamped into every batch and told to clients: 0, or what an earlier owner of the folder had
    /// come to. Epochs never fall.
    pub leader_epoch: i32,
    signals: Arc<Signals>,
    appended: OnceLock<AppendClock>,
}

impl Partition {
    /// Takes a log into service.
    pub fn new(index: i32, log: Arc<Log>) -> Arc<Self> {
        let signals = Arc::new(Signals::new(log.flushed_offset()));
        log.set_observer(Arc::clone(&signals) as Arc<dyn storage::LogObserver>);
        Arc::new(Self {
            index,
            leader_epoch: log.latest_epoch().max(0),
            log,
            signals,
            appended: OnceLock::new(),
        })
    }

    /// Appends whole batches; on return they are visible to readers, and waiting fetches wake.
    pub fn append(&self, records: &[u8], origin: Origin) -> Result<Appended, AppendError> {
        let appended = self.append_to_log(records, origin)?;
        if !appended.duplicate {
            self.stamp(appended.last_offset + 1);
            self.signals.waiters.wake();
        }
        Ok(appended)
    }

    fn append_to_log(&self, records: &[u8], origin: Origin) -> Result<Appended, AppendError> {
        let how = Append {
            origin,
            leader_epoch: self.leader_epoch,
            now_ms: now_ms(),
        };
        self.log.append(records, how)
    }

    /// Waits until everything up to and with `last_offset` is on disk.
    pub async fn durable(&self, last_offset: i64) -> Result<(), AppendError> {
        if self.log.flushed_offset() > last_offset {
            return Ok(());
        }
        let mut durability = self.signals.durability();
        self.log.request_flush();
        loop {
            let now = *durability.borrow_and_update();
            if let Some(settled) = now.covers(last_offset) {
                return settled;
            }
            if durability.changed().await.is_err() {
                return Err(AppendError::Closed);
            }
        }
    }

    /// First offset that readers do not see yet.
    pub fn high_watermark(&self) -> i64 {
        self.log.high_watermark()
    }

    /// First offset of the oldest open transaction, or the high watermark.
    pub fn last_stable_offset(&self) -> i64 {
        self.log.last_stable_offset()
    }

    /// Registers to be woken by the next change of this partition's offsets, once.
    pub fn register<W: Wake>(&self, wake: &Arc<W>) -> Registration<'_> {
        self.signals.waiters.register(wake)
    }

    /// Answers everyone who waits, for records or for the disk: the partition was deleted.
    pub fn deleted(&self) {
        self.signals.deleted();
    }

    /// Wakes everyone who waits: the log start offset moved.
    pub fn wake(&self) {
        self.signals.waiters.wake();
    }
}

/// The wall clock, epoch milliseconds.
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
