//! Offsets of a group: who may commit, what expires, what may be deleted.
use std::sync::Arc;

use protocol::error::ErrorCode;

use super::classic::{Group, State};
use super::formats::Committed;
use super::projections::is_projections;
use super::turn::Turn;

/// Who commits.
#[derive(Debug, Clone, Copy)]
pub struct Committer<'a> {
    /// Empty for a consumer that manages its partitions itself.
    pub member_id: &'a str,
    /// Set by static members.
    pub instance_id: Option<&'a str>,
    /// Negative for a consumer that manages its partitions itself.
    pub generation: i32,
}

/// One offset to commit.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Offset of the next record to consume.
    pub offset: i64,
    /// Leader epoch of the last record consumed, or -1.
    pub leader_epoch: i32,
    /// Whatever the client wants to remember.
    pub metadata: String,
}

impl Commit {
    /// The commit as it is kept. `retention_ms` is the client's own wish.
    pub fn made(self, commit_ms: i64, retention_ms: Option<i64>) -> (Arc<str>, i32, Committed) {
        let committed = Committed {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: self.metadata,
            at: -1,
            commit_ms,
            expire_ms: retention_ms.map(|after_ms| commit_ms.saturating_add(after_ms)),
        };
        (self.topic, self.partition, committed)
    }
}

impl Group {
    /// Takes commits, all or none. `retention_ms` is the client's own wish (up to v4).
    pub fn commit(
        &mut self,
        turn: &mut Turn<'_>,
        who: Committer<'_>,
        commits: Vec<Commit>,
        retention_ms: Option<i64>,
    ) -> Result<(), ErrorCode> {
        self.check_commit(who)?;
        if matches!(self.state, State::Stable | State::PreparingRebalance) {
            self.keep_alive(turn.now, who.member_id);
        }
        let commit_ms = turn.now.wall_ms;
        let commits: Vec<_> = commits
            .into_iter()
            .map(|commit| commit.made(commit_ms, retention_ms))
            .collect();
        let entries: Vec<_> = commits
            .iter()
            .map(|(topic, partition, value)| self.offset_entry(topic, *partition, Some(value)))
            .collect();
        if entries.is_empty() {
            return Ok(());
        }
        let growth = self.offsets.growth(&commits);
        if !self.has_memory_for_offsets(turn, growth) {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let first = turn.append(&entries)?;
        for (at, (topic, partition, committed)) in (first..).zip(commits) {
            let committed = Committed { at, ..committed };
            self.offsets.set(&topic, partition, Some(committed));
        }
        Ok(())
    }

    fn check_commit(&self, who: Committer<'_>) -> Result<(), ErrorCode> {
        if who.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if who.generation < 0 && who.member_id.is_empty() && who.instance_id.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.members.check(who.member_id, who.instance_id)?;
        if who.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        match self.state {
            // The member knows the new generation, but nobody has an assignment in it.
            State::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Takes OffsetDelete: says for each topic whether it may go, and deletes those that may.
    pub fn delete_offsets(
        &mut self,
        turn: &mut Turn<'_>,
        places: &[(Arc<str>, i32)],
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        if self.state != State::Empty && !self.uses_consumer_protocol() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let allowed = |topic: &str| {
            if self.is_subscribed(topic) {
                return Err(ErrorCode::GroupSubscribedToTopic);
            }
            Ok(())
        };
        let results: Vec<_> = places.iter().map(|(topic, _)| allowed(topic)).collect();
        let known = |topic: &str, partition| {
            self.offsets.get(topic, partition).is_some() || self.in_doubt.has(topic, partition)
        };
        let gone = places.iter().zip(&results);
        let gone = gone.filter(|((topic, partition), it)| it.is_ok() && known(topic, *partition));
        let gone: Vec<_> = gone.map(|(place, _)| place.clone()).collect();
        self.drop_offsets(turn, &gone)?;
        Ok(results)
    }

    /// Drops offsets, those in doubt too: they stand before the tombstone, and cleaning would take
    /// them out of the journal.
    fn drop_offsets(
        &mut self,
        turn: &mut Turn<'_>,
        places: &[(Arc<str>, i32)],
    ) -> Result<(), ErrorCode> {
        if places.is_empty() {
            return Ok(());
        }
        let entry =
            |(topic, partition): &(Arc<str>, i32)| self.offset_entry(topic, *partition, None);
        let entries: Vec<_> = places.iter().map(entry).collect();
        turn.append(&entries)?;
        for (topic, partition) in places {
            self.drop_offset(topic, *partition);
        }
        Ok(())
    }

    /// A tombstone stands in the journal.
    pub fn drop_offset(&mut self, topic: &str, partition: i32) {
        self.offsets.set(topic, partition, None);
        self.in_doubt.drop(topic, partition);
    }

    /// The topic was deleted: so are its offsets.
    pub fn forget_topic(&mut self, turn: &mut Turn<'_>, deleted: &str) -> Result<(), ErrorCode> {
        let mut places = self.offsets.places(|topic, _| topic == deleted);
        let in_doubt = self.in_doubt.places();
        places.extend(in_doubt.filter(|(topic, _)| **topic == *deleted).cloned());
        places.sort_unstable();
        places.dedup();
        self.drop_offsets(turn, &places)
    }

    /// Drops offsets past their time, and the group itself when nothing is left of it.
    pub fn expire_offsets(&mut self, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        if is_projections(&self.name) {
            return Ok(());
        }
        let now_ms = turn.now.wall_ms;
        let retention_ms = turn.limits.offsets_retention_ms;
        let since_ms = match (&self.protocol_type, self.state) {
            // Members left a while ago: from then on.
            (Some(_), State::Empty) => self.changed_ms,
            // A consumer group keeps what its members subscribe to.
            (Some(_), State::Stable) if self.uses_consumer_protocol() => None,
            (Some(_), _) => return Ok(()),
            (None, _) => None,
        };
        let unknown = self.subscribed.is_none() && self.state != State::Empty;
        let expired = |topic: &str, committed: &Committed| {
            let due_ms = committed.expire_ms.unwrap_or_else(|| {
                let base_ms = since_ms.unwrap_or(committed.commit_ms);
                base_ms.saturating_add(retention_ms)
            });
            let in_use = self.state != State::Empty && (unknown || self.is_subscribed(topic));
            now_ms >= due_ms && !in_use
        };
        let mut places = self.offsets.places(expired);
        // A younger one is on its way.
        places.retain(|(topic, partition)| !self.in_doubt.has(topic, *partition));
        self.drop_offsets(turn, &places)?;
        let idle = self.state == State::Empty && self.pending.is_empty();
        if idle && self.offsets.is_empty() && self.in_doubt.is_empty() {
            self.die(turn)?;
        }
        Ok(())
    }

    /// Takes DeleteGroups.
    pub fn delete(&mut self, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        // A marker that came later would bring offsets of a group that is gone.
        if self.state != State::Empty || !self.in_doubt.is_empty() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        self.die(turn)
    }

    /// Deletes the group with all its offsets, in one batch.
    fn die(&mut self, turn: &mut Turn<'_>) -> Result<(), ErrorCode> {
        let places = self.offsets.places(|_, _| true);
        let entry =
            |(topic, partition): &(Arc<str>, i32)| self.offset_entry(topic, *partition, None);
        let mut entries: Vec<_> = places.iter().map(entry).collect();
        entries.push(self.tombstone());
        turn.append(&entries)?;
        tracing::info!(group = &*self.name, offsets = places.len(), "deleted");
        self.state = State::Dead;
        Ok(())
    }
}
