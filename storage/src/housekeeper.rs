//! The thread for what has to be done from time to time: timed flushes, checkpoints, retention,
//! rolling of idle segments, expiry of producers.
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::StorageError;
use crate::hold::Hold;
use crate::mapping;
use crate::services::{Services, wall_clock_ms};

/// With more segments mapped than this, sealed ones are let go whether or not they are read: half
/// of what a process may map by default.
const MAPPINGS_MAX: usize = 32 * 1024;
const TICK: Duration = Duration::from_secs(1);
/// How much a crash may leave to be checked, in time.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);
/// The wall clock may stray this far from the monotonic one between two ticks.
const CLOCK_JUMP_MS: i64 = 60 * 60 * 1000;
/// A wall clock that jumped is believed after this long.
const DOUBT: Duration = Duration::from_secs(60 * 60);
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
        tracing::warn!("retention by time goes by the wall clock again");
    } else {
        tracing::error!(
            doubt_s = DOUBT.as_secs(),
            "the wall clock jumped: retention by time goes by the time before the jump; if the clock \
             is wrong, set it right before it is believed"
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
        log.expire_producers(now_ms);
    }
}

fn told<T>(what: &'static str, result: Result<T, StorageError>) -> Option<T> {
    result
        .inspect_err(|error| tracing::warn!(%error, what, "housekeeping failed, tried again later"))
        .ok()
}

/// What time it is for retention. A wall clock that jumps, by a mistake or a broken battery, must not
/// be why everything is deleted, so it is not believed at once.
#[derive(Debug)]
struct Clock {
    /// The wall clock when it was last believed.
    wall_ms: i64,
    believed: Instant,
    doubted_since: Option<Instant>,
}

impl Clock {
    fn new(wall_ms: i64, now: Instant) -> Self {
        Self {
            wall_ms,
            believed: now,
            doubted_since: None,
        }
    }

    fn is_doubted(&self) -> bool {
        self.doubted_since.is_some()
    }

    /// Epoch ms. While the wall clock is doubted, the earlier of what it tells and of what it would
    /// tell without the jump: nothing becomes older than it is by either.
    fn now_ms(&mut self, wall_ms: i64, now: Instant) -> i64 {
        let passed = (now - self.believed).as_millis() as i64;
        let steady_ms = self.wall_ms.saturating_add(passed);
        let near = wall_ms.saturating_sub(steady_ms).saturating_abs() <= CLOCK_JUMP_MS;
        let since = *self.doubted_since.get_or_insert(now);
        if near || now - since >= DOUBT {
            *self = Self::new(wall_ms, now);
            return wall_ms;
        }
        wall_ms.min(steady_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_000_000_000_000;
    const YEARS: i64 = 315_360_000_000;

    #[test]
    fn a_clock_that_runs_is_believed() {
        let began = Instant::now();
        let mut clock = Clock::new(START, began);
        for hours in 1..50 {
            let passed = Duration::from_secs(3600 * hours);
            // It drifts by half an hour in each.
            let wall_ms = START + passed.as_millis() as i64 * 3 / 2;
            assert_eq!(clock.now_ms(wall_ms, began + passed), wall_ms);
            assert!(!clock.is_doubted());
        }
    }

    #[test]
    fn a_clock_that_jumps_is_believed_later_or_when_it_comes_back() {
        let minute = Duration::from_secs(60);
        for jump in [YEARS, -YEARS] {
            let began = Instant::now();
            let mut clock = Clock::new(START, began);
            for minutes in 1..=60 {
                let steady_ms = START + 60_000 * i64::from(minutes);
                let now = clock.now_ms(steady_ms + jump, began + minute * minutes);
                assert!(clock.is_doubted());
                assert_eq!(now, steady_ms + jump.min(0));
            }
            let steady_ms = START + 60_000 * 61;
            let mut restored = Clock { ..clock };
            assert_eq!(restored.now_ms(steady_ms, began + minute * 61), steady_ms);
            assert!(!restored.is_doubted());
            let believed = clock.now_ms(steady_ms + jump, began + minute * 61);
            assert_eq!(believed, steady_ms + jump);
            assert!(!clock.is_doubted());
        }
    }
}
