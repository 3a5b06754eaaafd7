//! A group as it is shown to others: ListGroups, DescribeGroups, metrics.
use std::sync::Arc;

use bytes::Bytes;

use super::classic::{Group, State};
use super::formats::Committed;
use super::member::Member;

/// One line of a list of groups.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub name: Arc<str>,
    /// Empty if it never had members.
    pub protocol_type: Arc<str>,
    /// Its state.
    pub state: State,
}

/// A group with its members.
#[derive(Debug, Clone)]
pub struct Described {
    /// Its state.
    pub state: State,
    /// Empty if it never had members.
    pub protocol_type: Arc<str>,
    /// The protocol of a stable group, else empty.
    pub protocol: Arc<str>,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

/// A member.
#[derive(Debug, Clone)]
pub struct DescribedMember {
    /// Its id.
    pub id: Arc<str>,
    /// Its instance id, if it is static.
    pub instance_id: Option<Arc<str>>,
    /// The client's name for itself.
    pub client_id: Arc<str>,
    /// Where the client is.
    pub client_host: Arc<str>,
    /// Its metadata in a stable group, else empty.
    pub metadata: Bytes,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

/// A committed offset of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// Offset of the next record to consume.
    pub offset: i64,
    /// Leader epoch of the last record consumed, or -1.
    pub leader_epoch: i32,
    /// Whatever the client wanted to remember.
    pub metadata: String,
    /// Another one was committed in a transaction that is still open.
    pub in_doubt: bool,
}

impl Group {
    /// For ListGroups.
    pub fn listed(&self) -> Listed {
        Listed {
            name: Arc::clone(&self.name),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: self.state,
        }
    }

    /// For DescribeGroups. Protocol and metadata are shown only while they hold.
    pub fn described(&self) -> Described {
        let stable = self.state == State::Stable;
        let protocol = self.protocol.clone().filter(|_| stable).unwrap_or_default();
        let describe = |member: &Member| DescribedMember {
            id: Arc::clone(&member.id),
            instance_id: member.instance_id.clone(),
            client_id: Arc::clone(&member.client_id),
            client_host: Arc::clone(&member.client_host),
            metadata: if stable {
                member.metadata(&protocol)
            } else {
                Bytes::new()
            },
            assignment: member.assignment.clone(),
        };
        Described {
            state: self.state,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: self.members.iter().map(describe).collect(),
            protocol,
        }
    }

    /// All committed offsets, by topic.
    pub fn positions(&self) -> Vec<(Arc<str>, Vec<Position>)> {
        let topics = self.offsets.iter().map(|(topic, partitions)| {
            let positions = partitions.iter();
            let positions = positions.map(|(index, committed)| {
                let in_doubt = self.in_doubt.has(topic, *index);
                Position::new(*index, committed, in_doubt)
            });
            (Arc::clone(topic), positions.collect())
        });
        topics.collect()
    }

    /// What was committed for these partitions of a topic; offset -1 where nothing was.
    pub fn positions_of(&self, topic: &str, partitions: &[i32]) -> Vec<Position> {
        let look_up = |index: &i32| {
            let in_doubt = self.in_doubt.has(topic, *index);
            match self.offsets.get(topic, *index) {
                Some(committed) => Position::new(*index, committed, in_doubt),
                None => Position {
                    in_doubt,
                    ..Position::none(*index)
                },
            }
        };
        partitions.iter().map(look_up).collect()
    }
}

impl Position {
    fn new(partition: i32, committed: &Committed, in_doubt: bool) -> Self {
        Self {
            partition,
            offset: committed.offset,
            leader_epoch: committed.leader_epoch,
            metadata: committed.metadata.clone(),
            in_doubt,
        }
    }

    /// Nothing was committed.
    pub fn none(partition: i32) -> Self {
        Self {
            partition,
            offset: -1,
            leader_epoch: -1,
            metadata: String::new(),
            in_doubt: false,
        }
    }
}
