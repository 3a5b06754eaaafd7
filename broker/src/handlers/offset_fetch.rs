//! OffsetFetch (9), v1–9: how far a group is. One group up to v7, many from v8; from v2 no topics
//! means all. A group or partition without commit has offset -1, which is no error. Who asks for
//! stable offsets (v7) is told where one was committed in a transaction that is still open.
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::StrBytes;
use protocol::error::{ErrorCode, NONE};
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use protocol::messages::{ApiKey, OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::{Api, distinct};
use crate::coordinator::group::Position;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct OffsetFetch;

/// First version with many groups.
const BATCHED: i16 = 8;

impl Api for OffsetFetch {
    const KEY: ApiKey = ApiKey::OffsetFetch;
    type Request = OffsetFetchRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=9;

    async fn handle(context: Context, request: OffsetFetchRequest) -> Reply<OffsetFetchResponse> {
        let response = OffsetFetchResponse::default();
        if context.version < BATCHED {
            let topics = single(&context, &request);
            return Reply::Ready(response.with_topics(topics));
        }
        let stable = request.require_stable;
        let groups = distinct(request.groups, |group| group.group_id.clone()).map(|group| {
            let topics = batched(&context, &group, stable);
            OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id)
                .with_topics(topics)
        });
        Reply::Ready(response.with_groups(groups.collect()))
    }
}

fn single(context: &Context, request: &OffsetFetchRequest) -> Vec<OffsetFetchResponseTopic> {
    let wanted = request.topics.as_ref().map(|topics| {
        let wanted = topics.iter();
        let wanted = wanted.map(|topic| (topic.name.clone(), topic.partition_indexes.clone()));
        wanted.collect()
    });
    let found = look_up(context, &request.group_id, wanted, request.require_stable);
    let topics = found.into_iter().map(|(name, positions)| {
        let partitions = positions.into_iter().map(|(position, error_code)| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(position.partition)
                .with_committed_offset(position.offset)
                .with_committed_leader_epoch(position.leader_epoch)
                .with_metadata(Some(StrBytes::from_string(position.metadata)))
                .with_error_code(error_code)
        });
        OffsetFetchResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    topics.collect()
}

fn batched(
    context: &Context,
    group: &OffsetFetchRequestGroup,
    stable: bool,
) -> Vec<OffsetFetchResponseTopics> {
    let wanted = group.topics.as_ref().map(|topics| {
        let wanted = topics.iter();
        let wanted = wanted.map(|topic| (topic.name.clone(), topic.partition_indexes.clone()));
        wanted.collect()
    });
    let found = look_up(context, &group.group_id, wanted, stable);
    let topics = found.into_iter().map(|(name, positions)| {
        let partitions = positions.into_iter().map(|(position, error_code)| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(position.partition)
                .with_committed_offset(position.offset)
                .with_committed_leader_epoch(position.leader_epoch)
                .with_metadata(Some(StrBytes::from_string(position.metadata)))
                .with_error_code(error_code)
        });
        OffsetFetchResponseTopics::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    topics.collect()
}

/// A position with its error code.
type Told = (Position, i16);

/// The positions of the wanted partitions in the order of the request, or all that there are.
fn look_up(
    context: &Context,
    group: &str,
    wanted: Option<Vec<(TopicName, Vec<i32>)>>,
    stable: bool,
) -> Vec<(TopicName, Vec<Told>)> {
    let groups = &context.broker.groups;
    let told = |position: Position| {
        if stable && position.in_doubt {
            let code = context.error(ErrorCode::UnstableOffsetCommit);
            (Position::none(position.partition), code)
        } else {
            (position, NONE)
        }
    };
    let told = |found: Vec<Position>| found.into_iter().map(told).collect();
    let Some(wanted) = wanted else {
        let all = groups.positions(group).into_iter();
        let named = |name: Arc<str>| TopicName(StrBytes::from_string(name.to_string()));
        return all
            .map(|(name, found)| (named(name), told(found)))
            .collect();
    };
    let topics = distinct(wanted, |(name, _)| name.clone()).map(|(name, indexes)| {
        let indexes: Vec<_> = distinct(indexes, |index| *index).collect();
        let positions = groups.positions_of(group, &name, &indexes);
        (name, told(positions))
    });
    topics.collect()
}
