//! Deletes: records before an offset, and whole topics, which can come back at once, empty.
use anyhow::{Context, Result};
use harness::{Batch, Broker, Options, PATIENCE, Program, Wire, ask, eventually, rd, unique};
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use rdkafka::consumer::Consumer;
use uuid::Uuid;

const OFFSET_OUT_OF_RANGE: i16 = 1;

/// Deletes before `offset`: the (error code, low watermark) of the answer.
fn delete_before(wire: &mut Wire, topic: &str, offset: i64) -> Result<(i16, i64)> {
    let partition = DeleteRecordsPartition::default().with_offset(offset);
    let topic = DeleteRecordsTopic::default()
        .with_name(ask::topic(topic))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let response = wire.call(2, &request)?;
    let answer = &response.topics[0].partitions[0];
    Ok((answer.error_code, answer.low_watermark))
}

#[test]
fn deleted_records_stay_deleted() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = unique("records");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    for _ in 0..4 {
        wire.produce(&topic, Batch::of(&["a", "b", "c", "d", "e"]).bytes())?;
    }
    assert_eq!(delete_before(&mut wire, &topic, 7)?, (0, 7));
    assert_eq!(
        delete_before(&mut wire, &topic, 3)?,
        (0, 7),
        "the start never goes back"
    );
    assert_eq!(delete_before(&mut wire, &topic, 21)?.0, OFFSET_OUT_OF_RANGE);
    for restarts in 0..2 {
        assert_eq!(
            wire.list_offset(&topic, -2)?.2,
            7,
            "earliest after {restarts} restarts"
        );
        let below = wire.fetch(&ask::fetch(&topic, 6))?;
        assert_eq!(below.error_code, OFFSET_OUT_OF_RANGE);
        let consumer = rd::consumer(broker.bootstrap(), "deletes", &[])?;
        assert_eq!(consumer.fetch_watermarks(&topic, 0, PATIENCE)?, (7, 20));
        assert_eq!(rd::read_all(broker.bootstrap(), &topic, 0, 7)?.len(), 13);
        match broker.program() {
            Program::Klamm => broker.kill9()?,
            // Apache Kafka keeps the new start only once a minute and at an orderly stop.
            Program::Kafka => drop(broker.terminate(PATIENCE)?),
        }
        broker.restart()?;
        wire = broker.wire()?;
    }
    assert_eq!(
        delete_before(&mut wire, &topic, -1)?,
        (0, 20),
        "-1 is the high watermark"
    );
    assert_eq!(
        wire.produce(&topic, Batch::of(&["x"]).bytes())?.base_offset,
        20
    );
    Ok(())
}

fn topic_id(wire: &mut Wire, topic: &str) -> Result<Option<Uuid>> {
    let response = wire.call(12, &ask::metadata(topic))?;
    let found = response
        .topics
        .into_iter()
        .next()
        .context("no topic answered")?;
    Ok((found.error_code == 0).then_some(found.topic_id))
}

#[test]
fn a_topic_deleted_and_made_again_is_another_topic() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = unique("again");
    let mut wire = broker.wire()?;
    let admin = rd::admin(broker.bootstrap())?;
    let mut ids = Vec::new();
    for round in 0..3 {
        wire.create_topic(&topic, 2, &[])?;
        ids.push(topic_id(&mut wire, &topic)?.context("just made")?);
        let answer = wire.produce(&topic, Batch::of(&["a", "b"]).bytes())?;
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (0, 0),
            "round {round}"
        );
        let deleted = rd::block_on(admin.delete_topics(&[&topic], &rd::admin_options()))??;
        assert!(deleted[0].is_ok(), "{deleted:?}");
        eventually("the topic to go", || {
            topic_id(&mut wire, &topic).ok()?.is_none().then_some(())
        })?;
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "an id was used twice");
    wire.create_topic(&topic, 1, &[])?;
    let id = topic_id(&mut wire, &topic)?;
    broker.kill9()?;
    broker.restart()?;
    let mut wire = broker.wire()?;
    let after = eventually("the topic after the restart", || {
        topic_id(&mut wire, &topic).ok()?
    })?;
    assert_eq!(Some(after), id);
    assert_eq!(eventually_latest(&mut wire, &topic)?, 0);
    Ok(())
}

/// The latest offset, once the partition has its leader after a restart.
fn eventually_latest(wire: &mut Wire, topic: &str) -> Result<i64> {
    eventually("the leader", || {
        let (error, _, offset) = wire.list_offset(topic, -1).ok()?;
        (error == 0).then_some(offset)
    })
}
