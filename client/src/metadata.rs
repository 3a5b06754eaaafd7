//! What the broker says about itself and its topics.
use std::time::{Duration, Instant};

use protocol::StrBytes;
use protocol::error::ErrorCode;
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::metadata_response::MetadataResponseTopic;
use protocol::messages::{ApiKey, MetadataRequest, TopicName};

use crate::connection::Connection;
use crate::error::{ClientError, check};

/// How long to wait for a topic that the broker is making.
const CREATION: Duration = Duration::from_secs(10);

/// A broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Node id.
    pub id: i32,
    /// Advertised host.
    pub host: String,
    /// Advertised port.
    pub port: i32,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: Option<String>,
    /// Its brokers.
    pub brokers: Vec<Broker>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Number.
    pub index: i32,
    /// Node that leads it, -1 if none.
    pub leader: i32,
    /// Epoch of the leader, -1 if unknown.
    pub leader_epoch: i32,
    /// Nodes that hold it.
    pub replicas: Vec<i32>,
    /// Nodes that hold it and are up to date.
    pub in_sync: Vec<i32>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Name.
    pub name: String,
    /// Id, as text.
    pub id: String,
    /// Whether it belongs to the broker.
    pub internal: bool,
    /// Partitions in order.
    pub partitions: Vec<Partition>,
}

impl Connection {
    /// The cluster and its brokers.
    pub async fn cluster(&mut self) -> Result<Cluster, ClientError> {
        let request = MetadataRequest::default().with_topics(Some(Vec::new()));
        let answer = self.send(&request).await?;
        let brokers = answer
            .brokers
            .iter()
            .map(|b| Broker {
                id: b.node_id.0,
                host: b.host.to_string(),
                port: b.port,
            })
            .collect();
        Ok(Cluster {
            id: answer.cluster_id.map(|id| id.to_string()),
            brokers,
        })
    }

    /// All topics, by name.
    pub async fn all_topics(&mut self) -> Result<Vec<Topic>, ClientError> {
        let answer = self
            .send(&MetadataRequest::default().with_topics(None))
            .await?;
        let mut topics: Vec<Topic> = answer.topics.iter().map(topic_of).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic. With `create` the broker makes it if it is not there and its settings allow that.
    pub async fn topic(&mut self, name: &str, create: bool) -> Result<Topic, ClientError> {
        let wanted = TopicName::from(StrBytes::from_string(name.to_owned()));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![
                MetadataRequestTopic::default().with_name(Some(wanted)),
            ]))
            .with_allow_auto_topic_creation(create);
        let since = Instant::now();
        loop {
            let answer = self.send(&request).await?;
            let topic = answer
                .topics
                .first()
                .ok_or(ClientError::Incomplete(ApiKey::Metadata))?;
            let found =
                check(topic.error_code, None, || format!("topic {name}")).map(|()| topic_of(topic));
            match found {
                Err(ClientError::Refused { code, .. })
                    if create && is_being_made(code) && since.elapsed() < CREATION =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                found => return found,
            }
        }
    }
}

fn is_being_made(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::LeaderNotAvailable | ErrorCode::UnknownTopicOrPartition
    )
}

fn topic_of(topic: &MetadataResponseTopic) -> Topic {
    let mut partitions: Vec<Partition> = topic
        .partitions
        .iter()
        .map(|p| Partition {
            index: p.partition_index,
            leader: p.leader_id.0,
            leader_epoch: p.leader_epoch,
            replicas: p.replica_nodes.iter().map(|node| node.0).collect(),
            in_sync: p.isr_nodes.iter().map(|node| node.0).collect(),
        })
        .collect();
    partitions.sort_by_key(|p| p.index);
    Topic {
        name: topic
            .name
            .as_ref()
            .map(|name| name.to_string())
            .unwrap_or_default(),
        id: topic.topic_id.to_string(),
        internal: topic.is_internal,
        partitions,
    }
}
