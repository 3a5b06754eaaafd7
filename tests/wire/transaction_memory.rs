//! Transactional ids without number: their memory is bounded, those that are there go on, and what
//! is forgotten makes room for others.
use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, Wire, ask, eventually};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, TransactionalId,
};

use crate::frames::check_alive;
use crate::memory::Peak;

const COORDINATOR_NOT_AVAILABLE: i16 = 15;
/// What all transactional ids may take.
const LIMIT: u64 = 8 << 20;
/// How long each of them is.
const ID_BYTES: usize = 32_000;
/// Many times more of them than fit.
const IDS: usize = 2_000;

/// A producer id and epoch, or an error code.
type Answer = Result<(i64, i16), i16>;

fn counted(broker: &Broker) -> Result<u64> {
    Ok(broker.metric("klamm_transactions_memory_bytes", &[])? as u64)
}

fn id(name: &str) -> TransactionalId {
    TransactionalId(ask::text(name))
}

fn long(number: usize) -> String {
    format!("{number:0ID_BYTES$}")
}

fn init(wire: &mut Wire, name: &str) -> Result<Answer> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id(name)))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let answer = wire.call(4, &request)?;
    Ok(match answer.error_code {
        0 => Ok((answer.producer_id.0, answer.producer_epoch)),
        error => Err(error),
    })
}

/// Adds the first partitions of topic "wide" to a transaction; gives the error code of the first.
fn add(wire: &mut Wire, name: &str, producer: (i64, i16), partitions: i32) -> Result<i16> {
    let topic = AddPartitionsToTxnTopic::default()
        .with_name(ask::topic("wide"))
        .with_partitions((0..partitions).collect());
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id(name))
        .with_v3_and_below_producer_id(producer.0.into())
        .with_v3_and_below_producer_epoch(producer.1)
        .with_v3_and_below_topics(vec![topic]);
    let answer = wire.call(3, &request)?.results_by_topic_v3_and_below;
    let partitions = &answer.first().context("no topic")?.results_by_partition;
    let first = partitions.first().context("no partition")?;
    Ok(first.partition_error_code)
}

fn commit(wire: &mut Wire, name: &str, producer: (i64, i16)) -> Result<i16> {
    let request = EndTxnRequest::default()
        .with_transactional_id(id(name))
        .with_producer_id(producer.0.into())
        .with_producer_epoch(producer.1)
        .with_committed(true);
    Ok(wire.call(3, &request)?.error_code)
}

/// Asks for ids until one does not fit in; gives how many did.
fn fill(wire: &mut Wire, name: impl Fn(usize) -> String) -> Result<usize> {
    for number in 0..IDS {
        match init(wire, &name(number))? {
            Ok(_) => {}
            Err(COORDINATOR_NOT_AVAILABLE) => return Ok(number),
            Err(other) => anyhow::bail!("error {other}"),
        }
    }
    Ok(IDS)
}

#[test]
fn any_number_of_transactional_ids_takes_bounded_memory() -> Result<()> {
    let options = Options::default().set("transactions.memory.max.bytes", &LIMIT.to_string());
    let mut broker = Broker::start(options)?;
    let mut wire = broker.wire()?;
    wire.create_topic("wide", 200, &[])?;
    let known = init(&mut wire, "known")?;
    let known = known.map_err(|error| anyhow::anyhow!("error {error}"))?;
    let before = broker.anonymous_bytes()?;
    let peak = Peak::watch(broker.process()?.id());
    let taken = fill(&mut wire, long)?;
    for number in taken..IDS {
        let late = init(&mut wire, &long(number))?;
        ensure!(late == Err(COORDINATOR_NOT_AVAILABLE), "{late:?}");
    }
    let grown = peak.bytes()?.saturating_sub(before);
    println!("{taken} ids, {} KiB", grown >> 10);
    ensure!((200..=262).contains(&taken), "{taken}");
    ensure!(grown <= 3 * LIMIT, "{grown} bytes");
    ensure!(fill(&mut wire, |number| format!("short-{number}"))? < 20);
    ensure!(counted(&broker)? <= LIMIT);
    let log = broker.process()?.log();
    ensure!(log.contains("no memory is left for transactional ids"));

    // An id that is known goes on, if it does not ask for much.
    ensure!(add(&mut wire, "known", known, 200)? == COORDINATOR_NOT_AVAILABLE);
    ensure!(add(&mut wire, "known", known, 10)? == 0);
    ensure!(commit(&mut wire, "known", known)? == 0);

    // What was taken is there after a restart, and counts; all of it, even if less is allowed then.
    let before = counted(&broker)?;
    broker.kill9()?;
    broker.set("transactions.memory.max.bytes", Some("65536"));
    broker.restart()?;
    let mut wire = broker.wire()?;
    ensure!(counted(&broker)? == before, "{before}");
    ensure!(init(&mut wire, "late")? == Err(COORDINATOR_NOT_AVAILABLE));
    ensure!(init(&mut wire, "known")? == Ok((known.0, known.1 + 1)));
    check_alive(&mut broker)
}

#[test]
fn ids_that_are_forgotten_make_room() -> Result<()> {
    let often = "transaction.remove.expired.transaction.cleanup.interval.ms";
    let options = Options::default()
        .set("transactions.memory.max.bytes", "131072")
        .set("transactional.id.expiration.ms", "1")
        .set(often, "20");
    let mut broker = Broker::start(options)?;
    let mut wire = broker.wire()?;
    // Three fit in.
    for number in 0..20 {
        eventually("room for another id", || {
            init(&mut wire, &long(number)).ok()?.ok()
        })?;
    }
    eventually("nothing is left", || {
        (counted(&broker).ok()? == 0).then_some(())
    })?;
    check_alive(&mut broker)
}
