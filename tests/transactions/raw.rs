//! A producer of transaction version 2 (KIP-890) that the protocol's messages alone make up. It does
//! what no library can be told to do: it asks again where it got no answer, and sends what it sent
//! in the transaction before once more, as a network may that holds requests back.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use harness::{Batch, PATIENCE, Random, Wire, ask};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    EndTxnRequest, InitProducerIdRequest, ProducerId, TransactionalId, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::Request;

use crate::clients::{Answer, Client, Name};
use crate::inputs::Inputs;
use crate::run::Place;

/// The first versions of transaction version 2.
const PRODUCE: i16 = 12;
const END_TXN: i16 = 5;
const TXN_OFFSET_COMMIT: i16 = 5;
const INIT_PRODUCER_ID: i16 = 5;

/// Attribute bit of a batch in a transaction.
const TRANSACTIONAL: i16 = 1 << 4;

/// Topic, leader or coordinator not known yet, not available, or loading; the transaction before is
/// still being ended.
const TRANSIENT: &[i16] = &[3, 5, 6, 14, 15, 16, 51];
/// What a producer is told that was shut out: an old epoch, fenced, or nothing to end.
const SHUT_OUT: &[i16] = &[47, 48, 49, 90];

/// See the module.
pub(crate) struct Raw {
    place: Place,
    name: Name,
    state: Mutex<State>,
}

struct State {
    wire: Option<Wire>,
    producer: (i64, i16),
    /// The next sequence of each partition.
    sequences: HashMap<i32, i32>,
    /// What was sent in the last transaction.
    late: Vec<Late>,
    /// What was sent in this one.
    sent: Vec<Late>,
    chance: Random,
}

/// A request that may come a second time, later.
enum Late {
    Produce(i32, Bytes),
    End(EndTxnRequest),
}

impl Raw {
    pub(crate) fn new(place: &Place, name: &Name) -> Self {
        let seed = name.id.bytes().map(u64::from);
        let seed = seed.fold(7_u64, |seed, byte| seed.wrapping_mul(31) + byte);
        Self {
            place: place.clone(),
            name: name.clone(),
            state: Mutex::new(State {
                wire: None,
                producer: (-1, -1),
                sequences: HashMap::new(),
                late: Vec::new(),
                sent: Vec::new(),
                chance: Random::new(seed),
            }),
        }
    }

    /// Takes a step: an error of the connection says that the broker is away.
    fn step(&self, step: impl Fn(&mut State) -> Result<i16>) -> Answer {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match step(&mut state) {
                Ok(0) => return Answer::Done,
                Ok(code) if SHUT_OUT.contains(&code) => return Answer::Over(code.to_string()),
                Ok(code) if !TRANSIENT.contains(&code) => {
                    return Answer::MustAbort(code.to_string());
                }
                other if Instant::now() > deadline => return Answer::Again(format!("{other:?}")),
                Ok(_) => {}
                Err(_) => state.wire = None,
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn id(&self) -> TransactionalId {
        TransactionalId(ask::text(&self.name.id))
    }

    fn end(&self, commits: bool) -> Answer {
        self.step(|state| {
            let request = EndTxnRequest::default()
                .with_transactional_id(self.id())
                .with_producer_id(ProducerId(state.producer.0))
                .with_producer_epoch(state.producer.1)
                .with_committed(commits);
            let response = self.call(state, END_TXN, &request)?;
            if response.error_code == 0 {
                state.producer = (response.producer_id.0, response.producer_epoch);
                state.sequences.clear();
                state.late = std::mem::take(&mut state.sent);
                state.late.push(Late::End(request));
            }
            Ok(response.error_code)
        })
    }

    fn call<R: Request>(
        &self,
        state: &mut State,
        version: i16,
        request: &R,
    ) -> Result<R::Response> {
        if state.wire.is_none() {
            state.wire = Some(Wire::connect(&self.place.bootstrap)?);
        }
        let Some(wire) = &mut state.wire else {
            unreachable!("it was connected just now")
        };
        wire.call(version, request)
    }

    fn produce(&self, state: &mut State, partition: i32, batch: &Bytes) -> Result<i16> {
        let mut request =
            ask::produce(&self.place.topic, batch.clone()).with_transactional_id(Some(self.id()));
        request.topic_data[0].partition_data[0].index = partition;
        let response = self.call(state, PRODUCE, &request)?;
        Ok(response.responses[0].partition_responses[0].error_code)
    }

    /// Whatever the answer, it must have no effect.
    fn repeat_late(&self, state: &mut State) -> Result<()> {
        if state.late.is_empty() || state.chance.below(4) != 0 {
            return Ok(());
        }
        let nth = state.chance.below(state.late.len() as u64) as usize;
        match state.late.swap_remove(nth) {
            Late::Produce(partition, batch) => {
                self.produce(state, partition, &batch)?;
            }
            Late::End(request) => {
                self.call(state, END_TXN, &request)?;
            }
        }
        Ok(())
    }
}

impl Client for Raw {
    fn init(&self) -> Answer {
        self.step(|state| {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(Some(self.id()))
                .with_transaction_timeout_ms(self.name.timeout_ms as i32)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1);
            let response = self.call(state, INIT_PRODUCER_ID, &request)?;
            state.producer = (response.producer_id.0, response.producer_epoch);
            Ok(response.error_code)
        })
    }

    fn begin(&self) -> Answer {
        Answer::Done
    }

    fn send(&self, partition: i32, value: &str) -> Answer {
        let mut batch = Bytes::new();
        {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let sequence = state.sequences.get(&partition).copied().unwrap_or(0);
            let (id, epoch) = state.producer;
            let mut unsent = Batch::of(&[value]).producer(id, epoch, sequence);
            unsent.attributes = TRANSACTIONAL;
            batch.clone_from(&unsent.bytes());
        }
        self.step(|state| {
            let mut code = self.produce(state, partition, &batch)?;
            if code == 0 && state.chance.below(4) == 0 {
                // As if the answer had not come.
                code = self.produce(state, partition, &batch)?;
            }
            if code == 0 {
                *state.sequences.entry(partition).or_default() += 1;
                state.sent.push(Late::Produce(partition, batch.clone()));
                // Nothing can be said for it if the connection breaks.
                if self.repeat_late(state).is_err() {
                    state.wire = None;
                }
            }
            Ok(code)
        })
    }

    fn offsets(&self, inputs: &Inputs, next: &[(i32, i64)]) -> Answer {
        let partitions = next.iter().map(|&(partition, offset)| {
            TxnOffsetCommitRequestPartition::default()
                .with_partition_index(partition)
                .with_committed_offset(offset)
        });
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(ask::topic(inputs.name()))
            .with_partitions(partitions.collect());
        self.step(|state| {
            let request = TxnOffsetCommitRequest::default()
                .with_transactional_id(self.id())
                .with_group_id(ask::group(&inputs.group()))
                .with_producer_id(ProducerId(state.producer.0))
                .with_producer_epoch(state.producer.1)
                .with_generation_id(-1)
                .with_topics(vec![topic.clone()]);
            let response = self.call(state, TXN_OFFSET_COMMIT, &request)?;
            let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
            let codes = answers.map(|answer| answer.error_code);
            Ok(codes.max().unwrap_or(-1))
        })
    }

    fn flush(&self) -> Answer {
        Answer::Done
    }

    fn commit(&self) -> Answer {
        self.end(true)
    }

    fn abort(&self) -> Answer {
        self.end(false)
    }
}
