//! One member of a group.
use std::sync::Arc;

use bytes::Bytes;
use protocol::error::ErrorCode;
use tokio::sync::oneshot;

/// An answer, and the record that must be on disk before it leaves.
#[derive(Debug)]
pub struct Decided<T> {
    /// The answer.
    pub answer: T,
    /// Offset of the record in the group's journal.
    pub after: Option<i64>,
}

/// Where an answer goes. Nobody may be there any more: the client went away.
pub type ReplyTo<T> = oneshot::Sender<Decided<T>>;

/// What a JoinGroup is answered.
pub type JoinAnswer = Result<Joined, Refused>;

/// What a SyncGroup is answered.
pub type SyncAnswer = Result<Synced, ErrorCode>;

/// A member is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The generation.
    pub generation: i32,
    /// Its protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// Its protocol.
    pub protocol: Option<Arc<str>>,
    /// The member that assigns.
    pub leader: Arc<str>,
    /// The member that is answered.
    pub member_id: Arc<str>,
    /// The leader need not assign: the assignment stays (KIP-814).
    pub skip_assignment: bool,
    /// All members, for the leader only.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub id: Arc<str>,
    /// Its instance id, if it is static.
    pub instance_id: Option<Arc<str>>,
    /// Its metadata for the chosen protocol.
    pub metadata: Bytes,
}

/// A join that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub error: ErrorCode,
    /// The member id to use next (MEMBER_ID_REQUIRED), or the one that was sent.
    pub member_id: Arc<str>,
}

/// A member's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The protocol type of the generation.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol of the generation.
    pub protocol: Option<Arc<str>>,
    /// What the leader assigned.
    pub assignment: Bytes,
}

/// A protocol that a member supports, with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// Its name.
    pub name: Arc<str>,
    /// What the member says in it.
    pub metadata: Bytes,
}

/// A JoinGroup that waits for the others.
#[derive(Debug)]
pub struct Waiting {
    /// Number of the request, to find it when its connection ends.
    pub ticket: u64,
    /// Where the answer goes.
    pub reply: ReplyTo<JoinAnswer>,
}

/// One member of a group.
#[derive(Debug)]
pub struct Member {
    /// Its id.
    pub id: Arc<str>,
    /// Its instance id, if it is static (KIP-345).
    pub instance_id: Option<Arc<str>>,
    /// The client's name for itself.
    pub client_id: Arc<str>,
    /// Where the client is.
    pub client_host: Arc<str>,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// What it supports, the best first; changed through `Members`, which counts them.
    pub protocols: Vec<Protocol>,
    /// What the leader assigned to it; changed through `Members`, which counts it.
    pub assignment: Bytes,
    /// Its JoinGroup that waits; changed through `Members`, which counts them.
    pub join: Option<Waiting>,
    /// Its SyncGroup that waits.
    pub sync: Option<ReplyTo<SyncAnswer>>,
    /// It has been in no generation yet.
    pub is_new: bool,
    /// Its client knows how to come back: the member id was told to it, or it is static.
    pub can_return: bool,
    /// It has not sent SyncGroup in this generation.
    pub owes_sync: bool,
    /// When it is taken for dead, on the monotonic clock.
    pub deadline_ms: Option<u64>,
}

impl Member {
    /// Whether it is waiting, so that its silence means nothing. A new member is watched all the
    /// same, and nobody waits behind a connection that is gone.
    pub fn is_waiting(&self) -> bool {
        let joins = |waiting: &Waiting| !waiting.reply.is_closed();
        !self.is_new
            && (self.join.as_ref().is_some_and(joins)
                || self.sync.as_ref().is_some_and(|reply| !reply.is_closed()))
    }

    /// Its metadata for a protocol.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let same = |supported: &&Protocol| &*supported.name == protocol;
        let found = self.protocols.iter().find(same);
        found.map_or_else(Bytes::new, |supported| supported.metadata.clone())
    }

    /// Answers its waiting SyncGroup; says whether there was one.
    pub fn answer_sync(&mut self, answer: SyncAnswer, after: Option<i64>) -> bool {
        let Some(reply) = self.sync.take() else {
            return false;
        };
        let _ = reply.send(Decided { answer, after });
        true
    }
}
