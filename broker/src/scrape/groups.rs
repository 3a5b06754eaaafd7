//! How far consumer groups are behind.
use super::page::Page;
use crate::broker::Broker;

/// Writes, for each committed offset, the records between it and the end of the log.
pub fn write(page: &mut Page, broker: &Broker) {
    let mut lag = page.gauge(
        "klamm_group_lag_records",
        "Log end offset less the group's committed offset.",
    );
    for committed in broker.groups.snapshot() {
        let place = broker
            .topics
            .partition(&committed.topic, committed.partition);
        let Some(partition) = place else {
            continue;
        };
        let index = committed.partition.to_string();
        let labels = [
            ("group", &*committed.group),
            ("topic", &*committed.topic),
            ("partition", &index),
        ];
        let behind = partition.log.end_offset() - committed.offset;
        lag.sample(&labels, behind.max(0));
    }
}
