//! The set of groups: finds a group, locks it, lets one request have its turn, and keeps the time.
//!
//! Lock order: the map of names, then a group, then the timers or the open transactions; the map is never taken while a group
//! is held. Nothing is awaited under any of them.
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use config::Settings;
use protocol::error::ErrorCode;
use tokio::sync::watch;

use super::classic::{Group, State};
use super::in_doubt::OpenTransactions;
use super::timers::{Clock, Timers};
use super::turn::Turn;
use super::{Limits, TOPIC, load};
use crate::coordinator::{Journal, Journals, Memory};
use crate::metadata::Topics;

/// What the topic needs that topics do not have by default; as in Apache Kafka.
const CONFIGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("compression.type", "producer"),
    ("segment.bytes", "104857600"),
];

/// Bytes of a group's name. The name stands in the key of each of its offsets, so that a request
/// about many of them would grow by it many times over.
const NAME_BYTES: usize = 1024;

/// All groups.
#[derive(Debug)]
pub struct Groups {
    pub settings: Arc<Settings>,
    limits: Limits,
    /// What all of them take.
    pub memory: Memory,
    clock: Clock,
    timers: Timers,
    journals: Journals,
    by_name: RwLock<HashMap<Arc<str>, Arc<Place>>>,
    pub open_transactions: OpenTransactions,
    /// Numbers the JoinGroups that wait.
    pub tickets: AtomicU64,
    stopped: AtomicBool,
}

/// A group in the set.
#[derive(Debug)]
pub struct Place {
    journal: Journal,
    group: Mutex<Group>,
}

impl Place {
    /// Where the group is written down.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Takes the mutex.
    pub fn lock(&self) -> MutexGuard<'_, Group> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A committed offset, for metrics.
#[derive(Debug, Clone)]
pub struct GroupOffset {
    /// The group.
    pub group: Arc<str>,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Offset of the next record to consume.
    pub offset: i64,
}

impl Groups {
    /// Loads all groups. Their members have their session timeout anew.
    pub fn open(topics: Arc<Topics>, settings: &Arc<Settings>) -> anyhow::Result<Self> {
        let limits = Limits::new(settings);
        let count = settings.offsets_topic_num_partitions;
        let groups = Self {
            settings: Arc::clone(settings),
            memory: Memory::new("groups", limits.memory_max_bytes),
            limits,
            clock: Clock::new(),
            timers: Timers::default(),
            journals: Journals::new(topics, TOPIC, count, CONFIGS),
            by_name: RwLock::default(),
            open_transactions: OpenTransactions::default(),
            tickets: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        };
        for (index, journal) in groups.journals.existing().iter().enumerate() {
            let loaded = load::load(journal);
            let loaded = loaded.with_context(|| format!("cannot replay {TOPIC}-{index}"))?;
            groups.take_in(journal, loaded);
        }
        Ok(groups)
    }

    fn take_in(&self, journal: &Journal, loaded: HashMap<Arc<str>, Group>) {
        tracing::info!(groups = loaded.len(), "groups loaded");
        for (name, mut group) in loaded {
            group.resume(self.clock.now());
            for producer_id in group.in_doubt.producers() {
                self.open_transactions.note(producer_id, &name);
            }
            self.rearm(&mut group);
            let bytes = group.bytes();
            self.memory.recount(&mut group.counted, bytes);
            let place = Arc::new(Place {
                journal: journal.clone(),
                group: Mutex::new(group),
            });
            let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
            by_name.insert(name, place);
        }
    }

    /// Makes sure that the topic is there.
    pub fn ready(&self) -> Result<(), ErrorCode> {
        self.journals.all().map(|_| ())
    }

    /// The partition of the offsets topic that a group is kept in.
    pub fn partition_of(&self, name: &str) -> Result<i32, ErrorCode> {
        self.journals.partition_of(name)
    }

    pub fn find(&self, name: &str) -> Option<Arc<Place>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.get(name).cloned()
    }

    fn find_or_create(&self, name: &str) -> Result<Arc<Place>, ErrorCode> {
        if let Some(place) = self.find(name) {
            return Ok(place);
        }
        if name.len() > NAME_BYTES {
            return Err(ErrorCode::InvalidGroupId);
        }
        let journal = self.journals.of(name)?;
        let name: Arc<str> = name.into();
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let place = by_name.entry(Arc::clone(&name)).or_insert_with(|| {
            let group = Mutex::new(Group::new(name));
            Arc::new(Place { journal, group })
        });
        Ok(Arc::clone(place))
    }

