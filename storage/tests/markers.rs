//! Transaction markers in a compacted log: they go when nothing is left that they decide, and with them
//! the entries of the index of aborted transactions; a restart makes the same of what is left.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fixture::{CLIENT, NOW, append};
use protocol::record::{BatchBuilder, BatchHeader, verify};
use storage::{Append, Cleanup, Log, LogConfig, Logs, Marker, Origin, StorageOptions};

const DAY: i64 = 86_400_000;
const INTERNAL: Append = Append {
    origin: Origin::Internal,
    ..CLIENT
};

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1500,
        index_interval_bytes: 100,
        cleanup: Cleanup {
            delete: false,
            compact: true,
        },
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: DAY,
        ..fixture::config()
    }
}

fn data(id: i64, sequence: i32, key: &[u8]) -> Bytes {
    let mut batch = BatchBuilder::new()
        .producer(id, 0, sequence)
        .transactional();
    batch.push(NOW, Some(key), Some(&sequence.to_be_bytes()));
    batch.build()
}

fn end(log: &Log, id: i64, commits: bool) -> i64 {
    let marker = Marker {
        commits,
        coordinator_epoch: 0,
    };
    let marker = marker.batch(id, 0, NOW);
    log.append(&marker, INTERNAL).unwrap().base_offset
}

/// Fills segments, so that what came before is sealed, and cleans it.
fn seal_and_clean(logs: &Logs, log: &Log, now_ms: i64) {
    let count = log.segment_count();
    while log.segment_count() < count + 2 {
        let mut batch = BatchBuilder::new();
        batch.push(NOW, Some(b"filler"), Some(&[0; 500]));
        append(log, &batch.build());
    }
    log.flush().unwrap();
    logs.clean(now_ms);
    assert_eq!(logs.cleaner_stats().failures, 0);
}

fn headers(log: &Log) -> Vec<BatchHeader> {
    let mut found = Vec::new();
    let mut next = log.start_offset();
    while next < log.end_offset() {
        let mut rest = &log.read(next, i64::MAX, 1 << 20, true).unwrap().records[..];
        assert!(!rest.is_empty(), "nothing at {next}");
        while !rest.is_empty() {
            let header = verify(rest).unwrap();
            next = header.last_offset() + 1;
            found.push(header);
            rest = &rest[header.size()..];
        }
    }
    found
}

/// Offsets of the markers with a record.
fn markers(log: &Log) -> Vec<i64> {
    let found = headers(log).into_iter();
    let markers = found.filter(|h| h.attributes.is_control() && h.records_count > 0);
    markers.map(|h| h.base_offset).collect()
}

/// Markers of the aborted transactions that the index tells.
fn aborted(log: &Log) -> Vec<i64> {
    let found = log.aborted(0, log.end_offset());
    found.iter().map(|it| it.last_offset).collect()
}

/// Whether the log makes sense to a consumer of committed records.
fn check(log: &Log, what: &str) {
    assert_eq!(log.last_stable_offset(), log.end_offset(), "{what}");
    assert!(!log.has_open_transactions(), "{what}");
    let markers: BTreeSet<i64> = markers(log).into_iter().collect();
    // It would wait for the marker of a transaction that it is told of.
    assert!(aborted(log).iter().all(|at| markers.contains(at)), "{what}");
}

fn remove_all(dir: &Path, extension: &str) {
    for entry in fs::read_dir(fixture::partition_dir(dir)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == extension) {
            fs::remove_file(path).unwrap();
        }
    }
}

fn reopen(dir: &Path) -> (Logs, Arc<Log>) {
    let (logs, log, recovery) = fixture::reopen(dir, &config());
    assert_eq!(recovery.truncated_bytes, 0);
    (logs, log)
}

/// Ten transactions of one record of producer 9, every other one aborted. Returns their markers.
fn ten_transactions(log: &Log) -> Vec<i64> {
    let transaction = |i: i32| {
        log.append(&data(9, i, b"a"), INTERNAL).unwrap();
        end(log, 9, i % 2 == 0)
    };
    (0..10).map(transaction).collect()
}

#[test]
fn markers_go_with_their_time_once_the_batches_are_gone() {
    let (dir, logs, log) = fixture::create(&config());
    let all = ten_transactions(&log);
    let of_aborted: Vec<_> = all.iter().copied().skip(1).step_by(2).collect();
    seal_and_clean(&logs, &log, NOW);
    let left = headers(&log);
    let batches = left
        .iter()
        .filter(|h| h.producer_id == 9 && !h.attributes.is_control());
    assert_eq!(batches.count(), 5, "it may send these again");
    assert_eq!(markers(&log), all);
    // Their time begins when the batches are seen to be gone.
    seal_and_clean(&logs, &log, NOW + DAY);
    seal_and_clean(&logs, &log, NOW + 2 * DAY - 1);
    assert_eq!(
        (markers(&log), aborted(&log)),
        (all.clone(), of_aborted.clone())
    );
    check(&log, "before");
    seal_and_clean(&logs, &log, NOW + 2 * DAY);
    assert_eq!(markers(&log), all[5..]);
    assert_eq!(aborted(&log), of_aborted[2..]);
    check(&log, "after");
    drop((log, logs));
    for what in ["as it is", "without snapshots", "without indexes"] {
        match what {
            "without snapshots" => remove_all(dir.path(), "snapshot"),
            "without indexes" => ["txnindex", "index", "timeindex"]
                .iter()
                .for_each(|extension| remove_all(dir.path(), extension)),
            _ => {}
        }
        let (_logs, log) = reopen(dir.path());
        check(&log, what);
        assert_eq!(markers(&log), all[5..], "{what}");
        // A file that is not there says that nothing was aborted.
        if what != "without indexes" {
            assert_eq!(aborted(&log), of_aborted[2..], "{what}");
        }
        for i in 5..10 {
            assert!(append(&log, &data(9, i, b"a")).duplicate, "{what}: {i}");
        }
    }
}

