//! The commit record: the one place that says how far a view is.
use serde::{Deserialize, Serialize};

use crate::Counts;

/// The value of a record in `__projection_commits`; JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Name of the view.
    pub projection: String,
    /// Hash of the definition that made it.
    pub definition: String,
    /// Version of the engine that made it.
    pub engine: u32,
    /// Which building of the view this is; the first is 1.
    pub generation: u64,
    /// Rises by one with each commit of a generation.
    pub sequence: u64,
    /// Every partition of the source.
    pub sources: Vec<SourcePosition>,
    /// Every partition of every topic that this view writes.
    pub outputs: Vec<OutputPosition>,
    /// What became of the records so far.
    pub counts: Counts,
}

/// How far one partition of a source was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePosition {
    /// Topic.
    pub topic: String,
    /// Its id, as Kafka writes it: a topic that was created again has another.
    pub topic_id: String,
    /// Partition.
    pub partition: i32,
    /// First offset that was read by this generation.
    pub first: i64,
    /// Offset of the next record.
    pub next: i64,
    /// Largest event time seen, epoch ms.
    pub stream_time: Option<i64>,
    /// Where to start reading to know again which events were seen.
    pub dedup_from: i64,
    /// Stream time just before the record there.
    pub dedup_stream_time: Option<i64>,
}

/// How far one partition of an output reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPosition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset after the last record that the commit covers.
    pub next: i64,
    /// CRC-32C of the last batch before `next`, as its header has it; `None` when there is none.
    pub crc: Option<u32>,
}