    pub fn all(&self) -> Vec<Arc<Place>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.values().cloned().collect()
    }

    /// Lets `act` have its turn with a living group.
    fn turn<R>(
        &self,
        place: &Place,
        act: impl FnOnce(&mut Group, &mut Turn<'_>) -> R,
    ) -> Option<R> {
        let mut group = place.lock();
        if group.state == State::Dead {
            return None;
        }
        let mut turn = Turn {
            now: self.clock.now(),
            limits: &self.limits,
            journal: &place.journal,
            appended: None,
            room: self.memory.room(),
            lacked_room: false,
        };
        let result = act(&mut group, &mut turn);
        let lacked_room = turn.lacked_room;
        if group.is_void() {
            group.state = State::Dead;
        }
        if group.state == State::Dead {
            group.earliest_ms = None;
        }
        self.rearm(&mut group);
        let dead = group.state == State::Dead;
        let bytes = if dead { 0 } else { group.bytes() };
        self.memory.recount(&mut group.counted, bytes);
        if lacked_room {
            self.memory.tell_refusal();
        }
        let name = Arc::clone(&group.name);
        drop(group);
        if dead {
            self.forget(&name, place);
        }
        Some(result)
    }

    fn rearm(&self, group: &mut Group) {
        if group.earliest_ms != group.armed_ms {
            self.timers
                .set(&group.name, group.armed_ms, group.earliest_ms);
            group.armed_ms = group.earliest_ms;
        }
    }

    fn forget(&self, name: &str, dead: &Place) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        if by_name
            .get(name)
            .is_some_and(|place| std::ptr::eq(&raw const **place, dead))
        {
            by_name.remove(name);
            if by_name.capacity() > 4 * by_name.len().max(1_000) {
                by_name.shrink_to_fit();
            }
        }
    }

    /// A turn with a group that must be there. A group that dies in between was not.
    pub fn existing<R>(
        &self,
        name: &str,
        act: impl FnOnce(&mut Group, &mut Turn<'_>) -> R,
    ) -> Option<(R, Journal)> {
        let place = self.find(name)?;
        let result = self.turn(&place, act)?;
        Some((result, place.journal.clone()))
    }

    /// A turn with a group that is made if it is not there.
    pub fn created<R>(
        &self,
        name: &str,
        act: impl FnOnce(&mut Group, &mut Turn<'_>) -> R,
    ) -> Result<(R, Journal), ErrorCode> {
        let mut act = Some(act);
        loop {
            let place = self.find_or_create(name)?;
            let result = self.turn(&place, |group, turn| act.take().map(|act| act(group, turn)));
            match result {
                Some(Some(result)) => return Ok((result, place.journal.clone())),
                Some(None) => return Err(ErrorCode::UnknownServerError),
                // It died between the look-up and the lock: its place is given up, then once more.
                None => self.forget(name, &place),
            }
        }
    }

    pub fn check_running(&self) -> Result<(), ErrorCode> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        Ok(())
    }

    /// All committed offsets of all groups, for metrics.
    pub fn snapshot(&self) -> Vec<GroupOffset> {
        let mut offsets = Vec::new();
        for place in self.all() {
            let group = place.lock();
            for (topic, partitions) in group.offsets.iter() {
                offsets.extend(partitions.iter().map(|(partition, committed)| GroupOffset {
                    group: Arc::clone(&group.name),
                    topic: Arc::clone(topic),
                    partition: *partition,
                    offset: committed.offset,
                }));
            }
        }
        offsets
    }

    /// The topic was deleted: the offsets in it mean nothing any more.
    pub fn forget_topic(&self, topic: &str) {
        for place in self.all() {
            // What could not be written is there again after a restart, and no worse than before.
            self.turn(&place, |group, turn| group.forget_topic(turn, topic).ok());
        }
    }

    /// Keeps the time until the broker stops: sessions, rebalances, old offsets.
    pub async fn run(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let interval_ms = self.settings.offsets_retention_check_interval_ms.max(1) as u64;
        let mut sweep = tokio::time::interval(Duration::from_millis(interval_ms));
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = self.timers.next().map(|ticks_ms| self.clock.at(ticks_ms));
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                () = due => self.expire(),
                () = self.timers.earlier.notified() => {}
                _ = sweep.tick() => self.expire_offsets(),
            }
        }
        self.stop();
    }

    fn expire(&self) {
        for (at_ms, name) in self.timers.take_due(self.clock.now().ticks_ms) {
            self.existing(&name, |group, turn| {
                if group.armed_ms == Some(at_ms) {
                    group.armed_ms = None;
                }
                group.expire(turn);
            });
        }
    }

    fn expire_offsets(&self) {
        for place in self.all() {
            // An error is logged where it happens; the next sweep tries again.
            self.turn(&place, |group, turn| group.expire_offsets(turn).ok());
        }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        for place in self.all() {
            self.turn(&place, |group, turn| group.stop(turn));
        }
    }
}
