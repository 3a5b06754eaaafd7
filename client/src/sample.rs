//! Sample events: a shop's logins, views and purchases, for demonstrations, tests and benches.
//!
//! The events are a pure function of [`SampleOptions`]: the same seed gives the same bytes, and a
//! longer run begins with the shorter one. A share of them can be made wrong on purpose:
//! duplicates (the bytes of an earlier event again), late ones (an event time hours behind the
//! stream) and malformed ones (no event at all).

mod event;
mod random;

use random::Random;

/// What to generate.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOptions {
    /// Seed of everything random.
    pub seed: u64,
    /// Users that the events are about, at least 1.
    pub users: u32,
    /// Per cent of events that repeat an earlier one.
    pub duplicates_percent: f64,
    /// Per cent of events whose time lies behind the stream.
    pub late_percent: f64,
    /// Per cent of records that are no events.
    pub malformed_percent: f64,
    /// Event time of the first event, epoch milliseconds.
    pub start_ms: i64,
    /// Mean event time between two events, milliseconds.
    pub interval_ms: u32,
}

impl Default for SampleOptions {
    fn default() -> Self {
        SampleOptions {
            seed: 1,
            users: 100,
            duplicates_percent: 0.0,
            late_percent: 0.0,
            malformed_percent: 0.0,
            start_ms: 1_700_000_000_000,
            interval_ms: 1000,
        }
    }
}

/// What a sample is, so that a test can foretell what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// A good event, seen for the first time, in order.
    Fresh,
    /// The bytes of an earlier good event again.
    Duplicate,
    /// A good event whose time lies hours behind the stream.
    Late,
    /// No event.
    Malformed,
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What it is.
    pub kind: SampleKind,
    /// Record key: the user, so that a user's events stay in order.
    pub key: String,
    /// Record value: JSON, unless malformed. Never has a line break in it.
    pub value: Vec<u8>,
    /// Event time of the stream when it was made, epoch milliseconds.
    pub timestamp_ms: i64,
}

/// How many earlier events a duplicate is picked from.
const REMEMBERED: usize = 64;

/// An endless stream of samples.
#[derive(Debug, Clone)]
pub struct Samples {
    options: SampleOptions,
    random: Random,
    clock_ms: i64,
    /// Events of each user so far.
    versions: Vec<u32>,
    recent: Vec<Sample>,
}

impl Samples {
    /// The stream that these options make.
    pub fn new(options: SampleOptions) -> Samples {
        let users = options.users.max(1) as usize;
        Samples {
            random: Random::new(options.seed),
            clock_ms: options.start_ms,
            versions: vec![0; users],
            recent: Vec::with_capacity(REMEMBERED),
            options,
        }
    }

    fn kind(&mut self) -> SampleKind {
        let options = &self.options;
        let duplicates = options.duplicates_percent;
        let late = duplicates + options.late_percent;
        let malformed = late + options.malformed_percent;
        let draw = self.random.percent();
        if draw < duplicates && !self.recent.is_empty() {
            SampleKind::Duplicate
        } else if (duplicates..late).contains(&draw) {
            SampleKind::Late
        } else if (late..malformed).contains(&draw) {
            SampleKind::Malformed
        } else {
            SampleKind::Fresh
        }
    }

    fn user(&mut self) -> usize {
        // The smaller of two draws: some users do more than others, as in life.
        let users = self.versions.len() as u64;
        self.random.below(users).min(self.random.below(users)) as usize
    }

    fn event(&mut self, kind: SampleKind, event_time_ms: i64) -> Sample {
        let user = self.user();
        self.versions[user] += 1;
        let version = self.versions[user];
        Sample {
            kind,
            key: format!("user-{user}"),
            value: event::write(&mut self.random, user, version, event_time_ms).into_bytes(),
            timestamp_ms: self.clock_ms,
        }
    }

    fn remember(&mut self, sample: &Sample) {
        if self.recent.len() < REMEMBERED {
            self.recent.push(sample.clone());
        } else {
            let place = self.random.below(REMEMBERED as u64) as usize;
            self.recent[place] = sample.clone();
        }
    }
}

impl Iterator for Samples {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let step = self
            .random
            .below(u64::from(self.options.interval_ms) * 2 + 1);
        self.clock_ms += step as i64;
        Some(match self.kind() {
            SampleKind::Duplicate => {
                let place = self.random.below(self.recent.len() as u64) as usize;
                let kind = SampleKind::Duplicate;
                Sample {
                    kind,
                    timestamp_ms: self.clock_ms,
                    ..self.recent[place].clone()
                }
            }
            SampleKind::Late => {
                // From two hours to a day: beyond any grace that is usual.
                let behind = 7_200_000 + self.random.below(79_200_000) as i64;
                self.event(SampleKind::Late, self.clock_ms - behind)
            }
            SampleKind::Malformed => {
                let user = self.user();
                Sample {
                    kind: SampleKind::Malformed,
                    key: format!("user-{user}"),
                    value: event::spoil(&mut self.random, user, self.clock_ms),
                    timestamp_ms: self.clock_ms,
                }
            }
            SampleKind::Fresh => {
                let sample = self.event(SampleKind::Fresh, self.clock_ms);
                self.remember(&sample);
                sample
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> SampleOptions {
        SampleOptions {
            duplicates_percent: 10.0,
            late_percent: 5.0,
            malformed_percent: 2.0,
            ..SampleOptions::default()
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let first: Vec<Sample> = Samples::new(options()).take(500).collect();
        let again: Vec<Sample> = Samples::new(options()).take(1000).collect();
        assert_eq!(first, again[..500]);
        let other = Samples::new(SampleOptions {
            seed: 2,
            ..options()
        });
        assert!(
            other
                .zip(&first)
                .all(|(a, b)| a.value != b.value || a.kind != SampleKind::Fresh)
        );
    }

    #[test]
    fn the_bytes_of_a_seed_never_change() {
        // Figures in documents and benches rest on them: a change here is a new generator.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for sample in Samples::new(options()).take(1000) {
            for byte in sample.key.bytes().chain(sample.value) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!(hash, 0x4ab9_b204_7f2b_05a1, "{hash:#x}");
    }

    #[test]
    fn shares_come_out_as_asked_for() {
        let samples: Vec<Sample> = Samples::new(options()).take(20_000).collect();
        let share =
            |kind| samples.iter().filter(|sample| sample.kind == kind).count() as f64 / 200.0;
        assert!((share(SampleKind::Duplicate) - 10.0).abs() < 1.0);
        assert!((share(SampleKind::Late) - 5.0).abs() < 1.0);
        assert!((share(SampleKind::Malformed) - 2.0).abs() < 0.5);
        assert!(samples.iter().all(|sample| !sample.value.contains(&b'\n')));
        assert!(samples.is_sorted_by_key(|sample| sample.timestamp_ms));
    }

    #[test]
    fn nothing_wrong_unless_asked_for() {
        let fresh = Samples::new(SampleOptions {
            users: 0,
            ..SampleOptions::default()
        });
        assert!(
            fresh
                .take(1000)
                .all(|sample| sample.kind == SampleKind::Fresh)
        );
    }
}
