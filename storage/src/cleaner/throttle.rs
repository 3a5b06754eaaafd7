//! Keeps the cleaner from taking the disk from everyone else.
use std::time::{Duration, Instant};

use super::CleanError;
use crate::housekeeper::Stop;

/// Less than this per second is not worth while.
const SLOWEST: f64 = 1024.0;
/// Sleeps shorter than this are put off.
const SHORTEST: Duration = Duration::from_millis(20);

/// Bytes of the cleaner's work over time.
#[derive(Debug)]
pub(super) struct Throttle<'a> {
    bytes_per_second: f64,
    stop: &'a Stop,
    since: Instant,
    bytes: f64,
}

impl<'a> Throttle<'a> {
    /// Lets `bytes_per_second` through, read and written together, until it is time to stop.
    pub(super) fn new(bytes_per_second: f64, stop: &'a Stop) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(SLOWEST),
            stop,
            since: Instant::now(),
            bytes: 0.0,
        }
    }

    /// Counts bytes, and sleeps if they came too fast.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), CleanError> {
        self.bytes += bytes as f64;
        let ahead = self.ahead(self.since.elapsed());
        let stopped = if ahead < SHORTEST {
            self.stop.is_stopped()
        } else {
            self.stop.wait(ahead)
        };
        if stopped {
            return Err(CleanError::Aborted);
        }
        Ok(())
    }

    /// How long it has to wait until its bytes are within the limit.
    fn ahead(&self, passed: Duration) -> Duration {
        let due = self.bytes / self.bytes_per_second;
        Duration::try_from_secs_f64(due - passed.as_secs_f64()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_as_long_as_the_bytes_are_ahead_and_no_more() {
        let stop = Stop::default();
        let mut throttle = Throttle::new(1_000_000.0, &stop);
        throttle.bytes = 3_000_000.0;
        assert_eq!(
            throttle.ahead(Duration::from_secs(1)),
            Duration::from_secs(2)
        );
        assert_eq!(throttle.ahead(Duration::from_secs(4)), Duration::ZERO);
        let throttle = Throttle::new(f64::MAX, &stop);
        assert_eq!(throttle.ahead(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn is_woken_to_stop() {
        let stop = Stop::default();
        stop.stop();
        // Hours, if it slept.
        let mut throttle = Throttle::new(0.0, &stop);
        assert!(throttle.spend(1 << 30).is_err());
    }
}
