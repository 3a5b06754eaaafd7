//! Pages of dead letters, over a real log.
use std::path::Path;

use config::{Settings, TopicConfig};
use protocol::record::BatchBuilder;
use storage::{Logs, Origin};

use super::*;
use crate::metadata::{Configs, log_config, storage_options};

fn open(dir: &Path) -> (Logs, Arc<Partition>) {
    let flags = vec![("data-dir".to_owned(), dir.display().to_string())];
    let settings = Settings::load(None, std::iter::empty(), flags).unwrap();
    let config = TopicConfig::resolve(&Configs::new(), &settings).unwrap();
    let config = log_config(&config);
    let (logs, _) = Logs::open(storage_options(&settings), &config).unwrap();
    let log = logs.create("v.dlq", 0, [1; 16], config).unwrap();
    (logs, Partition::new(0, log))
}

/// Appends letters in batches of three; every fifth is `LATE`, the others `BAD_JSON`.
fn fill(partition: &Partition, count: i64, value: &[u8]) {
    let mut batch = BatchBuilder::new();
    for n in 0..count {
        let (offset, reason) = (n.to_string(), if n % 5 == 0 { "LATE" } else { "BAD_JSON" });
        let headers: Vec<(&[u8], Option<&[u8]>)> = vec![
            // The record came with a header of that name: klamm's own stands behind it.
            (b"dlq.reason", Some(b"whatever")),
            (b"dlq.reason", Some(reason.as_bytes())),
            (b"dlq.message", Some(b"no")),
            (b"dlq.topic", Some(b"my-events")),
            (b"dlq.partition", Some(b"1")),
            (b"dlq.offset", Some(offset.as_bytes())),
            (b"dlq.timestamp", Some(b"17")),
        ];
        batch.push_with_headers(1, None, Some(value), &headers);
        if batch.len() == 3 || n + 1 == count {
            let full = std::mem::take(&mut batch);
            partition.append(&full.build(), Origin::Internal).unwrap();
        }
    }
}

async fn walk(
    partition: &Arc<Partition>,
    limit: usize,
    reason: Option<Reason>,
    order: Order,
) -> Vec<i64> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let (letters, next) = gather(partition, limit, reason, order, cursor)
            .await
            .unwrap();
        assert!(letters.len() <= limit);
        found.extend(letters.iter().map(|letter| letter.dlq_offset));
        cursor = next;
        if cursor.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn pages_of_any_size_hold_every_letter_once_either_way() {
    let dir = tempfile::tempdir().unwrap();
    let (_logs, partition) = open(dir.path());
    fill(&partition, 2500, b"{");
    let all: Vec<i64> = (0..2500).collect();
    let late: Vec<i64> = (0..2500).step_by(5).collect();
    for limit in [1, 7, 999, 1000] {
        for (reason, expected) in [(None, &all), (Some(Reason::Late), &late)] {
            if limit == 1 && reason.is_none() {
                continue;
            }
            assert_eq!(
                walk(&partition, limit, reason, Order::Oldest).await,
                *expected
            );
            let newest = walk(&partition, limit, reason, Order::Newest).await;
            assert!(newest.iter().rev().eq(expected), "{limit} {reason:?}");
        }
    }
    let overflow = walk(&partition, 10, Some(Reason::Overflow), Order::Newest).await;
    assert_eq!(overflow, [0i64; 0]);
    // A cursor from elsewhere is no place outside of the topic.
    let (letters, _) = gather(&partition, 1, None, Order::Newest, Some(i64::MAX))
        .await
        .unwrap();
    assert_eq!(letters[0].dlq_offset, 2499);
    let (letters, next) = gather(&partition, 1, None, Order::Newest, Some(-5))
        .await
        .unwrap();
    assert_eq!((letters.len(), next), (0, None));
}

#[tokio::test]
async fn large_letters_make_short_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (_logs, partition) = open(dir.path());
    fill(&partition, 20, "x".repeat(500 << 10).as_bytes());
    for order in [Order::Newest, Order::Oldest] {
        let (letters, cursor) = gather(&partition, 20, None, order, None).await.unwrap();
        assert!(
            (1..20).contains(&letters.len()) && cursor.is_some(),
            "{order:?}"
        );
        assert_eq!(walk(&partition, 20, None, order).await.len(), 20);
    }
}

#[tokio::test]
async fn a_letter_tells_its_record_and_how_its_bytes_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let (_logs, partition) = open(dir.path());
    fill(&partition, 1, b"\xff{");
    let (letters, _) = gather(&partition, 1, None, Order::Newest, None)
        .await
        .unwrap();
    assert_eq!(
        serde_json::to_value(&letters[0]).unwrap(),
        json!({
            "id": "my-events-1@0", "reason": "LATE", "message": "no", "topic": "my-events",
            "partition": 1, "offset": 0, "timestamp": 17, "key": null, "key_encoding": null,
            "value": "/3s=", "value_encoding": "base64", "dlq_offset": 0,
        })
    );
}
