//! Static members that come back (KIP-345, KIP-814).
use std::sync::Arc;

use protocol::error::ErrorCode;

use super::classic::{Group, State};
use super::join::{Join, answer, refuse};
use super::member::{Decided, Joined, Protocol, ReplyTo, SyncAnswer, Waiting};
use super::turn::Turn;

impl Group {
    /// A static member comes back without its member id, after a restart of its client: it takes
    /// its old place under a new id, and whoever still uses the old id is fenced.
    pub fn replace_static(
        &mut self,
        turn: &mut Turn<'_>,
        join: Join,
        old_id: &Arc<str>,
        id: &Arc<str>,
        waiting: Waiting,
    ) {
        let old_leader = self.leader.clone().unwrap_or_default();
        let can_skip_assignment = join.can_skip_assignment;
        let Some(undo) = self.swap_static(turn, join, old_id, id) else {
            return refuse(waiting.reply, ErrorCode::UnknownMemberId, &Arc::default());
        };
        let same_protocol = self.protocol == self.members.vote();
        if self.state == State::Stable && same_protocol {
            if let Err(error) = turn.append(&[self.record()]) {
                self.undo_swap(turn, undo, id);
                return refuse(waiting.reply, error, &Arc::default());
            }
            undo.fence();
            let leads = self.is_leader(id);
            let joined = if can_skip_assignment {
                Joined {
                    skip_assignment: leads,
                    ..self.joined(id, leads)
                }
            } else {
                // An old client would assign if it were told that it leads.
                Joined {
                    leader: old_leader,
                    ..self.joined(id, false)
                }
            };
            return answer(waiting.reply, Ok(joined), turn.appended);
        }
        undo.fence();
        self.members.set_waiting(id, waiting);
        match self.state {
            State::PreparingRebalance => self.complete_if_all_joined(turn),
            // The leader may have the old id in its assignment: once more.
            _ => self.prepare_rebalance(turn, "a static member came back"),
        }
    }

    fn swap_static(
        &mut self,
        turn: &Turn<'_>,
        join: Join,
        old_id: &Arc<str>,
        id: &Arc<str>,
    ) -> Option<Replaced> {
        let led = self.is_leader(old_id);
        let mut old = self.members.remove(old_id)?;
        let fenced = Replaced {
            led,
            join: old.join.take(),
            sync: old.sync.take(),
            rebalance_timeout_ms: old.rebalance_timeout_ms,
            session_timeout_ms: old.session_timeout_ms,
            protocols: std::mem::replace(&mut old.protocols, join.protocols),
            id: Arc::clone(old_id),
        };
        old.id = Arc::clone(id);
        old.rebalance_timeout_ms = join.rebalance_timeout_ms;
        old.session_timeout_ms = join.session_timeout_ms;
        self.members.insert(old);
        if led {
            self.leader = Some(Arc::clone(id));
        }
        self.keep_alive(turn.now, id);
        Some(fenced)
    }

    fn undo_swap(&mut self, turn: &Turn<'_>, replaced: Replaced, id: &str) {
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        let old_id = Arc::clone(&replaced.id);
        member.id = replaced.id;
        member.rebalance_timeout_ms = replaced.rebalance_timeout_ms;
        member.session_timeout_ms = replaced.session_timeout_ms;
        member.protocols = replaced.protocols;
        member.join = replaced.join;
        member.sync = replaced.sync;
        self.members.insert(member);
        if replaced.led {
            self.leader = Some(Arc::clone(&old_id));
        }
        self.keep_alive(turn.now, &old_id);
    }
}

/// What a static member was before it came back.
struct Replaced {
    id: Arc<str>,
    led: bool,
    join: Option<Waiting>,
    sync: Option<ReplyTo<SyncAnswer>>,
    rebalance_timeout_ms: i32,
    session_timeout_ms: i32,
    protocols: Vec<Protocol>,
}

impl Replaced {
    /// Tells those who wait under the old id that it is no longer theirs.
    fn fence(self) {
        let error = ErrorCode::FencedInstanceId;
        if let Some(waiting) = self.join {
            refuse(waiting.reply, error, &self.id);
        }
        if let Some(reply) = self.sync {
            let after = None;
            let _ = reply.send(Decided {
                answer: Err(error),
                after,
            });
        }
    }
}
