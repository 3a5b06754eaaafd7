//! The metrics of views.
use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, http};
use serde_json::json;

use crate::event::{self, Event};
use crate::shop::{self, Shop};
use crate::truth::{Rules, Truth};
use crate::view;

/// The sum of a metric's samples whose labels contain all of these texts.
fn sum(page: &str, name: &str, labels: &[&str]) -> Result<f64> {
    let mut total = None;
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').context("a value")?;
        let found = series.split('{').next() == Some(name);
        if found && labels.iter().all(|label| series.contains(label)) {
            *total.get_or_insert(0.0) += value.parse::<f64>()?;
        }
    }
    total.with_context(|| format!("no {name} with {labels:?}"))
}

#[test]
fn they_tell_what_became_of_the_events() -> Result<()> {
    let options = Options::default().set(
        "projections",
        "user_activity,daily_revenue,order_revenue_minute:events",
    );
    let broker = Broker::start(options)?;
    event::create_topic(broker.bootstrap(), "events", 2)?;
    let events: Vec<Event> = Shop::new(shop::Options::new(31, 2)).take(6000).collect();
    event::produce(broker.bootstrap(), "events", &events[..5000])?;
    let records = event::read(broker.bootstrap(), "events")?;
    let truth = Truth::of(&records, &Rules::default())?;
    let views = [
        ("user_activity", truth.user_activity()?),
        ("daily_revenue", truth.daily_revenue()?),
        ("order_revenue_minute", truth.order_revenue_minute()?),
    ];
    for (name, _) in &views {
        view::await_all(&broker, name, "events")?;
    }
    let page = http::get(&broker.http(), "/metrics")?.text();
    for (name, truth) in &views {
        let label = format!("\"{name}\"");
        let of = |metric: &str| sum(&page, metric, &[&label]).map(|value| value as u64);
        ensure!(of("dedup_hits_total")? == truth.counts.duplicate);
        ensure!(of("late_records_total")? == truth.counts.late);
        ensure!(of("projection_lag_records")? == 0);
        ensure!(of("projection_lag_seconds")? == 0);
        ensure!(of("read_model_latency_seconds_count")? > 0);
        ensure!(of("projection_apply_seconds_count")? > 0);
        for reason in ["BAD_JSON", "MISSING_FIELD", "BAD_TIMESTAMP"] {
            let must = truth.letters.values().filter(|it| *it == reason).count() as u64;
            let metric = sum(
                &page,
                "dlq_records_total",
                &[&label, &format!("\"{reason}\"")],
            )?;
            ensure!(
                metric as u64 == must,
                "{name} {reason}: {metric}, must be {must}"
            );
        }
    }
    ensure!(sum(&page, "event_ingest_rate", &[])? >= 0.0);
    let seconds = sum(&page, "projection_apply_seconds_sum", &[])?;
    ensure!(seconds > 0.0 && seconds < 60.0, "{seconds} s");
    let latency = sum(&page, "read_model_latency_seconds_sum", &[])?;
    ensure!(latency > 0.0, "{latency} s");
    view::order(&broker, "user_activity", "pause", &json!({}))?;
    view::await_state(&broker, "user_activity", "PAUSED")?;
    event::produce(broker.bootstrap(), "events", &events[5000..])?;
    harness::eventually("the lag", || {
        let page = http::get(&broker.http(), "/metrics").ok()?.text();
        let lag = sum(&page, "projection_lag_records", &["\"user_activity\""]).ok()?;
        let seconds = sum(&page, "projection_lag_seconds", &["\"user_activity\""]).ok()?;
        (lag as u64 == 1000 && seconds > 0.0).then_some(())
    })
}
