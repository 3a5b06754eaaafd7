//! Engines of views over sample events: how many events a second one core takes, decoding
//! included, and how much memory a million keys need.
use std::hint::black_box;

use client::sample::{Sample, SampleOptions, Samples};
use projection::{Engine, Input, Options, find};

/// Records of a commit.
const BATCH: usize = 10_000;

fn engine(view: &str) -> Box<dyn Engine> {
    let view = find(view).expect("a view of klamm");
    (view.engine)(Options {
        source: view.source.to_owned(),
        aliases: Vec::new(),
        dedup_window_ms: Some(600_000),
        max_future_skew_ms: 3_600_000,
    })
}

fn samples(users: u32) -> impl Iterator<Item = Sample> {
    Samples::new(SampleOptions {
        users,
        interval_ms: 10,
        duplicates_percent: 2.0,
        ..SampleOptions::default()
    })
}

/// Takes records from an offset on, and commits what changed; bytes of the changes.
fn run(engine: &mut dyn Engine, first: i64, samples: &[Sample]) -> usize {
    let mut bytes = 0;
    for (offset, sample) in (first..).zip(samples) {
        engine.step(&Input {
            partition: 0,
            offset,
            timestamp: sample.timestamp_ms,
            value: Some(&sample.value),
        });
    }
    engine.changes(&mut |key, value, _| bytes += key.len() + value.map_or(0, <[u8]>::len));
    engine.commit(first);
    bytes
}

/// Time that this thread spent on a core, nanoseconds (`/proc/<pid>/schedstat`): other work on the
/// machine does not count.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_core = stat.split(' ').next().and_then(|ns| ns.parse().ok());
    on_core.unwrap_or(0)
}

/// Events per second of a core through views, each with its own decoding, commits included.
fn throughput(views: &[&str], users: u32) {
    const EVENTS: usize = 500_000;
    let samples: Vec<Sample> = samples(users).take(EVENTS).collect();
    let mut engines: Vec<_> = views.iter().map(|view| engine(view)).collect();
    let start = cpu_ns();
    for (first, batch) in (0..).step_by(BATCH).zip(samples.chunks(BATCH)) {
        for engine in &mut engines {
            black_box(run(&mut **engine, first, batch));
        }
    }
    let ns = cpu_ns() - start;
    let per_second = EVENTS as u64 * 1_000_000_000 / ns.max(1);
    println!(
        "{}, {users} users: {per_second} events/s",
        views.join(" + ")
    );
}

/// Resident memory of this process, bytes (`proc_pid_statm(5)`).
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn a_million_keys() {
    const KEYS: usize = 1_000_000;
    let mut engine = engine("user_activity");
    let before = resident_bytes();
    let mut stream = samples(1_000_000);
    let mut first = 0;
    while engine.table().len() < KEYS {
        let batch: Vec<Sample> = stream.by_ref().take(BATCH).collect();
        run(&mut *engine, first, &batch);
        first += BATCH as i64;
    }
    let (estimate, resident) = (engine.memory_bytes(), resident_bytes() - before);
    println!(
        "{} keys after {first} events: {} MB resident, {} MB by memory_bytes",
        engine.table().len(),
        resident / 1_000_000,
        estimate / 1_000_000
    );
}

fn main() {
    // First: later on, freed memory would be taken again.
    a_million_keys();
    for users in [100, 100_000] {
        throughput(&["user_activity"], users);
        throughput(&["daily_revenue"], users);
        throughput(&["user_activity", "daily_revenue"], users);
    }
}
