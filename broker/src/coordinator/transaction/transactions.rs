//! The set of transactional ids: finds one, locks it, and writes its next state down.
//!
//! Lock order: a transactional id, then a group, then the log that is written to. The map of ids is
//! never taken while an id is locked. Nothing is awaited under any of them.
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use config::Settings;
use protocol::error::ErrorCode;

use super::memory;
use super::state::{Partitions, State, Transaction};
use super::{TOPIC, formats};
use crate::coordinator::group::append_error;
use crate::coordinator::{Groups, Journal, Journals, Memory};
use crate::metadata::{ProducerIds, Topics};

/// What the topic needs that topics do not have by default; as in Apache Kafka.
const CONFIGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("compression.type", "uncompressed"),
    ("segment.bytes", "104857600"),
];

/// All transactional ids.
#[derive(Debug)]
pub struct Transactions {
    pub(super) settings: Arc<Settings>,
    pub(super) topics: Arc<Topics>,
    pub(super) groups: Arc<Groups>,
    pub(super) producer_ids: Arc<ProducerIds>,
    pub(super) journals: Journals,
    by_id: RwLock<HashMap<Arc<str>, Arc<Place>>>,
    pub(super) counts: Counts,
    pub(super) memory: Arc<Memory>,
}

/// How transactions ended since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) committed: AtomicU64,
    pub(super) aborted: AtomicU64,
    pub(super) timed_out: AtomicU64,
}

/// A transactional id in the set.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: Arc<str>,
    pub(super) journal: Journal,
    slot: Mutex<Slot>,
    memory: Arc<Memory>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let slot = self.slot.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.memory.give_back(slot.counted);
    }
}

/// What stands behind the mutex.
#[derive(Debug)]
pub(super) struct Slot {
    /// `None` before it is first written down, and after it is forgotten.
    pub(super) transaction: Option<Arc<Transaction>>,
    /// Forgotten: whoever still holds it looks the id up again.
    pub(super) dead: bool,
    /// Offset of its last entry.
    pub(super) written: i64,
    /// When it last changed. On the monotonic clock: ids do not expire when the wall clock is set.
    pub(super) changed: Instant,
    /// When the open transaction times out.
    pub(super) deadline: Option<Instant>,
    /// The decided transaction that somebody sees to.
    pub(super) ending: Option<Arc<Transaction>>,
    /// Where the markers of a decided transaction are still missing.
    pub(super) unmarked: Partitions,
    /// Offset of the entry that says that a transaction is complete, if the next one has the same
    /// epoch and that entry was not seen on disk yet.
    pub(super) unsettled: Option<i64>,
    /// Bytes that it is counted with in the memory of all.
    counted: usize,
}

/// An entry of a journal that may not be on disk yet.
#[derive(Debug, Clone)]
pub struct Written {
    pub(super) journal: Journal,
    pub(super) offset: i64,
}

impl Written {
    /// Waits until it is.
    pub async fn durable(&self) -> Result<(), ErrorCode> {
        let durable = self.journal.durable(self.offset).await;
        durable.map_err(|error| append_error(&error))
    }
}

impl Slot {
    /// Makes this what the transactional id is like.
    fn hold(&mut self, transaction: Transaction) {
        self.unmarked = match transaction.state.prepared() {
            Some(_) => transaction.partitions.clone(),
            None => Partitions::new(),
        };
        self.transaction = Some(Arc::new(transaction));
    }
}

impl Place {
    fn new(id: Arc<str>, journal: Journal, memory: Arc<Memory>) -> Self {
        Self {
            id,
            journal,
            slot: Mutex::new(Slot {
                transaction: None,
                dead: false,
                written: -1,
                changed: Instant::now(),
                deadline: None,
                ending: None,
                unmarked: Partitions::new(),
                unsettled: None,
                counted: 0,
            }),
            memory,
        }
    }

