//! Requests of one connection overlap; their replies come in the order of the requests.
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::{BufMut, BytesMut};
use harness::{Batch, Broker, Options, Wire, ask, unique, wire};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    FetchRequest, HeartbeatRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest,
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

/// Error and base offset of the next answer, which is to a Produce.
fn produced(wire: &mut Wire) -> Result<(i16, i64)> {
    let (_, response) = wire.receive::<ProduceRequest>(9)?;
    let answer = &response.responses[0].partition_responses[0];
    Ok((answer.error_code, answer.base_offset))
}

/// The offset of the next answer, which is to a ListOffsets.
fn listed(wire: &mut Wire) -> Result<i64> {
    let (_, response) = wire.receive::<ListOffsetsRequest>(6)?;
    Ok(response.topics[0].partitions[0].offset)
}

#[test]
fn what_needs_its_time_is_not_overtaken() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    let (latest, earliest) = (-1, -2);
    for round in 0..20 {
        let topic = unique("turn");
        let create = ask::create_topics(vec![ask::new_topic(&topic, 1, &[])]);
        let auto_create = ask::metadata(&topic).with_allow_auto_topic_creation(true);
        let produce = ask::produce(&topic, Batch::of(&["one"]).bytes());
        let all = DeleteRecordsPartition::default().with_offset(-1);
        let all = DeleteRecordsTopic::default()
            .with_name(ask::topic(&topic))
            .with_partitions(vec![all]);
        let delete_records = DeleteRecordsRequest::default().with_topics(vec![all]);
        let delete = DeleteTopicsRequest::default()
            .with_topic_names(vec![ask::topic(&topic)])
            .with_timeout_ms(30_000);
        wire.send_raw(&framed([
            if round % 2 == 0 {
                wire::encode(5, 0, &create)?
            } else {
                wire::encode(9, 0, &auto_create)?
            },
            wire::encode(9, 1, &produce)?,
            wire::encode(6, 2, &ask::list_offsets(&topic, latest))?,
            wire::encode(9, 3, &produce)?,
            wire::encode(2, 4, &delete_records)?,
            wire::encode(9, 5, &produce)?,
            wire::encode(6, 6, &ask::list_offsets(&topic, earliest))?,
        ])?)?;
        if round % 2 == 0 {
            let made = wire.receive::<CreateTopicsRequest>(5)?.1;
            assert_eq!(made.topics[0].error_code, 0);
        } else {
            let made = wire.receive::<MetadataRequest>(9)?.1;
            assert_eq!(made.topics[0].error_code, 0);
        }
        assert_eq!(produced(&mut wire)?, (0, 0));
        assert_eq!(listed(&mut wire)?, 1);
        assert_eq!(produced(&mut wire)?, (0, 1));
        let deleted = wire.receive::<DeleteRecordsRequest>(2)?.1;
        assert_eq!(deleted.topics[0].partitions[0].low_watermark, 2);
        assert_eq!(produced(&mut wire)?, (0, 2));
        assert_eq!(listed(&mut wire)?, 2);
        wire.send_raw(&framed([
            wire::encode(5, 7, &delete)?,
            wire::encode(9, 8, &produce)?,
        ])?)?;
        let deleted = wire.receive::<DeleteTopicsRequest>(5)?.1;
        assert_eq!(deleted.responses[0].error_code, 0);
        let unknown_topic_or_partition = 3;
        assert_eq!(produced(&mut wire)?.0, unknown_topic_or_partition);
    }
    Ok(())
}

#[test]
fn what_came_before_a_bad_request_is_answered() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    let topic = unique("before");
    wire.create_topic(&topic, 1, &[])?;
    let produce = ask::produce(&topic, Batch::of(&["one"]).bytes());
    let parked = ask::fetch(&topic, 0)
        .with_min_bytes(1 << 20)
        .with_max_wait_ms(300);
    let header = |key: i16, version: i16| {
        let mut frame = BytesMut::new();
        frame.put_i16(key);
        frame.put_i16(version);
        frame.put_i32(9);
        frame.put_i16(-1);
        frame.put_slice(&[0x7f; 8]);
        frame.freeze()
    };
    let bad = [
        framed([header(3, 1)])?,
        framed([header(3, 99)])?,
        framed([header(999, 0)])?,
        BytesMut::from(&[0x7f, 0xff, 0xff, 0xff, 0, 3][..]),
    ];
    for (round, bad) in bad.into_iter().enumerate() {
        let mut all = framed([wire::encode(9, 1, &produce)?, wire::encode(12, 2, &parked)?])?;
        all.extend_from_slice(&bad);
        // Nothing that comes after it takes effect.
        all.extend_from_slice(&framed([wire::encode(9, 3, &produce)?])?);
        let mut wire = broker.wire()?;
        wire.send_raw(&all)?;
        assert_eq!(produced(&mut wire)?, (0, round as i64));
        let fetched = wire.receive::<FetchRequest>(12)?.1;
        assert_eq!(fetched.responses[0].partitions[0].error_code, 0);
        assert!(wire.closes()?, "round {round}");
    }
    Ok(())
}
