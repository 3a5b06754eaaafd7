//! OffsetCommit (8), v2–9: remembers how far a group is. Answered when it is durable. From v7 members
//! can be static. Topics that are not there and metadata that is too long fail alone.
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use protocol::messages::{ApiKey, OffsetCommitRequest, OffsetCommitResponse, TopicName};

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
        let mut commits = Commits::default();
        for topic in &request.topics {
            let partitions = topic.partitions.iter();
            commits.add(&context, &topic.name, partitions.map(commit));
        }
        let committed = match commits.take() {
            none if none.is_empty() => Ok(()),
            some => store(&context, &request, some).await,
        };
        let topics = commits.answers(&context, committed);
        let topics = topics.map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, error_code)| {
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

/// A partition, and whether its offset is refused.
type Checked = (i32, Result<(), ErrorCode>);

/// The offsets that a request commits, with those that are refused before the group is asked: this
/// API's and TxnOffsetCommit's.
#[derive(Default)]
pub(super) struct Commits {
    good: Vec<Commit>,
    checked: Vec<(TopicName, Vec<Checked>)>,
}

impl Commits {
    /// Adds those of a topic; what `partitions` says of the topic does not count.
    pub(super) fn add(
        &mut self,
        context: &Context,
        topic: &TopicName,
        partitions: impl Iterator<Item = Commit>,
    ) {
        let name: Arc<str> = Arc::from(&***topic);
        let checked = partitions.map(|commit| {
            let commit = Commit {
                topic: Arc::clone(&name),
                ..commit
            };
            let (index, checked) = (commit.partition, check(context, &commit));
            if checked.is_ok() {
                self.good.push(commit);
            }
            (index, checked)
        });
        let checked = checked.collect();
        self.checked.push((topic.clone(), checked));
    }

    /// Takes out those that are not refused.
    pub(super) fn take(&mut self) -> Vec<Commit> {
        std::mem::take(&mut self.good)
    }

    /// The error codes of all partitions by topic, if those that were not refused came to this.
    pub(super) fn answers(
        self,
        context: &Context,
        committed: Result<(), ErrorCode>,
    ) -> impl Iterator<Item = (TopicName, Vec<(i32, i16)>)> {
        let code = move |checked: Result<(), ErrorCode>| {
            let result = checked.and(committed);
            result.map_or_else(|error| context.error(error), |()| NONE)
        };
        self.checked.into_iter().map(move |(name, partitions)| {
            let partitions = partitions.into_iter();
            let codes = partitions.map(|(index, checked)| (index, code(checked)));
            (name, codes.collect())
        })
    }
}

fn check(context: &Context, commit: &Commit) -> Result<(), ErrorCode> {
    let broker = &context.broker;
    let found = broker.topics.partition(&commit.topic, commit.partition);
    found.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if commit.metadata.len() > broker.settings.offset_metadata_max_bytes as usize {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    Ok(())
}

fn commit(partition: &OffsetCommitRequestPartition) -> Commit {
    let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
    Commit {
        topic: Arc::default(),
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
