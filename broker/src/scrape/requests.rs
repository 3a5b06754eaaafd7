//! Requests, errors, connections, sessions and flushes.
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use protocol::error::ErrorCode;

use super::page::Page;
use crate::broker::Broker;
use crate::handlers::TABLE;

/// Writes what the counters of the whole broker hold.
pub fn write(page: &mut Page, broker: &Broker) {
    let metrics = &broker.metrics;
    let started = metrics.started.duration_since(UNIX_EPOCH);
    page.gauge(
        "process_start_time_seconds",
        "When the process started, seconds since 1970.",
    )
    .sample(&[], started.map_or(0.0, |since| since.as_secs_f64()));
    let (open, opened) = metrics.connections();
    page.gauge("klamm_connections", "Open connections of clients.")
        .sample(&[], open);
    page.counter(
        "klamm_connections_total",
        "Connections that clients opened.",
    )
    .sample(&[], opened);
    page.gauge(
        "klamm_requests_in_flight_bytes",
        "Bytes of requests that are not answered yet.",
    )
    .sample(&[], broker.budget.used_bytes());
    page.gauge(
        "klamm_replies_unsent_bytes",
        "Bytes of replies that no client has taken yet, records not counted.",
    )
    .sample(&[], broker.unsent.bytes());
    page.gauge(
        "klamm_groups_memory_bytes",
        "Memory of consumer groups, their members and offsets, as far as it is bounded.",
    )
    .sample(&[], broker.groups.memory.bytes());
    page.gauge(
        "klamm_fetch_sessions",
        "Incremental fetch sessions (KIP-227).",
    )
    .sample(&[], broker.sessions.count());
    page.histogram(
        "klamm_flush_duration_seconds",
        "How long each fdatasync of a log took.",
    )
    .buckets(&[], &metrics.flushes);
    by_api(page, broker);
    errors(page, broker);
}

fn by_api(page: &mut Page, broker: &Broker) {
    let of_row = |index| broker.metrics.of_row(index);
    let mut requests = page.counter("klamm_requests_total", "Requests that were started.");
    for row in TABLE {
        let started = of_row(row.index).started.load(Ordering::Relaxed);
        requests.sample(&[("api", &format!("{:?}", row.key))], started);
    }
    let mut durations = page.histogram(
        "klamm_request_duration_seconds",
        "From a request's start to its answer, waiting included; only APIs that were used.",
    );
    for row in TABLE {
        let row_metrics = of_row(row.index);
        if row_metrics.started.load(Ordering::Relaxed) > 0 {
            let api = format!("{:?}", row.key);
            durations.buckets(&[("api", &api)], &row_metrics.durations);
        }
    }
}

fn errors(page: &mut Page, broker: &Broker) {
    let mut errors = page.counter(
        "klamm_errors_total",
        "Errors in responses, by Kafka's names.",
    );
    for (code, count) in broker.metrics.error_counts() {
        errors.sample(&[("error", &error_name(code))], count);
    }
}

/// Kafka's own spelling, e.g. `NOT_COORDINATOR`; the number if the code has no name.
fn error_name(code: i16) -> String {
    let camel = match ErrorCode::try_from_code(code) {
        None | Some(ErrorCode::Unknown(_)) => return code.to_string(),
        Some(error) => error.to_string(),
    };
    let mut name = String::with_capacity(camel.len() + 4);
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_kafkas_names() {
        assert_eq!(error_name(-1), "UNKNOWN_SERVER_ERROR");
        assert_eq!(error_name(3), "UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(error_name(16), "NOT_COORDINATOR");
        assert_eq!(error_name(255), "255");
    }
}
