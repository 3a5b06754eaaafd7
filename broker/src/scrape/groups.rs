//! How far consumer groups are behind.
use super::page::Page;
use crate::broker::Broker;

/// Writes, for each committed offset, the records between it and the high watermark.
pub fn write(page: &mut Page, broker: &Broker) {
    let mut lag = page.gauge(
        "klamm_group_lag_records",
        "High watermark less the group's committed offset.",
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
        lag.sample(
            &labels,
            behind(partition.high_watermark(), committed.offset),
        );
    }
}

/// A client can commit any number, and one past the end is not behind.
fn behind(high_watermark: i64, committed: i64) -> i64 {
    high_watermark.saturating_sub(committed).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_committed_offset_gives_a_lag() {
        assert_eq!(behind(10, 3), 7);
        assert_eq!(behind(10, 11), 0);
        assert_eq!(behind(10, i64::MIN), i64::MAX);
        assert_eq!(behind(0, i64::MAX), 0);
    }
}
