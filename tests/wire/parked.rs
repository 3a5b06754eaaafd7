//! Requests that wait, and replies that wait behind them: they keep little, they do not starve
//! others, and they end with their connection.
use anyhow::{Result, ensure};
use bytes::Bytes;
use harness::{Batch, Broker, Options, Wire, ask, eventually};
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, JoinGroupRequest, MetadataRequest,
};

use crate::frames::check_alive;
use crate::memory::Peak;

/// Longer than any test.
const LONG_MS: i32 = 600_000;
/// Just under what a request other than Produce may have.
const LARGE: usize = 900_000;

/// A fetch that waits for more than there will be.
fn waiting_fetch(topic: &str) -> FetchRequest {
    ask::fetch(topic, 0)
        .with_min_bytes(1 << 20)
        .with_max_wait_ms(LONG_MS)
}

/// The same with a great deal to say that is of no use after it was read.
fn long_winded_fetch(topic: &str) -> FetchRequest {
    let forgotten = ForgottenTopic::default()
        .with_topic(ask::topic("forgotten"))
        .with_partitions(vec![0; LARGE / 4]);
    waiting_fetch(topic).with_forgotten_topics_data(vec![forgotten])
}

fn join_with_long_metadata() -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(ask::text("range"))
        .with_metadata(Bytes::from(vec![7; LARGE]));
    JoinGroupRequest::default()
        .with_group_id(ask::group("parked"))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(LONG_MS)
        .with_protocol_type(ask::text("consumer"))
        .with_protocols(vec![protocol])
}

/// A broker whose requests in flight may have as many bytes as one large frame.
fn narrow() -> Result<Broker> {
    let limit = (1 << 20).to_string();
    let options = Options::default()
        .set("queued.max.request.bytes", &limit)
        .set("socket.request.max.bytes", &limit)
        .set("group.initial.rebalance.delay.ms", &LONG_MS.to_string());
    Broker::start(options)
}

/// A large produce needs all of the budget.
fn produces(wire: &mut Wire, topic: &str) -> Result<()> {
    let batch = Batch::of(&[&"x".repeat(LARGE)]).bytes();
    let answer = wire.produce(topic, batch)?;
    ensure!(answer.error_code == 0, "{answer:?}");
    Ok(())
}

#[test]
fn a_waiting_fetch_gives_back_what_its_frame_took() -> Result<()> {
    let mut broker = narrow()?;
    let mut wire = broker.wire()?;
    wire.create_topic("waited-for", 1, &[])?;
    wire.create_topic("other", 1, &[])?;
    let mut parked = broker.wire()?;
    parked.send(12, &long_winded_fetch("waited-for"))?;
    produces(&mut wire, "other")?;
    drop(parked);
    check_alive(&mut broker)
}

#[test]
fn a_waiting_join_gives_back_what_its_frame_took() -> Result<()> {
    let mut broker = narrow()?;
    let mut wire = broker.wire()?;
    wire.create_topic("other", 1, &[])?;
    let mut parked = broker.wire()?;
    parked.send(3, &join_with_long_metadata())?;
    produces(&mut wire, "other")?;
    drop(parked);
    check_alive(&mut broker)
}

const PARKED: usize = 128;
/// What they may cost together; they said more than twice as much.
const PARKED_BYTES: u64 = 48 << 20;

#[test]
fn waiting_fetches_keep_no_frames() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    wire.create_topic("waited-for", 1, &[])?;
    let before = broker.anonymous_bytes()?;
    let mut parked = Vec::new();
    for _ in 0..PARKED {
        let mut client = broker.wire()?;
        client.send(12, &long_winded_fetch("waited-for"))?;
        parked.push(client);
    }
    let mut grown = 0;
    let fell = eventually("waiting fetches to become small", || {
        grown = broker.anonymous_bytes().ok()?.saturating_sub(before);
        (grown <= PARKED_BYTES).then_some(())
    });
    println!("{} KiB for {PARKED} waiting fetches", grown >> 10);
    fell?;
    drop(parked);
    check_alive(&mut broker)
}

const QUEUING: usize = 6;
/// Replies of some hundred KiB that each of them asks for behind one that waits.
const BEHIND: usize = 250;
/// What they may cost together.
const QUEUED_BYTES: u64 = 48 << 20;

