//! How long things take, in buckets whose bounds double: 16 µs, 32 µs, … 16.8 s, and beyond.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The first bound is 2^4 µs.
const FIRST_POWER: u32 = 4;
/// Bounds from 2^4 to 2^24 µs.
const BOUNDS: usize = 21;

/// Durations by size; adding one takes three relaxed atomic additions.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS + 1],
    nanoseconds: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug)]
pub struct Buckets {
    /// Upper bounds in seconds, with how many were at most that long.
    pub at_most: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// Their sum, seconds.
    pub sum_seconds: f64,
}

impl Histogram {
    /// Adds one.
    pub fn observe(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[place(nanoseconds)].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What it holds now.
    pub fn read(&self) -> Buckets {
        let mut count = 0;
        let mut at_most = Vec::with_capacity(BOUNDS);
        for (power, bucket) in (FIRST_POWER..).zip(&self.buckets) {
            count += bucket.load(Ordering::Relaxed);
            if at_most.len() < BOUNDS {
                at_most.push(((1u64 << power) as f64 / 1e6, count));
            }
        }
        Buckets {
            at_most,
            count,
            sum_seconds: self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9,
        }
    }
}

/// The bucket of a duration: the first whose bound is not below it.
fn place(nanoseconds: u64) -> usize {
    let microseconds = nanoseconds.div_ceil(1000).max(1);
    let power = u64::BITS - (microseconds - 1).leading_zeros();
    (power.saturating_sub(FIRST_POWER) as usize).min(BOUNDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_lies_below_its_bound_and_above_the_one_before() {
        for (microseconds, at) in [(0, 0), (1, 0), (16, 0), (17, 1), (32, 1), (33, 2)] {
            assert_eq!(place(microseconds * 1000), at, "{microseconds} µs");
        }
        assert_eq!(place(16_001), 1, "bounds hold for fractions too");
        assert_eq!(place((1 << 24) * 1000), BOUNDS - 1);
        assert_eq!(place((1 << 24) * 1000 + 1), BOUNDS);
        assert_eq!(place(u64::MAX), BOUNDS);
    }

    #[test]
    fn reading_adds_up() {
        let histogram = Histogram::default();
        for millis in [0, 1, 2, 4, 100_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let read = histogram.read();
        assert_eq!(read.count, 5);
        assert!((read.sum_seconds - 100.007).abs() < 1e-9);
        assert_eq!(read.at_most.first(), Some(&(0.000_016, 1)));
        assert_eq!(read.at_most.last(), Some(&(16.777_216, 4)));
    }
}
