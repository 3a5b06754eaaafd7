//! Offsets that were committed in a transaction that is still open (TxnOffsetCommit). They stand in
//! the journal as part of the transaction; its marker there makes them count or drops them, for a
//! replay as for the living.
//!
//! A plain commit or a tombstone that stands after them in the journal wins over them, whenever the
//! marker comes.
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::error::ErrorCode;

use super::classic::{Group, State};
use super::commit::{Commit, Committer};
use super::formats::Committed;
use super::groups::Groups;
use super::offsets::size_of;
use super::projections::check_open;
use super::turn::Turn;
use crate::coordinator::Journal;

type Places = BTreeMap<(Arc<str>, i32), Committed>;

/// The offsets of a group that are in doubt, by producer.
#[derive(Debug, Default, Clone)]
pub struct InDoubt {
    by_producer: BTreeMap<i64, Places>,
    bytes: usize,
}

/// A producer: the first node of its tree, and its place among those of all groups.
const PRODUCER: usize = 2048;
/// An offset, besides what it is when it counts.
const PLACE: usize = 64;

/// Memory that an offset takes.
fn size_in_doubt(topic: &str, it: &Committed) -> usize {
    PLACE + topic.len() + size_of(it)
}

impl InDoubt {
    /// Memory that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(test)]
    pub fn recount(&self) -> usize {
        let each = |((topic, _), it): (&(Arc<str>, i32), &Committed)| size_in_doubt(topic, it);
        let producers = self.by_producer.values();
        producers
            .map(|places| PRODUCER + places.iter().map(each).sum::<usize>())
            .sum()
    }

    /// Memory that commits of a producer would add, at most.
    fn growth(&self, producer_id: i64, commits: &[(Arc<str>, i32, Committed)]) -> usize {
        let each = |(topic, _, it): &(Arc<str>, i32, Committed)| size_in_doubt(topic, it);
        PRODUCER * usize::from(!self.by_producer.contains_key(&producer_id))
            + commits.iter().map(each).sum::<usize>()
    }

    /// Takes out what belongs to a producer.
    fn take(&mut self, producer_id: i64) -> Option<Places> {
        let places = self.by_producer.remove(&producer_id)?;
        let each = |((topic, _), it): (&(Arc<str>, i32), &Committed)| size_in_doubt(topic, it);
        self.bytes -= PRODUCER + places.iter().map(each).sum::<usize>();
        Some(places)
    }

    pub fn is_empty(&self) -> bool {
        self.by_producer.is_empty()
    }

    /// The producers with open transactions.
    pub fn producers(&self) -> impl Iterator<Item = i64> {
        self.by_producer.keys().copied()
    }

    /// Whether the offset of a partition is in doubt.
    pub fn has(&self, topic: &str, partition: i32) -> bool {
        if self.is_empty() {
            return false;
        }
        let place = (Arc::from(topic), partition);
        let mut transactions = self.by_producer.values();
        transactions.any(|places| places.contains_key(&place))
    }

    /// The partitions whose offsets are in doubt; one may come more than once.
    pub fn places(&self) -> impl Iterator<Item = &(Arc<str>, i32)> {
        self.by_producer.values().flat_map(BTreeMap::keys)
    }

    /// Takes the offset of a partition out, whoever committed it.
    pub fn drop(&mut self, topic: &str, partition: i32) {
        if self.is_empty() {
            return;
        }
        let place = (Arc::from(topic), partition);
        let mut freed = 0;
        self.by_producer.retain(|_, places| {
            let dropped = places.remove(&place);
            freed += dropped.map_or(0, |it| size_in_doubt(topic, &it));
            freed += PRODUCER * usize::from(places.is_empty());
            !places.is_empty()
        });
        self.bytes -= freed;
    }

    /// Puts one in.
    pub fn put(&mut self, producer_id: i64, topic: Arc<str>, partition: i32, it: Committed) {
        let places = self.by_producer.entry(producer_id).or_insert_with(|| {
            self.bytes += PRODUCER;
            Places::new()
        });
        self.bytes += size_in_doubt(&topic, &it);
        let name = Arc::clone(&topic);
        if let Some(replaced) = places.insert((topic, partition), it) {
            self.bytes -= size_in_doubt(&name, &replaced);
        }
    }
}

