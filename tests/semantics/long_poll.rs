//! Long poll: a fetch waits for its minimum of bytes, is woken by the append, and never waits
//! longer than asked. Replies of one connection keep the order of the requests.
use std::time::{Duration, Instant};

use anyhow::Result;
use harness::talk::batches;
use harness::{Batch, Broker, Options, Wire, ask, unique};
use kafka_protocol::messages::{FetchRequest, HeartbeatRequest, MetadataRequest};

/// Far longer than anything here takes: an answer by timeout would be seen as such.
const LONG_MS: i32 = 50_000;

/// Ten thousand parked fetches in all.
const READERS: usize = 100;
const FETCHES_EACH: usize = 100;

fn waiting(topic: &str, offset: i64, min_bytes: i32, max_wait_ms: i32) -> FetchRequest {
    ask::fetch(topic, offset)
        .with_min_bytes(min_bytes)
        .with_max_wait_ms(max_wait_ms)
}

fn started(name: &str) -> Result<(Broker, Wire, String)> {
    let broker = Broker::start(Options::default())?;
    let topic = unique(name);
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[])?;
    Ok((broker, wire, topic))
}

#[test]
fn an_append_wakes_every_parked_fetch() -> Result<()> {
    let (broker, mut wire, topic) = started("woken")?;
    let began = Instant::now();
    let mut parked = Vec::new();
    for _ in 0..READERS {
        let mut reader = broker.wire()?;
        for _ in 0..FETCHES_EACH {
            reader.send(12, &waiting(&topic, 0, 1, LONG_MS))?;
        }
        parked.push(reader);
    }
    assert_eq!(
        wire.produce(&topic, Batch::of(&["a"]).bytes())?.error_code,
        0
    );
    for mut reader in parked {
        for _ in 0..FETCHES_EACH {
            let (_, response) = reader.receive::<FetchRequest>(12)?;
            let partition = &response.responses[0].partitions[0];
            assert_eq!(batches(partition)?, [(0, 1)]);
        }
    }
    assert!(
        began.elapsed() < Duration::from_millis(LONG_MS as u64),
        "woken by the timeout only"
    );
    Ok(())
}

#[test]
fn without_an_append_the_fetch_is_answered_empty_after_the_wait() -> Result<()> {
    let (_broker, mut wire, topic) = started("empty")?;
    let began = Instant::now();
    let partition = wire.fetch(&waiting(&topic, 0, 1, 300))?;
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "answered too early"
    );
    let records = partition
        .records
        .expect("an empty record set is never null");
    assert!(records.is_empty());
    Ok(())
}

#[test]
fn too_few_bytes_are_answered_after_the_wait() -> Result<()> {
    let (_broker, mut wire, topic) = started("few")?;
    wire.produce(&topic, Batch::of(&["a"]).bytes())?;
    let began = Instant::now();
    let partition = wire.fetch(&waiting(&topic, 0, 100_000, 300))?;
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "answered too early"
    );
    assert_eq!(batches(&partition)?, [(0, 1)]);
    Ok(())
}

#[test]
fn bytes_add_up_over_appends() -> Result<()> {
    let (broker, mut wire, topic) = started("sum")?;
    let batch = Batch::of(&["a"]).bytes();
    let mut reader = broker.wire()?;
    reader.send(12, &waiting(&topic, 0, batch.len() as i32 * 3, LONG_MS))?;
    for _ in 0..3 {
        wire.produce(&topic, batch.clone())?;
    }
    let (_, response) = reader.receive::<FetchRequest>(12)?;
    assert_eq!(batches(&response.responses[0].partitions[0])?.len(), 3);
    Ok(())
}

#[test]
fn enough_bytes_or_an_error_are_answered_at_once() -> Result<()> {
    let (_broker, mut wire, topic) = started("once")?;
    wire.produce(&topic, Batch::of(&["a"]).bytes())?;
    let began = Instant::now();
    assert_eq!(
        batches(&wire.fetch(&waiting(&topic, 0, 1, LONG_MS))?)?,
        [(0, 1)]
    );
    let out_of_range = wire.fetch(&waiting(&topic, 99, 1, LONG_MS))?;
    assert_eq!(out_of_range.error_code, 1);
    assert!(began.elapsed() < Duration::from_millis(LONG_MS as u64));
    Ok(())
}

#[test]
fn a_deleted_topic_ends_the_wait() -> Result<()> {
    let (broker, _wire, topic) = started("gone")?;
    let began = Instant::now();
    let mut reader = broker.wire()?;
    reader.send(12, &waiting(&topic, 0, 1, LONG_MS))?;
    let admin = harness::rd::admin(broker.bootstrap())?;
    let options = harness::rd::admin_options();
    harness::rd::block_on(admin.delete_topics(&[&topic], &options))??;
    let (_, response) = reader.receive::<FetchRequest>(12)?;
    let code = response.responses[0].partitions[0].error_code;
    assert!(
        [3, 6].contains(&code),
        "unknown topic or not its leader any more: {code}"
    );
    assert!(began.elapsed() < Duration::from_millis(LONG_MS as u64));
    Ok(())
}

#[test]
fn replies_keep_the_order_of_the_requests() -> Result<()> {
    let (broker, mut wire, topic) = started("order")?;
    let mut pipelined = broker.wire()?;
    let fetch = pipelined.send(12, &waiting(&topic, 0, 1, LONG_MS))?;
    let heartbeat = HeartbeatRequest::default().with_group_id(ask::group("nobody"));
    let second = pipelined.send(4, &heartbeat)?;
    let third = pipelined.send(12, &MetadataRequest::default().with_topics(Some(vec![])))?;
    wire.produce(&topic, Batch::of(&["a"]).bytes())?;
    assert_eq!(pipelined.receive::<FetchRequest>(12)?.0, fetch);
    assert_eq!(pipelined.receive::<HeartbeatRequest>(4)?.0, second);
    assert_eq!(pipelined.receive::<MetadataRequest>(12)?.0, third);
    Ok(())
}
