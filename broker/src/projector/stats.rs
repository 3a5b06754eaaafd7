//! What is counted of one view, beside what its commits say.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use projection::{Counts, Reason};

use crate::metrics::Histogram;

/// Counters since the start of the process.
#[derive(Debug)]
pub struct Stats {
    /// From the append of an event to the commit that made it visible in the view.
    pub latency: Histogram,
    /// How long the engine took for the records of one commit.
    pub apply: Histogram,
    /// Commits.
    pub commits: AtomicU64,
    /// Suppressed duplicates.
    pub duplicates: AtomicU64,
    /// Records for closed windows.
    pub late: AtomicU64,
    letters: Vec<AtomicU64>,
    /// What came into the source.
    pub ingest: Rate,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            latency: Histogram::default(),
            apply: Histogram::default(),
            commits: AtomicU64::default(),
            duplicates: AtomicU64::default(),
            late: AtomicU64::default(),
            letters: Reason::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            ingest: Rate::default(),
        }
    }
}

impl Stats {
    /// A commit took the counts from `before` to `after`.
    pub fn committed(&self, before: Counts, after: Counts) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        let duplicates = after.duplicate.saturating_sub(before.duplicate);
        self.duplicates.fetch_add(duplicates, Ordering::Relaxed);
        let late = after.late.saturating_sub(before.late);
        self.late.fetch_add(late, Ordering::Relaxed);
    }

    /// A letter was written.
    pub fn letter(&self, reason: Reason) {
        let place = Reason::ALL.iter().position(|it| *it == reason);
        if let Some(count) = place.and_then(|place| self.letters.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Letters that were written, by reason.
    pub fn letters(&self) -> impl Iterator<Item = (Reason, u64)> {
        let counts = self.letters.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        Reason::ALL.iter().copied().zip(counts)
    }
}

/// How fast something grows that only grows.
#[derive(Debug, Default)]
pub struct Rate {
    seen: Mutex<VecDeque<(Instant, i64)>>,
}

/// What the rate is taken over.
const WINDOW: Duration = Duration::from_secs(10);
/// Looks closer to each other than this count as one.
const STEP: Duration = Duration::from_secs(1);

impl Rate {
    /// It is so large at this moment; gives what it grew by in a second, over the last ten.
    pub fn look(&self, total: i64, now: Instant) -> f64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is older than the window stays, to reckon from.
        while seen.len() > 1 && now.saturating_duration_since(seen[1].0) >= WINDOW {
            seen.pop_front();
        }
        let is_due = |(at, _): &(Instant, i64)| now.saturating_duration_since(*at) >= STEP;
        if seen.back().is_none_or(is_due) {
            seen.push_back((now, total));
        }
        let (since, before) = seen[0];
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        if seconds == 0.0 {
            return 0.0;
        }
        (total - before).max(0) as f64 / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_ten_seconds() {
        let (rate, start) = (Rate::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(rate.look(5, start).abs() < 1e-9);
        for second in 1..=20 {
            let found = rate.look(5 + 100 * second as i64, at(second));
            assert!((found - 100.0).abs() < 1e-9, "{second}: {found}");
        }
        assert!((rate.look(2005, at(29)) - 10.0).abs() < 1e-9);
        assert!(rate.look(2005, at(60)).abs() < 1e-9);
    }
}
