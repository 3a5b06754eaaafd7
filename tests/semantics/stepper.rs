//! A transactional producer that does each step when it is told, on the wire, and what there is to be
//! seen of its transactions.
use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use harness::{Batch, Broker, Wire, ask, eventually, unique};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    InitProducerIdRequest, OffsetFetchRequest, TransactionalId, TxnOffsetCommitRequest,
};

const TRANSACTIONAL: i16 = 1 << 4;

/// A producer that does each step when it is told.
#[derive(Debug)]
pub(crate) struct Stepper {
    pub(crate) wire: Wire,
    id: TransactionalId,
    pub(crate) producer: (i64, i16),
    /// The next sequence by topic.
    pub(crate) sequences: BTreeMap<String, i32>,
}

impl Stepper {
    pub(crate) fn new(broker: &Broker, id: &str) -> Result<Self> {
        let mut stepper = Self {
            wire: broker.wire()?,
            id: TransactionalId(ask::text(id)),
            producer: (-1, -1),
            sequences: BTreeMap::new(),
        };
        stepper.init(60_000)?;
        Ok(stepper)
    }

    /// InitProducerId until it is answered with an epoch.
    pub(crate) fn init(&mut self, timeout_ms: i32) -> Result<()> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.id.clone()))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        self.producer = eventually("a producer id", || {
            let answer = self.wire.call(4, &request).ok()?;
            (answer.error_code == 0).then_some((answer.producer_id.0, answer.producer_epoch))
        })?;
        self.sequences.clear();
        Ok(())
    }

    pub(crate) fn add(&mut self, topic: &str) -> Result<i16> {
        let topics = AddPartitionsToTxnTopic::default()
            .with_name(ask::topic(topic))
            .with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.id.clone())
            .with_v3_and_below_producer_id(self.producer.0.into())
            .with_v3_and_below_producer_epoch(self.producer.1)
            .with_v3_and_below_topics(vec![topics]);
        let answer = self.wire.call(3, &request)?;
        let topics = answer.results_by_topic_v3_and_below;
        let topic = topics.first().context("no topic")?;
        let partition = topic.results_by_partition.first().context("none")?;
        Ok(partition.partition_error_code)
    }

    /// Produces one record; gives the error code.
    pub(crate) fn produce(&mut self, version: i16, topic: &str, value: &str) -> Result<i16> {
        let (id, epoch) = self.producer;
        let sequence = self.sequences.entry(topic.to_owned()).or_default();
        let mut batch = Batch::of(&[value]).producer(id, epoch, *sequence);
        batch.attributes = TRANSACTIONAL;
        let request =
            ask::produce(topic, batch.bytes()).with_transactional_id(Some(self.id.clone()));
        let answer = self.wire.call(version, &request)?;
        let code = answer.responses[0].partition_responses[0].error_code;
        *sequence += i32::from(code == 0);
        Ok(code)
    }

    pub(crate) fn end_request(&self, commits: bool) -> EndTxnRequest {
        EndTxnRequest::default()
            .with_transactional_id(self.id.clone())
            .with_producer_id(self.producer.0.into())
            .with_producer_epoch(self.producer.1)
            .with_committed(commits)
    }

    pub(crate) fn end(&mut self, version: i16, commits: bool) -> Result<(i16, (i64, i16))> {
        let request = self.end_request(commits);
        let answer = self.wire.call(version, &request)?;
        let producer = (answer.producer_id.0, answer.producer_epoch);
        Ok((answer.error_code, producer))
    }

    pub(crate) fn commit_offset(
        &mut self,
        version: i16,
        group: &str,
        topic: &str,
        offset: i64,
    ) -> Result<i16> {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(ask::text("")));
        let topics = TxnOffsetCommitRequestTopic::default()
            .with_name(ask::topic(topic))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.id.clone())
            .with_group_id(ask::group(group))
            .with_producer_id(self.producer.0.into())
            .with_producer_epoch(self.producer.1)
            .with_generation_id(-1)
            .with_topics(vec![topics]);
        let answer = self.wire.call(version, &request)?;
        Ok(answer.topics[0].partitions[0].error_code)
    }

    pub(crate) fn add_offsets(&mut self, group: &str) -> Result<i16> {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.id.clone())
            .with_producer_id(self.producer.0.into())
            .with_producer_epoch(self.producer.1)
            .with_group_id(ask::group(group));
        Ok(self.wire.call(3, &request)?.error_code)
    }

    pub(crate) fn state(&mut self) -> Result<String> {
        let request =
            DescribeTransactionsRequest::default().with_transactional_ids(vec![self.id.clone()]);
        let answer = self.wire.call(0, &request)?;
        Ok(answer.transaction_states[0].transaction_state.to_string())
    }
}

/// A new topic of one partition.
pub(crate) fn topic(broker: &Broker) -> Result<String> {
    let topic = unique("steps");
    broker.wire()?.create_topic(&topic, 1, &[])?;
    Ok(topic)
}

/// High watermark, last stable offset, and the aborted transactions' first offsets.
pub(crate) fn look(broker: &Broker, topic: &str) -> Result<(i64, i64, Vec<i64>)> {
    let request = ask::fetch(topic, 0).with_isolation_level(1);
    let answer = broker.wire()?.fetch(&request)?;
    ensure!(answer.error_code == 0, "{answer:?}");
    let aborted = answer.aborted_transactions.context("null")?;
    let aborted = aborted.iter().map(|it| it.first_offset).collect();
    Ok((answer.high_watermark, answer.last_stable_offset, aborted))
}

/// Error code and offset, if nothing is in doubt.
pub(crate) fn committed_offset(wire: &mut Wire, group: &str, topic: &str) -> Result<(i16, i64)> {
    let topics = OffsetFetchRequestTopics::default()
        .with_name(ask::topic(topic))
        .with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(ask::group(group))
        .with_topics(Some(vec![topics]));
    let request = OffsetFetchRequest::default()
        .with_groups(vec![group])
        .with_require_stable(true);
    let answer = wire.call(8, &request)?;
    let found = &answer.groups[0].topics[0].partitions[0];
    Ok((found.error_code, found.committed_offset))
}
