//! The load against the real process, its kills and restarts, and what is checked afterwards.
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, PATIENCE, Random, ask, eventually, foreign, rd, unique};

use crate::checker::check;
use crate::clients::{Kind, Programs};
use crate::groups::{self, Watcher};
use crate::history::{Clock, History, Isolation, Outcome};
use crate::inputs;
use crate::plain::{LAST, PlainWriters, write_last};
use crate::readers::Readers;
use crate::remote::Remote;
use crate::version;
use crate::writers::{Quota, Writers};

/// Partitions of the topic.
pub(crate) const PARTITIONS: i32 = 8;
/// Producers without transactions; their numbers come after [`LAST`].
const PLAIN: [u32; 2] = [LAST + 1, LAST + 2];

/// Where everything is written.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    /// The topic that groups copy, and how many records each partition of it has.
    pub(crate) input: String,
    pub(crate) inputs: i64,
}

impl Place {
    /// The name of a group.
    pub(crate) fn group(&self, number: u32) -> String {
        format!("{}-{number}", self.input)
    }
}

/// The transactional producers: for each, how many write how many transactions.
fn quotas(wanted: u64) -> [Quota; 4] {
    let quota = |kind, writers, copying, percent| Quota {
        kind,
        writers,
        wanted: wanted * percent / 100,
        copying,
    };
    [
        quota(Kind::Librdkafka, 20, 10, 52),
        quota(Kind::Java, 8, 6, 20),
        quota(Kind::Franz, 6, 0, 18),
        quota(Kind::Raw, 4, 2, 10),
    ]
}

fn programs() -> Programs {
    let java = || {
        let mut command = Command::new("java");
        command.args(["-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
        command.arg("-cp").arg(foreign::class_path()?).arg("Client");
        Ok(command)
    };
    let franz = || Ok(Command::new(foreign::cached("franz")?));
    Programs {
        java: Remote::new(java),
        franz: Remote::new(franz),
    }
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
        input: unique("input"),
        inputs: (wanted / 15).max(50) as i64,
    };
    let configs = [("segment.bytes", "300000")];
    rd::create_topic(&place.bootstrap, &place.topic, PARTITIONS, &configs)?;
    inputs::fill(&place, place.inputs)?;
    let live = [
        ("live 1", Isolation::Committed),
        ("live 2", Isolation::Committed),
        ("live 3", Isolation::Uncommitted),
    ];
    let readers = Readers::start(&place, clock, &live, &mut chance);
    let plain = PlainWriters::start(&place, &PLAIN, &mut chance)?;
    let first = PLAIN.len() as u32 + 1;
    let quotas = quotas(wanted);
    let writers = Writers::start(&place, clock, programs(), &quotas, first, &mut chance);
    let (names, groups) = (writers.names.clone(), writers.groups.clone());
    let watcher = Watcher::start(&place, clock, &groups, &mut chance);
    let restarts = harass(&mut broker, &writers, &mut chance)?;
    let notes = writers.finish()?;
    let mut history = History {
        transactions: notes.transactions,
        plain: plain.finish()?,
        readings: Vec::new(),
        fenced: notes.fenced,
        told: notes.told,
    };
    history.plain.extend(write_last(&place)?);
    history.readings = readers.finish()?;
    all_ended(&broker, &place)?;
    history.told.extend(watcher.finish()?);
    for group in groups {
        history.told.extend(groups::settled(&place, clock, group)?);
    }
    let last = [
        ("last 1", Isolation::Committed),
        ("last 2", Isolation::Uncommitted),
    ];
    let readers = Readers::start(&place, clock, &last, &mut chance);
    history.readings.extend(readers.finish()?);
    let seconds = began.elapsed().as_secs();
    eprintln!(
        "transactions: {restarts} restarts in {seconds} s; errors: {:#?}",
        notes.errors
    );
    judge(&history, wanted)?;
    version::check(&broker, &names, &quotas)?;
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

/// Kills and restarts the broker until the writers are done, and the foreign clients now and then;
/// how often the broker.
fn harass(broker: &mut Broker, writers: &Writers, chance: &mut Random) -> Result<u32> {
    let mut restarts = 0;
    while !writers.over() {
        let until = Instant::now() + Duration::from_millis(200 + chance.below(4_000));
        while Instant::now() < until && !writers.over() {
            std::thread::sleep(Duration::from_millis(20));
        }
        if chance.below(4) == 0 {
            broker.terminate(PATIENCE)?;
        } else {
            writers.await_commits(chance.below(12) as u32);
            broker.kill9()?;
        }
        broker.restart()?;
        restarts += 1;
        std::thread::sleep(Duration::from_millis(chance.below(500)));
        let programs = writers.programs();
        match chance.below(8) {
            0 => programs.java.kill9()?,
            1 | 2 => programs.franz.kill9()?,
            // Longer than the shorter ones of the timeouts.
            3 => programs.java.pause(Duration::from_millis(1_800))?,
            4 => programs.franz.pause(Duration::from_millis(1_800))?,
            _ => {}
        }
        if restarts % 5 == 0 {
            let ended = writers.ended();
            eprintln!("transactions: {ended:?} after {restarts} restarts");
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
    let offsets = history.transactions.iter();
    let offsets = offsets.filter(|it| !it.offsets.is_empty()).count();
    let copies = history.transactions.iter().flat_map(|it| &it.writes);
    let copies = copies.filter(|write| write.source.is_some()).count();
    eprintln!(
        "transactions: {offsets} with offsets, {copies} copies, {} answers about offsets",
        history.told.len()
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
