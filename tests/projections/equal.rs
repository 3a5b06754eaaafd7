//! Every row, count and dead letter of the views, against the truth.
use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, http};
use serde_json::Value;

use crate::event::{self, Event, Record};
use crate::shop::{self, Shop};
use crate::truth::{Rules, Truth};
use crate::{turn, view};

const EVENTS: usize = 100_000;

/// The records of the source, which must be those that were produced.
fn source(broker: &Broker, topic: &str, events: &[Event]) -> Result<Vec<Record>> {
    let records = event::read(broker.bootstrap(), topic)?;
    for partition in 0..event::partitions(broker.bootstrap(), topic)? {
        let sent = events.iter().filter(|event| event.partition == partition);
        let there = records.iter().map(|record| &record.event);
        let there = there.filter(|event| event.partition == partition);
        ensure!(sent.eq(there), "partition {partition} is not what was sent");
    }
    Ok(records)
}

fn both_views(partitions: i32) -> Result<()> {
    let _turn = turn();
    let broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", partitions)?;
    let shop = shop::Options::new(partitions as u64, partitions);
    let events: Vec<Event> = Shop::new(shop).take(EVENTS).collect();
    event::produce(broker.bootstrap(), "events", &events)?;
    let records = source(&broker, "events", &events)?;
    let truth = Truth::of(&records, &Rules::default())?;
    for (name, truth) in [
        ("user_activity", truth.user_activity()?),
        ("daily_revenue", truth.daily_revenue()?),
    ] {
        ensure!(truth.counts.duplicate > 5000 && truth.counts.dead > 3000);
        view::await_all(&broker, name, "events")?;
        view::check(&broker, name, &truth)?;
        let must = truth
            .rows
            .iter()
            .map(|(key, (value, timestamp))| Ok((parsed(key)?, parsed(value)?, *timestamp)));
        ensure!(listed(&broker, name)? == must.collect::<Result<Vec<_>>>()?);
    }
    Ok(())
}

fn parsed(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| text.to_owned())
}

/// All rows over HTTP, page by page: key, value, timestamp.
fn listed(broker: &Broker, name: &str) -> Result<Vec<(Value, Value, i64)>> {
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/views/{name}/rows?limit=500{cursor}");
        let page = http::get(&broker.http(), &path)?.success()?;
        for row in page["rows"].as_array().context("a list of rows")? {
            let timestamp = row["timestamp"].as_i64().context("a timestamp")?;
            rows.push((row["key"].clone(), row["value"].clone(), timestamp));
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", http::quoted(next)),
            None => return Ok(rows),
        }
    }
}

#[test]
fn both_views_over_one_partition() -> Result<()> {
    both_views(1)
}

#[test]
fn both_views_over_three_partitions() -> Result<()> {
    both_views(3)
}

#[test]
fn both_views_over_eight_partitions() -> Result<()> {
    both_views(8)
}

#[test]
fn revenue_by_the_minute_with_late_orders() -> Result<()> {
    let _turn = turn();
    let broker = Broker::start(Options::default().set("projections", "order_revenue_minute"))?;
    event::create_topic(broker.bootstrap(), "orders.enriched", 3)?;
    let shop = shop::Options {
        interval_ms: 1000,
        twisted: 400,
        ..shop::Options::new(7, 3)
    };
    let events: Vec<Event> = Shop::new(shop).take(25_000).collect();
    event::produce(broker.bootstrap(), "orders.enriched", &events)?;
    let records = source(&broker, "orders.enriched", &events)?;
    let truth = Truth::of(&records, &Rules::default())?.order_revenue_minute()?;
    ensure!(
        truth.counts.late > 100 && truth.rows.len() > 500,
        "{:?}",
        truth.counts
    );
    view::await_all(&broker, "order_revenue_minute", "orders.enriched")?;
    view::check(&broker, "order_revenue_minute", &truth)
}
