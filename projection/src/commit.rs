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

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> Commit {
        Commit {
            projection: "user_activity".to_owned(),
            definition: "5f70".to_owned(),
            engine: 1,
            generation: 2,
            sequence: 7,
            sources: vec![SourcePosition {
                topic: "events".to_owned(),
                topic_id: "BQAAAAAAAAAAAAAAAAAAAQ".to_owned(),
                partition: 0,
                first: 10,
                next: 42,
                stream_time: Some(1_680_000_000_000),
                dedup_from: 10,
                dedup_stream_time: None,
            }],
            outputs: vec![OutputPosition {
                topic: "user_activity".to_owned(),
                partition: 0,
                next: 5,
                crc: Some(3_735_928_559),
            }],
            counts: Counts {
                input: 32,
                applied: 28,
                duplicate: 2,
                late: 1,
                dead: 1,
            },
        }
    }

    /// These bytes are on disks.
    const BYTES: &str = "{\"projection\":\"user_activity\",\"definition\":\"5f70\",\"engine\":1,\
        \"generation\":2,\"sequence\":7,\"sources\":[{\"topic\":\"events\",\
        \"topic_id\":\"BQAAAAAAAAAAAAAAAAAAAQ\",\"partition\":0,\"first\":10,\"next\":42,\
        \"stream_time\":1680000000000,\"dedup_from\":10,\"dedup_stream_time\":null}],\
        \"outputs\":[{\"topic\":\"user_activity\",\"partition\":0,\"next\":5,\"crc\":3735928559}],\
        \"counts\":{\"in\":32,\"applied\":28,\"duplicate\":2,\"late\":1,\"dead\":1}}";

    #[test]
    fn the_bytes_of_a_commit_never_change() {
        assert_eq!(serde_json::to_string(&commit()).unwrap(), BYTES);
        assert_eq!(serde_json::from_str::<Commit>(BYTES).unwrap(), commit());
    }

    #[test]
    fn fields_of_a_later_version_do_no_harm() {
        let later = BYTES.replace("\"topic\":", "\"color\":{\"red\":[1]},\"topic\":");
        let later = later.replacen('{', "{\"written_by\":\"klamm 9\",", 1);
        assert_eq!(serde_json::from_str::<Commit>(&later).unwrap(), commit());
    }
}
