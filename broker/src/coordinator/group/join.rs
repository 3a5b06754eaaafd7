//! JoinGroup: who may come in, and what it sets off.
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use protocol::error::ErrorCode;
use uuid::Uuid;

use super::classic::{Group, State};
use super::member::{Decided, JoinAnswer, Member, Protocol, Refused, ReplyTo, Waiting};
use super::turn::Turn;

/// Member ids that one group has given out and that nobody has used yet.
const PENDING: usize = 10_000;
/// A new member waits for its first generation this long at most; its client may be gone without a
/// trace, and if it is not, it asks again.
const NEW_MEMBER_MS: u64 = 5 * 60 * 1000;

/// A JoinGroup request, cut loose from its frame.
#[derive(Debug, Clone)]
pub struct Join {
    /// Empty if the client has none yet.
    pub member_id: Arc<str>,
    /// Set by static members.
    pub instance_id: Option<Arc<str>>,
    /// The client's name for itself.
    pub client_id: Arc<str>,
    /// Where the client is.
    pub client_host: Arc<str>,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// "consumer", "connect" and the like.
    pub protocol_type: Arc<str>,
    /// What it supports, the best first.
    pub protocols: Vec<Protocol>,
    /// A dynamic member without id is first given one, and comes back with it (v4, KIP-394).
    pub needs_member_id: bool,
    /// A static leader that comes back can be told to keep the assignment (v9, KIP-814).
    pub can_skip_assignment: bool,
}

/// Refuses a join.
pub fn refuse(reply: ReplyTo<JoinAnswer>, error: ErrorCode, member_id: &Arc<str>) {
    let member_id = Arc::clone(member_id);
    answer(reply, Err(Refused { error, member_id }), None);
}

/// Answers a join.
pub fn answer(reply: ReplyTo<JoinAnswer>, answer: JoinAnswer, after: Option<i64>) {
    let _ = reply.send(Decided { answer, after });
}

impl Group {
    /// Takes a JoinGroup; the answer comes through `waiting`, at once or when the join phase ends.
    pub fn join(&mut self, turn: &mut Turn<'_>, join: Join, waiting: Waiting) {
        let nobody: Arc<str> = Arc::default();
        let id = Arc::clone(&join.member_id);
        if !self.has_room(turn, &id) {
            refuse(waiting.reply, ErrorCode::GroupMaxSizeReached, &nobody);
            if self.remove_member(&id).is_some() {
                self.rebalance_or_complete(turn, "a member too many joined again");
            }
        } else if !self.accepts(&join) {
            refuse(waiting.reply, ErrorCode::InconsistentGroupProtocol, &id);
        } else if !self.has_memory_for(turn, &join) {
            refuse(waiting.reply, ErrorCode::CoordinatorNotAvailable, &id);
        } else if id.is_empty() {
            self.join_new(turn, join, waiting);
        } else if self.pending.contains(&id) && join.instance_id.is_none() {
            self.add_member(turn, join, id, waiting);
        } else {
            match self.members.check(&id, join.instance_id.as_deref()) {
                Err(error) => refuse(waiting.reply, error, &id),
                Ok(()) => self.join_again(turn, join, waiting),
            }
        }
    }

    /// Whether the group is not too large for one more. While a rebalance gathers members, those
    /// that have joined count; else all.
    fn has_room(&self, turn: &Turn<'_>, id: &str) -> bool {
        let max_size = turn.limits.max_size;
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                let joining = self.members.get(id).is_some_and(|it| it.join.is_some());
                joining || self.members.joining() < max_size
            }
            State::CompletingRebalance | State::Stable => {
                self.members.contains(id) || self.members.len() < max_size
            }
        }
    }

    /// Whether its protocols go with those of the others.
    fn accepts(&self, join: &Join) -> bool {
        if self.state == State::Empty || self.members.is_empty() {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && self.members.support(&join.protocols)
    }

    fn join_new(&mut self, turn: &mut Turn<'_>, join: Join, waiting: Waiting) {
        let prefix = join.instance_id.as_ref().unwrap_or(&join.client_id);
        let id: Arc<str> = format!("{prefix}-{}", Uuid::new_v4()).into();
        let known = join.instance_id.as_deref();
        let known = known.and_then(|instance_id| self.members.static_id(instance_id));
        if let Some(old_id) = known.cloned() {
            self.replace_static(turn, join, &old_id, &id, waiting);
        } else if join.instance_id.is_none() && join.needs_member_id {
            if self.pending.len() >= PENDING {
                self.pending.forget_oldest();
            }
            let timeout_ms = join.session_timeout_ms.max(0) as u64;
            let at_ms = self.arm(turn.now.ticks_ms + timeout_ms);
            self.pending.insert(Arc::clone(&id), at_ms);
            refuse(waiting.reply, ErrorCode::MemberIdRequired, &id);
        } else {
            self.add_member(turn, join, id, waiting);
        }
    }

    fn add_member(&mut self, turn: &mut Turn<'_>, join: Join, id: Arc<str>, waiting: Waiting) {
        self.pending.remove(&id);
        if self.state == State::PreparingRebalance && self.from_empty {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type);
        }
        if self.leader.is_none() {
            self.leader = Some(Arc::clone(&id));
        }
        let deadline_ms = self.arm(turn.now.ticks_ms + NEW_MEMBER_MS);
        self.members.insert(Member {
            id,
            can_return: join.needs_member_id || join.instance_id.is_some(),
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols,
            assignment: Bytes::new(),
            join: Some(waiting),
            sync: None,
            is_new: true,
            owes_sync: false,
            deadline_ms: Some(deadline_ms),
        });
        self.rebalance_or_complete(turn, "a member joined");
    }

    /// A member of the group joins: it wants a rebalance, follows one, or did not get its answer.
    fn join_again(&mut self, turn: &mut Turn<'_>, join: Join, waiting: Waiting) {
        let id = Arc::clone(&join.member_id);
        let leads = self.is_leader(&id);
        let member = self.members.get(&id);
        let unchanged = member.is_some_and(|member| member.protocols == join.protocols);
        let current = match self.state {
            State::CompletingRebalance if unchanged => Some(self.joined(&id, leads)),
            // A leader that joins wants a rebalance: topics changed, not its metadata.
            State::Stable if unchanged && !leads => Some(self.joined(&id, false)),
            _ => None,
        };
        if let Some(joined) = current {
            return answer(waiting.reply, Ok(joined), None);
        }
        self.update_member(&id, join);
        self.members.set_waiting(&id, waiting);
        self.rebalance_or_complete(turn, "a member joined again");
    }

    fn update_member(&mut self, id: &str, join: Join) {
        self.members.set_protocols(id, join.protocols);
        if let Some(member) = self.members.get_mut(id) {
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
            member.session_timeout_ms = join.session_timeout_ms;
        }
    }
}

/// Drops repetitions: each protocol counts once for its member.
pub fn distinct(protocols: Vec<Protocol>) -> Vec<Protocol> {
    let mut seen = HashSet::new();
    let mut protocols = protocols;
    protocols.retain(|protocol| seen.insert(Arc::clone(&protocol.name)));
    protocols
}
