//! Consumer groups from outside: listing, describing, moving offsets, deleting.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::StrBytes;
use protocol::error::ErrorCode;
use protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::{
    ApiKey, DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId,
    ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest,
};

use crate::TopicPartition;
use crate::connection::Connection;
use crate::error::{ClientError, check};
use crate::subscription::decode_assignment;
use crate::topics::{text, topic_name};

/// A group in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Group id.
    pub group: String,
    /// `Stable`, `Empty` and so on; empty from brokers before 2.6.
    pub state: String,
    /// `classic`, `consumer` and so on; empty from brokers before 3.8.
    pub kind: String,
    /// `consumer`, `connect` and so on.
    pub protocol_type: String,
}

/// A member of a described group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMemberDescription {
    /// Member id.
    pub member: String,
    /// Client id.
    pub client: String,
    /// Address that the client came from.
    pub host: String,
    /// What it reads.
    pub partitions: Vec<TopicPartition>,
}

/// A described group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Group id.
    pub group: String,
    /// `Stable`, `Empty` and so on.
    pub state: String,
    /// Name of the assignment that the members agreed on.
    pub protocol: String,
    /// Members.
    pub members: Vec<GroupMemberDescription>,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The offset to read next.
    pub offset: i64,
    /// What the committer wrote beside it.
    pub metadata: String,
}

pub(crate) fn group_id(group: &str) -> GroupId {
    GroupId::from(text(group))
}

impl Connection {
    /// Waits until the broker coordinates the group: the first question makes the topic that groups
    /// live in.
    pub(crate) async fn await_coordinator(&mut self, group: &str) -> Result<(), ClientError> {
        // Versions from 4 on ask for many keys at once (KIP-699).
        let request = if self.version_of::<FindCoordinatorRequest>()? < 4 {
            FindCoordinatorRequest::default().with_key(text(group))
        } else {
            FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)])
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let answer = self.send(&request).await?;
            let code = answer
                .coordinators
                .first()
                .map_or(answer.error_code, |found| found.error_code);
            let found = check(code, None, || format!("coordinator of {group}"));
            match found {
                Err(ClientError::Refused { code, .. })
                    if code.is_retriable() && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                found => return found,
            }
        }
    }

    /// All groups.
    pub async fn list_groups(&mut self) -> Result<Vec<GroupListing>, ClientError> {
        let answer = self.send(&ListGroupsRequest::default()).await?;
        check(answer.error_code, None, || "list groups".to_owned())?;
        let mut groups: Vec<GroupListing> = answer
            .groups
            .iter()
            .map(|group| GroupListing {
                group: group.group_id.to_string(),
                state: group.group_state.to_string(),
                kind: group.group_type.to_string(),
                protocol_type: group.protocol_type.to_string(),
            })
            .collect();
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(groups)
    }

    /// One group and its members.
    pub async fn describe_group(&mut self, group: &str) -> Result<GroupDescription, ClientError> {
        self.await_coordinator(group).await?;
        let request = DescribeGroupsRequest::default().with_groups(vec![group_id(group)]);
        let answer = self.send(&request).await?;
        let found = answer
            .groups
            .first()
            .ok_or(ClientError::Incomplete(ApiKey::DescribeGroups))?;
        check(found.error_code, found.error_message.as_ref(), || {
            format!("group {group}")
        })?;
        let members = found
            .members
            .iter()
            .map(|member| GroupMemberDescription {
                member: member.member_id.to_string(),
                client: member.client_id.to_string(),
                host: member.client_host.to_string(),
                partitions: decode_assignment(&member.member_assignment)
                    .unwrap_or_default()
                    .into_iter()
                    .flat_map(|(topic, indexes)| {
                        indexes.into_iter().map(move |index| (topic.clone(), index))
                    })
                    .collect(),
            })
            .collect();
        Ok(GroupDescription {
            group: group.to_owned(),
            state: found.group_state.to_string(),
            protocol: found.protocol_data.to_string(),
            members,
        })
    }

    /// All committed offsets of a group.
    pub async fn committed_offsets(
        &mut self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, Committed>, ClientError> {
        self.await_coordinator(group).await?;
        let wanted = OffsetFetchRequestGroup::default()
            .with_group_id(group_id(group))
            .with_member_epoch(-1)
            .with_topics(None);
        let request = OffsetFetchRequest::default().with_groups(vec![wanted]);
        let answer = self.send(&request).await?;
        let found = answer
            .groups
            .first()
            .ok_or(ClientError::Incomplete(ApiKey::OffsetFetch))?;
        check(found.error_code, None, || format!("offsets of {group}"))?;
        let mut offsets = BTreeMap::new();
        for topic in &found.topics {
            for partition in &topic.partitions {
                let place = (topic.name.to_string(), partition.partition_index);
                check(partition.error_code, None, || {
                    format!("offset of {group} in {place:?}")
                })?;
                if partition.committed_offset >= 0 {
                    let metadata = partition.metadata.as_ref().map(ToString::to_string);
                    let offset = partition.committed_offset;
                    let metadata = metadata.unwrap_or_default();
                    offsets.insert(place, Committed { offset, metadata });
                }
            }
        }
        Ok(offsets)
    }

    /// Sets committed offsets of a group that has no members.
    pub async fn set_committed_offsets(
        &mut self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), ClientError> {
        self.await_coordinator(group).await?;
        self.commit(group, offsets, &StrBytes::from_static_str(""), -1)
            .await
    }

    pub(crate) async fn commit(
        &mut self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
        member: &StrBytes,
        generation: i32,
    ) -> Result<(), ClientError> {
        let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
        for ((topic, partition), offset) in offsets {
            let entry = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(StrBytes::from_static_str("")));
            match topics.last_mut() {
                Some(last) if last.name.as_str() == topic => last.partitions.push(entry),
                _ => topics.push(
                    OffsetCommitRequestTopic::default()
                        .with_name(topic_name(topic))
                        .with_partitions(vec![entry]),
                ),
            }
        }
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(group))
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(member.clone())
            .with_retention_time_ms(-1)
            .with_topics(topics);
        let answer = self.send(&request).await?;
        for topic in &answer.topics {
            for partition in &topic.partitions {
                let (name, index) = (topic.name.as_str(), partition.partition_index);
                check(partition.error_code, None, || {
                    format!("commit {group} in {name}-{index}")
                })?;
            }
        }
        Ok(())
    }

    /// Deletes a group that has no members.
    pub async fn delete_group(&mut self, group: &str) -> Result<(), ClientError> {
        self.await_coordinator(group).await?;
        let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id(group)]);
        let answer = self.send(&request).await?;
        let result = answer
            .results
            .first()
            .ok_or(ClientError::Incomplete(ApiKey::DeleteGroups))?;
        check(result.error_code, None, || format!("delete group {group}"))
    }

    /// Whether the broker knows the group.
    pub async fn has_group(&mut self, group: &str) -> Result<bool, ClientError> {
        match self.describe_group(group).await {
            Ok(found) => Ok(found.state != "Dead"),
            Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
