//! Looking up offsets by place or time.
use std::collections::BTreeMap;

use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{BrokerId, ListOffsetsRequest};

use crate::TopicPartition;
use crate::connection::Connection;
use crate::error::{ClientError, check};
use crate::fetch::Isolation;
use crate::topics::topic_name;

/// A place in a log to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The first offset.
    Earliest,
    /// The offset after the last.
    Latest,
    /// The first offset with this timestamp (epoch milliseconds) or a later one; the latest offset
    /// when there is none.
    Time(i64),
}

impl Connection {
    /// The offsets of these partitions of a topic at a place. With [`Isolation::ReadCommitted`] the
    /// latest is the last stable offset.
    pub async fn offsets_at(
        &mut self,
        topic: &str,
        partitions: &[i32],
        at: At,
        isolation: Isolation,
    ) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
        let mut offsets = self.list_offsets(topic, partitions, at, isolation).await?;
        // Kafka answers -1 for a time after the last record.
        let late: Vec<i32> = offsets
            .iter()
            .filter(|(_, offset)| **offset < 0)
            .map(|((_, p), _)| *p)
            .collect();
        if !late.is_empty() {
            offsets.extend(
                self.list_offsets(topic, &late, At::Latest, isolation)
                    .await?,
            );
        }
        Ok(offsets)
    }

    async fn list_offsets(
        &mut self,
        topic: &str,
        partitions: &[i32],
        at: At,
        isolation: Isolation,
    ) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
        let timestamp = match at {
            At::Earliest => -2,
            At::Latest => -1,
            At::Time(epoch_ms) => epoch_ms,
        };
        let wanted = partitions
            .iter()
            .map(|partition| {
                ListOffsetsPartition::default()
                    .with_partition_index(*partition)
                    .with_current_leader_epoch(-1)
                    .with_timestamp(timestamp)
            })
            .collect();
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation.code())
            .with_topics(vec![
                ListOffsetsTopic::default()
                    .with_name(topic_name(topic))
                    .with_partitions(wanted),
            ]);
        let answer = self.send(&request).await?;
        let mut offsets = BTreeMap::new();
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let index = partition.partition_index;
            check(partition.error_code, None, || {
                format!("offset of {topic}-{index}")
            })?;
            offsets.insert((topic.to_owned(), index), partition.offset);
        }
        Ok(offsets)
    }
}
