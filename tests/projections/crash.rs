//! The broker is killed again and again while events come in: afterwards everything is as if it had
//! never been.
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, PATIENCE, Random, rd};
use rdkafka::producer::Producer;
use serde_json::Value;

use crate::event;
use crate::shop::{self, Shop};
use crate::truth::{Rules, Truth};
use crate::watch::Watch;
use crate::{turn, view};

const VIEWS: [&str; 2] = ["user_activity", "daily_revenue"];

/// An idempotent producer that goes on through every end of the broker.
struct Customers {
    thread: JoinHandle<Result<usize>>,
    stop: Arc<AtomicBool>,
}

impl Customers {
    fn start(bootstrap: &str, seed: u64, partitions: i32) -> Result<Self> {
        // Small batches: some of these brokers have small segments.
        let extra = [
            ("enable.idempotence", "true"),
            ("retry.backoff.ms", "20"),
            ("batch.size", "16384"),
        ];
        let producer = rd::producer(bootstrap, &extra)?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut sent = 0;
            for event in Shop::new(shop::Options::new(seed, partitions)) {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                event::send(&producer, "events", &event)
                    .with_context(|| format!("{:?}", producer.client().fatal_error()))?;
                sent += 1;
                if sent % 4 == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
            }
            producer.flush(PATIENCE)?;
            let reports = producer.context().all();
            let refused = reports.iter().find(|report| report.error.is_some());
            ensure!(refused.is_none(), "{refused:?}");
            ensure!(reports.len() == sent, "{} reports", reports.len());
            Ok(sent)
        });
        Ok(Self { thread, stop })
    }

    /// Stops, and gives how many events were acknowledged.
    fn finish(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the producer panicked")?
    }
}

/// Runs `harm` on a broker with events coming in and consumers of both views, then compares.
fn unharmed_by(
    options: Options,
    seed: u64,
    harm: impl FnOnce(&mut Broker) -> Result<()>,
) -> Result<()> {
    let mut broker = Broker::start(options)?;
    event::create_topic(broker.bootstrap(), "events", 3)?;
    let customers = Customers::start(broker.bootstrap(), seed, 3)?;
    let mut watches = Vec::new();
    for name in VIEWS {
        view::await_that(&broker, name, "there", |it| it["rows"].as_u64() > Some(0))?;
        watches.push(Watch::start(broker.bootstrap(), name, true)?);
    }
    harm(&mut broker)?;
    let sent = customers.finish()?;
    let records = event::read(broker.bootstrap(), "events")?;
    ensure!(records.len() == sent, "{} of {sent} events", records.len());
    let truth = Truth::of(&records, &Rules::default())?;
    for (name, truth) in VIEWS
        .into_iter()
        .zip([truth.user_activity()?, truth.daily_revenue()?])
    {
        view::await_all(&broker, name, "events")?;
        view::check(&broker, name, &truth)?;
    }
    for watch in watches {
        watch.finish(broker.bootstrap())?;
    }
    commits_add_up(&broker)?;
    broker.stop_and_check_logs()
}

/// Every commit accounts for every record, and none goes back behind one before.
fn commits_add_up(broker: &Broker) -> Result<()> {
    let mut last: HashMap<String, (u64, i64)> = HashMap::new();
    let commits = event::read(broker.bootstrap(), "__projection_commits")?;
    for record in &commits {
        let text = record.text().context("a commit")?;
        let commit: Value = serde_json::from_str(&text)?;
        let counts = view::counts(&commit)?;
        let sum = counts.applied + counts.duplicate + counts.late + counts.dead;
        ensure!(counts.input == sum, "{commit}");
        let sources = commit["sources"].as_array().context("sources")?;
        let read: i64 = sources.iter().filter_map(|it| it["next"].as_i64()).sum();
        ensure!(counts.input as i64 == read, "{commit}");
        let sequence = commit["sequence"].as_u64().context("a sequence")?;
        let key = record.event.key.clone().unwrap_or_default();
        let before = last.insert(key, (sequence, read));
        ensure!(before < Some((sequence, read)), "{before:?}, then {commit}");
    }
    ensure!(last.len() == VIEWS.len(), "{last:?}");
    Ok(())
}

fn kill_at_random(broker: &mut Broker, random: &mut Random, times: u32) -> Result<()> {
    for _ in 0..times {
        thread::sleep(Duration::from_millis(50 + random.below(1450)));
        broker.kill9()?;
        broker.restart()?;
    }
    Ok(())
}

#[test]
fn killed_at_random_moments() -> Result<()> {
    let _turn = turn();
    let mut random = Random::announced("killed_at_random_moments");
    let seed = random.next_number();
    unharmed_by(Options::default(), seed, |broker| {
        kill_at_random(broker, &mut random, 25)
    })
}

#[test]
fn killed_at_each_step_of_the_commit() -> Result<()> {
    let _turn = turn();
    let mut random = Random::announced("killed_at_each_step");
    let seed = random.next_number();
    unharmed_by(Options::default(), seed, |broker| {
        broker.kill9()?;
        for step in 1..=7 {
            for _ in 0..3 {
                let passage = 1 + random.below(6);
                let point = format!("{step}:{passage}");
                broker.set("test.projection.crash", Some(&point));
                broker.begin_restart()?;
                let process = broker.process()?;
                process.wait(PATIENCE).with_context(|| point)?;
            }
        }
        broker.set("test.projection.crash", None);
        broker.restart()
    })
}

#[test]
fn killed_while_the_cleaner_is_at_work() -> Result<()> {
    let _turn = turn();
    let mut random = Random::announced("killed_while_the_cleaner_is_at_work");
    let seed = random.next_number();
    let options = Options::default()
        .set("log.cleaner.backoff.ms", "50")
        .set("log.cleaner.min.cleanable.ratio", "0.01")
        .set("log.segment.bytes", "65536");
    unharmed_by(options, seed, |broker| {
        kill_at_random(broker, &mut random, 12)
    })
}
