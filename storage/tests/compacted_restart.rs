//! A start after a crash, of a log that the cleaner was at: nothing that it left is lost, and the last
//! five batches of a producer are recognised when they are sent again, with the offsets that they had.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fixture::{NOW, append, try_append};
use protocol::record::{BatchBuilder, HEADER_LEN, records, verify};
use storage::{Cleanup, Log, LogConfig, Logs};

/// As many as clients have in flight.
const IN_FLIGHT: usize = 5;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 100,
        cleanup: Cleanup {
            delete: false,
            compact: true,
        },
        min_cleanable_dirty_ratio: 0.0,
        ..fixture::config()
    }
}

fn reopen(dir: &Path) -> (Logs, Arc<Log>) {
    let (logs, log, recovery) = fixture::reopen(dir, &config());
    assert_eq!(recovery.truncated_bytes, 0);
    (logs, log)
}

/// What comes next goes into a new segment.
fn fill_segment(log: &Log) {
    let mut batch = BatchBuilder::new();
    batch.push(NOW, Some(b"filler"), Some(&[0; 900]));
    append(log, &batch.build());
    let mut batch = BatchBuilder::new();
    batch.push(NOW, Some(b"next"), Some(&[0; 100]));
    append(log, &batch.build());
}

/// One producer, and what it sent.
struct Client {
    id: i64,
    next_sequence: i32,
    /// Batches and their base offsets.
    sent: Vec<(Bytes, i64)>,
}

impl Client {
    fn new(id: i64) -> Self {
        Self {
            id,
            next_sequence: 0,
            sent: Vec::new(),
        }
    }

    /// Sends a batch of `count` records with the keys `key`, `key` + 1, ….
    fn send(&mut self, log: &Log, key: u8, count: u8) {
        let mut batch = BatchBuilder::new().producer(self.id, 0, self.next_sequence);
        for i in 0..count {
            batch.push(
                NOW,
                Some(&[key + i]),
                Some(&self.next_sequence.to_be_bytes()),
            );
        }
        let batch = batch.build();
        let appended = append(log, &batch);
        assert!(!appended.duplicate);
        self.next_sequence += i32::from(count);
        self.sent.push((batch, appended.base_offset));
    }

    /// Sends again what may not have been answered, in any order.
    fn retry(&self, log: &Log, what: &str) {
        let unanswered = self.sent.len().saturating_sub(IN_FLIGHT);
        for (batch, base_offset) in &self.sent[unanswered..] {
            let again = try_append(log, batch);
            let again = again.unwrap_or_else(|e| panic!("{what}, at {base_offset}: {e}"));
            assert!(again.duplicate, "{what}, at {base_offset}");
            assert_eq!(again.base_offset, *base_offset, "{what}");
        }
    }
}

/// How a log comes back.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stop {
    /// Closed in order.
    Clean,
    /// The process was killed.
    Killed,
    /// The process was killed, and no snapshot is left.
    WithoutSnapshots,
}

fn stop_and_reopen(logs: Logs, dir: &Path, how: Stop) -> (Logs, Arc<Log>) {
    if how == Stop::Clean {
        logs.close().unwrap();
    }
    drop(logs);
    if how == Stop::WithoutSnapshots {
        for entry in std::fs::read_dir(fixture::partition_dir(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "snapshot") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
    reopen(dir)
}

const STOPS: [Stop; 3] = [Stop::Clean, Stop::Killed, Stop::WithoutSnapshots];

#[test]
fn the_last_five_batches_are_known_after_the_cleaner_and_a_restart() {
    for stop in STOPS {
        // How many batches lie in the active segment, which is not cleaned.
        for after in 0..=IN_FLIGHT {
            let (dir, logs, log) = fixture::create(&config());
            let (mut client, mut other) = (Client::new(7), Client::new(8));
            for i in 0..12 {
                client.send(&log, i % 2, 1 + i % 4);
                other.send(&log, i % 3, 1);
            }
            fill_segment(&log);
            for i in 0..after {
                client.send(&log, i as u8 % 2, 3);
            }
            log.flush().unwrap();
            logs.clean(NOW);
            assert!(logs.cleaner_stats().records_removed > 20);
            client.retry(&log, "before the restart");
            drop(log);
            let (logs, log) = stop_and_reopen(logs, dir.path(), stop);
            let what = format!("{stop:?}, {after} in the active segment");
            // The cleaner may be faster than the client.
            log.flush().unwrap();
            logs.clean(NOW);
            client.retry(&log, &what);
            other.retry(&log, &what);
            client.send(&log, 0, 1);
            other.send(&log, 0, 1);
        }
    }
}

/// The value of each key.
fn latest(log: &Log) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut next = 0;
    while next < log.end_offset() {
        let mut rest = &log.read(next, i64::MAX, 1 << 20, true).unwrap().records[..];
        assert!(!rest.is_empty(), "nothing at {next}");
        while !rest.is_empty() {
            let header = verify(rest).unwrap();
            for record in records(&header, &rest[HEADER_LEN..header.size()]) {
                let record = record.unwrap();
                found.insert(record.key.unwrap().to_vec(), record.value.unwrap().to_vec());
            }
            next = header.last_offset() + 1;
            rest = &rest[header.size()..];
        }
    }
    found
}

#[test]
fn what_was_compacted_since_the_last_checkpoint_is_no_damage() {
    for before in 1..40 {
        let (dir, logs, log) = fixture::create(&config());
        let mut client = Client::new(7);
        for i in 0..before {
            client.send(&log, i % 5, 3);
        }
        log.flush().unwrap();
        // The recovery point lies among what is outdated later on.
        logs.keep_house(NOW);
        for i in before..60 {
            client.send(&log, i % 5, 3);
        }
        log.flush().unwrap();
        let expected = (latest(&log), log.end_offset());
        logs.clean(NOW);
        assert!(logs.cleaner_stats().records_removed > 100);
        drop((log, logs));
        let (_logs, log) = reopen(dir.path());
        let found = (latest(&log), log.end_offset());
        assert_eq!(found, expected, "recovery point after {before} batches");
        client.retry(&log, "after the crash");
    }
}
