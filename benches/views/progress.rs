//! What the broker tells of its views.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use workload::process::{Broker, Error};

/// How long the views may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Waits until every view has read `events` records.
pub(crate) fn caught_up(broker: &Broker, events: u64) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        let answer: Value = serde_json::from_str(&broker.get("/v1/projections")?)?;
        let views = answer["projections"].as_array().ok_or("no projections")?;
        let read = |view: &Value| {
            let sources = view["sources"].as_array()?;
            sources
                .iter()
                .map(|source| source["next"].as_u64())
                .sum::<Option<u64>>()
        };
        let served = |view: &Value| view["state"] == "RUNNING" && read(view) == Some(events);
        if !views.is_empty() && views.iter().all(served) {
            return Ok(());
        }
        if started.elapsed() > LIMIT {
            return Err(format!("the views do not catch up: {answer}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Upper bound of the bucket that holds the quantile, all label sets together, milliseconds.
pub(crate) fn quantile_millis(metrics: &str, name: &str, share: f64) -> f64 {
    let prefix = format!("{name}_bucket{{");
    let mut buckets: BTreeMap<&str, f64> = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with(&prefix)) {
        let bound = line.split("le=\"").nth(1);
        let bound = bound.and_then(|rest| rest.split('"').next());
        let count: Option<f64> = line.rsplit(' ').next().and_then(|text| text.parse().ok());
        if let (Some(bound), Some(count)) = (bound, count) {
            *buckets.entry(bound).or_default() += count;
        }
    }
    let bound = |text: &str| text.parse().unwrap_or(f64::INFINITY);
    let mut buckets: Vec<(f64, f64)> = buckets
        .into_iter()
        .map(|(text, count)| (bound(text), count))
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    let found = buckets.iter().find(|(_, count)| *count >= all * share);
    found.map_or(f64::NAN, |(bound, _)| bound * 1e3)
}
