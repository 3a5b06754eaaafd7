//! Transactions without a broker around them: what each state makes of each request, and that a
//! replay of the journal gives the state, after every step.
mod epochs;
mod places;
mod transitions;

use std::sync::Arc;

use protocol::error::ErrorCode;

use super::formats;
use super::state::*;

const TIMEOUT_MS: i32 = 60_000;
const SPARE: i64 = 1000;
const TV2: i16 = EPOCH_PER_TRANSACTION;

/// A transactional id that writes down what it becomes, as its place in the set does.
#[derive(Debug, Clone)]
struct Stage {
    now: Transaction,
    at_ms: i64,
}

impl Stage {
    /// Producer 5 with epoch 0.
    fn new() -> Self {
        let mut stage = Self {
            now: Transaction::new(5, TIMEOUT_MS, 1),
            at_ms: 1,
        };
        assert_eq!(stage.init(None), Ok(Identity { id: 5, epoch: 0 }));
        stage
    }

    /// One in this state that got there with this version of transactions.
    fn in_state(wanted: State, version: i16) -> Self {
        let mut stage = Self::new();
        if wanted == State::Empty {
            return stage;
        }
        stage.add(stage.now.producer, &[0]).unwrap();
        if wanted == State::Ongoing {
            return stage;
        }
        let commits = matches!(wanted, State::PrepareCommit | State::CompleteCommit);
        stage.end(stage.now.producer, commits, version).unwrap();
        if wanted.prepared().is_none() {
            stage.complete();
        }
        assert_eq!(stage.now.state, wanted);
        stage
    }

    fn become_next(&mut self, next: Transaction) {
        let entry = formats::entry("id", Some(&next));
        assert_eq!(formats::read_key(&entry.key), Ok("id".to_owned()));
        let replayed = formats::read(&entry.value.unwrap()).unwrap();
        // What Kafka's format has no field for: a retry over a restart is not known as one.
        let told = Transaction {
            last_epoch: -1,
            ..next.clone()
        };
        assert_eq!(replayed, told);
        self.now = next;
    }

    fn tick(&mut self) -> i64 {
        self.at_ms += 1;
        self.at_ms
    }

    fn init(&mut self, expected: Option<Identity>) -> Result<Identity, ErrorCode> {
        let now_ms = self.tick();
        let init = |spare| self.now.init(TIMEOUT_MS, expected, spare, now_ms);
        let init = match init(None) {
            Err(Refused::NeedsProducerId) => init(Some(SPARE)),
            decided => decided,
        };
        match init {
            Ok(Init::Next(next)) => {
                self.become_next(next);
                Ok(self.now.producer)
            }
            Ok(Init::Aborting(next)) => {
                self.become_next(next);
                Err(ErrorCode::ConcurrentTransactions)
            }
            Err(Refused::Error(error)) => Err(error),
            Err(Refused::NeedsProducerId) => panic!("has one"),
        }
    }

    fn add(&mut self, who: Identity, partitions: &[i32]) -> Result<(), ErrorCode> {
        self.add_by(who, partitions, 0)
    }

    /// As a client of this version of transactions does it.
    fn add_by(&mut self, who: Identity, partitions: &[i32], version: i16) -> Result<(), ErrorCode> {
        let now_ms = self.tick();
        let places = partitions.iter().map(|index| (Arc::from("t"), *index));
        let places: Vec<_> = places.collect();
        if let Some(next) = self.now.add(who, &places, version, now_ms)? {
            self.become_next(next);
        }
        Ok(())
    }

    fn end(&mut self, who: Identity, commits: bool, version: i16) -> Result<Identity, ErrorCode> {
        let now_ms = self.tick();
        let end = |spare| self.now.end(who, commits, version, spare, now_ms);
        let end = match end(None) {
            Err(Refused::NeedsProducerId) => end(Some(SPARE)),
            decided => decided,
        };
        match end {
            Ok(End::Done(producer)) => Ok(producer),
            Ok(End::Prepared(next, producer)) => {
                self.become_next(next);
                Ok(producer)
            }
            Err(Refused::Error(error)) => Err(error),
            Err(Refused::NeedsProducerId) => panic!("has one"),
        }
    }

    fn complete(&mut self) {
        let now_ms = self.tick();
        let next = self.now.complete(now_ms).expect("it was prepared");
        self.become_next(next);
    }
}

fn epoch(epoch: i16) -> Identity {
    Identity { id: 5, epoch }
}
