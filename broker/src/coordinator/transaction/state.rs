//! What is known of a transactional id, and what may become of it. All decisions are made here,
//! from the state and the request alone: each gives the next state, which is written down before it
//! holds.
//!
//! ```text
//!            add partition          EndTxn, timeout, InitProducerId          markers are on disk
//!   Empty ─────────────────▶ Ongoing ──────────────────────────────▶ Prepare ─────────────────▶ Complete
//!     ▲                                                              Commit/Abort               Commit/Abort
//!     └── InitProducerId ◀──────────────────────────────────────────────────────────────────────────┘
//! ```
//! A new transaction begins in a Complete state as it does in Empty.
//! Source: Kafka's `TransactionMetadata` and `TransactionCoordinator`.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::error::ErrorCode;

/// Neither an id nor an epoch.
pub const NONE: i64 = -1;
/// The version of transactions in which the epoch rises with each of them (KIP-890).
pub const EPOCH_PER_TRANSACTION: i16 = 2;
/// The last epoch that a producer is given: one more fences it.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// The states of a transactional id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No transaction since the last InitProducerId.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// It is decided, and no more can be written in it; the markers are under way.
    PrepareCommit,
    /// As `PrepareCommit`, for an abort.
    PrepareAbort,
    /// All markers are on disk.
    CompleteCommit,
    /// As `CompleteCommit`, for an abort.
    CompleteAbort,
}

impl State {
    /// All of them, by their numbers in the journal.
    pub const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// Whether markers are under way; tells whether they commit.
    pub fn prepared(self) -> Option<bool> {
        match self {
            Self::PrepareCommit => Some(true),
            Self::PrepareAbort => Some(false),
            _ => None,
        }
    }

    fn is_at_rest(self) -> bool {
        matches!(
            self,
            Self::Empty | Self::CompleteCommit | Self::CompleteAbort
        )
    }
}

/// A producer id with its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
}

/// Partitions by topic.
pub type Partitions = BTreeMap<Arc<str>, BTreeSet<i32>>;

/// A transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Who may write in it.
    pub producer: Identity,
    /// The producer id before the last change of it.
    pub previous_id: i64,
    /// The producer id to go on with after an epoch is used up.
    pub next_id: i64,
    /// The epoch before, if a request with it may be a retry. Not in the journal.
    pub last_epoch: i16,
    /// How long a transaction may be open.
    pub timeout_ms: i32,
    /// See the module.
    pub state: State,
    /// What the transaction has written to, or will write to.
    pub partitions: Partitions,
    /// When it last changed, epoch ms.
    pub updated_ms: i64,
    /// When the transaction began, epoch ms; -1 in `Empty`.
    pub started_ms: i64,
    /// The version of transactions that the client used at the last change.
    pub version: i16,
}

/// What a request is refused with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The error for the client.
    Error(ErrorCode),
    /// A new producer id is needed to decide it.
    NeedsProducerId,
}

impl From<ErrorCode> for Refused {
    fn from(error: ErrorCode) -> Self {
        Self::Error(error)
    }
}

/// What becomes of an EndTxn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It has been done already: the producer goes on with this.
    Done(Identity),
    /// The next state; the producer goes on with this.
    Prepared(Transaction, Identity),
}

/// What becomes of an InitProducerId.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Init {
    /// The next state, with the producer's id and epoch.
    Next(Transaction),
    /// The next state aborts the open transaction; the client has to come again.
    Aborting(Transaction),
}

