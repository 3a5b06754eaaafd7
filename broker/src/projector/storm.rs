//! The breaker: a view that rejects most of what it reads stops, before a whole topic has gone into
//! its dead letters.
use std::collections::VecDeque;

/// Records that are looked at.
const WINDOW: usize = 1000;
/// More of them than this must not be rejected.
const MOST: usize = 500;

/// What became of the last records.
#[derive(Debug, Default)]
pub struct Storm {
    rejected: VecDeque<bool>,
    count: usize,
}

impl Storm {
    /// Notes what became of one more record; true if that is too much.
    pub fn note(&mut self, rejected: bool) -> bool {
        if self.rejected.len() == WINDOW && self.rejected.pop_front() == Some(true) {
            self.count -= 1;
        }
        self.rejected.push_back(rejected);
        self.count += usize::from(rejected);
        self.count > MOST
    }

    /// Whether too many were rejected.
    pub fn is_raging(&self) -> bool {
        self.count > MOST
    }

    /// Why a view stopped.
    pub fn reason(&self) -> String {
        format!(
            "{} of the last {WINDOW} records were rejected: see the dead letters, then resume",
            self.count
        )
    }

    /// Forgets everything.
    pub fn calm(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_the_last_thousand_is_a_storm() {
        let mut storm = Storm::default();
        for n in 0..10_000 {
            assert!(!storm.note(n % 2 == 0), "half is not more than half");
        }
        // The oldest goes with each: an accepted one for every other.
        assert!(storm.note(true) || storm.note(true));
        assert!(storm.is_raging());
        storm.calm();
        for _ in 0..MOST {
            assert!(!storm.note(true));
        }
        assert!(storm.note(true));
    }
}
