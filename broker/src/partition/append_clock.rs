//! When records were appended, for whoever measures how long they take to get somewhere. Hidden ones
//! count from when they are revealed.
//!
//! Bounded: appends within one millisecond share a stamp, and a ring that is full merges its stamps
//! two by two. What shares a stamp counts as appended when the oldest of it was, so that an age is
//! never understated.
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Partition;

/// Appends closer to each other than this share a stamp.
const RESOLUTION: Duration = Duration::from_millis(1);
/// Stamps held.
const CAPACITY: usize = 256;

/// When the records of one log were appended.
#[derive(Debug)]
pub struct AppendClock {
    stamps: Mutex<Stamps>,
}

#[derive(Debug)]
struct Stamps {
    /// Nothing is known of what lies below.
    from: i64,
    /// Ends (exclusive) and times, both rising. A stamp begins where the one before it ends.
    ring: VecDeque<(i64, Instant)>,
}

impl AppendClock {
    /// Knows of what is appended at `from` and after.
    pub fn new(from: i64) -> Self {
        let ring = VecDeque::with_capacity(CAPACITY);
        Self {
            stamps: Mutex::new(Stamps { from, ring }),
        }
    }

    /// The log ends at `end_offset` since `at`.
    pub fn stamp(&self, end_offset: i64, at: Instant) {
        let mut stamps = self.lock();
        let ring = &mut stamps.ring;
        if ring.len() == CAPACITY {
            merge_pairs(ring);
        }
        match ring.back_mut() {
            // Of two appends at once the second one stamped first.
            Some((end, _)) if *end >= end_offset => {}
            Some((end, since)) if at.saturating_duration_since(*since) < RESOLUTION => {
                *end = end_offset;
            }
            _ => ring.push_back((end_offset, at)),
        }
    }

    /// When the record at `offset` was appended, or something shortly before it.
    pub fn appended_at(&self, offset: i64) -> Option<Instant> {
        let stamps = self.lock();
        if offset < stamps.from {
            return None;
        }
        let place = stamps.ring.partition_point(|(end, _)| *end <= offset);
        stamps.ring.get(place).map(|(_, at)| *at)
    }

    fn lock(&self) -> MutexGuard<'_, Stamps> {
        self.stamps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn merge_pairs(ring: &mut VecDeque<(i64, Instant)>) {
    let pairs = ring.make_contiguous().chunks(2);
    let merged = pairs.map(|pair| (pair[pair.len() - 1].0, pair[0].1));
    *ring = merged.collect();
    ring.reserve(CAPACITY - ring.len());
}

impl Partition {
    /// Readers see everything below `end_offset` since now.
    pub(super) fn stamp(&self, end_offset: i64) {
        if let Some(clock) = self.appended.get() {
            clock.stamp(end_offset, Instant::now());
        }
    }

    /// From now on it is remembered when records were appended, for [`Self::appended_at`].
    pub fn watch_appends(&self) {
        self.appended
            .get_or_init(|| AppendClock::new(self.high_watermark()));
    }

    /// When the record at `offset` was appended, or a little earlier; `None` if that was before
    /// [`Self::watch_appends`], or is forgotten.
    pub fn appended_at(&self, offset: i64) -> Option<Instant> {
        self.appended.get()?.appended_at(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_offset_has_the_time_of_the_stamp_that_covers_it() {
        let (clock, start) = (AppendClock::new(5), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        clock.stamp(7, at(0));
        clock.stamp(10, at(10));
        clock.stamp(12, at(10));
        clock.stamp(11, at(20));
        assert_eq!(clock.appended_at(4), None);
        assert_eq!(clock.appended_at(5), Some(at(0)));
        assert_eq!(clock.appended_at(6), Some(at(0)));
        assert_eq!(clock.appended_at(7), Some(at(10)));
        assert_eq!(clock.appended_at(11), Some(at(10)));
        assert_eq!(clock.appended_at(12), None);
    }

    #[test]
    fn a_full_clock_gets_coarser_and_never_younger() {
        let (clock, start) = (AppendClock::new(0), Instant::now());
        let at = |offset: i64| start + Duration::from_millis(2 * offset as u64);
        for offset in 0..10_000 {
            clock.stamp(offset + 1, at(offset));
            assert!(clock.lock().ring.len() <= CAPACITY);
        }
        for offset in 0..10_000 {
            assert!(clock.appended_at(offset).unwrap() <= at(offset));
        }
        assert_eq!(clock.appended_at(9_999), Some(at(9_999)));
    }
}
