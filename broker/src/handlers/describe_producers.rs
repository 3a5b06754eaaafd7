//! DescribeProducers (61), v0: the producers with state in a partition (KIP-664).
use std::ops::RangeInclusive;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use protocol::messages::{ApiKey, DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use super::{Api, distinct};
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct DescribeProducers;

impl Api for DescribeProducers {
    const KEY: ApiKey = ApiKey::DescribeProducers;
    type Request = DescribeProducersRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    async fn handle(
        context: Context,
        request: DescribeProducersRequest,
    ) -> Reply<DescribeProducersResponse> {
        let topics = distinct(request.topics, |topic| topic.name.clone()).map(|topic| {
            let partitions = distinct(topic.partition_indexes, |index| *index)
                .map(|index| describe(&context, &topic.name, index));
            TopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        Reply::Ready(DescribeProducersResponse::default().with_topics(topics.collect()))
    }
}

fn describe(context: &Context, topic: &str, index: i32) -> PartitionResponse {
    let response = PartitionResponse::default().with_partition_index(index);
    let Some(partition) = context.broker.topics.partition(topic, index) else {
        return response.with_error_code(context.error(ErrorCode::UnknownTopicOrPartition));
    };
    let producers = partition.log.producers().into_iter().map(|producer| {
        ProducerState::default()
            .with_producer_id(ProducerId(producer.producer_id))
            .with_producer_epoch(i32::from(producer.producer_epoch))
            .with_last_sequence(producer.last_sequence)
            .with_last_timestamp(producer.last_timestamp)
            .with_coordinator_epoch(producer.coordinator_epoch)
            .with_current_txn_start_offset(producer.transaction_start_offset)
    });
    response
        .with_error_code(NONE)
        .with_active_producers(producers.collect())
}
