//! The thread for what has to be done from time to time: timed flushes, checkpoints, retention,
//! rolling of idle segments, expiry of producers.
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::StorageError;
use crate::clock::{Clock, DOUBT};
use crate::hold::Hold;
use crate::mapping;
use crate::services::{Services, wall_clock_ms};

/// With more segments mapped than this, sealed ones are let go whether or not they are read: half
/// of what a process may map by default.
const MAPPINGS_MAX: usize = 32 * 1024;
const TICK: Duration = Duration::from_secs(1);
/// How much a crash may leave to be checked, in time.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);
/// Retention by time deletes one segment of each log at a time for so many rounds after a start and
/// after a jumped clock is believed: whoever sees that the clock is wrong can still stop it.
const CAUTIOUS_ROUNDS: u32 = 12;

/// Tells the thread to end.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Stop {
    /// Ends the thread after what it is doing.
    pub(crate) fn stop(&self) {
        *self.stopped.hold() = true;
        self.wake.notify_all();
    }

    /// Whether it is time to end.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stopped.hold()
    }

    /// Sleeps; true if it is time to end.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let stopped = self.stopped.hold();
        let (stopped, _) = self
            .wake
            .wait_timeout_while(stopped, time, |stopped| !*stopped)
            .unwrap_or_else(PoisonError::into_inner);
        *stopped
    }
}

/// Starts the thread.
pub(crate) fn start(services: Arc<Services>, stop: Arc<Stop>) -> std::io::Result<JoinHandle<()>> {
    let retention_every = Duration::from_millis(services.options.retention_check_interval_ms);
    let mut housekeeper = Housekeeper {
        checkpoint_at: Instant::now() + CHECKPOINT_EVERY,
        retention_at: Instant::now() + retention_every,
        clock: Clock::new(wall_clock_ms(), Instant::now()),
        cautious_rounds: CAUTIOUS_ROUNDS,
        retention_every,
        services,
    };
    std::thread::Builder::new()
        .name("storage-housekeeper".to_owned())
        .spawn(move || {
            let tick = TICK.min(retention_every.max(Duration::from_millis(10)));
            while !stop.wait(tick) {
                housekeeper.tick();
            }
        })
}

struct Housekeeper {
    services: Arc<Services>,
    retention_every: Duration,
    checkpoint_at: Instant,
    retention_at: Instant,
    clock: Clock,
    cautious_rounds: u32,
}

impl Housekeeper {
    fn tick(&mut self) {
        let now = Instant::now();
        let doubted = self.clock.is_doubted();
        let now_ms = self.clock.now_ms(wall_clock_ms(), now);
        if self.clock.is_doubted() != doubted {
            tell_doubt(doubted);
            self.cautious_rounds = CAUTIOUS_ROUNDS;
        }
        let checkpoint = now >= self.checkpoint_at;
        let retention = now >= self.retention_at;
        let crowded = mapping::live() > MAPPINGS_MAX;
        request_due_flushes(&self.services, now_ms);
        if checkpoint {
            self.checkpoint_at = now + CHECKPOINT_EVERY;
            write_checkpoints(&self.services);
        }
        if retention {
            apply_retention(&self.services, now_ms, self.cautious_rounds > 0);
        }
        if retention || crowded {
            for log in self.services.all_logs() {
                log.release_idle(crowded);
            }
        }
        if retention {
            self.retention_at = now + self.retention_every;
            self.cautious_rounds = self.cautious_rounds.saturating_sub(1);
        }
    }
}

fn tell_doubt(was_doubted: bool) {
    if was_doubted {
        tracing::warn!(
            "retention by time goes by the wall clock again, and tombstones are compacted away"
        );
    } else {
        tracing::error!(
            doubt_s = DOUBT.as_secs(),
            "the wall clock jumped: retention by time goes by the time before the jump and \
             tombstones stay; if the clock is wrong, set it right before it is believed"
        );
    }
}

/// All that the thread does from time to time, at once.
pub(crate) fn round(services: &Services, now_ms: i64) {
    request_due_flushes(services, now_ms);
    write_checkpoints(services);
    apply_retention(services, now_ms, false);
    for log in services.all_logs() {
        log.release_idle(false);
    }
}

fn request_due_flushes(services: &Services, now_ms: i64) {
    for log in services.all_logs() {
        if log.is_flush_due(now_ms) {
            log.request_flush();
        }
    }
}

fn write_checkpoints(services: &Services) {
    let mut moved = false;
    for log in services.all_logs() {
        moved |= told("checkpoint", log.checkpoint()).unwrap_or(false);
    }
    services.ballast.take();
    if moved {
        told("checkpoint", services.checkpoint_recovery_points());
    }
}

fn apply_retention(services: &Services, now_ms: i64, cautious: bool) {
    for log in services.all_logs() {
        told("roll", log.roll_if_idle(now_ms));
        told("retention", log.apply_retention(now_ms, cautious));
        log.expire_producers();
    }
}

fn told<T>(what: &'static str, result: Result<T, StorageError>) -> Option<T> {
    result
        .inspect_err(|error| tracing::warn!(%error, what, "housekeeping failed, tried again later"))
        .ok()
}
