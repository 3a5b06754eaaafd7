//! What clients did and what they saw: the checker's input.
use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

/// Names a record: each is written once, by one producer, which counts its records upwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    /// One life of a producer: a second one with the same transactional id has another number.
    pub(crate) producer: u32,
    /// Counts what this producer wrote, over all partitions.
    pub(crate) number: u32,
}

impl Id {
    /// The record's value: its name and some bytes that follow from it.
    pub(crate) fn value(self) -> String {
        format!("{self} {}", "x".repeat(self.number as usize % 100))
    }

    /// The name in a value, if it is exactly what was written under that name.
    pub(crate) fn of_value(value: &str) -> Option<Self> {
        let (producer, rest) = value.split_once('.')?;
        let (number, _) = rest.split_once(' ')?;
        let id = Self {
            producer: producer.parse().ok()?,
            number: number.parse().ok()?,
        };
        (id.value() == value).then_some(id)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.producer, self.number)
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// A partition of the input as one group reads it: each group copies the input for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Feed {
    pub(crate) group: u32,
    pub(crate) partition: i32,
}

/// A record of the input, as one group reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Source {
    pub(crate) feed: Feed,
    pub(crate) offset: i64,
}

/// A record handed to a client, for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) id: Id,
    pub(crate) partition: i32,
    /// What it is a copy of, if it was consumed.
    pub(crate) source: Option<Source>,
}

/// How a transaction ended, as far as its producer can know. Times are of a [`Clock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The commit was asked for and acknowledged.
    Committed { asked: u64, answered: u64 },
    /// No commit was ever asked for.
    Aborted,
    /// A commit was asked for and the answer was an error, or none.
    Unknown { asked: u64 },
}

/// One transaction.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) writes: Vec<Write>,
    /// How far its group comes by it: the next offset to read.
    pub(crate) offsets: Vec<(Feed, i64)>,
    /// When the broker had taken the offsets into the transaction.
    pub(crate) offsets_taken: Option<u64>,
    pub(crate) outcome: Outcome,
}

/// A write outside of transactions, with its offset if it was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain {
    pub(crate) write: Write,
    pub(crate) offset: Option<i64>,
}

/// What a reader is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    Committed,
    Uncommitted,
}

impl Isolation {
    /// Its name as a setting of clients.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Committed => "read_committed",
            Self::Uncommitted => "read_uncommitted",
        }
    }
}

/// A record that a reader was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) at: u64,
    pub(crate) place: Place,
    pub(crate) id: Id,
}

/// Everything that one reader was given, from the beginning of each partition to its end, in the
/// order in which it came.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) reader: String,
    pub(crate) isolation: Isolation,
    pub(crate) seen: Vec<Seen>,
}

/// What somebody was told of a group's committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) feed: Feed,
    pub(crate) asked: u64,
    pub(crate) answered: u64,
    /// The next offset to read, -1 if none was committed.
    pub(crate) offset: i64,
    /// Whether it was not to be told while a transaction has it in doubt (`require_stable`).
    pub(crate) stable: bool,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) plain: Vec<Plain>,
    pub(crate) readings: Vec<Reading>,
    /// When a producer was shut out by a second one with its transactional id.
    pub(crate) fenced: BTreeMap<u32, u64>,
    /// What was told of groups; the end of it was told after everything had ended.
    pub(crate) told: Vec<Told>,
}

/// The time that all clients of a history share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}
