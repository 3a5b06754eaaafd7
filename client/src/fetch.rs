//! Fetching records from a set of partitions, each from its own position on.
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::fetch_response::PartitionData;
use protocol::messages::{BrokerId, FetchRequest};
use protocol::record::{
    BatchHeader, Record, RecordError, TimestampType, decompress, records, verify,
};

use crate::TopicPartition;
use crate::connection::Connection;
use crate::error::{ClientError, check};
use crate::topics::topic_name;

/// Most bytes that one batch may have once it is decompressed.
const MAX_BATCH_BYTES: usize = 1 << 28;

/// Whether records of open and aborted transactions are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// They are.
    ReadUncommitted,
    /// They are not.
    ReadCommitted,
}

impl Isolation {
    pub(crate) fn code(self) -> i8 {
        i8::from(self == Isolation::ReadCommitted)
    }
}

/// A record that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Epoch milliseconds; the producer's or the broker's by the topic's settings.
    pub timestamp_ms: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Headers in order; names may repeat.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Fetches from partitions.
#[derive(Debug)]
pub struct Fetcher {
    connection: Connection,
    isolation: Isolation,
    positions: BTreeMap<TopicPartition, i64>,
}

impl Fetcher {
    /// A fetcher that starts at these positions.
    pub fn new(
        connection: Connection,
        isolation: Isolation,
        positions: BTreeMap<TopicPartition, i64>,
    ) -> Fetcher {
        Fetcher {
            connection,
            isolation,
            positions,
        }
    }

    /// The offset of the next record to fetch, per partition.
    pub fn positions(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.positions
    }

    /// Goes on with other partitions or positions.
    pub fn seek(&mut self, positions: BTreeMap<TopicPartition, i64>) {
        self.positions = positions;
    }

    /// Stops fetching from a partition.
    pub fn drop_partition(&mut self, partition: &TopicPartition) {
        self.positions.remove(partition);
    }

    /// The next records, in order within each partition. Waits up to `max_wait` for the first.
    pub async fn poll(&mut self, max_wait: Duration) -> Result<Vec<Incoming>, ClientError> {
        let request = self.request(max_wait);
        let answer = self
            .connection
            .send_within(&request, max_wait * 2 + SLACK)
            .await?;
        check(answer.error_code, None, || "fetch".to_owned())?;
        let mut found = Vec::new();
        for topic in &answer.responses {
            for data in &topic.partitions {
                self.take(topic.topic.as_str(), data, &mut found)?;
            }
        }
        Ok(found)
    }

    fn request(&self, max_wait: Duration) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for ((topic, partition), position) in &self.positions {
            let wanted = FetchPartition::default()
                .with_partition(*partition)
                .with_current_leader_epoch(-1)
                .with_last_fetched_epoch(-1)
                .with_log_start_offset(-1)
                .with_fetch_offset(*position)
                .with_partition_max_bytes(4 << 20);
            match topics.last_mut() {
                Some(last) if last.topic.as_str() == topic => last.partitions.push(wanted),
                _ => topics.push(
                    FetchTopic::default()
                        .with_topic(topic_name(topic))
                        .with_partitions(vec![wanted]),
                ),
            }
        }
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(max_wait.as_millis() as i32)
            .with_min_bytes(1)
            .with_max_bytes(32 << 20)
            .with_isolation_level(self.isolation.code())
            .with_session_epoch(-1)
            .with_topics(topics)
    }

    fn take(
        &mut self,
        topic: &str,
        data: &PartitionData,
        found: &mut Vec<Incoming>,
    ) -> Result<(), ClientError> {
        let partition = data.partition_index;
        let Some(position) = self.positions.get_mut(&(topic.to_owned(), partition)) else {
            return Ok(());
        };
        let start = *position;
        check(data.error_code, None, || {
            format!("fetch {topic}-{partition} at offset {start}")
        })?;
        let mut aborted = Aborted::new(data);
        let mut bytes = data.records.clone().unwrap_or_default();
        let damaged = |damage| ClientError::Record {
            topic: topic.to_owned(),
            partition,
            offset: start,
            damage,
        };
        while !bytes.is_empty() {
            let header = match verify(&bytes) {
                Ok(header) => header,
                // A broker may cut the last batch short; it comes whole with the next fetch.
                Err(RecordError::Truncated { .. }) => break,
                Err(error) => return Err(damaged(error)),
            };
            let batch = bytes.split_to(header.size());
            if !aborted.hides(&header, &batch) {
                unpack(topic, partition, &header, &batch, *position, found).map_err(damaged)?;
            }
            *position = (*position).max(header.last_offset() + 1);
        }
        Ok(())
    }
}

/// What an answer may take beyond the time that the broker was asked to wait.
const SLACK: Duration = Duration::from_secs(30);

/// Adds the records of a batch from `position` on.
fn unpack(
    topic: &str,
    partition: i32,
    header: &BatchHeader,
    batch: &Bytes,
    position: i64,
    found: &mut Vec<Incoming>,
) -> Result<(), RecordError> {
    if header.attributes.is_control() {
        return Ok(());
    }
    let body = decompress(header, batch, MAX_BATCH_BYTES)?;
    for record in records(header, &body) {
        let record = record?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        if offset >= position {
            found.push(Incoming {
                topic: topic.to_owned(),
                partition,
                offset,
                timestamp_ms: timestamp(header, &record),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                headers: record
                    .headers()
                    .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                    .collect(),
            });
        }
    }
    Ok(())
}

/// With log append time the batch's largest timestamp is every record's.
fn timestamp(header: &BatchHeader, record: &Record<'_>) -> i64 {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => header.base_timestamp.wrapping_add(record.timestamp_delta),
        TimestampType::LogAppendTime => header.max_timestamp,
    }
}

/// The aborted transactions of a partition that a fetch with read committed tells of (KIP-98).
struct Aborted {
    /// First offset and producer of each, in order of offsets.
    starts: Vec<(i64, i64)>,
    /// Producers in the middle of an aborted transaction.
    active: HashSet<i64>,
}

impl Aborted {
    fn new(data: &PartitionData) -> Aborted {
        let mut starts: Vec<(i64, i64)> = data
            .aborted_transactions
            .iter()
            .flatten()
            .map(|aborted| (aborted.first_offset, aborted.producer_id.0))
            .collect();
        starts.sort_unstable();
        Aborted {
            starts,
            active: HashSet::new(),
        }
    }

    /// Whether the batch belongs to an aborted transaction. To be called for every batch in order.
    fn hides(&mut self, header: &BatchHeader, batch: &[u8]) -> bool {
        let begun = self
            .starts
            .partition_point(|(first, _)| *first <= header.last_offset());
        self.active
            .extend(self.starts.drain(..begun).map(|(_, producer)| producer));
        if header.attributes.is_control() {
            if is_abort_marker(header, batch) {
                self.active.remove(&header.producer_id);
            }
            return false;
        }
        header.attributes.is_transactional() && self.active.contains(&header.producer_id)
    }
}

/// The key of a control record is a version and a type, of two bytes each; type 0 is an abort.
fn is_abort_marker(header: &BatchHeader, batch: &[u8]) -> bool {
    let Ok(body) = decompress(header, batch, MAX_BATCH_BYTES) else {
        return false;
    };
    let first = records(header, &body).next();
    matches!(
        first,
        Some(Ok(Record {
            key: Some([_, _, 0, 0]),
            ..
        }))
    )
}
