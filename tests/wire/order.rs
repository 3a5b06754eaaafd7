//! Requests of one connection overlap; their replies come in the order of the requests.
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{Batch, Broker, Options, ask, unique};
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
