//! Engines of views over sample events: how many events a second one core takes, decoding
//! included, and how much memory a million keys need.
use std::hint::black_box;

use client::sample::{Sample, SampleOptions, Samples};
use criterion::{BatchSize, Criterion, Throughput};
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

fn stepping(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(BATCH as u64));
    let both: &[&str] = &["user_activity", "daily_revenue"];
    for (name, views) in [
        ("both views", both),
        ("user_activity", &both[..1]),
        ("daily_revenue", &both[1..]),
    ] {
        for users in [100, 100_000] {
            let samples: Vec<Sample> = samples(users).take(10 * BATCH).collect();
            group.bench_function(format!("{name}, {users} users"), |bencher| {
                bencher.iter_batched_ref(
                    || {
                        let mut engines: Vec<_> = views.iter().map(|view| engine(view)).collect();
                        for engine in &mut engines {
                            run(&mut **engine, 0, &samples[..9 * BATCH]);
                        }
                        engines
                    },
                    |engines| {
                        for engine in engines {
                            black_box(run(&mut **engine, 9 * BATCH as i64, &samples[9 * BATCH..]));
                        }
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
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
    a_million_keys();
    let mut criterion = Criterion::default().configure_from_args();
    stepping(&mut criterion);
    criterion.final_summary();
}
