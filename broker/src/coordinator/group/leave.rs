//! How members go: they leave, their connection ends while they join, or they fall silent.
use std::sync::Arc;

use protocol::error::ErrorCode;

use super::classic::{Group, JoinTimer, State};
use super::member::Refused;
use super::turn::Turn;

/// A member that wants to go, or that an administrator wants out.
#[derive(Debug, Clone)]
pub struct Leaver {
    /// Empty if it is named by its instance id alone.
    pub member_id: Arc<str>,
    /// Set for static members.
    pub instance_id: Option<Arc<str>>,
}

impl Group {
    /// Takes a LeaveGroup; one result for each leaver.
    pub fn leave(&mut self, turn: &mut Turn<'_>, leavers: &[Leaver]) -> Vec<Result<(), ErrorCode>> {
        let results: Vec<_> = leavers.iter().map(|it| self.leave_one(it)).collect();
        if results.iter().any(Result::is_ok) {
            self.after_departure(turn, "a member left");
        }
        results
    }

    fn leave_one(&mut self, leaver: &Leaver) -> Result<(), ErrorCode> {
        let id = &leaver.member_id;
        if self.pending.remove(id) {
            return Ok(());
        }
        let instance_id = leaver.instance_id.as_deref();
        let id = if id.is_empty() {
            let known = instance_id.and_then(|it| self.members.static_id(it));
            known.cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else {
            self.members.check(id, instance_id)?;
            Arc::clone(id)
        };
        self.dismiss(&id);
        Ok(())
    }

    /// Takes a member out and tells whoever still waits for it.
    fn dismiss(&mut self, id: &Arc<str>) {
        let refused = Refused {
            error: ErrorCode::UnknownMemberId,
            member_id: Arc::default(),
        };
        self.members.answer_join(id, Err(refused), None);
        if let Some(mut member) = self.remove_member(id) {
            member.answer_sync(Err(ErrorCode::UnknownMemberId), None);
        }
    }

    /// A member or a pending one is gone: whoever waits for it need not wait any longer.
    fn after_departure(&mut self, turn: &mut Turn<'_>, reason: &str) {
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(turn, reason),
            State::PreparingRebalance => self.complete_if_all_joined(turn),
            State::Empty | State::Dead => {}
        }
    }

    /// The connection of a waiting JoinGroup ended. A member that knows its id may come back with
    /// it, and has its session timeout for that; one that does not can only come back as another,
    /// and nobody should wait for it.
    pub fn abandon_join(&mut self, turn: &mut Turn<'_>, ticket: u64) {
        let Some(member) = self.members.by_ticket(ticket) else {
            return;
        };
        let id = Arc::clone(&member.id);
        if member.is_new && !member.can_return {
            self.dismiss(&id);
            self.after_departure(turn, "a client went away while it joined");
        } else {
            self.keep_alive(turn.now, &id);
        }
    }

    /// Does what is due, and finds out when to look again.
    pub fn expire(&mut self, turn: &mut Turn<'_>) {
        self.earliest_ms = None;
        self.expire_pending(turn);
        self.expire_members(turn);
        self.expire_join_phase(turn);
        self.expire_sync_phase(turn);
        let members = self.members.iter().filter_map(|member| member.deadline_ms);
        let times = members
            .chain(self.pending.times())
            .chain(self.join_timer.map(JoinTimer::at_ms))
            .chain(self.sync_deadline_ms);
        self.earliest_ms = times.min();
    }

    fn expire_pending(&mut self, turn: &mut Turn<'_>) {
        if self.pending.expire(turn.now.ticks_ms) {
            // Members that did join must not wait for one that asked for an id and never came.
            if self.state == State::PreparingRebalance {
                self.complete_if_all_joined(turn);
            }
        }
    }

    fn expire_members(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.now.ticks_ms;
        let mut silent = Vec::new();
        for member in self.members.iter_mut() {
            if member.deadline_ms.is_some_and(|at_ms| at_ms <= now_ms) {
                if member.is_waiting() {
                    // It is watched again as soon as it is answered, or its connection ends.
                    member.deadline_ms = None;
                } else {
                    silent.push(Arc::clone(&member.id));
                }
            }
        }
        for id in &silent {
            tracing::info!(group = &*self.name, member = &**id, "session timed out");
            self.dismiss(id);
        }
        if !silent.is_empty() {
            self.after_departure(turn, "a session timed out");
        }
    }

    fn expire_join_phase(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.now.ticks_ms;
        let Some(timer) = self.join_timer.filter(|timer| timer.at_ms() <= now_ms) else {
            return;
        };
        match timer {
            JoinTimer::Initial {
                delay_ms,
                remaining_ms,
                ..
            } if self.new_member_added && remaining_ms > 0 => {
                self.new_member_added = false;
                let next_ms = turn.limits.initial_delay_ms.min(remaining_ms);
                self.join_timer = Some(JoinTimer::Initial {
                    at_ms: self.arm(now_ms + next_ms),
                    delay_ms: next_ms,
                    remaining_ms: remaining_ms.saturating_sub(delay_ms),
                });
            }
            _ => self.complete_join(turn),
        }
    }

    fn expire_sync_phase(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.now.ticks_ms;
        if self.sync_deadline_ms.is_none_or(|at_ms| at_ms > now_ms) {
            return;
        }
        self.sync_deadline_ms = None;
        let owing = self.members.iter().filter(|member| member.owes_sync);
        let owing: Vec<_> = owing.map(|member| Arc::clone(&member.id)).collect();
        for id in &owing {
            tracing::info!(group = &*self.name, member = &**id, "did not sync in time");
            self.dismiss(id);
        }
        if !owing.is_empty() {
            self.after_departure(turn, "members did not sync in time");
        }
    }

    /// The broker stops: whoever waits is told to look for the coordinator again.
    pub fn stop(&mut self, turn: &Turn<'_>) {
        let error = ErrorCode::NotCoordinator;
        let ids: Vec<_> = self.members.iter().map(|it| Arc::clone(&it.id)).collect();
        for member_id in ids {
            let refused = Refused {
                error,
                member_id: Arc::clone(&member_id),
            };
            self.members.answer_join(&member_id, Err(refused), None);
        }
        self.answer_syncs(turn.now, Some(error), None);
    }
}
