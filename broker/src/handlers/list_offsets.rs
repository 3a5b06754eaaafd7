//! ListOffsets (2), v1–10: earliest, latest, by timestamp, the record of the largest timestamp (v7),
//! the earliest local offset (v8; the log start offset, nothing is tiered), the last tiered offset
//! (v9; none). Under `read_committed` latest is the last stable offset.
use std::collections::HashMap;
use std::ops::RangeInclusive;

use protocol::error::ErrorCode;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use protocol::messages::{ApiKey, ListOffsetsRequest, ListOffsetsResponse};
use storage::TimestampOffset;

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::fetch::{epoch_error, read_error};
use crate::partition::Partition;

/// See the module.
pub struct ListOffsets;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

impl Api for ListOffsets {
    const KEY: ApiKey = ApiKey::ListOffsets;
    type Request = ListOffsetsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=10;

    async fn handle(context: Context, request: ListOffsetsRequest) -> Reply<ListOffsetsResponse> {
        // A look-up by time may read old segments: not on a thread that others share.
        let looked_up = tokio::task::spawn_blocking(move || {
            let times = times(&request.topics);
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|wanted| {
                    if times[&(&**topic.name, wanted.partition_index)] > 1 {
                        return refuse(&context, wanted, ErrorCode::InvalidRequest);
                    }
                    let read_committed = request.isolation_level == 1;
                    answer(&context, &topic.name, wanted, read_committed)
                });
                ListOffsetsTopicResponse::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
            ListOffsetsResponse::default().with_topics(topics.collect())
        });
        looked_up.await.map_or(Reply::Disconnect, Reply::Ready)
    }
}

/// How often each partition is asked for: more than once is too often (Kafka's
/// `duplicatePartitions`).
fn times(topics: &[ListOffsetsTopic]) -> HashMap<(&str, i32), usize> {
    let mut times = HashMap::new();
    for topic in topics {
        for wanted in &topic.partitions {
            *times
                .entry((&**topic.name, wanted.partition_index))
                .or_default() += 1;
        }
    }
    times
}

fn refuse(
    context: &Context,
    wanted: &ListOffsetsPartition,
    error: ErrorCode,
) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse::default()
        .with_partition_index(wanted.partition_index)
        .with_error_code(context.error(error))
        .with_timestamp(-1)
        .with_offset(-1)
        .with_leader_epoch(-1)
}

fn answer(
    context: &Context,
    topic: &str,
    wanted: &ListOffsetsPartition,
    read_committed: bool,
) -> ListOffsetsPartitionResponse {
    let response =
        ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
    let found = match context
        .broker
        .topics
        .partition(topic, wanted.partition_index)
    {
        None => Err(ErrorCode::UnknownTopicOrPartition),
        Some(partition) => match epoch_error(wanted.current_leader_epoch, &partition) {
            Some(error) => Err(error),
            None => look_up(context, &partition, wanted.timestamp, read_committed),
        },
    };
    match found {
        Ok(Some(found)) => response
            .with_timestamp(found.timestamp)
            .with_offset(found.offset)
            .with_leader_epoch(match context.version {
                4.. => found.leader_epoch,
                _ => -1,
            }),
        Ok(None) => response
            .with_timestamp(-1)
            .with_offset(-1)
            .with_leader_epoch(-1),
        Err(error) => refuse(context, wanted, error),
    }
}

fn look_up(
    context: &Context,
    partition: &Partition,
    timestamp: i64,
    read_committed: bool,
) -> Result<Option<TimestampOffset>, ErrorCode> {
    let end = if read_committed {
        partition.last_stable_offset()
    } else {
        partition.high_watermark()
    };
    let at = |offset, leader_epoch| {
        Ok(Some(TimestampOffset {
            timestamp: -1,
            offset,
            leader_epoch,
        }))
    };
    let earliest = || {
        let log = &partition.log;
        let epoch = log.earliest_epoch().unwrap_or(partition.leader_epoch);
        at(log.start_offset(), epoch)
    };
    let needs = |version| {
        if context.version >= version {
            Ok(())
        } else {
            Err(ErrorCode::UnsupportedVersion)
        }
    };
    match timestamp {
        LATEST => at(end, partition.leader_epoch),
        EARLIEST => earliest(),
        MAX_TIMESTAMP => {
            needs(7)?;
            partition
                .log
                .max_timestamp()
                .map(|found| found.filter(|found| found.offset < end))
                .map_err(|error| read_error(&error))
        }
        EARLIEST_LOCAL => {
            needs(8)?;
            earliest()
        }
        LATEST_TIERED => {
            needs(9)?;
            Ok(None)
        }
        time if time >= 0 => partition
            .log
            .offset_for_timestamp(time, end)
            .map_err(|error| read_error(&error)),
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}