#[test]
fn replies_behind_one_that_waits_are_bounded() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    wire.create_topic("waited-for", 1, &[])?;
    let many = ask::create_topics(vec![ask::new_topic("many", 5_000, &[])]);
    ensure!(wire.call(7, &many)?.topics[0].error_code == 0);
    let before = broker.anonymous_bytes()?;
    let peak = Peak::watch(broker.process()?.id());
    let metadata = ask::metadata("many");
    let mut clients = Vec::new();
    for _ in 0..QUEUING {
        let mut client = broker.wire()?;
        let first = waiting_fetch("waited-for").with_max_wait_ms(5_000);
        client.send(12, &first)?;
        for _ in 0..BEHIND {
            client.send(9, &metadata)?;
        }
        clients.push(client);
    }
    // Others are served meanwhile, with replies as large.
    ensure!(wire.call(9, &metadata)?.topics[0].error_code == 0);
    for client in &mut clients {
        client.receive::<FetchRequest>(12)?;
        for _ in 0..BEHIND {
            let (_, answer) = client.receive::<MetadataRequest>(9)?;
            ensure!(answer.topics[0].partitions.len() == 5_000);
        }
    }
    let grown = peak.bytes()?.saturating_sub(before);
    println!("{} KiB for {QUEUING} clients", grown >> 10);
    ensure!(grown <= QUEUED_BYTES, "{grown} bytes");
    check_alive(&mut broker)
}

#[test]
fn readers_that_take_nothing_do_not_keep_others_from_asking() -> Result<()> {
    let limit = (1 << 20).to_string();
    let options = Options::default().set("queued.max.response.bytes", &limit);
    let mut broker = Broker::start(options)?;
    let mut wire = broker.wire()?;
    let many = ask::create_topics(vec![ask::new_topic("many", 5_000, &[])]);
    ensure!(wire.call(7, &many)?.topics[0].error_code == 0);
    let metadata = ask::metadata("many");
    let mut deaf = Vec::new();
    for _ in 0..8 {
        // What its socket takes is not the broker's any more, so it asks for more than that.
        let mut client = broker.wire()?;
        for _ in 0..BEHIND {
            client.send(9, &metadata)?;
        }
        deaf.push(client);
    }
    for _ in 0..20 {
        ensure!(wire.call(9, &metadata)?.topics[0].error_code == 0);
    }
    let mut log = || Ok::<_, anyhow::Error>(broker.process()?.log());
    ensure!(log()?.contains("were not taken"), "{}", log()?);
    drop(deaf);
    check_alive(&mut broker)
}

#[test]
fn a_fetch_that_finds_no_room_to_wait_in_is_told_to_wait_elsewhere() -> Result<()> {
    let mut broker = narrow()?;
    let mut wire = broker.wire()?;
    wire.create_topic("wide", 3_000, &[])?;
    let all = (0..3_000).map(|index| ask::fetch_partition(index, 0));
    let waiting = ask::fetch_many("wide", all.collect())
        .with_min_bytes(1 << 20)
        .with_max_wait_ms(LONG_MS);
    let mut first = broker.wire()?;
    first.send(12, &waiting)?;
    // Two of them do not fit, whichever comes first.
    let used = |broker: &Broker| broker.metric("klamm_requests_in_flight_bytes", &[]);
    eventually("the first to wait", || {
        (used(&broker).ok()? > 500_000.0).then_some(())
    })?;
    let answer = wire.call(12, &waiting)?;
    ensure!(answer.throttle_time_ms == 1_000, "{answer:?}");
    ensure!(answer.responses[0].partitions.len() == 3_000);
    check_alive(&mut broker)
}

#[test]
fn a_client_that_goes_while_everything_waits_is_let_go() -> Result<()> {
    let mut broker = Broker::start(Options::default().set("max.requests.in.flight", "4"))?;
    let mut wire = broker.wire()?;
    wire.create_topic("waited-for", 1, &[])?;
    drop(wire);
    let open = |broker: &Broker| Some(broker.metric("klamm_connections", &[]).ok()? as u64);
    eventually("nobody to be there", || (open(&broker)? == 0).then_some(()))?;
    let mut gone = broker.wire()?;
    for _ in 0..4 {
        gone.send(12, &waiting_fetch("waited-for"))?;
    }
    // There is no place for these: they stay where they are.
    for _ in 0..3 {
        gone.send(0, &ApiVersionsRequest::default())?;
    }
    eventually("the connection", || (open(&broker)? == 1).then_some(()))?;
    drop(gone);
    eventually("the connection to be let go", || {
        (open(&broker)? == 0).then_some(())
    })?;
    check_alive(&mut broker)
}
