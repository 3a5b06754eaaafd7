//! The load against the real process, its kills and restarts, and what is checked afterwards.
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, PATIENCE, Random, ask, eventually, rd, unique};

use crate::checker::check;
use crate::history::{Clock, History, Isolation, Outcome};
use crate::plain::{LAST, PlainWriters, write_last};
use crate::readers::Readers;
use crate::writers::{Notes, Writers};

/// Partitions of the topic.
pub(crate) const PARTITIONS: i32 = 8;
/// Transactional ids.
const WRITERS: u32 = 32;
/// Producers without transactions; their numbers come after [`LAST`].
const PLAIN: [u32; 2] = [LAST + 1, LAST + 2];

/// Where everything is written.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
}

#[test]
fn transactions_hold_under_kills_pauses_zombies_and_aborts() -> Result<()> {
    let wanted = wanted()?;
    let mut chance = Random::announced("transactions");
    let (began, clock) = (Instant::now(), Clock::start());
    let interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    let mut broker = Broker::start(Options::default().set(interval, "50"))?;
    let place = Place {
        bootstrap: broker.bootstrap().to_owned(),
        topic: unique("transactions"),
    };
    let configs = [("segment.bytes", "300000")];
    rd::create_topic(&place.bootstrap, &place.topic, PARTITIONS, &configs)?;
    let live = [
        ("live 1", Isolation::Committed),
        ("live 2", Isolation::Committed),
        ("live 3", Isolation::Uncommitted),
    ];
    let readers = Readers::start(&place, clock, &live, &mut chance);
    let plain = PlainWriters::start(&place, &PLAIN, &mut chance)?;
    let first = PLAIN.len() as u32 + 1;
    let writers = Writers::start(&place, clock, (WRITERS, wanted), first, &mut chance);
    let restarts = harass(&mut broker, &writers, &mut chance)?;
    let Notes {
        transactions,
        fenced,
        errors,
    } = writers.finish()?;
    let mut history = History {
        transactions,
        plain: plain.finish()?,
        readings: Vec::new(),
        fenced,
    };
    history.plain.extend(write_last(&place)?);
    history.readings = readers.finish()?;
    all_ended(&broker, &place)?;
    let last = [
        ("last 1", Isolation::Committed),
        ("last 2", Isolation::Uncommitted),
    ];
    let readers = Readers::start(&place, clock, &last, &mut chance);
    history.readings.extend(readers.finish()?);
    let seconds = began.elapsed().as_secs();
    eprintln!("transactions: {restarts} restarts in {seconds} s; errors: {errors:#?}");
    judge(&history, wanted)?;
    broker.stop_and_check_logs()
}

/// How many transactions.
fn wanted() -> Result<u64> {
    let Ok(wanted) = std::env::var("KLAMM_TEST_TRANSACTIONS") else {
        return Ok(20_000);
    };
    wanted
        .parse()
        .with_context(|| format!("KLAMM_TEST_TRANSACTIONS={wanted}"))
}

/// Kills and restarts the broker until the writers are done; how often.
fn harass(broker: &mut Broker, writers: &Writers, chance: &mut Random) -> Result<u32> {
    let mut restarts = 0;
    while !writers.over() {
        let until = Instant::now() + Duration::from_millis(200 + chance.below(8_000));
        while Instant::now() < until && !writers.over() {
            std::thread::sleep(Duration::from_millis(20));
        }
        if chance.below(4) == 0 {
            broker.terminate(PATIENCE)?;
        } else {
            broker.kill9()?;
        }
        broker.restart()?;
        restarts += 1;
        if restarts % 5 == 0 {
            eprintln!(
                "transactions: {} after {restarts} restarts",
                writers.ended()
            );
        }
    }
    Ok(restarts)
}

/// No transaction hangs: in each partition the last stable offset comes to the high watermark.
fn all_ended(broker: &Broker, place: &Place) -> Result<()> {
    let mut wire = broker.wire()?;
    for partition in 0..PARTITIONS {
        let mut end = |isolation| -> Result<i64> {
            let mut request = ask::list_offsets(&place.topic, -1).with_isolation_level(isolation);
            request.topics[0].partitions[0].partition_index = partition;
            let response = wire.call(5, &request)?;
            let answer = &response.topics[0].partitions[0];
            ensure!(answer.error_code == 0, "{answer:?}");
            Ok(answer.offset)
        };
        let what = format!("the last stable offset of partition {partition} to be its end");
        eventually(&what, || {
            let (stable, end) = (end(1).ok()?, end(0).ok()?);
            (stable == end).then_some(())
        })?;
    }
    Ok(())
}

fn judge(history: &History, wanted: u64) -> Result<()> {
    let count = |like: fn(&Outcome) -> bool| {
        let outcomes = history.transactions.iter().map(|ended| ended.outcome);
        outcomes.filter(like).count() as u64
    };
    let committed = count(|outcome| matches!(outcome, Outcome::Committed { .. }));
    let aborted = count(|outcome| matches!(outcome, Outcome::Aborted));
    let unknown = count(|outcome| matches!(outcome, Outcome::Unknown { .. }));
    let seen: Vec<usize> = history
        .readings
        .iter()
        .map(|read| read.seen.len())
        .collect();
    eprintln!(
        "transactions: {committed} committed, {aborted} aborted, {unknown} of unknown outcome, \
         {} zombies, {} plain records; read: {seen:?}",
        history.fenced.len(),
        history.plain.len()
    );
    ensure!(committed + aborted + unknown >= wanted);
    ensure!(committed > wanted / 4, "only {committed} commits");
    let found = check(history);
    let first = &found[..found.len().min(20)];
    ensure!(
        found.is_empty(),
        "{} anomalies, first {first:#?}",
        found.len()
    );
    Ok(())
}
