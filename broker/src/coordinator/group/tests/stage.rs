//! A group on its own, and members that speak to it.
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::error::ErrorCode;
use storage::AppendError;
use tokio::sync::oneshot;

use super::super::Limits;
use super::super::classic::Group;
use super::super::join::Join;
use super::super::load::Loading;
use super::super::member::{
    Decided, JoinAnswer, Joined, Member, Protocol, Refused, SyncAnswer, Synced, Waiting,
};
use super::super::sync::Sync;
use super::super::timers::Now;
use super::super::turn::{Append, Turn};
use crate::coordinator::{Entry, Replayed};

/// The session timeout of all members here.
pub const SESSION_MS: u64 = 10_000;
/// The rebalance timeout of all members here.
pub const REBALANCE_MS: u64 = 60_000;
/// Wall clock minus monotonic clock.
pub const EPOCH_MS: i64 = 1_000_000;

/// What stands at an offset.
#[derive(Debug, Clone, Copy)]
enum Logged {
    /// The next entry, with whose transaction it is part of.
    Entry(Option<i64>),
    /// A marker: whose, and whether it commits.
    End(i64, bool),
}

/// A journal in memory that can be told to fail.
#[derive(Debug, Default)]
pub struct Memory {
    pub entries: RefCell<Vec<Entry>>,
    /// Producers of the entries, and markers between them: id, and commit or abort.
    log: RefCell<Vec<Logged>>,
    pub broken: Cell<bool>,
}

impl Append for Memory {
    fn append(&self, entries: &[Entry]) -> Result<i64, AppendError> {
        if self.broken.get() {
            return Err(AppendError::Poisoned);
        }
        self.entries.borrow_mut().extend_from_slice(entries);
        Ok(self.note(entries.len(), None))
    }

    fn append_in_transaction(
        &self,
        entries: &[Entry],
        producer: (i64, i16),
    ) -> Result<i64, AppendError> {
        if self.broken.get() {
            return Err(AppendError::Poisoned);
        }
        self.entries.borrow_mut().extend_from_slice(entries);
        Ok(self.note(entries.len(), Some(producer.0)))
    }
}

impl Memory {
    fn note(&self, entries: usize, producer_id: Option<i64>) -> i64 {
        let mut log = self.log.borrow_mut();
        log.extend(std::iter::repeat_n(Logged::Entry(producer_id), entries));
        log.len() as i64 - 1
    }
}

/// An answer that may still be on its way.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Receiver<Decided<T>>);

impl<T> Answer<T> {
    /// The answer, which is there.
    pub fn now(&mut self) -> T {
        self.decided().answer
    }

    /// The answer with what it waits for.
    pub fn decided(&mut self) -> Decided<T> {
        self.0.try_recv().expect("answered")
    }

    /// Nothing is there yet.
    pub fn is_open(&mut self) -> bool {
        self.0.try_recv() == Err(oneshot::error::TryRecvError::Empty)
    }
}

impl<T> PartialEq for Decided<T> {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

/// A group, its journal, and the time.
pub struct Stage {
    pub group: Group,
    pub journal: Memory,
    pub limits: Limits,
    pub ticks_ms: u64,
    tickets: u64,
}

impl Stage {
    pub fn new() -> Self {
        Self::with_delay(0)
    }

    /// A group with an initial rebalance delay.
    pub fn with_delay(initial_delay_ms: u64) -> Self {
        Self {
            group: Group::new("g".into()),
            journal: Memory::default(),
            limits: Limits {
                initial_delay_ms,
                max_size: 100,
                offsets_retention_ms: 60_000,
                memory_max_bytes: usize::MAX,
            },
            ticks_ms: 0,
            tickets: 0,
        }
    }

