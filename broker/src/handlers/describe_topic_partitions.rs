//! DescribeTopicPartitions (75), v0: topics page by page (KIP-966). No topics named means all; a page
//! ends after so many partitions with a cursor to the next one.
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error::ErrorCode;
use protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use protocol::messages::{
    ApiKey, BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};

use super::Api;
use super::metadata::TOPIC_OPERATIONS;
use crate::dispatch::{Context, Reply};
use crate::metadata::{Topic, reason_invalid_name};
use crate::partition::Partition;

/// See the module.
pub struct DescribeTopicPartitions;

/// Most partitions of a page (Kafka's `max.request.partition.size.limit`).
const PAGE: usize = 2000;

impl Api for DescribeTopicPartitions {
    const KEY: ApiKey = ApiKey::DescribeTopicPartitions;
    type Request = DescribeTopicPartitionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    async fn handle(
        context: Context,
        request: DescribeTopicPartitionsRequest,
    ) -> Reply<DescribeTopicPartitionsResponse> {
        if is_cursor_wrong(&request) {
            return Reply::Ready(refuse(&context, &request));
        }
        let all = request.topics.is_empty();
        let (start, first) = match &request.cursor {
            Some(cursor) => (
                cursor.topic_name.to_string(),
                cursor.partition_index as usize,
            ),
            None => (String::new(), 0),
        };
        let names: BTreeSet<String> = if all {
            let topics = context.broker.topics.all();
            topics.iter().map(|topic| topic.name.to_string()).collect()
        } else {
            let topics = request.topics.iter();
            topics.map(|topic| topic.name.to_string()).collect()
        };
        let mut room = (request.response_partition_limit.max(1) as usize).min(PAGE);
        let mut response = DescribeTopicPartitionsResponse::default();
        for name in names.range(start.clone()..) {
            let skip = if *name == start { first } else { 0 };
            if room == 0 {
                response.next_cursor = Some(cursor(name, 0));
                break;
            }
            match context.broker.topics.get(name) {
                Some(topic) => {
                    let partitions = topic.partitions();
                    let page = partitions.iter().skip(skip).take(room);
                    response.topics.push(found(&context, &topic, page));
                    let next = skip.saturating_add(room);
                    if next < partitions.len() {
                        response.next_cursor = Some(cursor(name, next as i32));
                        break;
                    }
                    room -= partitions.len().saturating_sub(skip);
                }
                None if all => {}
                None if reason_invalid_name(name).is_some() => {
                    let error = ErrorCode::InvalidTopicException;
                    response.topics.push(missing(&context, name, error));
                }
                None => {
                    let error = ErrorCode::UnknownTopicOrPartition;
                    response.topics.push(missing(&context, name, error));
                }
            }
        }
        Reply::Ready(response)
    }
}

/// A cursor has to stand at a partition of a topic that is asked for.
fn is_cursor_wrong(request: &DescribeTopicPartitionsRequest) -> bool {
    request.cursor.as_ref().is_some_and(|cursor| {
        let mut topics = request.topics.iter();
        let is_asked_for =
            request.topics.is_empty() || topics.any(|topic| topic.name == cursor.topic_name);
        cursor.partition_index < 0 || !is_asked_for
    })
}

fn refuse(
    context: &Context,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.iter();
    let topics = topics.map(|topic| {
        missing(context, &topic.name, ErrorCode::InvalidRequest)
            .with_topic_authorized_operations(i32::MIN)
    });
    DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
}

fn cursor(topic: &str, partition: i32) -> Cursor {
    Cursor::default()
        .with_topic_name(wire_name(topic))
        .with_partition_index(partition)
}

fn wire_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn missing(
    context: &Context,
    name: &str,
    error: ErrorCode,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(context.error(error))
        .with_name(Some(wire_name(name)))
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn found<'a>(
    context: &Context,
    topic: &Topic,
    partitions: impl Iterator<Item = &'a std::sync::Arc<Partition>>,
) -> DescribeTopicPartitionsResponseTopic {
    let node = BrokerId(context.broker.settings.node_id);
    let partitions = partitions.map(|partition| {
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(partition.index)
            .with_leader_id(node)
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    });
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire_name(&topic.name)))
        .with_topic_id(topic.id)
        .with_is_internal(topic.internal)
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}
