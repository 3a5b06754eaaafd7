//! When records are on disk for good: what coordinators write before they answer, whatever `flush`
//! says; what clients write as `flush`, `flush.messages` and `flush.ms` say.
use anyhow::{Result, ensure};
use bytes::Bytes;
use harness::talk::settled;
use harness::{Batch, Broker, Options, Program, Wire, ask, eventually, unique};
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

const OFFSETS_TOPIC: &str = "__consumer_offsets";

fn start(options: Options) -> Result<Broker> {
    let options = options.set("offsets.topic.num.partitions", "1");
    Broker::launch(Program::Klamm, options)
}

/// End and flushed offset of partition 0.
fn ends(broker: &Broker, topic: &str) -> Result<(i64, i64)> {
    let labels = [("topic", topic), ("partition", "0")];
    let flushed = broker.metric("klamm_log_flushed_offset", &labels)?;
    Ok((
        broker.metric("klamm_log_end_offset", &labels)? as i64,
        flushed as i64,
    ))
}

fn commit(group: &str, topic: &str, offset: i64) -> OffsetCommitRequest {
    let offset = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let offsets = OffsetCommitRequestTopic::default()
        .with_name(ask::topic(topic))
        .with_partitions(vec![offset]);
    OffsetCommitRequest::default()
        .with_group_id(ask::group(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![offsets])
}

fn commit_settled(wire: &mut Wire, request: &OffsetCommitRequest) -> Result<()> {
    settled(|| {
        let answer = wire.call(8, request)?;
        Ok((answer.topics[0].partitions[0].error_code, ()))
    })
}

#[test]
fn commits_are_on_disk_also_without_flushes_for_clients() -> Result<()> {
    let broker = start(Options::default().set("flush", "os"))?;
    let mut wire = broker.wire()?;
    let topic = unique("durable");
    wire.create_topic(&topic, 1, &[])?;
    for round in 1..20 {
        commit_settled(&mut wire, &commit("group", &topic, round))?;
        let (end, flushed) = ends(&broker, OFFSETS_TOPIC)?;
        ensure!(end >= round && flushed == end, "{flushed} of {end}");
    }
    Ok(())
}

#[test]
fn commits_that_come_together_share_their_flushes() -> Result<()> {
    const COMMITS: i64 = 300;
    let broker = start(Options::default())?;
    let mut wire = broker.wire()?;
    let topic = unique("shared");
    wire.create_topic(&topic, 1, &[])?;
    commit_settled(&mut wire, &commit("group", &topic, 0))?;
    let flushes = || broker.metric("klamm_flush_duration_seconds_count", &[]);
    let before = flushes()?;
    for offset in 1..=COMMITS {
        wire.send(8, &commit("group", &topic, offset))?;
    }
    for _ in 0..COMMITS {
        let (_, answer) = wire.receive::<OffsetCommitRequest>(8)?;
        ensure!(answer.topics[0].partitions[0].error_code == 0, "{answer:?}");
    }
    let took = flushes()? - before;
    ensure!(
        took >= 1.0 && took < COMMITS as f64,
        "{took} flushes for {COMMITS} commits"
    );
    Ok(())
}

fn produce(wire: &mut Wire, topic: &str, acks: i16, batch: Bytes) -> Result<()> {
    let answer = wire.call(9, &ask::produce(topic, batch).with_acks(acks))?;
    let answer = &answer.responses[0].partition_responses[0];
    ensure!(answer.error_code == 0, "{answer:?}");
    Ok(())
}

#[test]
fn acks_all_is_on_disk_and_acks_one_need_not_be() -> Result<()> {
    let broker = start(Options::default())?;
    let mut wire = broker.wire()?;
    let topic = unique("commit");
    wire.create_topic(&topic, 1, &[])?;
    produce(&mut wire, &topic, 1, Batch::of(&["a"]).bytes())?;
    ensure!(ends(&broker, &topic)? == (1, 0));
    produce(&mut wire, &topic, -1, Batch::of(&["b"]).bytes())?;
    ensure!(ends(&broker, &topic)? == (2, 2));

    let broker = start(Options::default().set("flush", "os"))?;
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    produce(&mut wire, &topic, -1, Batch::of(&["a"]).bytes())?;
    ensure!(ends(&broker, &topic)? == (1, 0));
    Ok(())
}

/// Six records, one by one: after each third one all are on disk when it is answered.
fn flushes_each_third(broker: &Broker, configs: &[(&str, &str)]) -> Result<()> {
    let mut wire = broker.wire()?;
    for acks in [1, -1] {
        let topic = unique("third");
        wire.create_topic(&topic, 1, configs)?;
        for count in 1..=6 {
            produce(&mut wire, &topic, acks, Batch::of(&["a"]).bytes())?;
            let due = count / 3 * 3;
            let found = ends(broker, &topic)?;
            ensure!(
                found == (count, due),
                "acks {acks}: {found:?} after {count}"
            );
        }
    }
    Ok(())
}

#[test]
fn flush_messages_of_a_topic_forces_flushes() -> Result<()> {
    let broker = start(Options::default().set("flush", "os"))?;
    flushes_each_third(&broker, &[("flush.messages", "3")])
}

#[test]
fn flush_messages_of_the_broker_holds_for_topics_without_their_own() -> Result<()> {
    let options = Options::default().set("flush", "os");
    let broker = start(options.set("log.flush.interval.messages", "3"))?;
    flushes_each_third(&broker, &[])?;
    let mut wire = broker.wire()?;
    let topic = unique("own");
    wire.create_topic(&topic, 1, &[("flush.messages", "1")])?;
    let idempotent = Batch::of(&["a"]).producer(4_000, 0, 0).bytes();
    for again in [false, true] {
        produce(&mut wire, &topic, -1, idempotent.clone())?;
        ensure!(ends(&broker, &topic)? == (1, 1), "sent again: {again}");
    }
    Ok(())
}

#[test]
fn flush_ms_flushes_in_time() -> Result<()> {
    let options = Options::default().set("flush", "os");
    let by_topic = start(options.clone())?;
    let by_broker = start(options.set("log.flush.interval.ms", "1"))?;
    let topic = unique("timed");
    let own: &[(&str, &str)] = &[("flush.ms", "1")];
    for (broker, configs) in [(by_topic, own), (by_broker, &[])] {
        let mut wire = broker.wire()?;
        wire.create_topic(&topic, 1, configs)?;
        for count in 1..3 {
            produce(&mut wire, &topic, 1, Batch::of(&["a"]).bytes())?;
            eventually("the flush", || {
                (ends(&broker, &topic).ok()? == (count, count)).then_some(())
            })?;
        }
    }
    Ok(())
}
