//! A Kafka Streams application with `exactly_once_v2` that counts by way of a repartition topic and
//! a changelog, while it and the broker are killed.
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use harness::process::Process;
use harness::{Broker, Options, PATIENCE, Random, eventually, foreign, rd};
use rdkafka::consumer::Consumer;
use rdkafka::producer::Producer;
use tempfile::TempDir;

use crate::committed;

/// Of the input and, with it, of the repartition topic and the changelog.
const INPUT_PARTITIONS: i32 = 3;
const OUTPUT_PARTITIONS: i32 = 2;
const WORDS: u64 = 40;

/// One after the other: whom to kill.
const VICTIMS: [Victims; 6] = [
    Victims::Application,
    Victims::Broker,
    Victims::Both,
    Victims::Application,
    Victims::Both,
    Victims::Broker,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victims {
    Application,
    Broker,
    Both,
}

/// Every update of every word, in order.
type Updates = BTreeMap<String, Vec<u64>>;

/// How often each word came.
type Truth = BTreeMap<String, u64>;

struct Application {
    process: Process,
    bootstrap: String,
    folder: TempDir,
}

impl Application {
    fn start(broker: &Broker) -> Result<Self> {
        let folder = TempDir::with_prefix("klamm-streams-")?;
        let bootstrap = broker.bootstrap().to_owned();
        let process = launch(&bootstrap, folder.path())?;
        Ok(Self {
            process,
            bootstrap,
            folder,
        })
    }

    fn kill_and_restart(&mut self) -> Result<()> {
        self.process.kill9()?;
        self.process = launch(&self.bootstrap, self.folder.path())?;
        Ok(())
    }

    /// Ends it in order: its last transaction is over.
    fn stop(&mut self) -> Result<()> {
        self.process.signal("TERM")?;
        self.process.wait(PATIENCE)?;
        Ok(())
    }
}

fn launch(bootstrap: &str, folder: &Path) -> Result<Process> {
    let mut command = Command::new("java");
    command.args(["-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    // Without a file of settings, log4j writes this and worse to standard output.
    command.args(["-Dorg.apache.logging.log4j.level=WARN", "-cp"]);
    command.arg(foreign::class_path()?).arg("Counts");
    command.args([bootstrap, "counts", "input", "updates", "table"]);
    command.arg(folder.join("state"));
    Process::start(command, &folder.join("log"))
}

/// A broker that cleans within seconds and lets members go soon, with the topics of the test.
fn broker() -> Result<Broker> {
    let options = Options::default()
        .set("group.min.session.timeout.ms", "1000")
        .set("group.initial.rebalance.delay.ms", "0")
        .set("log.cleaner.backoff.ms", "500");
    let broker = Broker::start(options)?;
    let compacted = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "1000"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    let bootstrap = broker.bootstrap();
    rd::create_topic(bootstrap, "input", INPUT_PARTITIONS, &[])?;
    rd::create_topic(bootstrap, "updates", OUTPUT_PARTITIONS, &[])?;
    rd::create_topic(bootstrap, "table", OUTPUT_PARTITIONS, &compacted)?;
    Ok(broker)
}

/// Sends words without a pause until it is told to stop, and gives how often it sent each.
fn feed(bootstrap: &str, mut random: Random, stop: &AtomicBool) -> Result<Truth> {
    let producer = rd::producer(bootstrap, &[("enable.idempotence", "true")])?;
    let mut truth = Truth::new();
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..10 {
            let word = format!("word{}", random.below(WORDS));
            let partition = random.below(INPUT_PARTITIONS as u64) as i32;
            let user = format!("user{}", random.below(1000));
            rd::send(&producer, "input", partition, &user, &word)?;
            *truth.entry(word).or_default() += 1;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    producer.flush(PATIENCE)?;
    for report in producer.context().all() {
        ensure!(report.error.is_none(), "{report:?}");
    }
    Ok(truth)
}

fn read(bootstrap: &str, topic: &str) -> Result<Updates> {
    let mut updates = Updates::new();
    for partition in 0..OUTPUT_PARTITIONS {
        for (word, count) in committed::records(bootstrap, topic, partition)? {
            updates.entry(word).or_default().push(count.parse()?);
        }
    }
    Ok(updates)
}

/// Waits until the application commits something that is new.
fn await_progress(bootstrap: &str) -> Result<()> {
    let reader = rd::reader(bootstrap, "updates", 0, 0)?;
    let end = || {
        let marks = reader.fetch_watermarks("updates", 0, Duration::from_secs(5));
        Some(marks.ok()?.1)
    };
    let start = eventually("the updates' end", end)?;
    eventually("the application to go on", || {
        (end()? > start).then_some(())
    })
}

fn kill(
    broker: &mut Broker,
    application: &mut Application,
    victims: Victims,
    random: &mut Random,
) -> Result<()> {
    if victims != Victims::Application {
        broker.kill9()?;
    }
    if victims != Victims::Broker {
        application.kill_and_restart()?;
    }
    if victims != Victims::Application {
        std::thread::sleep(Duration::from_millis(random.below(500)));
        broker.restart()?;
    }
    Ok(())
}

/// Kills one after the other in the middle of the work, and gives what was fed meanwhile.
fn kill_while_fed(
    broker: &mut Broker,
    application: &mut Application,
    random: &mut Random,
) -> Result<Truth> {
    let bootstrap = broker.bootstrap().to_owned();
    let words = Random::new(random.next_number());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(&bootstrap, words, &stop));
        let killed = VICTIMS.into_iter().try_for_each(|victims| {
            await_progress(&bootstrap)?;
            std::thread::sleep(Duration::from_millis(random.below(1000)));
            kill(broker, application, victims, random)
        });
        stop.store(true, Ordering::Relaxed);
        let truth = feeder.join().map_err(|_| anyhow!("the feeder panicked"))?;
        killed.and(truth)
    })
}

#[test]
fn counts_come_out_exactly_once() -> Result<()> {
    let mut random = Random::announced("counts_come_out_exactly_once");
    let mut broker = broker()?;
    let bootstrap = broker.bootstrap().to_owned();
    let mut application = Application::start(&broker)?;
    let truth = kill_while_fed(&mut broker, &mut application, &mut random)
        .with_context(|| application.process.log())?;
    let all: u64 = truth.values().sum();
    eventually("every record to be counted", || {
        let updates = read(&bootstrap, "updates").ok()?;
        (updates.values().map(Vec::len).sum::<usize>() as u64 >= all).then_some(())
    })
    .with_context(|| application.process.log())?;
    application.stop()?;
    let last = |(word, counts): (String, Vec<u64>)| Some((word, *counts.last()?));
    let table = read(&bootstrap, "table")?;
    let table: Truth = table.into_iter().filter_map(last).collect();
    assert_eq!(table, truth);
    for (word, counts) in read(&bootstrap, "updates")? {
        let expected: Vec<u64> = (1..=truth[&word]).collect();
        assert_eq!(counts, expected, "{word}");
    }
    broker.stop_and_check_logs()
}
