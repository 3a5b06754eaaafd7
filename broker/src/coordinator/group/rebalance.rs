//! Rebalances: members gather, and are the next generation.
use std::sync::Arc;

use bytes::Bytes;
use protocol::error::ErrorCode;

use super::classic::{Group, JoinTimer, State};
use super::member::Member;
use super::timers::Now;
use super::turn::Turn;

impl Group {
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
            self.members.assign(|_| Bytes::new());
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
        self.update_subscribed();
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

    pub fn clear_owed_syncs(&mut self) {
        self.sync_deadline_ms = None;
        for member in self.members.iter_mut() {
            member.owes_sync = false;
        }
    }
}
