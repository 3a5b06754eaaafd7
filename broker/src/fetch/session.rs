//! Incremental fetch sessions (KIP-227): the broker remembers what a client reads and what it was
//! told, so that requests and responses carry only what changed.
//!
//! | session id, epoch | meaning |
//! |---|---|
//! | 0, 0 | full fetch, open a session |
//! | any, -1 | full fetch, close the session if there is one |
//! | id, n > 0 | the changes since epoch n - 1 |
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use protocol::error::ErrorCode;
use uuid::Uuid;

use super::plan::{Answer, Wanted};

/// Epoch that closes a session.
pub const FINAL_EPOCH: i32 = -1;
/// Epoch that opens one.
pub const INITIAL_EPOCH: i32 = 0;
/// A session that was used this recently is not evicted for a new one.
const EVICTION_AFTER_SECS: u64 = 120;

/// Why a session cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// FETCH_SESSION_ID_NOT_FOUND: evicted, or never there.
    NotFound,
    /// INVALID_FETCH_SESSION_EPOCH: a request was lost or repeated.
    BadEpoch,
}

impl From<SessionError> for ErrorCode {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotFound => Self::FetchSessionIdNotFound,
            SessionError::BadEpoch => Self::InvalidFetchSessionEpoch,
        }
    }
}

/// What a request means to its session.
#[derive(Debug)]
pub struct SessionStep {
    /// Everything to read now, in the order in which it should be answered.
    pub wanted: Vec<Wanted>,
    /// The session to answer under, if any.
    pub session: Option<Arc<Mutex<Session>>>,
    /// Whether unchanged partitions may be left out.
    pub incremental: bool,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Its id, never 0.
    pub id: i32,
    epoch: i32,
    used: Instant,
    partitions: Vec<Remembered>,
}

#[derive(Debug)]
struct Remembered {
    wanted: Wanted,
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
}

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    slots: usize,
    by_id: Mutex<HashMap<i32, Arc<Mutex<Session>>>>,
}

type Key = (Arc<str>, Uuid, i32);

fn key(wanted: &Wanted) -> Key {
    (Arc::clone(&wanted.topic), wanted.topic_id, wanted.partition)
}

impl Sessions {
    /// Room for `slots` sessions; with 0 every fetch is a full one.
    pub fn new(slots: usize) -> Self {
        Self {
            slots,
            by_id: Mutex::default(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        lock(&self.by_id).len()
    }

    /// Works out what a request wants. `forgotten` are the partitions to drop from the session.
    pub fn step(
        &self,
        id: i32,
        epoch: i32,
        wanted: Vec<Wanted>,
        forgotten: &[Key],
    ) -> Result<SessionStep, SessionError> {
        if epoch == FINAL_EPOCH || epoch == INITIAL_EPOCH {
            if id != 0 {
                lock(&self.by_id).remove(&id);
            }
            let session = (epoch == INITIAL_EPOCH && !wanted.is_empty())
                .then(|| self.open(&wanted))
                .flatten();
            return Ok(SessionStep {
                wanted,
                session,
                incremental: false,
            });
        }
        let session = lock(&self.by_id)
            .get(&id)
            .cloned()
            .ok_or(SessionError::NotFound)?;
        let wanted = lock(&session).advance(epoch, wanted, forgotten)?;
        if wanted.is_empty() {
            // Nothing left to remember: the client hears id 0 and starts anew.
            lock(&self.by_id).remove(&id);
        }
        Ok(SessionStep {
            wanted,
            session: Some(session),
            incremental: true,
        })
    }

    fn open(&self, wanted: &[Wanted]) -> Option<Arc<Mutex<Session>>> {
        let mut by_id = lock(&self.by_id);
        if by_id.len() >= self.slots && !evict(&mut by_id) {
            return None;
        }
        let id = loop {
            // Ids of random UUIDs: sessions of an earlier process must not be mistaken for ours.
            let id = (Uuid::new_v4().as_u128() as i32) & i32::MAX;
            if id != 0 && !by_id.contains_key(&id) {
                break id;
            }
        };
        let partitions = wanted.iter().cloned().map(Remembered::new).collect();
        let session = Session {
            id,
            epoch: 1,
            used: Instant::now(),
            partitions,
        };
        let session = Arc::new(Mutex::new(session));
        by_id.insert(id, Arc::clone(&session));
        Some(session)
    }
}

/// Makes room by dropping the session that was not used for longest, if it was not used for long.
fn evict(by_id: &mut HashMap<i32, Arc<Mutex<Session>>>) -> bool {
    let oldest = by_id
        .iter()
        .map(|(id, session)| (lock(session).used, *id))
        .min()
        .filter(|(used, _)| used.elapsed().as_secs() >= EVICTION_AFTER_SECS);
    oldest.is_some_and(|(_, id)| by_id.remove(&id).is_some())
}

impl Session {
    fn advance(
        &mut self,
        epoch: i32,
        changed: Vec<Wanted>,
        forgotten: &[Key],
    ) -> Result<Vec<Wanted>, SessionError> {
        if epoch != self.epoch {
            return Err(SessionError::BadEpoch);
        }
        self.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        self.used = Instant::now();
        if !forgotten.is_empty() {
            self.partitions.retain(|known| {
                !forgotten.iter().any(|gone| {
                    gone.2 == known.wanted.partition
                        && ((!gone.1.is_nil() && gone.1 == known.wanted.topic_id)
                            || (gone.1.is_nil() && gone.0 == known.wanted.topic))
                })
            });
        }
        let mut places: HashMap<Key, usize> = HashMap::new();
        if !changed.is_empty() {
            let keys = self.partitions.iter().map(|known| key(&known.wanted));
            places = keys.zip(0..).collect();
        }
        for wanted in changed {
            match places.get(&key(&wanted)) {
                Some(&place) => self.partitions[place].wanted = wanted,
                None => self.partitions.push(Remembered::new(wanted)),
            }
        }
        Ok(self
            .partitions
            .iter()
            .map(|known| known.wanted.clone())
            .collect())
    }

    /// Remembers what the client is told, and says which answers it must hear. Partitions that gave
    /// records go to the back, so that the others get their turn under a byte limit.
    pub fn answer(&mut self, answers: &[Answer], incremental: bool) -> Vec<bool> {
        let mut heard = Vec::with_capacity(answers.len());
        let mut served = Vec::new();
        for (place, (known, answer)) in self.partitions.iter_mut().zip(answers).enumerate() {
            heard.push(known.tell(answer) || !incremental);
            if !answer.records.is_empty() {
                served.push(place);
            }
        }
        if !served.is_empty() && served.len() < self.partitions.len() {
            let mut back = Vec::with_capacity(served.len());
            for place in served.into_iter().rev() {
                back.push(self.partitions.remove(place));
            }
            self.partitions.extend(back.into_iter().rev());
        }
        heard
    }
}

impl Remembered {
    fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
        }
    }

    /// Whether the answer is news.
    fn tell(&mut self, answer: &Answer) -> bool {
        let news = !answer.records.is_empty()
            || answer.error.is_some()
            || answer.diverging.is_some()
            || self.high_watermark != answer.high_watermark
            || self.last_stable_offset != answer.last_stable_offset
            || self.log_start_offset != answer.log_start_offset;
        self.high_watermark = answer.high_watermark;
        self.last_stable_offset = answer.last_stable_offset;
        self.log_start_offset = answer.log_start_offset;
        news
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
