//! Log compaction: of a log with `cleanup.policy=compact`, only the latest record of each key is kept
//! (Apache Kafka's `LogCleaner`, KIP-534 for tombstones). One thread for all logs.
//!
//! ```text
//! log start          first dirty offset        cleanable end             log end
//! |  clean: one record per key  |  dirty, cleanable  |  not yet: too young, not flushed, active  |
//! ```
//!
//! Offsets never change, batches keep their base and last offset, and a batch that loses nothing is
//! copied as it is. Two kinds of batches stay even when all their records go: the last five of each
//! producer, which it may send again, and the last one of each new segment, so that it ends where
//! the next one begins. A transaction marker goes once no batch of its transaction is left and the
//! time that tombstones stay has passed (`cleaner/transactions.rs`). How a new segment takes
//! the place of old ones is told in `cleaner/swap.rs`.
mod aborted;
mod cleaned;
mod dirt;
mod filter;
mod groups;
mod last_batches;
mod offset_map;
mod pass;
mod source;
mod stats;
pub(crate) mod swap;
mod throttle;
mod transactions;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::hold::Hold;
use crate::housekeeper::Stop;
use crate::services::{Services, wall_clock_ms};
use crate::{Log, StorageError};
use dirt::Dirt;
use pass::Pass;
pub(crate) use source::Source;
pub use stats::CleanerStats;
use stats::Counters;
use throttle::Throttle;

/// The shortest sleep between two looks, whatever `log.cleaner.backoff.ms` says.
const BACKOFF_MIN: Duration = Duration::from_millis(10);

/// Why a pass did not come to its end. The log is as it was, or as far as it came.
#[derive(Debug, thiserror::Error)]
enum CleanError {
    /// The log was cut, deleted or closed, or the broker stops.
    #[error("the pass gave way")]
    Aborted,
    /// A batch that cannot be read.
    #[error("{path} is damaged at position {position}: {reason}")]
    Damaged {
        path: PathBuf,
        position: usize,
        reason: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What time it is for a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CleaningTime {
    /// Epoch ms.
    pub(crate) now_ms: i64,
    /// Whether the clock jumped: tombstones stay as they are until it is believed.
    pub(crate) doubted: bool,
}

/// What the cleaner knows between two passes.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    counters: Counters,
    /// Held during a round: there is one pass at a time.
    at_work: Mutex<()>,
}

/// Starts the thread.
pub(crate) fn start(services: Arc<Services>, stop: Arc<Stop>) -> std::io::Result<JoinHandle<()>> {
    let backoff = Duration::from_millis(services.options.cleaner_backoff_ms).max(BACKOFF_MIN);
    std::thread::Builder::new()
        .name("storage-cleaner".to_owned())
        .spawn(move || {
            let mut clock = Clock::new(wall_clock_ms(), Instant::now());
            while !stop.wait(backoff) {
                let now_ms = clock.now_ms(wall_clock_ms(), Instant::now());
                let time = CleaningTime {
                    now_ms,
                    doubted: clock.is_doubted(),
                };
                services.cleaner.round(&services, &stop, time);
            }
        })
}

impl Cleaner {
    /// What was done since the start.
    pub(crate) fn stats(&self) -> CleanerStats {
        self.counters.read()
    }

    /// Cleans every log that is dirty enough, the dirtiest first.
    pub(crate) fn round(&self, services: &Services, stop: &Stop, time: CleaningTime) {
        let _at_work = self.at_work.hold();
        let mut due = Vec::new();
        let mut max_ratio = 0.0_f64;
        for log in services.all_logs() {
            let config = log.config();
            if !config.cleanup.compact || !log.takes_cleaning() {
                continue;
            }
            match Dirt::of(&log, &config, time.now_ms) {
                Ok(dirt) => {
                    max_ratio = max_ratio.max(dirt.ratio());
                    if dirt.is_due(&config) {
                        due.push((dirt, log));
                    }
                }
                Err(error) => log.say_not_cleaned(&error.into()),
            }
        }
        self.counters.set_max_dirty_ratio(max_ratio);
        due.sort_by(|(a, _), (b, _)| b.ratio().total_cmp(&a.ratio()));
        for (dirt, log) in due {
            if stop.is_stopped() {
                break;
            }
            if let Err(error) = self.clean(services, stop, &log, &dirt, time) {
                let gave_way = matches!(error, CleanError::Aborted) || log.is_closed();
                if !gave_way {
                    stats::add(&self.counters.failures, 1);
                    log.say_not_cleaned(&error);
                }
            }
        }
    }

    /// Passes over one log until what is dirty now is clean.
    fn clean(
        &self,
        services: &Services,
        stop: &Stop,
        log: &Log,
        dirt: &Dirt,
        time: CleaningTime,
    ) -> Result<(), CleanError> {
        let options = &services.options;
        vouch_for(services, log, dirt.end)?;
        let mut first_dirty = dirt.first_dirty;
        while first_dirty < dirt.end {
            let began = Instant::now();
            let mut pass = Pass {
                log,
                config: log.config(),
                now_ms: (!time.doubted).then_some(time.now_ms),
                map_bytes: options.cleaner_map_bytes,
                throttle: Throttle::new(options.cleaner_bytes_per_second, stop),
                counters: &self.counters,
            };
            let done = pass.run(first_dirty, dirt.end);
            self.counters.took(began.elapsed());
            first_dirty = done?;
            self.counters.passes.fetch_add(1, Ordering::Relaxed);
            services.checkpoint_cleaned()?;
        }
        Ok(())
    }
}

/// Sees to it that a start takes everything below `end` as it lies there. Above the recovery point that
/// is on disk it would take the gaps that compaction leaves for damage.
fn vouch_for(services: &Services, log: &Log, end: i64) -> Result<(), CleanError> {
    log.checkpoint()?;
    let vouched = log.recovery_point();
    services.checkpoint_recovery_points()?;
    if vouched < end {
        return Err(CleanError::Aborted);
    }
    Ok(())
}

impl Log {
    fn say_not_cleaned(&self, error: &CleanError) {
        let (topic, partition) = self.key();
        match error {
            CleanError::Aborted => {}
            CleanError::Damaged { .. } => {
                // Said once: the log is not looked at again until the next start.
                if self.set_damaged() {
                    tracing::error!(topic, partition, %error,
                        "a damaged log is not compacted any more; the rest of it stays readable");
                }
            }
            CleanError::Storage(error) => {
                tracing::warn!(topic, partition, %error, "compaction failed, tried again later");
            }
        }
    }
}

#[cfg(test)]
#[path = "cleaner/cleaner_test.rs"]
mod tests;
