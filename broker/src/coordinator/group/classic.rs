//! A group of the classic protocol: its states, and how a rebalance goes.
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
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use protocol::error::ErrorCode;
use storage::AppendError;

use super::member::{Joined, JoinedMember, Member};
use super::members::Members;
use super::offsets::Offsets;
use super::timers::Now;
use super::{Limits, subscription};
use crate::coordinator::{Entry, Journal};

/// The protocol type whose metadata is understood here.
const CONSUMER: &str = "consumer";

/// Where entries go.
pub trait Append {
    /// Appends all or nothing; returns the offset of the last entry. Does not wait.
    fn append(&self, entries: &[Entry]) -> Result<i64, AppendError>;
}

impl Append for Journal {
    fn append(&self, entries: &[Entry]) -> Result<i64, AppendError> {
        Journal::append(self, entries)
    }
}

/// What a method of a group works with, from the moment the mutex is taken to its release.
pub struct Turn<'a> {
    /// The moment.
    pub now: Now,
    /// The settings.
    pub limits: &'a Limits,
    /// The group's journal.
    pub journal: &'a dyn Append,
    /// Offset of the last entry that was appended in this turn.
    pub appended: Option<i64>,
}

impl Turn<'_> {
    /// Appends; on an error nothing was written and nothing may be applied.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), ErrorCode> {
        let offset = self.journal.append(entries).map_err(|error| {
            tracing::error!(%error, "cannot write to the journal of groups");
            append_error(&error)
        })?;
        self.appended = Some(offset);
        Ok(())
    }
}

