//! The engines alone, without a broker: every row, count and rejection, at any size of commit.
use std::collections::BTreeMap;
use std::ops::Bound;

use anyhow::{Context, Result, ensure};
use harness::Random;
use projection::{Counts, Engine, Input, Options, Outcome};

use crate::event::Record;
use crate::shop::{self, Shop};
use crate::truth::{self, Rows, Rules, Truth};
use crate::view;

/// What is wrong with some of the events for every view.
const REASONS: [&str; 6] = [
    "BAD_JSON",
    "NOT_OBJECT",
    "MISSING_FIELD",
    "BAD_TYPE",
    "BAD_TIMESTAMP",
    "TIMESTAMP_OUT_OF_RANGE",
];

fn records(seed: u64, partitions: i32, count: usize) -> Vec<Record> {
    let mut next = BTreeMap::new();
    let place = |event: crate::event::Event| {
        let next = next.entry(event.partition).or_insert(0);
        *next += 1;
        Record {
            offset: *next - 1,
            event,
        }
    };
    let options = shop::Options {
        interval_ms: 1000,
        ..shop::Options::new(seed, partitions)
    };
    Shop::new(options).take(count).map(place).collect()
}

fn engine(view: &str, rules: &Rules) -> Result<Box<dyn Engine>> {
    let view = projection::find(view).context("no such view")?;
    Ok((view.engine)(Options {
        source: view.source.to_owned(),
        aliases: Vec::new(),
        dedup_window_ms: rules.dedup_window_ms,
        max_future_skew_ms: rules.max_future_skew_ms,
    }))
}

fn input(record: &Record) -> Input<'_> {
    Input {
        partition: record.event.partition,
        offset: record.offset,
        timestamp: record.event.timestamp,
        value: record.event.value.as_deref(),
    }
}

fn rows(engine: &dyn Engine) -> Rows {
    let table = engine.table();
    let all = table.scan(Bound::Unbounded, Bound::Unbounded, usize::MAX);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pair = |row: projection::Row| (text(&row.key), (text(&row.value), row.timestamp));
    all.into_iter().map(pair).collect()
}

/// Steps through all records, commits and takes back at random, and compares.
fn compare(view: &str, seed: u64, partitions: i32, rules: &Rules) -> Result<()> {
    let records = records(seed, partitions, 30_000);
    let truth = Truth::of(&records, rules)?;
    let truth = match view {
        "user_activity" => truth.user_activity()?,
        "daily_revenue" => truth.daily_revenue()?,
        _ => truth.order_revenue_minute()?,
    };
    let repeated = truth.counts.duplicate > 0 || rules.dedup_window_ms == Some(0);
    ensure!(repeated, "no duplicates");
    let special = match view {
        "user_activity" => "BAD_TYPE",
        "daily_revenue" => "BAD_NUMBER",
        _ => "LATE",
    };
    for reason in REASONS.iter().chain([&special]) {
        let there = truth.letters.values().any(|known| known == reason);
        ensure!(there, "no {reason}");
    }
    let mut engine = engine(view, rules)?;
    let mut random = Random::new(seed);
    let mut letters = BTreeMap::new();
    let (mut done, mut written) = (0, 0);
    while done < records.len() {
        let size = random.pick(&[1, 2, 10, 1000]);
        let batch = &records[done..records.len().min(done + size)];
        for record in batch {
            if let Outcome::Rejected(rejection) = engine.step(&input(record)) {
                let place = (record.event.partition, record.offset);
                letters.insert(place, rejection.reason.to_string());
            }
        }
        if random.below(4) == 0 {
            engine.rollback();
            continue;
        }
        let mut changes = 0;
        engine.changes(&mut |_, _, _| changes += 1);
        engine.commit(written);
        written += changes;
        done += batch.len();
    }
    view::same_rows(view, &rows(&*engine), &truth.rows)?;
    view::same_letters(view, &letters, &truth.letters)?;
    let must = truth.counts;
    let must = Counts {
        input: must.input,
        applied: must.applied,
        duplicate: must.duplicate,
        late: must.late,
        dead: must.dead,
    };
    assert_eq!(engine.counts(), must, "{view}");
    let digest = engine.table().digest();
    assert_eq!(truth::hex(&digest), truth::digest(&truth.rows), "{view}");
    Ok(())
}

#[test]
fn every_view_over_any_partitions_and_windows() -> Result<()> {
    let windows = [None, Some(0), Some(60_000), Some(600_000)];
    for view in ["user_activity", "daily_revenue", "order_revenue_minute"] {
        for (seed, (window, partitions)) in windows.into_iter().zip([1, 3, 8, 2]).enumerate() {
            let rules = Rules {
                dedup_window_ms: window,
                ..Rules::default()
            };
            compare(view, seed as u64, partitions, &rules)
                .with_context(|| format!("{view}, {partitions} partitions, window {window:?}"))?;
        }
    }
    Ok(())
}