    /// Lets `act` have its turn.
    pub fn turn<R>(&mut self, act: impl FnOnce(&mut Group, &mut Turn<'_>) -> R) -> R {
        let now = Now {
            ticks_ms: self.ticks_ms,
            wall_ms: EPOCH_MS + self.ticks_ms as i64,
        };
        let mut turn = Turn {
            now,
            limits: &self.limits,
            journal: &self.journal,
            appended: None,
            room: self.limits.memory_max_bytes,
            lacked_room: false,
        };
        let result = act(&mut self.group, &mut turn);
        self.check_counts();
        result
    }

    /// What is counted as it changes is what is there.
    fn check_counts(&self) {
        let group = &self.group;
        let members: usize = group.members.iter().map(Member::bytes).sum();
        assert_eq!(group.members.bytes(), members);
        assert_eq!(group.offsets.bytes(), group.offsets.recount());
        assert_eq!(group.in_doubt.bytes(), group.in_doubt.recount());
        assert_eq!(group.pending.bytes(), group.pending.recount());
    }

    /// Time passes; the group is looked at whenever it asked for it.
    pub fn pass(&mut self, ms: u64) {
        let end_ms = self.ticks_ms + ms;
        while let Some(at_ms) = self.group.earliest_ms.filter(|at_ms| *at_ms <= end_ms) {
            self.ticks_ms = self.ticks_ms.max(at_ms);
            self.turn(Group::expire);
        }
        self.ticks_ms = end_ms;
    }

    /// Sends a JoinGroup.
    pub fn send_join(&mut self, join: Join) -> Answer<JoinAnswer> {
        let (reply, receiver) = oneshot::channel();
        self.tickets += 1;
        let ticket = self.tickets;
        self.turn(|group, turn| group.join(turn, join, Waiting { ticket, reply }));
        Answer(receiver)
    }

    /// Number of the last JoinGroup.
    pub fn last_ticket(&self) -> u64 {
        self.tickets
    }

    /// The MEMBER_ID_REQUIRED round trip: a new id, and the join with it.
    pub fn enter(&mut self) -> (Arc<str>, Answer<JoinAnswer>) {
        let id = self.new_id();
        let answer = self.send_join(join(&id));
        (id, answer)
    }

    /// An id from MEMBER_ID_REQUIRED.
    pub fn new_id(&mut self) -> Arc<str> {
        let refused = self.send_join(join("")).now().expect_err("no id yet");
        assert_eq!(refused.error, ErrorCode::MemberIdRequired);
        refused.member_id
    }

    /// Sends a SyncGroup; a leader's assigns each member its own id.
    pub fn send_sync(&mut self, joined: &Joined) -> Answer<SyncAnswer> {
        let members = joined.members.iter();
        let assignments = members.map(|it| (Arc::clone(&it.id), share(&it.id)));
        self.send_sync_of(&sync(joined, assignments.collect()))
    }

    /// Sends this SyncGroup.
    pub fn send_sync_of(&mut self, sync: &Sync) -> Answer<SyncAnswer> {
        let (reply, receiver) = oneshot::channel();
        self.turn(|group, turn| group.sync(turn, sync, reply));
        Answer(receiver)
    }

    /// Sends a Heartbeat.
    pub fn beat(&mut self, id: &str, generation: i32) -> Result<(), ErrorCode> {
        self.turn(|group, turn| group.heartbeat(turn, id, None, generation))
    }

    /// A stable group of so many members; their ids, the leader first.
    pub fn stable(&mut self, members: usize) -> Vec<Arc<str>> {
        let mut ids: Vec<Arc<str>> = Vec::new();
        let mut answers = Vec::new();
        for _ in 0..members {
            let (id, answer) = self.enter();
            answers.push(answer);
            ids.push(id);
            // The others follow the rebalance.
            for (id, answer) in ids.iter().zip(&mut answers) {
                if self
                    .group
                    .members
                    .get(id)
                    .is_some_and(|it| it.join.is_none())
                {
                    *answer = self.send_join(join(id));
                }
            }
        }
        let joined: Vec<_> = answers.iter_mut().map(|it| it.now().unwrap()).collect();
        let mut synced: Vec<_> = joined.iter().map(|it| self.send_sync(it)).collect();
        for (id, synced) in ids.iter().zip(&mut synced) {
            assert_eq!(synced.now().unwrap().assignment, share(id));
        }
        ids.sort_by_key(|id| !self.group.is_leader(id));
        ids
    }

    /// A marker comes.
    pub fn end(&mut self, producer_id: i64, commits: bool) {
        let marker = Logged::End(producer_id, commits);
        self.journal.log.borrow_mut().push(marker);
        self.group.end_transaction(producer_id, commits);
    }

    /// The group as a restart would find it.
    pub fn replayed(&self) -> Option<Group> {
        let mut loading = Loading::default();
        let entries = self.journal.entries.borrow();
        let mut entries = entries.iter();
        for (offset, logged) in (0..).zip(self.journal.log.borrow().iter()) {
            let replayed = match *logged {
                Logged::End(producer_id, commits) => Replayed::End {
                    producer_id,
                    commits,
                },
                Logged::Entry(producer_id) => {
                    let entry = entries.next().expect("one for each");
                    Replayed::Entry {
                        key: &entry.key,
                        value: entry.value.as_deref(),
                        timestamp: 0,
                        offset,
                        producer_id,
                    }
                }
            };
            loading.apply(replayed).unwrap();
        }
        loading.finish().remove("g")
    }
}

/// What `id` is assigned here.
pub fn share(id: &str) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

/// A consumer's metadata that subscribes to one topic.
pub fn subscription(topic: &str) -> Bytes {
    let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, topic.len() as u8];
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(&[0xff; 4]);
    Bytes::from(bytes)
}

/// A protocol with a subscription to topic "t".
pub fn protocol(name: &str) -> Protocol {
    Protocol {
        name: name.into(),
        metadata: subscription("t"),
    }
}

/// A JoinGroup of a dynamic consumer, as of v9.
pub fn join(id: &str) -> Join {
    Join {
        member_id: id.into(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: SESSION_MS as i32,
        rebalance_timeout_ms: REBALANCE_MS as i32,
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range")],
        needs_member_id: true,
        can_skip_assignment: true,
    }
}

/// A SyncGroup of the generation that was joined.
pub fn sync(joined: &Joined, assignments: HashMap<Arc<str>, Bytes>) -> Sync {
    Sync {
        member_id: Arc::clone(&joined.member_id),
        instance_id: None,
        generation: joined.generation,
        protocol_type: joined.protocol_type.clone(),
        protocol: joined.protocol.clone(),
        assignments,
    }
}

/// The error of a join.
pub fn join_error(answer: Result<Joined, Refused>) -> ErrorCode {
    answer.expect_err("refused").error
}

/// The error of a sync.
pub fn sync_error(answer: Result<Synced, ErrorCode>) -> ErrorCode {
    answer.expect_err("refused")
}
