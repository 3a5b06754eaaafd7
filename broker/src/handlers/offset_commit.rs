//! OffsetCommit (8), v2–9: remembers how far a group is. Answered when it is durable. From v7 members
//! can be static. Topics that are not there and metadata that is too long fail alone.
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use protocol::messages::{ApiKey, OffsetCommitRequest, OffsetCommitResponse};

use super::Api;
use crate::coordinator::group::{Commit, Committer};
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct OffsetCommit;

impl Api for OffsetCommit {
    const KEY: ApiKey = ApiKey::OffsetCommit;
    type Request = OffsetCommitRequest;
    const VERSIONS: RangeInclusive<i16> = 2..=9;

    async fn handle(context: Context, request: OffsetCommitRequest) -> Reply<OffsetCommitResponse> {
        let mut commits = Vec::new();
        let topics = request.topics.iter().map(|topic| {
            let name: Arc<str> = Arc::from(&**topic.name);
            let partitions = topic.partitions.iter().map(|partition| {
                let checked = check(&context, &name, partition);
                if checked.is_ok() {
                    commits.push(commit(&name, partition));
                }
                (partition.partition_index, checked)
            });
            (topic.name.clone(), partitions.collect::<Vec<_>>())
        });
        let topics: Vec<_> = topics.collect();
        let committed = if commits.is_empty() {
            Ok(())
        } else {
            store(&context, &request, commits).await
        };
        let topics = topics.into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, checked)| {
                let result = checked.and(committed);
                let error_code = result.map_or_else(|error| context.error(error), |()| NONE);
                OffsetCommitResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(error_code)
            });
            OffsetCommitResponseTopic::default()
                .with_name(name)
                .with_partitions(partitions.collect())
        });
        Reply::Ready(OffsetCommitResponse::default().with_topics(topics.collect()))
    }
}

fn check(
    context: &Context,
    topic: &str,
    partition: &OffsetCommitRequestPartition,
) -> Result<(), ErrorCode> {
    let broker = &context.broker;
    let found = broker.topics.partition(topic, partition.partition_index);
    found.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
    if metadata.len() > broker.settings.offset_metadata_max_bytes as usize {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    Ok(())
}

fn commit(topic: &Arc<str>, partition: &OffsetCommitRequestPartition) -> Commit {
    let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
    Commit {
        topic: Arc::clone(topic),
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: metadata.to_owned(),
    }
}

async fn store(
    context: &Context,
    request: &OffsetCommitRequest,
    commits: Vec<Commit>,
) -> Result<(), ErrorCode> {
    let who = Committer {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id_or_member_epoch,
    };
    let retention_ms = Some(request.retention_time_ms).filter(|after_ms| *after_ms != -1);
    // Only v9 may say that there is no such group.
    let unknown = match context.version {
        9.. => ErrorCode::GroupIdNotFound,
        _ => ErrorCode::IllegalGeneration,
    };
    let groups = &context.broker.groups;
    groups
        .commit(&request.group_id, who, commits, retention_ms, unknown)
        .await
}
