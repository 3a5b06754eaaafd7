//! Requests of one connection overlap; their replies come in the order of the requests.
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::{BufMut, BytesMut};
use harness::{Batch, Broker, Options, ask, unique, wire};
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, HeartbeatRequest, ProduceRequest,
};

#[test]
fn replies_overtake_no_parked_fetch() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    let topic = unique("order");
    wire.create_topic(&topic, 1, &[])?;
    let produce = ask::produce(&topic, Batch::of(&["one"]).bytes());
    // Waits for more than there is until its time is up.
    let parked = ask::fetch(&topic, 0)
        .with_min_bytes(1 << 20)
        .with_max_wait_ms(700);
    let heartbeat = HeartbeatRequest::default().with_group_id(ask::group("no such group"));

    let started = Instant::now();
    let ids = [
        wire.send(9, &produce)?,
        wire.send(12, &parked)?,
        wire.send(4, &heartbeat)?,
        wire.send(9, &produce)?,
        wire.send(0, &ApiVersionsRequest::default())?,
    ];
    let mut answered = vec![wire.receive::<ProduceRequest>(9)?.0];
    let (id, fetched) = wire.receive::<FetchRequest>(12)?;
    answered.push(id);
    ensure!(
        started.elapsed() >= Duration::from_millis(700),
        "the fetch did not wait: {:?}",
        started.elapsed()
    );
    answered.push(wire.receive::<HeartbeatRequest>(4)?.0);
    let (id, second) = wire.receive::<ProduceRequest>(9)?;
    answered.push(id);
    answered.push(wire.receive::<ApiVersionsRequest>(0)?.0);
    ensure!(answered == ids, "{answered:?} for {ids:?}");
    // The second produce was not held up by the fetch: the fetch saw its record.
    let base_offset = second.responses[0].partition_responses[0].base_offset;
    ensure!(base_offset == 1, "{second:?}");
    let high_watermark = fetched.responses[0].partitions[0].high_watermark;
    ensure!(high_watermark == 2, "{fetched:?}");
    Ok(())
}

/// Requests of one write, each behind its size.
fn framed(frames: impl IntoIterator<Item = bytes::Bytes>) -> Result<BytesMut> {
    let mut all = BytesMut::new();
    for frame in frames {
        all.put_i32(i32::try_from(frame.len())?);
        all.put_slice(&frame);
    }
    Ok(all)
}

#[test]
fn more_requests_than_may_run_are_all_answered() -> Result<()> {
    let broker = Broker::start(Options::default().set("max.requests.in.flight", "4"))?;
    let mut wire = broker.wire()?;
    let topic = unique("many");
    wire.create_topic(&topic, 1, &[])?;
    let parked = ask::fetch(&topic, 0).with_max_wait_ms(50);
    let mut frames = Vec::new();
    for id in 0..60 {
        frames.push(match id % 10 {
            0 => wire::encode(12, id, &parked)?,
            _ => wire::encode(0, id, &ApiVersionsRequest::default())?,
        });
    }
    wire.send_raw(&framed(frames)?)?;
    for id in 0..60 {
        let answered = match id % 10 {
            0 => wire.receive::<FetchRequest>(12)?.0,
            _ => wire.receive::<ApiVersionsRequest>(0)?.0,
        };
        assert_eq!(answered, id);
    }
    Ok(())
}

#[test]
fn a_request_waits_for_the_budget_that_the_one_before_it_holds() -> Result<()> {
    let limit = (1 << 20).to_string();
    let options = Options::default()
        .set("queued.max.request.bytes", &limit)
        .set("socket.request.max.bytes", &limit);
    let broker = Broker::start(options)?;
    let mut wire = broker.wire()?;
    let topic = unique("budget");
    wire.create_topic(&topic, 1, &[])?;
    let large = "x".repeat(700_000);
    let produce = ask::produce(&topic, Batch::of(&[&large]).bytes());
    let frames = (0..10).map(|id| wire::encode(9, id, &produce));
    wire.send_raw(&framed(frames.collect::<Result<Vec<_>>>()?)?)?;
    for id in 0..10 {
        let (answered, response) = wire.receive::<ProduceRequest>(9)?;
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answered, answer.base_offset), (id, i64::from(id)));
    }
    Ok(())
}
