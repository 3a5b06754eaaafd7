//! OffsetForLeaderEpoch (23), v2–4: where a leader epoch ends (KIP-320).
use std::ops::RangeInclusive;

use protocol::error::ErrorCode;
use protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use protocol::messages::{ApiKey, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::fetch::epoch_error;

/// See the module.
pub struct OffsetForLeaderEpoch;

impl Api for OffsetForLeaderEpoch {
    const KEY: ApiKey = ApiKey::OffsetForLeaderEpoch;
    type Request = OffsetForLeaderEpochRequest;
    const VERSIONS: RangeInclusive<i16> = 2..=4;

    async fn handle(
        context: Context,
        request: OffsetForLeaderEpochRequest,
    ) -> Reply<OffsetForLeaderEpochResponse> {
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|wanted| answer(&context, &topic.topic, wanted));
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic.clone())
                .with_partitions(partitions.collect())
        });
        Reply::Ready(OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
    }
}

fn answer(context: &Context, topic: &str, wanted: &OffsetForLeaderPartition) -> EpochEndOffset {
    let response = EpochEndOffset::default().with_partition(wanted.partition);
    let undefined = |error: ErrorCode| {
        let code = context.error(error);
        response
            .clone()
            .with_error_code(code)
            .with_leader_epoch(-1)
            .with_end_offset(-1)
    };
    let Some(partition) = context.broker.topics.partition(topic, wanted.partition) else {
        return undefined(ErrorCode::UnknownTopicOrPartition);
    };
    if let Some(error) = epoch_error(wanted.current_leader_epoch, &partition) {
        return undefined(error);
    }
    match partition.log.epoch_end(wanted.leader_epoch) {
        Some(end) => response
            .with_leader_epoch(end.leader_epoch)
            .with_end_offset(end.end_offset),
        None => response.with_leader_epoch(-1).with_end_offset(-1),
    }
}
