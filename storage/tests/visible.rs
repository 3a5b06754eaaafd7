//! What the log does with records above the high watermark.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::time::Duration;

use fixture::*;
use storage::{Append, Log, Logs};

fn append_at(log: &Log, timestamp: i64) {
    let now_ms = timestamp;
    let how = Append { now_ms, ..CLIENT };
    log.append(&batch_at(timestamp, &[b"x"]), how).unwrap();
}

#[test]
fn retention_takes_no_hidden_records() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.retention_check_interval_ms = 5;
    let mut config = config();
    config.retention_ms = 3_600_000;
    config.segment_bytes = 3 * batch(&[b"x"]).len() as u32;
    let (logs, _) = Logs::open(options, &config).unwrap();
    let log = logs.create("t", 0, [7; 16], config).unwrap();
    log.hide_from(4);
    // All of them are of 1970: segments 0–2, 3–5, 6–8, 9.
    for timestamp in 1..=10 {
        append_at(&log, timestamp);
    }
    let wait_for_start = |offset| {
        while log.start_offset() < offset {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    wait_for_start(3);
    // The housekeeper comes by many times more, and leaves the segment that readers are in.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(log.start_offset(), 3);
    assert_eq!(log.end_offset(), 10);
    log.reveal(9);
    wait_for_start(9);
    assert_eq!(log.high_watermark(), 9);
    log.reveal(10);
    wait_for_start(10);
}

#[test]
fn the_largest_timestamp_is_looked_for_among_what_readers_see() {
    let mut small = config();
    small.segment_bytes = 3 * batch(&[b"x"]).len() as u32;
    let (_dir, _logs, log) = create(&small);
    log.hide_from(0);
    for timestamp in [50, 70, 60, 10, 90, 80, 100] {
        append_at(&log, timestamp);
    }
    let mut seen = Vec::new();
    for high_watermark in 0..=7 {
        log.reveal(high_watermark);
        seen.push(log.max_timestamp().unwrap().map(|newest| newest.offset));
    }
    let offsets = [0, 1, 1, 1, 4, 4, 6].map(Some);
    assert_eq!(seen[0], None);
    assert_eq!(seen[1..], offsets);
}

#[test]
fn a_cut_below_the_high_watermark_lowers_it() {
    let (_dir, _logs, log) = create(&config());
    log.hide_from(0);
    for timestamp in 1..=5 {
        append_at(&log, timestamp);
    }
    log.reveal(4);
    log.truncate(2).unwrap();
    assert_eq!(log.high_watermark(), 2);
    append_at(&log, 9);
    assert_eq!((log.high_watermark(), log.end_offset()), (2, 3));
}

/// A reader that asks all the time while a log begins to hide what is appended.
#[test]
fn nothing_hidden_is_seen_while_a_log_begins_to_hide() {
    for _ in 0..50 {
        let (_dir, _logs, log) = create(&config());
        append_at(&log, 1);
        let started = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                started.wait();
                log.hide_appends();
                for timestamp in 2..100 {
                    append_at(&log, timestamp);
                }
            });
            started.wait();
            while log.end_offset() < 50 {
                assert_eq!(log.high_watermark(), 1);
                assert_eq!(log.max_timestamp().unwrap().unwrap().offset, 0);
            }
        });
    }
}
