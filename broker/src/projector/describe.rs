//! What a view is and how it is doing, for people and programs.
use std::fmt;

use projection::Counts;
use serde::{Serialize, Serializer};

/// How a view is doing: derived from positions and progress, never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its source has no record yet.
    Created,
    /// The first generation has not caught up yet: per cent done.
    Building(u8),
    /// Up to date.
    Running,
    /// Behind its source.
    Lagging,
    /// Stopped by the user or by itself: why.
    Paused(String),
    /// The source is not the one that it read, or lacks records that it has not read.
    LostInput(String),
    /// It cannot go on: why.
    Failed(String),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("CREATED"),
            Self::Building(percent) => write!(f, "BUILDING({percent} %)"),
            Self::Running => f.write_str("RUNNING"),
            Self::Lagging => f.write_str("LAGGING"),
            Self::Paused(_) => f.write_str("PAUSED"),
            Self::LostInput(_) => f.write_str("LOST_INPUT"),
            Self::Failed(_) => f.write_str("FAILED"),
        }
    }
}

impl State {
    /// Why, where there is a reason.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Paused(reason) | Self::LostInput(reason) | Self::Failed(reason) => Some(reason),
            _ => None,
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How far one partition of the source was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// Partition.
    pub partition: i32,
    /// Offset of the next record to be read.
    pub next: i64,
    /// Offset after the last record that can be read.
    pub end: i64,
    /// Records between the two.
    pub records: i64,
    /// Largest event time seen, epoch ms.
    pub stream_time: Option<i64>,
}

/// A generation that is being built beside the one that readers see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Building {
    /// Its number.
    pub generation: u64,
    /// Records read.
    pub read: u64,
    /// Records there are to read.
    pub of: u64,
    /// Whether it has caught up and waits to be promoted.
    pub ready: bool,
}

/// Everything about a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Name, also of its topic.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Topic that it is made from.
    pub source: String,
    /// How it is doing.
    pub state: State,
    /// Why, if it stopped.
    pub reason: Option<String>,
    /// Hash of the definition.
    pub definition: String,
    /// Generation that readers see, 0 before the first commit.
    pub generation: u64,
    /// The one being built beside it.
    pub building: Option<Building>,
    /// How far its source was read.
    pub sources: Vec<Lag>,
    /// Rows that readers see.
    pub rows: u64,
    /// What became of the records of the source.
    pub counts: Counts,
    /// Bytes of memory for rows and seen events, roughly.
    pub memory_bytes: u64,
}
