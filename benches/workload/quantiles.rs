//! Quantiles of measured times.
use std::time::Duration;

/// Measured times, sorted.
#[derive(Debug)]
pub struct Quantiles(Vec<Duration>);

impl Quantiles {
    /// Takes measured times in any order.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time that `share` (0 to 1) of all do not exceed, in milliseconds; 0 if there are none.
    pub fn millis(&self, share: f64) -> f64 {
        let place = (self.0.len() as f64 * share).ceil() as usize;
        let time = self.0.get(place.saturating_sub(1));
        time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}