/// What a client is told when the journal fails (Kafka's `appendGroupMetadataErrorToResponseError`).
pub fn append_error(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Closed => ErrorCode::CoordinatorNotAvailable,
        AppendError::Full(_) | AppendError::Poisoned | AppendError::Storage(_) => {
            ErrorCode::NotCoordinator
        }
        _ => ErrorCode::UnknownServerError,
    }
}

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
    pub pending: HashMap<Arc<str>, u64>,
    pub join_timer: Option<JoinTimer>,
    /// When members that owe a SyncGroup are thrown out.
    pub sync_deadline_ms: Option<u64>,
    /// A member came since the initial delay began: it is prolonged.
    pub new_member_added: bool,
    /// The topics that the members subscribe to, if they can be read.
    pub subscribed: Option<BTreeSet<String>>,
    pub offsets: Offsets,
    /// The journal holds a record of the group itself.
    pub recorded: bool,
    /// No deadline of this group is earlier.
    pub earliest_ms: Option<u64>,
    /// The time that `Timers` has for this group.
    pub armed_ms: Option<u64>,
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
            pending: HashMap::new(),
            join_timer: None,
            sync_deadline_ms: None,
            new_member_added: false,
            subscribed: None,
            offsets: Offsets::default(),
            recorded: false,
            earliest_ms: None,
            armed_ms: None,
        }
    }

    /// Whether there is nothing in it that anybody could miss.
    pub fn is_void(&self) -> bool {
        self.state == State::Empty
            && !self.recorded
            && self.pending.is_empty()
            && self.offsets.is_empty()
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

    pub fn all_joined(&self) -> bool {
        self.members.len() == self.members.joining() && self.pending.is_empty()
    }

    /// After a change of members: begins a rebalance, or ends the join phase of the one under way.
    pub fn rebalance_or_complete(&mut self, turn: &mut Turn<'_>, reason: &str) {
        if self.state == State::PreparingRebalance {
            self.complete_if_all_joined(turn);
        } else {
            self.prepare_rebalance(turn, reason);
        }
    }

    /// Ends the join phase if nobody is missing; an initial delay runs its time.
    pub fn complete_if_all_joined(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::PreparingRebalance && !self.from_empty && self.all_joined() {
            self.complete_join(turn);
        }
    }

    /// Begins the join phase.
    pub fn prepare_rebalance(&mut self, turn: &mut Turn<'_>, reason: &str) {
        let now = turn.now;
        if self.state == State::CompletingRebalance {
            for member in self.members.iter_mut() {
                member.assignment = Bytes::new();
            }
            self.answer_syncs(now, Some(ErrorCode::RebalanceInProgress), None);
        }
        self.clear_owed_syncs();
        self.from_empty = self.state == State::Empty;
        self.move_to(State::PreparingRebalance, now);
        tracing::info!(
            group = &*self.name,
            generation = self.generation,
            members = self.members.len(),
            reason,
            "rebalance"
        );
        let delay_ms = turn.limits.initial_delay_ms;
        if self.from_empty && delay_ms > 0 {
            let longest_ms = self.members.rebalance_timeout_ms();
            self.join_timer = Some(JoinTimer::Initial {
                at_ms: self.arm(now.ticks_ms + delay_ms),
                delay_ms,
                remaining_ms: longest_ms.saturating_sub(delay_ms),
            });
        } else if self.from_empty || self.all_joined() {
            self.complete_join(turn);
        } else {
            self.wait_for_joins(now);
        }
    }

    fn wait_for_joins(&mut self, now: Now) {
        let at_ms = self.arm(now.ticks_ms + self.members.rebalance_timeout_ms());
        self.join_timer = Some(JoinTimer::Rejoin { at_ms });
    }

    /// Ends the join phase: dynamic members that did not join are out, the rest is the next
    /// generation.
    pub fn complete_join(&mut self, turn: &mut Turn<'_>) {
        self.join_timer = None;
        let missing = |member: &&Member| member.join.is_none() && member.instance_id.is_none();
        let late: Vec<_> = self.members.iter().filter(missing).collect();
        let late: Vec<_> = late.iter().map(|member| Arc::clone(&member.id)).collect();
        for id in &late {
            tracing::info!(
                group = &*self.name,
                member = &**id,
                "did not rejoin in time"
            );
            self.remove_member(id);
        }
        if !self.members.is_empty() && !self.elect_leader() {
            // Only static members that are away are left: until they come or expire.
            self.wait_for_joins(turn.now);
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.from_empty = false;
        self.new_member_added = false;
        self.protocol = self.members.vote();
        self.subscribed = self.read_subscriptions();
        if self.members.is_empty() {
            self.become_empty(turn);
        } else {
            self.answer_joins(turn.now);
        }
    }

    /// The leader stays if it joined again; else one that did leads. False if nobody did.
    fn elect_leader(&mut self) -> bool {
        let present = |member: &Member| {
            let waiting = member.join.as_ref();
            waiting.is_some_and(|waiting| !waiting.reply.is_closed())
        };
        let leader = self.leader.as_deref().and_then(|id| self.members.get(id));
        if leader.is_some_and(present) {
            return true;
        }
        let Some(elected) = self.members.candidate() else {
            return false;
        };
        self.leader = Some(Arc::clone(&elected.id));
        true
    }

    fn become_empty(&mut self, turn: &mut Turn<'_>) {
        self.leader = None;
        self.move_to(State::Empty, turn.now);
        tracing::info!(group = &*self.name, generation = self.generation, "empty");
        // If this is not written, the last generation comes back after a restart and times out.
        if turn.append(&[self.record()]).is_ok() {
            self.recorded = true;
        }
    }

    fn answer_joins(&mut self, now: Now) {
        self.move_to(State::CompletingRebalance, now);
        let ids: Vec<_> = self.members.iter().map(|it| Arc::clone(&it.id)).collect();
        for id in &ids {
            let joined = self.joined(id, self.is_leader(id));
            self.members.answer_join(id, Ok(joined), None);
            self.keep_alive(now, id);
            if let Some(member) = self.members.get_mut(id) {
                member.is_new = false;
                member.owes_sync = true;
            }
        }
        let at_ms = now.ticks_ms + self.members.rebalance_timeout_ms();
        self.sync_deadline_ms = Some(self.arm(at_ms));
    }

    /// What `member` is told of this generation.
    pub fn joined(&self, member: &str, with_members: bool) -> Joined {
        let describe = |member: &Member| JoinedMember {
            id: Arc::clone(&member.id),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(self.protocol.as_deref().unwrap_or_default()),
        };
        let members = match with_members {
            true => self.members.iter().map(describe).collect(),
            false => Vec::new(),
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member.into(),
            skip_assignment: false,
            members,
        }
    }

    pub fn clear_owed_syncs(&mut self) {
        self.sync_deadline_ms = None;
        for member in self.members.iter_mut() {
            member.owes_sync = false;
        }
    }

    /// The topics of all members, `None` if that cannot be known.
    pub fn read_subscriptions(&self) -> Option<BTreeSet<String>> {
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
