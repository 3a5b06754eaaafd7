//! Metadata (3), v0–13: the broker, the topics and who leads their partitions.
//!
//! All topics are an empty list in v0 and null from v1 on. From v4 on the client says whether a topic
//! that is not there is to be made. Ids come in responses from v10 on and in requests from v12 on
//! (KIP-516); where one id is asked for, names are not looked at.
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::StrBytes;
use protocol::error::ErrorCode;
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::messages::{ApiKey, BrokerId, MetadataRequest, MetadataResponse, TopicName};
use uuid::Uuid;

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::metadata::{self, NewTopic, Topic, TopicError};

/// See the module.
pub struct Metadata;

/// First version whose requests can name topics by id.
const BY_ID: i16 = 12;
/// Topics that one request makes before other changes of the metadata get their turn.
const MADE_AT_ONCE: usize = 64;
/// What everybody may do with a topic where nobody is authorized: READ, WRITE, CREATE, DELETE, ALTER,
/// DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, one bit each (Kafka's `AclOperation`).
pub(super) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// The same with the cluster: CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS,
/// ALTER_CONFIGS and IDEMPOTENT_WRITE.
pub(super) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;
/// Authorized operations that were not asked for.
const NOT_ASKED: i32 = i32::MIN;

impl Api for Metadata {
    const KEY: ApiKey = ApiKey::Metadata;
    type Request = MetadataRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=13;

    async fn handle(context: Context, request: MetadataRequest) -> Reply<MetadataResponse> {
        let version = context.version;
        let wanted = request
            .topics
            .filter(|topics| version > 0 || !topics.is_empty());
        let topics = match wanted {
            None => all(&context),
            Some(wanted) if version < BY_ID && wanted.iter().any(names_by_id) => {
                return Reply::Ready(refuse_ids(&context, wanted));
            }
            Some(wanted) => {
                let create = request.allow_auto_topic_creation
                    && context.broker.settings.auto_create_topics_enable;
                match find(&context, &wanted, create).await {
                    Some(topics) => topics,
                    None => return Reply::Disconnect,
                }
            }
        };
        let operations = if request.include_topic_authorized_operations {
            TOPIC_OPERATIONS
        } else {
            NOT_ASKED
        };
        let topics = topics.into_iter();
        let topics = topics.map(|topic| topic.with_topic_authorized_operations(operations));
        Reply::Ready(cluster(
            &context,
            topics.collect(),
            request.include_cluster_authorized_operations,
        ))
    }
}

fn cluster(
    context: &Context,
    topics: Vec<MetadataResponseTopic>,
    operations: bool,
) -> MetadataResponse {
    let broker = &context.broker;
    let node = BrokerId(broker.settings.node_id);
    let (host, port) = broker.advertised(&context.client);
    let rack = broker.settings.rack.clone().map(StrBytes::from_string);
    let this = MetadataResponseBroker::default()
        .with_node_id(node)
        .with_host(StrBytes::from_string(host))
        .with_port(port)
        .with_rack(rack);
    let cluster_id = StrBytes::from_string(broker.topics.cluster_id().to_owned());
    let operations = if operations {
        CLUSTER_OPERATIONS
    } else {
        NOT_ASKED
    };
    MetadataResponse::default()
        .with_brokers(vec![this])
        .with_cluster_id(Some(cluster_id))
        .with_controller_id(node)
        .with_topics(topics)
        .with_cluster_authorized_operations(operations)
}

fn all(context: &Context) -> Vec<MetadataResponseTopic> {
    let topics = context.broker.topics.all();
    topics.iter().map(|topic| found(context, topic)).collect()
}

fn names_by_id(topic: &MetadataRequestTopic) -> bool {
    topic.name.is_none() || !topic.topic_id.is_nil()
}