    /// Takes the mutex.
    pub(super) fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the next state down and makes it hold, if there is memory for it. On an error nothing
    /// has changed.
    pub(super) fn become_next(&self, slot: &mut Slot, next: Transaction) -> Result<(), ErrorCode> {
        let bytes = memory::of(&self.id, &next);
        let growth = bytes.saturating_sub(slot.counted);
        if !self.memory.take(growth) {
            return Err(memory::refused(&self.memory));
        }
        let entry = formats::entry(&self.id, Some(&next));
        let written = self.journal.append(&[entry]).map_err(|error| {
            self.memory.give_back(growth);
            tracing::error!(%error, "cannot write to the journal of transactions");
            append_error(&error)
        })?;
        self.memory.give_back(slot.counted.saturating_sub(bytes));
        slot.counted = bytes;
        if next.state != State::Ongoing {
            slot.deadline = None;
        } else if slot.deadline.is_none() {
            let timeout = Duration::from_millis(u64::try_from(next.timeout_ms).unwrap_or(0));
            slot.deadline = Some(Instant::now() + timeout);
        }
        slot.written = written;
        slot.changed = Instant::now();
        slot.hold(next);
        Ok(())
    }

    /// Takes what the journal has, whether there is memory for it or not; `None` if it is forgotten.
    pub(super) fn load(&self, slot: &mut Slot, transaction: Option<Transaction>) {
        let bytes = transaction
            .as_ref()
            .map_or(0, |it| memory::of(&self.id, it));
        self.memory.recount(&mut slot.counted, bytes);
        match transaction {
            Some(transaction) => slot.hold(transaction),
            None => slot.transaction = None,
        }
    }

    /// The last entry of a slot.
    pub(super) fn last_written(&self, slot: &Slot) -> Written {
        Written {
            journal: self.journal.clone(),
            offset: slot.written,
        }
    }
}

impl Transactions {
    pub(super) fn new(
        settings: &Arc<Settings>,
        topics: Arc<Topics>,
        groups: Arc<Groups>,
        producer_ids: Arc<ProducerIds>,
    ) -> Self {
        let count = settings.transaction_state_log_num_partitions;
        Self {
            settings: Arc::clone(settings),
            journals: Journals::new(Arc::clone(&topics), TOPIC, count, CONFIGS),
            topics,
            groups,
            producer_ids,
            by_id: RwLock::default(),
            counts: Counts::default(),
            memory: Arc::new(Memory::new(
                "transactional ids",
                usize::try_from(settings.transactions_memory_max_bytes).unwrap_or(usize::MAX),
            )),
        }
    }

    /// Makes sure that the topic is there.
    pub fn ready(&self) -> Result<(), ErrorCode> {
        self.journals.all().map(|_| ())
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Place>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id.get(id).cloned()
    }

    pub(super) fn find_or_create(&self, id: &str) -> Result<Arc<Place>, ErrorCode> {
        if let Some(place) = self.find(id) {
            return Ok(place);
        }
        let journal = self.journals.of(id)?;
        Ok(self.put(Arc::new(self.place(id, journal))))
    }

    /// A place that is not in the set.
    pub(super) fn place(&self, id: &str, journal: Journal) -> Place {
        Place::new(id.into(), journal, Arc::clone(&self.memory))
    }

    /// Bytes of memory that all ids take.
    pub fn memory_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Puts a transactional id into the set, unless it is there.
    pub(super) fn put(&self, place: Arc<Place>) -> Arc<Place> {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_id.entry(Arc::clone(&place.id)).or_insert(place))
    }

    pub(super) fn all(&self) -> Vec<Arc<Place>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        by_id.values().cloned().collect()
    }

    /// Takes a dead one out of the set.
    pub(super) fn forget(&self, dead: &Arc<Place>) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if by_id.get(&dead.id).is_some_and(|it| Arc::ptr_eq(it, dead)) {
            by_id.remove(&dead.id);
        }
    }

    /// Takes one out of the set that never came to anything.
    pub(super) fn forget_unused(&self, place: &Arc<Place>) {
        let mut slot = place.lock();
        if slot.transaction.is_some() {
            return;
        }
        slot.dead = true;
        drop(slot);
        self.forget(place);
    }
}