impl Transaction {
    /// A transactional id that was never used. Its epoch is none as yet.
    pub fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            producer: Identity {
                id: producer_id,
                epoch: -1,
            },
            previous_id: NONE,
            next_id: NONE,
            last_epoch: -1,
            timeout_ms,
            state: State::Empty,
            partitions: Partitions::new(),
            updated_ms: now_ms,
            started_ms: -1,
            version: 0,
        }
    }

    /// InitProducerId. `expected` is who the client is (KIP-360), `spare` a producer id that nobody
    /// had.
    pub fn init(
        &self,
        timeout_ms: i32,
        expected: Option<Identity>,
        spare: Option<i64>,
        now_ms: i64,
    ) -> Result<Init, Refused> {
        let known = |it: Identity| {
            let before = it.id == self.previous_id && it.epoch >= LAST_EPOCH;
            let own = it.id == self.producer.id || self.is_to_come(it);
            self.producer.epoch == -1 || own || before
        };
        if expected.is_some_and(|it| !known(it)) {
            return Err(ErrorCode::ProducerFenced.into());
        }
        if self.state == State::Ongoing {
            // Whoever was shut out, and says so, must not shut out the one that came after it. Apache
            // Kafka aborts the transaction first.
            if expected.is_some_and(|it| it != self.producer) {
                return Err(ErrorCode::ProducerFenced.into());
            }
            return Ok(Init::Aborting(self.fence(now_ms)));
        }
        if !self.state.is_at_rest() {
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        let mut next = Self {
            next_id: NONE,
            timeout_ms,
            state: State::Empty,
            partitions: Partitions::new(),
            updated_ms: now_ms,
            started_ms: -1,
            version: 0,
            ..self.clone()
        };
        let epoch = self.producer.epoch;
        let expected_epoch = expected.map(|it| it.epoch);
        if epoch >= LAST_EPOCH && expected_epoch.is_none_or(|it| it == epoch) {
            let id = spare.ok_or(Refused::NeedsProducerId)?;
            next.last_epoch = expected_epoch.map_or(-1, |_| epoch);
            next.previous_id = self.producer.id;
            next.producer = Identity { id, epoch: 0 };
            return Ok(Init::Next(next));
        }
        (next.producer.epoch, next.last_epoch) = match expected_epoch {
            None => (epoch + 1, -1),
            Some(it) if epoch == -1 || it == epoch => (epoch + 1, epoch),
            // A retry of what was done: nobody else came in between, or the last epoch were gone.
            Some(it) if it == self.last_epoch => return Ok(Init::Next(next)),
            Some(_) => return Err(ErrorCode::ProducerFenced.into()),
        };
        next.previous_id = self.producer.id;
        Ok(Init::Next(next))
    }

    /// Whether `who` has the current epoch. Nobody was ever given the one after the last.
    fn has_epoch(&self, who: Identity) -> bool {
        self.producer.epoch == who.epoch && who.epoch <= LAST_EPOCH
    }

    /// Whether the producer's own EndTxn is under way, and `who` is what it goes on with after that:
    /// an EndTxn is answered before all markers are written if they take long.
    fn is_to_come(&self, who: Identity) -> bool {
        let next = match self.next_id {
            NONE => self.producer,
            id => Identity { id, epoch: 0 },
        };
        self.state.prepared().is_some() && self.version >= EPOCH_PER_TRANSACTION && who == next
    }

    /// Checks who asks, and that the transaction is not being ended.
    fn check_open(&self, who: Identity) -> Result<(), ErrorCode> {
        if self.is_to_come(who) {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        if self.producer.id != who.id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if !self.has_epoch(who) {
            return Err(ErrorCode::ProducerFenced);
        }
        if self.state.prepared().is_some() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        Ok(())
    }

    /// Whether a batch of `who` for this partition belongs to the open transaction.
    pub fn admits(&self, who: Identity, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        self.check_open(who)?;
        if self.has(topic, partition) {
            Ok(())
        } else {
            Err(ErrorCode::TransactionAbortable)
        }
    }

    fn has(&self, topic: &str, partition: i32) -> bool {
        let partitions = self.partitions.get(topic);
        partitions.is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Adds partitions, and begins a transaction if none is open. `None` if nothing changes.
    pub fn add(
        &self,
        who: Identity,
        added: &[(Arc<str>, i32)],
        version: i16,
        now_ms: i64,
    ) -> Result<Option<Self>, ErrorCode> {
        self.check_open(who)?;
        let ongoing = self.state == State::Ongoing;
        if ongoing && added.iter().all(|(topic, it)| self.has(topic, *it)) {
            return Ok(None);
        }
        let mut next = self.clone();
        next.state = State::Ongoing;
        next.updated_ms = now_ms;
        next.version = version;
        if !ongoing {
            next.started_ms = now_ms;
        }
        for (topic, partition) in added {
            let partitions = next.partitions.entry(Arc::clone(topic)).or_default();
            partitions.insert(*partition);
        }
        Ok(Some(next))
    }

    /// EndTxn by a client that knows the version 2 of transactions, or does not.
    pub fn end(
        &self,
        who: Identity,
        commits: bool,
        version: i16,
        spare: Option<i64>,
        now_ms: i64,
    ) -> Result<End, Refused> {
        if self.is_to_come(who) {
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        let retry = version >= EPOCH_PER_TRANSACTION && self.is_retry(who);
        if self.producer.id != who.id && !retry {
            return Err(ErrorCode::InvalidProducerIdMapping.into());
        }
        let current = self.has_epoch(who);
        let good_epoch = match self.state {
            State::Empty | State::Ongoing => current,
            State::PrepareCommit | State::PrepareAbort => {
                retry || (current && version < EPOCH_PER_TRANSACTION)
            }
            State::CompleteCommit | State::CompleteAbort => retry || current,
        };
        if !good_epoch {
            return Err(ErrorCode::ProducerFenced.into());
        }
        // With an epoch per transaction the current epoch says that this is not the transaction
        // that was ended, but the next one, which has nothing in it: it can be aborted.
        let again = retry || version < EPOCH_PER_TRANSACTION;
        match (self.state, commits) {
            (State::Ongoing, _) => self.prepare(commits, version, spare, now_ms),
            (State::CompleteCommit, true) | (State::CompleteAbort, false) if again => {
                Ok(End::Done(self.producer))
            }
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => {
                Err(ErrorCode::ConcurrentTransactions.into())
            }
            (State::Empty | State::CompleteCommit | State::CompleteAbort, false)
                if !retry && version >= EPOCH_PER_TRANSACTION =>
            {
                self.prepare(false, version, spare, now_ms)
            }
            _ => Err(ErrorCode::InvalidTxnState.into()),
        }
    }

    /// Whether `who` asks for the end of a transaction that has got its next epoch already, by an
    /// EndTxn of its own: what was ended by others ([`Self::fence`]) has no such version.
    fn is_retry(&self, who: Identity) -> bool {
        let raised = self.producer.id == who.id
            && self.producer.epoch == who.epoch.saturating_add(1)
            && who.epoch <= LAST_EPOCH;
        let rotated =
            self.previous_id == who.id && who.epoch == LAST_EPOCH && self.producer.epoch == 0;
        self.version >= EPOCH_PER_TRANSACTION && (raised || rotated)
    }

    fn prepare(
        &self,
        commits: bool,
        version: i16,
        spare: Option<i64>,
        now_ms: i64,
    ) -> Result<End, Refused> {
        let mut next = self.prepared(commits, version, now_ms);
        if version >= EPOCH_PER_TRANSACTION {
            if self.producer.epoch >= LAST_EPOCH {
                next.next_id = spare.ok_or(Refused::NeedsProducerId)?;
            }
            next.last_epoch = self.producer.epoch;
            next.producer.epoch += 1;
        }
        let after = next
            .complete(now_ms)
            .map_or(next.producer, |it| it.producer);
        Ok(End::Prepared(next, after))
    }

    fn prepared(&self, commits: bool, version: i16, now_ms: i64) -> Self {
        Self {
            state: if commits {
                State::PrepareCommit
            } else {
                State::PrepareAbort
            },
            // One that was aborted before anything was in it began just now.
            started_ms: if self.state == State::Ongoing {
                self.started_ms
            } else {
                now_ms
            },
            next_id: NONE,
            updated_ms: now_ms,
            version,
            ..self.clone()
        }
    }

    /// Aborts the open transaction and shuts its producer out: a timeout, or another producer that
    /// came with the same transactional id. Nobody is told the epoch that comes of it, and an EndTxn
    /// of the old one is no retry.
    pub fn fence(&self, now_ms: i64) -> Self {
        let mut next = self.prepared(false, 0, now_ms);
        next.producer.epoch = self.producer.epoch.saturating_add(1);
        next.last_epoch = -1;
        next
    }

    /// All markers are on disk. `None` if none were under way.
    pub fn complete(&self, now_ms: i64) -> Option<Self> {
        let commits = self.state.prepared()?;
        let mut next = Self {
            state: if commits {
                State::CompleteCommit
            } else {
                State::CompleteAbort
            },
            partitions: Partitions::new(),
            next_id: NONE,
            updated_ms: now_ms,
            ..self.clone()
        };
        if self.next_id != NONE {
            next.last_epoch = self.producer.epoch;
            next.previous_id = self.producer.id;
            next.producer = Identity {
                id: self.next_id,
                epoch: 0,
            };
        }
        Some(next)
    }

    /// Whether this transaction is what a log holds open: these batches of `open` in this partition.
    ///
    /// The markers of version 2 have the epoch of the next transaction, so that what is open with it
    /// is the next. In earlier versions both have the same epoch; then the next one writes nothing
    /// before it is on disk that this one is complete (`Slot::unsettled`).
    pub fn holds(&self, open: Identity, topic: &str, partition: i32) -> bool {
        let (epoch, marked) = (open.epoch, self.producer.epoch);
        let of_it = match self.state {
            State::Ongoing => epoch == marked,
            State::PrepareCommit | State::PrepareAbort => {
                epoch < marked || (epoch == marked && self.keeps_epoch())
            }
            _ => false,
        };
        open.id == self.producer.id && of_it && self.has(topic, partition)
    }

    /// Whether `open` is what its last transaction wrote, and that is committed. Of clients of earlier
    /// versions it might be the next one.
    pub fn has_committed(&self, open: Identity) -> bool {
        self.state == State::CompleteCommit && self.is_retry(open)
    }

    /// Whether the next transaction may have the epoch of the markers of this one.
    pub fn keeps_epoch(&self) -> bool {
        self.version < EPOCH_PER_TRANSACTION
    }

    /// Whether it is forgotten after nobody has used it for so long.
    pub fn is_expired(&self, unused: Duration, expiration: Duration) -> bool {
        self.state.is_at_rest() && unused >= expiration
    }
}
