//! Incremental fetch sessions (KIP-227): the broker remembers what a client reads and what it was
//! told, so that requests and responses carry only what changed.
//!
//! | session id, epoch | meaning |
//! |---|---|
//! | 0, 0 | full fetch, open a session |
//! | any, -1 | full fetch, close the session if there is one |
//! | id, n > 0 | the changes since epoch n - 1 |
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Partitions that all sessions together remember: some 150 bytes each.
const REMEMBERED: usize = 500_000;
/// A longer name is no topic's, and is not remembered.
const NAME_BYTES: usize = 249;

/// Why a session cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// FETCH_SESSION_ID_NOT_FOUND: evicted, or never there.
    NotFound,
    /// INVALID_FETCH_SESSION_EPOCH: a request was lost or repeated.
    BadEpoch,
    /// FETCH_SESSION_TOPIC_ID_ERROR: it was opened by a version that names topics the other way.
    Naming,
}

impl From<SessionError> for ErrorCode {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NotFound => Self::FetchSessionIdNotFound,
            SessionError::BadEpoch => Self::InvalidFetchSessionEpoch,
            SessionError::Naming => Self::FetchSessionTopicIdError,
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
    /// Where the session stands after this request.
    pub epoch: i32,
    /// Whether unchanged partitions may be left out.
    pub incremental: bool,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Its id, never 0.
    pub id: i32,
    epoch: i32,
    by_id: bool,
    used: Instant,
    partitions: Vec<Remembered>,
    /// The part of `remembered` that is for `partitions`.
    counted: usize,
    remembered: Arc<AtomicUsize>,
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
    /// Partitions in all sessions.
    remembered: Arc<AtomicUsize>,
    by_id: Mutex<HashMap<i32, Arc<Mutex<Session>>>>,
}

type Key = (Arc<str>, Uuid, i32);

/// A topic that is asked for by its id is the same whether or not its name is known by now.
fn key(wanted: &Wanted) -> Key {
    let name = if wanted.topic_id.is_nil() {
        Arc::clone(&wanted.topic)
    } else {
        Arc::default()
    };
    (name, wanted.topic_id, wanted.partition)
}

