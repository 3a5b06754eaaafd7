//! Markers that a client writes itself, as tools do to end a transaction that nobody else will: in
//! topics that it may write, and in no others.
use anyhow::{Context, Result};
use harness::{Batch, Broker, Options, Wire, ask};
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, TransactionalId, WriteTxnMarkersRequest,
};

use crate::stepper::{Stepper, look, topic};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC_EXCEPTION: i16 = 17;
const OFFSETS: &str = "__consumer_offsets";
const STATE: &str = "__transaction_state";

/// Writes a marker that aborts; gives the error code.
fn mark(wire: &mut Wire, producer: (i64, i16), topic: &str) -> Result<i16> {
    let topics = WritableTxnMarkerTopic::default()
        .with_name(ask::topic(topic))
        .with_partition_indexes(vec![0]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(producer.0.into())
        .with_producer_epoch(producer.1)
        .with_topics(vec![topics]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
    let answer = wire.call(1, &request)?;
    let marker = answer.markers.first().context("no marker")?;
    let topic = marker.topics.first().context("no topic")?;
    Ok(topic.partitions.first().context("none")?.error_code)
}

/// AddPartitionsToTxn as brokers ask for it (KIP-890); gives the error code.
fn add(wire: &mut Wire, id: &str, producer: (i64, i16), topic: &str) -> Result<i16> {
    let topics = AddPartitionsToTxnTopic::default()
        .with_name(ask::topic(topic))
        .with_partitions(vec![0]);
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(TransactionalId(ask::text(id)))
        .with_producer_id(producer.0.into())
        .with_producer_epoch(producer.1)
        .with_topics(vec![topics]);
    let request = AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]);
    let answer = wire.call(5, &request)?.results_by_transaction;
    let transaction = answer.first().context("no transaction")?;
    let topic = transaction.topic_results.first().context("no topic")?;
    let partition = topic.results_by_partition.first().context("none")?;
    Ok(partition.partition_error_code)
}

fn end_offset(wire: &mut Wire, topic: &str) -> Result<i64> {
    Ok(wire.list_offset(topic, -1)?.2)
}

#[test]
fn clients_write_markers_where_they_may_write() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = topic(&broker)?;
    let mut stepper = Stepper::new(&broker, &topic)?;
    assert_eq!(stepper.produce(12, &topic, "one")?, 0);
    assert_eq!(stepper.commit_offset(5, &topic, &topic, 1)?, 0);
    let producer = stepper.producer;
    let mut wire = broker.wire()?;
    assert_eq!(mark(&mut wire, producer, &topic)?, 0);
    assert_eq!(look(&broker, &topic)?, (2, 2, vec![0]));
    let offsets = end_offset(&mut wire, OFFSETS)?;
    assert_eq!(mark(&mut wire, producer, OFFSETS)?, 0);
    assert_eq!(end_offset(&mut wire, OFFSETS)?, offsets + 1);

    let written = end_offset(&mut wire, STATE)?;
    assert_eq!(mark(&mut wire, producer, STATE)?, INVALID_TOPIC_EXCEPTION);
    let batch = Batch::of(&["one"]).bytes();
    assert_eq!(
        wire.produce(STATE, batch)?.error_code,
        INVALID_TOPIC_EXCEPTION
    );
    assert_eq!(end_offset(&mut wire, STATE)?, written);
    assert_eq!(
        mark(&mut wire, producer, "none")?,
        UNKNOWN_TOPIC_OR_PARTITION
    );
    Ok(())
}

#[test]
fn a_topic_of_the_broker_does_not_join_a_transaction() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = topic(&broker)?;
    let mut stepper = Stepper::new(&broker, &topic)?;
    let producer = stepper.producer;
    let mut wire = broker.wire()?;
    let state = add(&mut wire, &topic, producer, STATE)?;
    assert_eq!(state, INVALID_TOPIC_EXCEPTION);
    assert_eq!(stepper.state()?, "Empty");
    assert_eq!(stepper.add_offsets(&topic)?, 0);
    assert_eq!(add(&mut wire, &topic, producer, OFFSETS)?, 0);
    assert_eq!(add(&mut wire, &topic, producer, &topic)?, 0);
    assert_eq!(stepper.end(3, true)?.0, 0);
    assert_eq!(look(&broker, &topic)?, (1, 1, vec![]));
    Ok(())
}
