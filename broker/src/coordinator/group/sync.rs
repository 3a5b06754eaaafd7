//! SyncGroup: the leader hands in the assignment, everybody takes their share. And Heartbeat.
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::error::ErrorCode;

use super::classic::{Group, State};
use super::member::{Decided, ReplyTo, SyncAnswer, Synced};
use super::timers::Now;
use super::turn::Turn;

/// A SyncGroup request, cut loose from its frame.
#[derive(Debug, Clone)]
pub struct Sync {
    /// Who asks.
    pub member_id: Arc<str>,
    /// Set by static members.
    pub instance_id: Option<Arc<str>>,
    /// The generation that it means.
    pub generation: i32,
    /// The protocol type that it means (v5).
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that it means (v5).
    pub protocol: Option<Arc<str>>,
    /// The leader's assignment, by member id.
    pub assignments: HashMap<Arc<str>, Bytes>,
}

impl Group {
    /// Takes a SyncGroup; the answer comes through `reply`, at once or when the leader's is there.
    pub fn sync(&mut self, turn: &mut Turn<'_>, sync: &Sync, reply: ReplyTo<SyncAnswer>) {
        let id = Arc::clone(&sync.member_id);
        if let Err(error) = self.check_sync(sync) {
            send(reply, Err(error));
            return;
        }
        if self.is_leader(&id) && !self.has_memory_for_shares(turn, &sync.assignments) {
            send(reply, Err(ErrorCode::CoordinatorNotAvailable));
            return;
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.owes_sync = false;
        }
        if !self.members.iter().any(|member| member.owes_sync) {
            self.sync_deadline_ms = None;
        }
        if self.state == State::Stable {
            let synced = self.synced(&id);
            send(reply, Ok(synced));
            return;
        }
        if let Some(member) = self.members.get_mut(&id) {
            // An older SyncGroup of the same member is given up: its client sent another.
            member.sync = Some(reply);
        }
        if self.is_leader(&id) {
            self.assign(turn, &sync.assignments);
        }
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), ErrorCode> {
        self.members
            .check(&sync.member_id, sync.instance_id.as_deref())?;
        if sync.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differ = |asked: &Option<Arc<str>>, own: &Option<Arc<str>>| {
            asked.is_some() && own.is_some() && asked != own
        };
        if differ(&sync.protocol_type, &self.protocol_type)
            || differ(&sync.protocol, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::Empty | State::Dead => Err(ErrorCode::UnknownMemberId),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Writes the generation down and hands everybody their share; members that the leader forgot
    /// get nothing to do.
    fn assign(&mut self, turn: &mut Turn<'_>, assignments: &HashMap<Arc<str>, Bytes>) {
        let share = |id: &str| assignments.get(id).cloned().unwrap_or_default();
        if let Err(error) = turn.append(&[self.record_with(turn.now, share)]) {
            self.answer_syncs(turn.now, Some(error), None);
            return self.prepare_rebalance(turn, "the assignment could not be written");
        }
        self.members.assign(share);
        self.recorded = true;
        self.move_to(State::Stable, turn.now);
        self.answer_syncs(turn.now, None, turn.appended);
        tracing::info!(
            group = &*self.name,
            generation = self.generation,
            members = self.members.len(),
            protocol = self.protocol.as_deref(),
            "stable"
        );
    }

    fn synced(&self, id: &str) -> Synced {
        let member = self.members.get(id);
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: member.map_or_else(Bytes::new, |member| member.assignment.clone()),
        }
    }

    /// Answers every SyncGroup that waits. Their members were silent while they waited: from here
    /// on they are watched again.
    pub fn answer_syncs(&mut self, now: Now, error: Option<ErrorCode>, after: Option<i64>) {
        let waiting = self.members.iter().filter(|member| member.sync.is_some());
        let waiting: Vec<_> = waiting.map(|member| Arc::clone(&member.id)).collect();
        for id in waiting {
            let answer = match error {
                Some(error) => Err(error),
                None => Ok(self.synced(&id)),
            };
            if let Some(member) = self.members.get_mut(&id) {
                member.answer_sync(answer, after);
            }
            self.keep_alive(now, &id);
        }
    }

    /// Takes a Heartbeat.
    pub fn heartbeat(
        &mut self,
        turn: &Turn<'_>,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        self.members.check(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        self.keep_alive(turn.now, member_id);
        match self.state {
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }
}

fn send(reply: ReplyTo<SyncAnswer>, answer: SyncAnswer) {
    let after = None;
    let _ = reply.send(Decided { answer, after });
}
