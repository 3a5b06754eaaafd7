//! Making, growing and deleting topics.
use protocol::StrBytes;
use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::{
    ApiKey, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, TopicName,
};

use crate::connection::Connection;
use crate::error::{ClientError, check};

const TIMEOUT_MS: i32 = 30_000;

/// A topic to be made.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Partitions; `None` for the broker's default.
    pub partitions: Option<i32>,
    /// Replicas; `None` for the broker's default.
    pub replication_factor: Option<i16>,
    /// Its own configs.
    pub configs: Vec<(String, String)>,
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName::from(text(name))
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Connection {
    /// Makes a topic.
    pub async fn create_topic(&mut self, topic: &NewTopic) -> Result<(), ClientError> {
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| {
                CreatableTopicConfig::default()
                    .with_name(text(name))
                    .with_value(Some(text(value)))
            })
            .collect();
        let creatable = CreatableTopic::default()
            .with_name(topic_name(&topic.name))
            .with_num_partitions(topic.partitions.unwrap_or(-1))
            .with_replication_factor(topic.replication_factor.unwrap_or(-1))
            .with_configs(configs);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![creatable])
            .with_timeout_ms(TIMEOUT_MS);
        let answer = self.send(&request).await?;
        let result = answer
            .topics
            .first()
            .ok_or(ClientError::Incomplete(ApiKey::CreateTopics))?;
        check(result.error_code, result.error_message.as_ref(), || {
            format!("create topic {}", topic.name)
        })
    }

    /// Deletes a topic.
    pub async fn delete_topic(&mut self, name: &str) -> Result<(), ClientError> {
        let request = DeleteTopicsRequest::default().with_timeout_ms(TIMEOUT_MS);
        // Versions from 6 on can name topics by id too (KIP-516).
        let request = if self.version_of::<DeleteTopicsRequest>()? < 6 {
            request.with_topic_names(vec![topic_name(name)])
        } else {
            let topic = DeleteTopicState::default().with_name(Some(topic_name(name)));
            request.with_topics(vec![topic])
        };
        let answer = self.send(&request).await?;
        let result = answer
            .responses
            .first()
            .ok_or(ClientError::Incomplete(ApiKey::DeleteTopics))?;
        check(result.error_code, result.error_message.as_ref(), || {
            format!("delete topic {name}")
        })
    }

    /// Gives a topic more partitions: `count` in all.
    pub async fn create_partitions(&mut self, name: &str, count: i32) -> Result<(), ClientError> {
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(count)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(TIMEOUT_MS);
        let answer = self.send(&request).await?;
        let result = answer
            .results
            .first()
            .ok_or(ClientError::Incomplete(ApiKey::CreatePartitions))?;
        check(result.error_code, result.error_message.as_ref(), || {
            format!("partitions of topic {name}")
        })
    }

    /// Deletes the records of a partition below `offset` (-1: all); answers the new log start
    /// offset.
    pub async fn delete_records(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<i64, ClientError> {
        let partitions = vec![
            DeleteRecordsPartition::default()
                .with_partition_index(partition)
                .with_offset(offset),
        ];
        let topics = vec![
            DeleteRecordsTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(partitions),
        ];
        let request = DeleteRecordsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(TIMEOUT_MS);
        let answer = self.send(&request).await?;
        let result = answer
            .topics
            .first()
            .and_then(|topic| topic.partitions.first())
            .ok_or(ClientError::Incomplete(ApiKey::DeleteRecords))?;
        check(result.error_code, None, || {
            format!("delete records of {topic}-{partition}")
        })?;
        Ok(result.low_watermark)
    }
}