/// Ids in a version that has room for them but does not take them (KAFKA-13357).
fn refuse_ids(context: &Context, wanted: Vec<MetadataRequestTopic>) -> MetadataResponse {
    let refuse = |topic: MetadataRequestTopic| {
        let name = topic.name.unwrap_or_default();
        let error = ErrorCode::InvalidRequest;
        missing(context, Some(&name), topic.topic_id, error)
    };
    MetadataResponse::default().with_topics(wanted.into_iter().map(refuse).collect())
}

/// `None` if the process ends in the middle.
async fn find(
    context: &Context,
    wanted: &[MetadataRequestTopic],
    create: bool,
) -> Option<Vec<MetadataResponseTopic>> {
    let topics = &context.broker.topics;
    let ids: BTreeSet<Uuid> = wanted.iter().map(|topic| topic.topic_id).collect();
    let ids: Vec<Uuid> = ids.into_iter().filter(|id| !id.is_nil()).collect();
    if !ids.is_empty() {
        let answer = |id: &Uuid| match topics.by_id(*id) {
            Some(topic) => found(context, &topic),
            None => missing(context, None, *id, ErrorCode::UnknownTopicId),
        };
        return Some(ids.iter().map(answer).collect());
    }
    let names: BTreeSet<&TopicName> = wanted.iter().flat_map(|topic| &topic.name).collect();
    let made = if create && names.iter().any(|name| topics.get(name).is_none()) {
        make(context, &names).await?
    } else {
        HashMap::new()
    };
    let answer = |name: &TopicName| {
        if let Some(topic) = topics.get(name) {
            return found(context, &topic);
        }
        let error = match made.get(name) {
            Some(error) => *error,
            None if metadata::reason_invalid_name(name).is_some() => {
                ErrorCode::InvalidTopicException
            }
            None => ErrorCode::UnknownTopicOrPartition,
        };
        missing(context, Some(name), Uuid::nil(), error)
    };
    Some(names.into_iter().map(answer).collect())
}

/// Makes those that are not there; returns those that cannot be made. Runs to its end even if the
/// client does not wait for it.
async fn make(
    context: &Context,
    names: &BTreeSet<&TopicName>,
) -> Option<HashMap<TopicName, ErrorCode>> {
    let names: Vec<TopicName> = names.iter().map(|name| (*name).clone()).collect();
    let broker = Arc::clone(&context.broker);
    let making = tokio::task::spawn_blocking(move || {
        let topics = &broker.topics;
        let missing: Vec<_> = names
            .into_iter()
            .filter(|name| topics.get(name).is_none())
            .collect();
        let mut refused = HashMap::new();
        for names in missing.chunks(MADE_AT_ONCE) {
            let wanted = names.iter().map(|name| NewTopic::named(name)).collect();
            let made = topics.create(wanted, false).into_iter();
            let made = names.iter().zip(made);
            refused
                .extend(made.filter_map(|(name, made)| Some((name.clone(), code(&made.err()?)))));
        }
        refused
    });
    making.await.ok()
}

/// The code for a client that named a topic which could not be made for it.
fn code(error: &TopicError) -> ErrorCode {
    match error {
        // The coordinator makes it when it is needed.
        TopicError::Reserved(_) => ErrorCode::UnknownTopicOrPartition,
        error => error.code(),
    }
}

fn missing(
    context: &Context,
    name: Option<&TopicName>,
    id: Uuid,
    error: ErrorCode,
) -> MetadataResponseTopic {
    // The name is nullable from v12 on, and only where an id was asked for.
    MetadataResponseTopic::default()
        .with_error_code(context.error(error))
        .with_name(name.cloned())
        .with_topic_id(id)
}

fn found(context: &Context, topic: &Topic) -> MetadataResponseTopic {
    let node = BrokerId(context.broker.settings.node_id);
    let partitions = topic.partitions();
    let partitions = partitions.iter().map(|partition| {
        MetadataResponsePartition::default()
            .with_partition_index(partition.index)
            .with_leader_id(node)
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(
            topic.name.to_string(),
        ))))
        .with_topic_id(topic.id)
        .with_is_internal(topic.internal)
        .with_partitions(partitions.collect())
}
