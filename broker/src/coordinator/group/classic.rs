//! A group of the classic protocol: its states, and what it knows.
//!
//! ```text
//!            join                all joined            leader's SyncGroup
//!   Empty ─────────▶ Preparing ─────────────▶ Completing ─────────────────▶ Stable
//!     ▲             Rebalance   ◀───────────── Rebalance                     │
//!     └─ nobody left ─┘ ▲       join, leave, expiry                          │
//!                       └────────────────────────────────────────────────────┘
//! ```
//! A group that has nothing left is Dead, and its name is free again.
//!
//! All methods run to their end under the group's mutex and wait for nothing: they append to the
//! journal, change the state, and send answers into the channels of those who wait. Only complete
//! generations, empty groups and offsets are in the journal; who is joining right now is not.
//! Source: Kafka's `ClassicGroup` and `GroupMetadataManager`.
use std::collections::BTreeSet;
use std::sync::Arc;

use super::in_doubt::InDoubt;
use super::member::{Joined, JoinedMember, Member};
use super::members::Members;
use super::offsets::Offsets;
use super::pending::Pending;
use super::subscription;
use super::timers::Now;

/// The protocol type whose metadata is understood here.
const CONSUMER: &str = "consumer";
/// What a topic that is subscribed to takes, besides its name.
const SUBSCRIBED: usize = 80;

/// The states of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No members.
    Empty,
    /// Waits for all members to join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// Gone; whoever still holds it looks the name up again.
    Dead,
}

impl State {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// How long the join phase goes on.
#[derive(Debug, Clone, Copy)]
pub enum JoinTimer {
    /// A group that was empty gives more members the time to come.
    Initial {
        at_ms: u64,
        delay_ms: u64,
        remaining_ms: u64,
    },
    /// The members of the last generation have until then to join again.
    Rejoin { at_ms: u64 },
}

impl JoinTimer {
    pub fn at_ms(self) -> u64 {
        match self {
            Self::Initial { at_ms, .. } | Self::Rejoin { at_ms } => at_ms,
        }
    }
}

/// One group.
#[derive(Debug)]
pub struct Group {
    pub name: Arc<str>,
    pub state: State,
    /// The rebalance under way is the first since the group was empty.
    pub from_empty: bool,
    /// When the state last changed, epoch milliseconds, if that is known.
    pub changed_ms: Option<i64>,
    /// `None` until the first member joins: offsets committed without members.
    pub protocol_type: Option<Arc<str>>,
    pub protocol: Option<Arc<str>>,
    pub generation: i32,
    pub leader: Option<Arc<str>>,
    pub members: Members,
    /// Ids that were given out (MEMBER_ID_REQUIRED), and when each is forgotten.
    pub pending: Pending,
    pub join_timer: Option<JoinTimer>,
    /// When members that owe a SyncGroup are thrown out.
    pub sync_deadline_ms: Option<u64>,
    /// A member came since the initial delay began: it is prolonged.
    pub new_member_added: bool,
    /// The topics that the members subscribe to, if they can be read.
    pub subscribed: Option<BTreeSet<String>>,
    /// Memory that `subscribed` takes.
    pub subscribed_bytes: usize,
    pub offsets: Offsets,
    pub in_doubt: InDoubt,
    /// The journal holds a record of the group itself.
    pub recorded: bool,
    /// No deadline of this group is earlier.
    pub earliest_ms: Option<u64>,
    /// The time that `Timers` has for this group.
    pub armed_ms: Option<u64>,
    /// Bytes that `Memory` counts for this group.
    pub counted: usize,
}

impl Group {
    /// A group without anything.
    pub fn new(name: Arc<str>) -> Self {
        Self {
            name,
            state: State::Empty,
            from_empty: false,
            changed_ms: None,
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: Members::default(),
            pending: Pending::default(),
            join_timer: None,
            sync_deadline_ms: None,
            new_member_added: false,
            subscribed: None,
            subscribed_bytes: 0,
            offsets: Offsets::default(),
            in_doubt: InDoubt::default(),
            recorded: false,
            earliest_ms: None,
            armed_ms: None,
            counted: 0,
        }
    }

    /// Whether there is nothing in it that anybody could miss.
    pub fn is_void(&self) -> bool {
        self.state == State::Empty
            && !self.recorded
            && self.pending.is_empty()
            && self.offsets.is_empty()
            && self.in_doubt.is_empty()
    }

    pub fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    pub fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether offsets of the topic are in use by members. A consumer group whose subscriptions
    /// cannot be read counts as subscribed to everything.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    /// Notes a deadline, so that the group is looked at then.
    pub fn arm(&mut self, at_ms: u64) -> u64 {
        self.earliest_ms = Some(self.earliest_ms.map_or(at_ms, |known| known.min(at_ms)));
        at_ms
    }

    /// A member was heard of: it has its session timeout anew.
    pub fn keep_alive(&mut self, now: Now, member: &str) {
        if let Some(member) = self.members.get_mut(member) {
            let at_ms = now.ticks_ms + member.session_timeout_ms.max(0) as u64;
            member.deadline_ms = Some(at_ms);
            self.arm(at_ms);
        }
    }

    pub fn move_to(&mut self, state: State, now: Now) {
        self.state = state;
        self.changed_ms = Some(now.wall_ms);
    }

    /// Takes a member out; if it led, another leads.
    pub fn remove_member(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        if self.is_leader(id) {
            self.leader = self.members.iter().next().map(|next| Arc::clone(&next.id));
        }
        Some(member)
    }

    /// What `member` is told of this generation.
    pub fn joined(&self, member: &str, with_members: bool) -> Joined {
        let describe = |member: &Member| JoinedMember {
            id: Arc::clone(&member.id),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(self.protocol.as_deref().unwrap_or_default()),
        };
        let members = self.members.iter().filter(|_| with_members);
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member.into(),
            skip_assignment: false,
            members: members.map(describe).collect(),
        }
    }

    /// Reads anew what members subscribe to.
    pub fn update_subscribed(&mut self) {
        self.subscribed = self.read_subscriptions();
        let topics = self.subscribed.iter().flatten();
        self.subscribed_bytes = topics.map(|topic| SUBSCRIBED + topic.len()).sum();
    }

    /// The topics of all members, `None` if that cannot be known.
    fn read_subscriptions(&self) -> Option<BTreeSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.iter() {
            let metadata = member.metadata(self.protocol.as_deref()?);
            let subscribed = subscription::topics(&metadata)?;
            topics.extend(subscribed.into_iter().map(str::to_owned));
        }
        Some(topics)
    }
}