impl Group {
    /// Takes commits into a producer's transaction, all or none.
    pub fn commit_in_transaction(
        &mut self,
        turn: &mut Turn<'_>,
        who: Committer<'_>,
        producer: (i64, i16),
        commits: Vec<Commit>,
    ) -> Result<(), ErrorCode> {
        self.check_commit_in_transaction(who)?;
        if commits.is_empty() {
            return Ok(());
        }
        let commit_ms = turn.now.wall_ms;
        let commits = commits.into_iter().map(|it| it.made(commit_ms, None));
        let mut commits: Vec<_> = commits.collect();
        let growth = self.in_doubt.growth(producer.0, &commits);
        if !self.has_memory_for_offsets(turn, growth) {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let entry = |(topic, partition, it): &(Arc<str>, i32, Committed)| {
            self.offset_entry(topic, *partition, Some(it))
        };
        let entries: Vec<_> = commits.iter().map(entry).collect();
        let first = turn.append_in_transaction(&entries, producer)?;
        for (at, (_, _, it)) in (first..).zip(&mut commits) {
            it.at = at;
        }
        for (topic, partition, it) in commits {
            self.in_doubt.put(producer.0, topic, partition, it);
        }
        Ok(())
    }

    /// Old clients do not say who they are; whoever does must be a member of this generation.
    fn check_commit_in_transaction(&self, who: Committer<'_>) -> Result<(), ErrorCode> {
        let says_nothing =
            who.generation < 0 && who.member_id.is_empty() && who.instance_id.is_none();
        if says_nothing || (who.generation < 0 && self.state == State::Empty) {
            return Ok(());
        }
        self.members.check(who.member_id, who.instance_id)?;
        if who.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        Ok(())
    }

    /// The transaction of a producer has ended.
    pub fn end_transaction(&mut self, producer_id: i64, commits: bool) {
        let Some(places) = self.in_doubt.take(producer_id) else {
            return;
        };
        for ((topic, partition), it) in places {
            let known = self.offsets.get(&topic, partition);
            if commits && known.is_none_or(|known| known.at < it.at) {
                self.offsets.set(&topic, partition, Some(it));
            }
        }
    }
}

/// Which groups have offsets in doubt, by producer.
#[derive(Debug, Default)]
pub struct OpenTransactions {
    by_producer: Mutex<HashMap<i64, HashSet<Arc<str>>>>,
}

impl OpenTransactions {
    /// A group has.
    pub fn note(&self, producer_id: i64, group: &Arc<str>) {
        let mut all = self
            .by_producer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.entry(producer_id)
            .or_default()
            .insert(Arc::clone(group));
    }

    fn of(&self, producer_id: i64) -> HashSet<Arc<str>> {
        let all = self
            .by_producer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.get(&producer_id).cloned().unwrap_or_default()
    }

    fn forget(&self, producer_id: i64, groups: &[Arc<str>]) {
        let mut all = self
            .by_producer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get_mut(&producer_id) {
            known.retain(|group| !groups.contains(group));
            if known.is_empty() {
                all.remove(&producer_id);
            }
        }
    }
}

impl Groups {
    /// TxnOffsetCommit. Takes effect at once and does not wait: returns the journal and the offset
    /// in it that has to be on disk.
    pub fn commit_in_transaction(
        &self,
        name: &str,
        who: Committer<'_>,
        producer: (i64, i16),
        commits: Vec<Commit>,
    ) -> Result<(Journal, Option<i64>), ErrorCode> {
        check_open(name)?;
        self.check_running()?;
        let act = |group: &mut Group, turn: &mut Turn<'_>| {
            let answer = group.commit_in_transaction(turn, who, producer, commits);
            if answer.is_ok() {
                self.open_transactions.note(producer.0, &group.name);
            }
            answer.map(|()| turn.appended)
        };
        let (answer, journal) = if who.generation < 0 {
            self.created(name, act)?
        } else {
            let unknown = ErrorCode::IllegalGeneration;
            self.existing(name, act).ok_or(unknown)?
        };
        Ok((journal, answer?))
    }

    /// A marker stands in this partition of the offsets topic.
    pub fn transaction_ended(&self, partition: i32, producer_id: i64, commits: bool) {
        let mut ended = Vec::new();
        for name in self.open_transactions.of(producer_id) {
            let Some(place) = self.find(&name) else {
                ended.push(name);
                continue;
            };
            if place.journal().partition().index == partition {
                // In a turn, since a group that was waiting for nothing else may be void now.
                self.existing(&name, |group, _| {
                    group.end_transaction(producer_id, commits);
                });
                ended.push(name);
            }
        }
        self.open_transactions.forget(producer_id, &ended);
    }
}
