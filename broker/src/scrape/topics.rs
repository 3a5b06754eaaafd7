//! Topics and the logs of their partitions.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::page::Page;
use crate::broker::Broker;
use crate::metadata::Topic;
use crate::metrics::TopicMetrics;
use crate::partition::Partition;

type Counter = (&'static str, &'static str, fn(&TopicMetrics) -> &AtomicU64);

const COUNTERS: [Counter; 3] = [
    (
        "klamm_topic_records_in_total",
        "Records appended by clients.",
        |metrics| &metrics.records_in,
    ),
    (
        "klamm_topic_bytes_in_total",
        "Bytes of record batches appended by clients, as sent.",
        |metrics| &metrics.bytes_in,
    ),
    (
        "klamm_topic_bytes_out_total",
        "Bytes of record batches handed to consumers.",
        |metrics| &metrics.bytes_out,
    ),
];

type Gauge = (&'static str, &'static str, fn(&Partition) -> i64);

const GAUGES: [Gauge; 5] = [
    (
        "klamm_log_start_offset",
        "First offset that can be read.",
        |partition| partition.log.start_offset(),
    ),
    (
        "klamm_log_end_offset",
        "Offset of the next record.",
        |partition| partition.log.end_offset(),
    ),
    (
        "klamm_log_flushed_offset",
        "Everything below is on disk for good.",
        |partition| partition.log.flushed_offset(),
    ),
    (
        "klamm_log_size_bytes",
        "Bytes of record batches.",
        |partition| partition.log.size_bytes() as i64,
    ),
    ("klamm_log_segments", "Segment files.", |partition| {
        partition.log.segment_count() as i64
    }),
];

/// Writes what each topic took and gave, and where each log stands.
pub fn write(page: &mut Page, broker: &Broker) {
    page.counter(
        "klamm_log_corrupt_reads_total",
        "Reads that met a damaged batch.",
    )
    .sample(&[], broker.logs.corrupt_reads());
    let topics: Vec<Arc<Topic>> = broker.topics.all();
    page.gauge("klamm_topics", "Topics, internal ones included.")
        .sample(&[], topics.len());
    for (name, help, counter) in COUNTERS {
        let mut family = page.counter(name, help);
        for topic in &topics {
            let value = counter(&topic.metrics).load(Ordering::Relaxed);
            family.sample(&[("topic", &topic.name)], value);
        }
    }
    for (name, help, gauge) in GAUGES {
        let mut family = page.gauge(name, help);
        for topic in &topics {
            for partition in topic.partitions().iter() {
                let index = partition.index.to_string();
                let labels = [("topic", &*topic.name), ("partition", &index)];
                family.sample(&labels, gauge(partition));
            }
        }
    }
    if let Ok((total, free)) = broker.logs.disk_space() {
        page.gauge("klamm_disk_bytes", "Size of the file system of the logs.")
            .sample(&[], total);
        page.gauge(
            "klamm_disk_free_bytes",
            "Bytes of it that are free for the broker.",
        )
        .sample(&[], free);
    }
}