#[test]
fn a_log_of_transactions_does_not_grow() {
    let (_dir, logs, log) = fixture::create(&config());
    let mut sizes = Vec::new();
    for round in 0..12 {
        for i in 0..20 {
            let sequence = 20 * round + i;
            log.append(&data(9, sequence, b"a"), INTERNAL).unwrap();
            end(&log, 9, i % 3 != 0);
            // As a coordinator writes, without sequences.
            log.append(&data(i64::from(10 + i % 2), -1, b"b"), INTERNAL)
                .unwrap();
            end(&log, i64::from(10 + i % 2), true);
        }
        for _ in 0..3 {
            seal_and_clean(&logs, &log, NOW + i64::from(round) * 2 * DAY);
        }
        check(&log, "in between");
        sizes.push(headers(&log).len());
    }
    // The last round's are there, and those of which the time is not over.
    assert!(sizes.iter().all(|size| *size < 150), "{sizes:?}");
    assert!(aborted(&log).len() < 20);
}

/// Restarts a log in which a snapshot tells of an open transaction that has ended since, and was
/// compacted away. Before that, the producer may open another one; tells where.
fn restart_with_old_snapshot(opens_another: bool) -> (tempfile::TempDir, Logs, Arc<Log>, i64) {
    let dir = tempfile::tempdir().unwrap();
    let options = StorageOptions {
        producer_id_expiration_ms: 0,
        ..fixture::options(dir.path())
    };
    let config = LogConfig {
        delete_retention_ms: 0,
        ..config()
    };
    let (logs, _) = Logs::open(options, &config).unwrap();
    let log = logs.create("t", 0, [7; 16], config.clone()).unwrap();
    let first = append(&log, &data(9, 0, b"filler")).base_offset;
    let mut filler = BatchBuilder::new();
    filler.push(NOW, Some(b"filler"), Some(&[0; 1300]));
    let filler = filler.build();
    append(&log, &filler);
    let next = append(&log, &filler).base_offset;
    // The snapshot tells of an open transaction.
    let snapshot = fixture::segment_file(dir.path(), next, "snapshot");
    let content = fs::read(&snapshot).unwrap();
    assert_eq!(log.last_stable_offset(), first);
    end(&log, 9, true);
    // The producer is not heard of any more.
    logs.keep_house(NOW + 5000);
    assert_eq!(log.producers(), []);
    for _ in 0..3 {
        seal_and_clean(&logs, &log, NOW + DAY);
    }
    assert!(headers(&log).iter().all(|h| h.producer_id != 9));
    let end_offset = log.end_offset();
    if opens_another {
        append(&log, &data(9, 0, b"another"));
    }
    drop((log, logs));
    // All that came after it is lost.
    remove_all(dir.path(), "snapshot");
    fs::write(&snapshot, &content).unwrap();
    let (logs, log) = reopen(dir.path());
    (dir, logs, log, end_offset)
}

#[test]
fn a_transaction_that_was_compacted_away_is_not_open_after_a_restart() {
    let (_dir, _logs, log, _) = restart_with_old_snapshot(false);
    check(&log, "after the restart");
}

#[test]
fn the_next_transaction_after_one_that_was_compacted_away_is_open_after_a_restart() {
    let (_dir, _logs, log, first) = restart_with_old_snapshot(true);
    assert_eq!(log.last_stable_offset(), first);
    let marker = end(&log, 9, false);
    let aborted = log.aborted(0, log.end_offset());
    let found: Vec<_> = aborted
        .iter()
        .map(|it| (it.first_offset, it.last_offset))
        .collect();
    assert_eq!(found, [(first, marker)]);
}

#[test]
fn an_open_transaction_is_open_after_a_restart_although_much_was_compacted() {
    let (dir, logs, log) = fixture::create(&config());
    ten_transactions(&log);
    for _ in 0..3 {
        seal_and_clean(&logs, &log, NOW + DAY);
    }
    let first = append(&log, &data(3, 0, b"a")).base_offset;
    for _ in 0..3 {
        seal_and_clean(&logs, &log, NOW + 9 * DAY);
    }
    assert_eq!(log.last_stable_offset(), first);
    drop((log, logs));
    let (_logs, log) = reopen(dir.path());
    assert_eq!(log.last_stable_offset(), first);
    let marker = end(&log, 3, false);
    assert_eq!(aborted(&log).last(), Some(&marker));
    assert_eq!(log.last_stable_offset(), log.end_offset());
}
