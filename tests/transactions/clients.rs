//! The producers of a history, whatever library they are: what they are asked, and what comes of it.
use anyhow::{Context, Result};
use harness::PATIENCE;
use harness::rd::{self, TestProducer};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};

use crate::inputs::Inputs;
use crate::raw::Raw;
use crate::remote::Remote;
use crate::run::Place;

/// Which library a producer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// librdkafka, which speaks version 1 of transactions.
    Librdkafka,
    /// Apache Kafka's own client, which speaks version 2 (KIP-890).
    Java,
    /// franz-go, which speaks version 2 too. It commits offsets only as a member of a group, so it
    /// has no inputs here.
    Franz,
    /// See [`crate::raw`].
    Raw,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// It may be asked again.
    Again(String),
    /// The transaction has to be aborted.
    MustAbort(String),
    /// The producer is of no more use.
    Over(String),
    /// Its process was killed.
    Gone,
}

/// A transactional producer.
pub(crate) trait Client: Send {
    fn init(&self) -> Answer;
    fn begin(&self) -> Answer;
    fn send(&self, partition: i32, value: &str) -> Answer;
    /// Adds to the transaction how far its group has come: partitions and next offsets.
    fn offsets(&self, inputs: &Inputs, next: &[(i32, i64)]) -> Answer;
    fn flush(&self) -> Answer;
    fn commit(&self) -> Answer;
    fn abort(&self) -> Answer;
}

/// Under which name a producer writes.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) id: String,
    pub(crate) timeout_ms: u64,
}

/// The programs in which the producers of foreign libraries live.
pub(crate) struct Programs {
    pub(crate) java: Remote,
    pub(crate) franz: Remote,
}

impl Programs {
    /// A new producer of this kind.
    pub(crate) fn client(&self, kind: Kind, place: &Place, name: &Name) -> Result<Box<dyn Client>> {
        match kind {
            Kind::Librdkafka => Ok(Box::new(Librdkafka::new(place, name)?)),
            Kind::Java => Ok(Box::new(self.java.session(place, name)?)),
            Kind::Franz => Ok(Box::new(self.franz.session(place, name)?)),
            Kind::Raw => Ok(Box::new(Raw::new(place, name))),
        }
    }
}

struct Librdkafka {
    producer: TestProducer,
    topic: String,
}

impl Librdkafka {
    fn new(place: &Place, name: &Name) -> Result<Self> {
        let timeout_ms = name.timeout_ms.to_string();
        let settings = [
            ("transactional.id", name.id.as_str()),
            ("transaction.timeout.ms", &timeout_ms),
            ("linger.ms", "0"),
        ];
        Ok(Self {
            producer: rd::producer(&place.bootstrap, &settings)?,
            topic: place.topic.clone(),
        })
    }

    fn try_offsets(&self, inputs: &Inputs, next: &[(i32, i64)]) -> Result<KafkaResult<()>> {
        let mut list = TopicPartitionList::new();
        for &(partition, offset) in next {
            list.add_partition_offset(inputs.name(), partition, Offset::Offset(offset))?;
        }
        let group = inputs.consumer().group_metadata();
        let group = group.context("a consumer without a group")?;
        let sent = self
            .producer
            .send_offsets_to_transaction(&list, &group, PATIENCE);
        Ok(sent)
    }
}

impl Client for Librdkafka {
    fn init(&self) -> Answer {
        answer(self.producer.init_transactions(PATIENCE))
    }

    fn begin(&self) -> Answer {
        answer(self.producer.begin_transaction())
    }

    fn send(&self, partition: i32, value: &str) -> Answer {
        match rd::send(&self.producer, &self.topic, partition, "", value) {
            Ok(()) => Answer::Done,
            Err(error) => Answer::MustAbort(error.to_string()),
        }
    }

    fn offsets(&self, inputs: &Inputs, next: &[(i32, i64)]) -> Answer {
        match self.try_offsets(inputs, next) {
            Ok(sent) => answer(sent),
            Err(error) => Answer::Over(error.to_string()),
        }
    }

    fn flush(&self) -> Answer {
        answer(self.producer.flush(PATIENCE))
    }

    fn commit(&self) -> Answer {
        answer(self.producer.commit_transaction(PATIENCE))
    }

    fn abort(&self) -> Answer {
        answer(self.producer.abort_transaction(PATIENCE))
    }
}

fn answer(result: KafkaResult<()>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(KafkaError::Transaction(error)) => {
            let code = format!("{:?}", error.code());
            if error.is_retriable() {
                Answer::Again(code)
            } else if error.txn_requires_abort() {
                Answer::MustAbort(code)
            } else {
                Answer::Over(code)
            }
        }
        Err(other) => Answer::Over(format!("{:?}", other.rdkafka_error_code())),
    }
}
