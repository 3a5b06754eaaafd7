//! Log compaction.
use super::page::Page;
use crate::broker::Broker;

/// Writes what the cleaner did since the start.
pub fn write(page: &mut Page, broker: &Broker) {
    let stats = broker.logs.cleaner_stats();
    for (name, help, count) in [
        (
            "klamm_log_cleaner_passes_total",
            "Passes over a log that came to their end.",
            stats.passes,
        ),
        (
            "klamm_log_cleaner_failures_total",
            "Passes that failed.",
            stats.failures,
        ),
        (
            "klamm_log_cleaner_bytes_read_total",
            "Bytes of record batches that were read to be compacted.",
            stats.bytes_read,
        ),
        (
            "klamm_log_cleaner_bytes_written_total",
            "Bytes of record batches that were written again.",
            stats.bytes_written,
        ),
        (
            "klamm_log_cleaner_records_removed_total",
            "Records that compaction removed.",
            stats.records_removed,
        ),
    ] {
        page.counter(name, help).sample(&[], count);
    }
    page.counter("klamm_log_cleaner_seconds_total", "Time spent on passes.")
        .sample(&[], stats.seconds);
    page.gauge(
        "klamm_log_cleaner_max_dirty_ratio",
        "Share of the dirtiest log, from 0 to 1, that is not compacted.",
    )
    .sample(&[], stats.max_dirty_ratio);
}
