//! OffsetDelete (47), v0: a group forgets offsets of topics that no member subscribes to (KIP-496).
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use protocol::messages::{ApiKey, OffsetDeleteRequest, OffsetDeleteResponse};

use super::Api;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct OffsetDelete;

impl Api for OffsetDelete {
    const KEY: ApiKey = ApiKey::OffsetDelete;
    type Request = OffsetDeleteRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    async fn handle(context: Context, request: OffsetDeleteRequest) -> Reply<OffsetDeleteResponse> {
        let response = OffsetDeleteResponse::default();
        let places = known(&context, &request);
        let deleted = if request.group_id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else {
            let groups = &context.broker.groups;
            groups.delete_offsets(&request.group_id, &places).await
        };
        let mut results = match deleted {
            Ok(results) => results.into_iter(),
            Err(error) => return Reply::Ready(response.with_error_code(context.error(error))),
        };
        let mut places = places.into_iter().peekable();
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                let is_known =
                    |place: &(Arc<str>, i32)| *place.0 == **topic.name && place.1 == index;
                let result = match places.next_if(is_known) {
                    Some(_) => results.next().unwrap_or(Ok(())),
                    None => Err(ErrorCode::UnknownTopicOrPartition),
                };
                let error_code = result.map_or_else(|error| context.error(error), |()| NONE);
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(error_code)
            });
            let partitions = partitions.collect();
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name)
                .with_partitions(partitions)
        });
        let topics = topics.collect();
        Reply::Ready(response.with_topics(topics))
    }
}

/// The partitions of the request that there are, in its order.
fn known(context: &Context, request: &OffsetDeleteRequest) -> Vec<(Arc<str>, i32)> {
    let mut known = Vec::new();
    for topic in &request.topics {
        let Some(found) = context.broker.topics.get(&topic.name) else {
            continue;
        };
        let indexes = topic.partitions.iter().map(|it| it.partition_index);
        let indexes = indexes.filter(|index| found.partition(*index).is_some());
        known.extend(indexes.map(|index| (Arc::clone(&found.name), index)));
    }
    known
}
