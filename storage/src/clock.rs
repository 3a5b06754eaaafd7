//! What time it is for whatever deletes by time: retention, and the tombstones of compaction. A wall
//! clock that jumps, by a mistake or a broken battery, must not be why everything is deleted, so it is
//! not believed at once.
use std::time::{Duration, Instant};

/// The wall clock may stray this far from the monotonic one between two ticks.
const CLOCK_JUMP_MS: i64 = 60 * 60 * 1000;
/// A wall clock that jumped is believed after this long.
pub(crate) const DOUBT: Duration = Duration::from_secs(60 * 60);

/// Of one thread that looks at it from time to time.
#[derive(Debug)]
pub(crate) struct Clock {
    /// The wall clock when it was last believed.
    wall_ms: i64,
    believed: Instant,
    doubted_since: Option<Instant>,
}

impl Clock {
    /// One that is believed as it is now.
    pub(crate) fn new(wall_ms: i64, now: Instant) -> Self {
        Self {
            wall_ms,
            believed: now,
            doubted_since: None,
        }
    }

    /// Whether it jumped and is not believed yet.
    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted_since.is_some()
    }

    /// Epoch ms. While the wall clock is doubted, the earlier of what it tells and of what it would
    /// tell without the jump: nothing becomes older than it is by either.
    pub(crate) fn now_ms(&mut self, wall_ms: i64, now: Instant) -> i64 {
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
