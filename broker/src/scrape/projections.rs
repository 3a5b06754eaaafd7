//! How the views are doing.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::page::Page;
use crate::broker::Broker;
use crate::projector::{Description, Handle, Stats};

/// A view and what it says of itself at this moment.
type Views = Vec<(Arc<Handle>, Description)>;

/// Writes what each view did, and how far it is behind.
pub fn write(page: &mut Page, broker: &Broker) {
    let views = broker.projector.all().iter();
    let views: Views = views
        .map(|view| (Arc::clone(view), view.describe()))
        .collect();
    if views.is_empty() {
        return;
    }
    ingest(page, &views);
    lag(page, &views);
    histograms(page, &views);
    outcomes(page, &views);
    sizes(page, &views);
    states(page, &views);
}

fn ingest(page: &mut Page, views: &Views) {
    let mut rates = BTreeMap::new();
    for (view, _) in views {
        let (topic, total) = view.ingested();
        let rate = view.stats().ingest.look(total, Instant::now());
        rates.insert(topic, rate);
    }
    let mut family = page.gauge(
        "event_ingest_rate",
        "Records per second into the source of a view, over the last 10 s.",
    );
    for (topic, rate) in rates {
        family.sample(&[("topic", &topic)], rate);
    }
}

fn lag(page: &mut Page, views: &Views) {
    let mut family = page.gauge(
        "projection_lag_records",
        "Records of the source that are not in the view yet.",
    );
    for (view, now) in views {
        for lag in &now.sources {
            let partition = lag.partition.to_string();
            let labels = [("projection", view.name()), ("partition", &partition)];
            family.sample(&labels, lag.records);
        }
    }
    let mut family = page.gauge(
        "projection_lag_seconds",
        "How long the oldest record that is not in the view waits already.",
    );
    for (view, _) in views {
        family.sample(&[("projection", view.name())], view.lag_seconds());
    }
}

fn histograms(page: &mut Page, views: &Views) {
    let mut family = page.histogram(
        "read_model_latency_seconds",
        "From the append of an event to the commit that made it visible in the view; the oldest \
         event of each commit and partition.",
    );
    for (view, _) in views {
        family.buckets(&[("projection", view.name())], &view.stats().latency);
    }
    let mut family = page.histogram(
        "projection_apply_seconds",
        "Reading and applying the records of one commit.",
    );
    for (view, _) in views {
        family.buckets(&[("projection", view.name())], &view.stats().apply);
    }
}

fn outcomes(page: &mut Page, views: &Views) {
    type Counter = (
        &'static str,
        &'static str,
        fn(&Stats) -> &std::sync::atomic::AtomicU64,
    );
    const COUNTERS: [Counter; 3] = [
        (
            "dedup_hits_total",
            "Duplicates that were suppressed.",
            |stats| &stats.duplicates,
        ),
        (
            "late_records_total",
            "Records that came after their window was closed.",
            |stats| &stats.late,
        ),
        (
            "projection_commits_total",
            "Commits of the view.",
            |stats| &stats.commits,
        ),
    ];
    for (name, help, counter) in COUNTERS {
        let mut family = page.counter(name, help);
        for (view, _) in views {
            let value = counter(view.stats()).load(Ordering::Relaxed);
            family.sample(&[("projection", view.name())], value);
        }
    }
    let mut family = page.counter("dlq_records_total", "Dead letters written, by reason.");
    for (view, _) in views {
        for (reason, count) in view.stats().letters() {
            let labels = [("projection", view.name()), ("reason", reason.as_str())];
            family.sample(&labels, count);
        }
    }
    let mut family = page.gauge(
        "projection_records_total",
        "What became of the records of the source, since the generation began: in is the sum of \
         the others.",
    );
    for (view, now) in views {
        let counts = now.counts;
        for (outcome, count) in [
            ("in", counts.input),
            ("applied", counts.applied),
            ("duplicate", counts.duplicate),
            ("late", counts.late),
            ("dead", counts.dead),
        ] {
            family.sample(&[("projection", view.name()), ("outcome", outcome)], count);
        }
    }
}

fn sizes(page: &mut Page, views: &Views) {
    type Gauge = (&'static str, &'static str, fn(&Description) -> u64);
    const GAUGES: [Gauge; 3] = [
        ("projection_rows", "Rows of the view.", |now| now.rows),
        (
            "projection_memory_bytes",
            "Memory for rows and seen events, roughly.",
            |now| now.memory_bytes,
        ),
        (
            "projection_generation",
            "Generation that readers see, 0 before the first commit.",
            |now| now.generation,
        ),
    ];
    for (name, help, gauge) in GAUGES {
        let mut family = page.gauge(name, help);
        for (view, now) in views {
            family.sample(&[("projection", view.name())], gauge(now));
        }
    }
}

fn states(page: &mut Page, views: &Views) {
    const STATES: [&str; 7] = [
        "CREATED",
        "BUILDING",
        "RUNNING",
        "LAGGING",
        "PAUSED",
        "LOST_INPUT",
        "FAILED",
    ];
    let mut family = page.gauge("projection_state", "1 for the state that the view is in.");
    for (view, now) in views {
        let is = now.state.to_string();
        for state in STATES {
            let holds = is.split('(').next() == Some(state);
            let labels = [("projection", view.name()), ("state", state)];
            family.sample(&labels, u8::from(holds));
        }
    }
}