impl Sessions {
    /// Room for `slots` sessions; with 0 every fetch is a full one.
    pub fn new(slots: usize) -> Self {
        Self {
            slots,
            remembered: Arc::default(),
            by_id: Mutex::default(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        lock(&self.by_id).len()
    }

    /// Works out what a request wants, which is of a version that names topics `by_id` or not.
    /// `forgotten` are the partitions to drop from the session.
    pub fn step(
        &self,
        (id, epoch): (i32, i32),
        by_id: bool,
        wanted: Vec<Wanted>,
        forgotten: &[Key],
    ) -> Result<SessionStep, SessionError> {
        if epoch == FINAL_EPOCH || epoch == INITIAL_EPOCH {
            if id != 0 {
                lock(&self.by_id).remove(&id);
            }
            let session = (epoch == INITIAL_EPOCH && !wanted.is_empty())
                .then(|| self.open(&wanted, by_id))
                .flatten();
            return Ok(SessionStep {
                wanted,
                session,
                epoch: 1,
                incremental: false,
            });
        }
        let session = lock(&self.by_id)
            .get(&id)
            .cloned()
            .ok_or(SessionError::NotFound)?;
        let (wanted, epoch) = {
            let mut session = lock(&session);
            let wanted = session.advance(epoch, by_id, wanted, forgotten)?;
            (wanted, session.epoch)
        };
        let too_many = self.remembered.load(Ordering::Relaxed) > REMEMBERED;
        if wanted.is_empty() || too_many {
            // Nothing left to remember: the client hears id 0 and starts anew.
            lock(&self.by_id).remove(&id);
        }
        if too_many {
            return Err(SessionError::NotFound);
        }
        Ok(SessionStep {
            wanted,
            session: Some(session),
            epoch,
            incremental: true,
        })
    }

    fn open(&self, wanted: &[Wanted], topics_by_id: bool) -> Option<Arc<Mutex<Session>>> {
        let remembered = self.remembered.load(Ordering::Relaxed);
        if remembered + wanted.len() > REMEMBERED || !wanted.iter().all(is_memorable) {
            return None;
        }
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
        let mut session = Session {
            id,
            epoch: 1,
            by_id: topics_by_id,
            used: Instant::now(),
            partitions,
            counted: 0,
            remembered: Arc::clone(&self.remembered),
        };
        session.count();
        let session = Arc::new(Mutex::new(session));
        by_id.insert(id, Arc::clone(&session));
        Some(session)
    }
}

fn is_memorable(wanted: &Wanted) -> bool {
    wanted.topic.len() <= NAME_BYTES
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
        by_id: bool,
        changed: Vec<Wanted>,
        forgotten: &[Key],
    ) -> Result<Vec<Wanted>, SessionError> {
        if epoch != self.epoch {
            return Err(SessionError::BadEpoch);
        }
        if by_id != self.by_id {
            return Err(SessionError::Naming);
        }
        if !changed.iter().all(is_memorable) {
            return Err(SessionError::NotFound);
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
        self.count();
        Ok(self
            .partitions
            .iter()
            .map(|known| known.wanted.clone())
            .collect())
    }

    fn count(&mut self) {
        let now = self.partitions.len();
        self.remembered.fetch_add(now, Ordering::Relaxed);
        self.remembered.fetch_sub(self.counted, Ordering::Relaxed);
        self.counted = now;
    }

    /// Remembers what the client is told, and says which answers it must hear. Partitions that gave
    /// records go to the back, so that the others get their turn under a byte limit. Fails if the
    /// session has gone on since the request: the answers are to other partitions than it has now.
    pub fn answer(
        &mut self,
        answers: &[Answer],
        epoch: i32,
        incremental: bool,
    ) -> Result<Vec<bool>, SessionError> {
        if self.epoch != epoch {
            return Err(SessionError::BadEpoch);
        }
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
        Ok(heard)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.remembered.fetch_sub(self.counted, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(topic: &str, partitions: std::ops::Range<i32>) -> Vec<Wanted> {
        let topic: Arc<str> = topic.into();
        let wanted = partitions.map(|partition| Wanted {
            topic: Arc::clone(&topic),
            topic_id: Uuid::nil(),
            partition,
            offset: 0,
            max_bytes: 1,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
        });
        wanted.collect()
    }

    fn nothing() -> Answer {
        Answer {
            error: None,
            high_watermark: 0,
            last_stable_offset: 0,
            log_start_offset: 0,
            diverging: None,
            records: bytes::Bytes::new(),
            aborted: Vec::new(),
        }
    }

    #[test]
    fn an_answer_that_was_overtaken_is_an_error() {
        let sessions = Sessions::new(1);
        let opened = sessions
            .step((0, 0), false, wanted("a", 0..2), &[])
            .unwrap();
        let session = opened.session.unwrap();
        let id = lock(&session).id;
        let first = sessions.step((id, 1), false, Vec::new(), &[]).unwrap();
        let gone = key(&wanted("a", 0..1)[0]);
        let second = sessions.step((id, 2), false, Vec::new(), &[gone]).unwrap();
        let mut session = lock(&session);
        let late = session.answer(&[nothing(), nothing()], first.epoch, true);
        assert_eq!(late, Err(SessionError::BadEpoch));
        assert_eq!(
            session.answer(&[nothing()], second.epoch, true),
            Ok(vec![true])
        );
        assert_eq!(
            session.answer(&[nothing()], second.epoch, true),
            Ok(vec![false])
        );
    }

    #[test]
    fn names_and_ids_do_not_mix() {
        let sessions = Sessions::new(1);
        let opened = sessions
            .step((0, 0), false, wanted("a", 0..1), &[])
            .unwrap();
        let id = lock(&opened.session.unwrap()).id;
        let step = sessions.step((id, 1), true, Vec::new(), &[]);
        assert_eq!(step.unwrap_err(), SessionError::Naming);
    }

    #[test]
    fn a_topic_by_id_is_the_same_when_its_name_becomes_known() {
        let sessions = Sessions::new(1);
        let named = |name: &str| {
            let mut wanted = wanted(name, 0..1);
            wanted[0].topic_id = Uuid::from_u128(7);
            wanted
        };
        let opened = sessions.step((0, 0), true, named(""), &[]).unwrap();
        let id = lock(&opened.session.unwrap()).id;
        let step = sessions.step((id, 1), true, named("a"), &[]).unwrap();
        assert_eq!(step.wanted.len(), 1);
    }

    #[test]
    fn what_all_sessions_remember_is_bounded() {
        let sessions = Sessions::new(10);
        let many = || wanted("a", 0..200_000);
        let mut ids = Vec::new();
        for _ in 0..2 {
            let opened = sessions.step((0, 0), false, many(), &[]).unwrap();
            ids.push(lock(&opened.session.unwrap()).id);
        }
        let refused = sessions.step((0, 0), false, many(), &[]).unwrap();
        assert!(refused.session.is_none(), "a third of 200 000");
        assert_eq!(refused.wanted.len(), 200_000, "and yet it is read");
        let grown = sessions.step((ids[0], 1), false, wanted("b", 0..200_000), &[]);
        assert_eq!(grown.unwrap_err(), SessionError::NotFound);
        assert_eq!(sessions.count(), 1);
        assert_eq!(sessions.remembered.load(Ordering::Relaxed), 200_000);
        let long = sessions.step((0, 0), false, wanted(&"x".repeat(250), 0..1), &[]);
        assert!(long.unwrap().session.is_none());
    }
}
