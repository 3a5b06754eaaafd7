//! What the cleaner did since the start.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the cleaner did since the start.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CleanerStats {
    /// Passes over a log that came to their end.
    pub passes: u64,
    /// Passes that failed; those that gave way to something else are not counted.
    pub failures: u64,
    /// Bytes of record batches that were read.
    pub bytes_read: u64,
    /// Bytes of record batches that were written.
    pub bytes_written: u64,
    /// Records that are not in the log any more.
    pub records_removed: u64,
    /// Time spent on passes, seconds.
    pub seconds: f64,
    /// The largest share of a log, from 0 to 1, that was dirty when the cleaner last looked.
    pub max_dirty_ratio: f64,
}

/// The counters behind [`CleanerStats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) passes: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) bytes_read: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) records_removed: AtomicU64,
    micros: AtomicU64,
    max_dirty_ratio: AtomicU64,
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

impl Counters {
    /// Adds the time of a pass.
    pub(super) fn took(&self, time: Duration) {
        add(&self.micros, time.as_micros() as usize);
    }

    /// Notes how dirty the dirtiest log is.
    pub(super) fn set_max_dirty_ratio(&self, ratio: f64) {
        self.max_dirty_ratio
            .store(ratio.to_bits(), Ordering::Relaxed);
    }

    /// All of them at this moment.
    pub(super) fn read(&self) -> CleanerStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CleanerStats {
            passes: count(&self.passes),
            failures: count(&self.failures),
            bytes_read: count(&self.bytes_read),
            bytes_written: count(&self.bytes_written),
            records_removed: count(&self.records_removed),
            seconds: Duration::from_micros(count(&self.micros)).as_secs_f64(),
            max_dirty_ratio: f64::from_bits(count(&self.max_dirty_ratio)),
        }
    }
}
