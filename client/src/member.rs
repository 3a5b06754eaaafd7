//! Membership in a consumer group: join, take an assignment, heartbeat, commit, leave.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::StrBytes;
use protocol::error::ErrorCode;
use protocol::messages::join_group_request::JoinGroupRequestProtocol;
use protocol::messages::leave_group_request::MemberIdentity;
use protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use protocol::messages::{
    ApiKey, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    SyncGroupRequest,
};

use crate::TopicPartition;
use crate::assign;
use crate::connection::Connection;
use crate::error::{ClientError, check};
use crate::groups::group_id;
use crate::subscription::{
    decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use crate::topics::text;

const PROTOCOL_TYPE: &str = "consumer";
const RANGE: &str = "range";

/// How to be a member.
#[derive(Debug, Clone)]
pub struct MemberOptions {
    /// Silence after which the coordinator takes the member for dead.
    pub session_timeout: Duration,
    /// How long the coordinator waits for members to join again.
    pub rebalance_timeout: Duration,
    /// Time between heartbeats.
    pub heartbeat_interval: Duration,
}

impl Default for MemberOptions {
    fn default() -> Self {
        MemberOptions {
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(3),
        }
    }
}

/// The partitions that a member reads.
pub type Assignment = Vec<TopicPartition>;

/// A member of a group.
#[derive(Debug)]
pub struct GroupMember {
    connection: Connection,
    group: String,
    topics: Vec<String>,
    options: MemberOptions,
    member_id: StrBytes,
    generation: i32,
    heartbeat_due: Instant,
}

impl GroupMember {
    /// A member to be of `group`, reading these topics. [`GroupMember::join`] makes it one.
    pub async fn new(
        mut connection: Connection,
        group: &str,
        topics: Vec<String>,
        options: MemberOptions,
    ) -> Result<GroupMember, ClientError> {
        connection.await_coordinator(group).await?;
        Ok(GroupMember {
            connection,
            group: group.to_owned(),
            topics,
            options,
            member_id: StrBytes::from_static_str(""),
            generation: -1,
            heartbeat_due: Instant::now(),
        })
    }

    /// Joins, or joins again after [`GroupMember::heartbeat`] said so, and answers the assignment.
    pub async fn join(&mut self) -> Result<Assignment, ClientError> {
        let deadline = Instant::now() + self.options.rebalance_timeout * 2;
        loop {
            let joined = self.join_once().await;
            match joined {
                Ok(assignment) => {
                    self.heartbeat_due = Instant::now() + self.options.heartbeat_interval;
                    return Ok(assignment);
                }
                Err(ClientError::Refused { code, .. })
                    if Instant::now() < deadline && self.may_join_again(code) =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a heartbeat if one is due. `false` means that the group rebalances and the member has
    /// to commit and join again.
    pub async fn heartbeat(&mut self) -> Result<bool, ClientError> {
        if Instant::now() < self.heartbeat_due {
            return Ok(true);
        }
        let request = HeartbeatRequest::default()
            .with_group_id(group_id(&self.group))
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone());
        let answer = self.connection.send(&request).await?;
        self.heartbeat_due = Instant::now() + self.options.heartbeat_interval;
        let result = check(answer.error_code, None, || {
            format!("heartbeat to {}", self.group)
        });
        match result {
            Err(ClientError::Refused { code, .. }) if self.may_join_again(code) => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Commits the offsets to read next.
    pub async fn commit(
        &mut self,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), ClientError> {
        let (member, generation) = (self.member_id.clone(), self.generation);
        self.connection
            .commit(&self.group, offsets, &member, generation)
            .await
    }

    /// The committed offsets of these partitions; those without one are left out.
    pub async fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
        let all = self.connection.committed_offsets(&self.group).await?;
        Ok(all
            .into_iter()
            .filter(|(partition, _)| partitions.contains(partition))
            .map(|(partition, committed)| (partition, committed.offset))
            .collect())
    }

    /// Leaves the group, so that the others need not wait for the session to time out.
    pub async fn leave(mut self) -> Result<(), ClientError> {
        let request = LeaveGroupRequest::default().with_group_id(group_id(&self.group));
        // Versions from 3 on can take many members out (KIP-345).
        let request = if self.connection.version_of::<LeaveGroupRequest>()? < 3 {
            request.with_member_id(self.member_id.clone())
        } else {
            let member = MemberIdentity::default().with_member_id(self.member_id.clone());
            request.with_members(vec![member])
        };
        let answer = self.connection.send(&request).await?;
        check(answer.error_code, None, || format!("leave {}", self.group))
    }

    /// Whether to join (again) after this error; forgets an identity that the coordinator does not
    /// know.
    fn may_join_again(&mut self, code: ErrorCode) -> bool {
        match code {
            ErrorCode::UnknownMemberId => self.member_id = StrBytes::from_static_str(""),
            ErrorCode::RebalanceInProgress
            | ErrorCode::IllegalGeneration
            | ErrorCode::MemberIdRequired
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator => {}
            _ => return false,
        }
        true
    }

    async fn join_once(&mut self) -> Result<Assignment, ClientError> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(RANGE))
            .with_metadata(encode_subscription(&self.topics));
        let request = JoinGroupRequest::default()
            .with_group_id(group_id(&self.group))
            .with_session_timeout_ms(self.options.session_timeout.as_millis() as i32)
            .with_rebalance_timeout_ms(self.options.rebalance_timeout.as_millis() as i32)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
            .with_protocols(vec![protocol]);
        let limit = self.options.rebalance_timeout + Duration::from_secs(5);
        let joined = self.connection.send_within(&request, limit).await?;
        // MEMBER_ID_REQUIRED comes with the id to join with (KIP-394).
        if !joined.member_id.is_empty() {
            self.member_id = joined.member_id.clone();
        }
        check(joined.error_code, None, || format!("join {}", self.group))?;
        self.generation = joined.generation_id;
        let assignments = if joined.leader == joined.member_id {
            self.assign(&joined).await?
        } else {
            Vec::new()
        };
        self.sync(assignments, limit).await
    }

    /// As the leader: what every member is to read.
    async fn assign(
        &mut self,
        joined: &JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let members: BTreeMap<String, Vec<String>> = joined
            .members
            .iter()
            .map(|member| {
                let topics = decode_subscription(&member.metadata).unwrap_or_default();
                (member.member_id.to_string(), topics)
            })
            .collect();
        let mut partitions = BTreeMap::new();
        for topic in members.values().flatten() {
            if partitions.contains_key(topic) {
                continue;
            }
            // A topic that is not there is nobody's.
            if let Ok(known) = self.connection.topic(topic, false).await {
                let indexes = known.partitions.iter().map(|p| p.index).collect();
                partitions.insert(topic.clone(), indexes);
            }
        }
        Ok(assign::range(&members, &partitions)
            .into_iter()
            .map(|(member, own)| {
                SyncGroupRequestAssignment::default()
                    .with_member_id(text(&member))
                    .with_assignment(encode_assignment(&own))
            })
            .collect())
    }

    async fn sync(
        &mut self,
        assignments: Vec<SyncGroupRequestAssignment>,
        limit: Duration,
    ) -> Result<Assignment, ClientError> {
        let request = SyncGroupRequest::default()
            .with_group_id(group_id(&self.group))
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
            .with_protocol_name(Some(StrBytes::from_static_str(RANGE)))
            .with_assignments(assignments);
        let synced = self.connection.send_within(&request, limit).await?;
        check(synced.error_code, None, || {
            format!("sync with {}", self.group)
        })?;
        let own = decode_assignment(&synced.assignment)
            .ok_or(ClientError::Incomplete(ApiKey::SyncGroup))?;
        Ok(own
            .into_iter()
            .flat_map(|(topic, indexes)| {
                indexes.into_iter().map(move |index| (topic.clone(), index))
            })
            .collect())
    }
}
