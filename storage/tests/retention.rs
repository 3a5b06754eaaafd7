//! What the housekeeper does with old records.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod fixture;

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fixture::*;
use storage::{Append, Log, LogConfig, LogObserver, Logs};

struct Starts(Mutex<mpsc::Sender<i64>>);

impl LogObserver for Starts {
    fn flushed(&self, _: i64) {}
    fn start_moved(&self, offset: i64) {
        let _ = self.0.lock().unwrap().send(offset);
    }
    fn poisoned(&self) {}
    fn truncated(&self, _: i64) {}
}

fn now() -> i64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    age.as_millis() as i64
}

/// A log with segments of three batches, looked after every few milliseconds.
fn kept(config: &LogConfig) -> (tempfile::TempDir, Logs, Arc<Log>, mpsc::Receiver<i64>) {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.retention_check_interval_ms = 20;
    let (logs, _) = Logs::open(options, config).unwrap();
    let mut config = config.clone();
    config.segment_bytes = 3 * batch(&[b"x"]).len() as u32;
    let log = logs.create("t", 0, [7; 16], config).unwrap();
    let (sender, starts) = mpsc::channel();
    log.set_observer(Arc::new(Starts(Mutex::new(sender))));
    (dir, logs, log, starts)
}

fn append_at(log: &Log, timestamps: impl Iterator<Item = i64>, now_ms: i64) {
    for timestamp in timestamps {
        let how = Append { now_ms, ..CLIENT };
        log.append(&batch_at(timestamp, &[b"x"]), how).unwrap();
    }
}

fn wait_for_start(starts: &mpsc::Receiver<i64>, offset: i64) {
    while starts.recv_timeout(Duration::from_secs(30)).unwrap() < offset {}
}

#[test]
fn old_segments_go_by_time() {
    let mut hour = config();
    hour.retention_ms = 3_600_000;
    let (_dir, _logs, log, starts) = kept(&hour);
    let now = now();
    let day = 24 * 3_600_000;
    append_at(&log, (0..6).map(|_| now - day), now);
    append_at(&log, (0..4).map(|_| now), now);
    wait_for_start(&starts, 6);
    assert_eq!((log.start_offset(), log.end_offset()), (6, 10));
    assert_eq!(read_values(&log, 6).len(), 4);
}

#[test]
fn all_records_may_go_and_offsets_go_on() {
    let mut hour = config();
    hour.retention_ms = 3_600_000;
    let (dir, logs, log, starts) = kept(&hour);
    let now = now();
    append_at(&log, (0..4).map(|_| 5), now);
    wait_for_start(&starts, 4);
    assert_eq!(
        (log.start_offset(), log.end_offset(), log.size_bytes()),
        (4, 4, 0)
    );
    drop((log, logs));
    let (_logs, log, _) = reopen(dir.path(), &hour);
    assert_eq!((log.start_offset(), log.end_offset()), (4, 4));
}

#[test]
fn a_timestamp_in_the_future_does_not_pin_a_segment() {
    let mut hour = config();
    hour.retention_ms = 3_600_000;
    hour.timestamp_after_max_ms = i64::MAX;
    let (_dir, _logs, log, starts) = kept(&hour);
    let now = now();
    // Appended two hours ago, said to be of the year 2286.
    append_at(&log, (0..4).map(|_| 9_999_999_999_000), now - 7_200_000);
    wait_for_start(&starts, 4);
}

#[test]
fn records_appended_while_the_clock_was_wrong_are_as_old_as_they_say() {
    let mut hour = config();
    hour.retention_ms = 3_600_000;
    hour.timestamp_after_max_ms = i64::MAX;
    let (_dir, logs, log, _) = kept(&hour);
    let now = now();
    append_at(&log, (0..4).map(|_| now), now - 10 * 365 * 86_400_000);
    logs.keep_house(now);
    assert_eq!(log.start_offset(), 0);
    assert_eq!(read_values(&log, 0).len(), 4);
    logs.keep_house(now + 7_200_000);
    assert_eq!(log.start_offset(), 4);
}

#[test]
fn old_segments_go_by_size() {
    let mut small = config();
    small.retention_bytes = 4 * batch(&[b"x"]).len() as i64;
    let (_dir, _logs, log, starts) = kept(&small);
    append_at(&log, (0..10).map(|_| now()), now());
    // Segments 0, 3, 6 and 9: without 0 and 3, four batches are left.
    wait_for_start(&starts, 6);
    assert_eq!(log.start_offset(), 6);
}

#[test]
fn an_idle_segment_is_rolled() {
    let mut idle = config();
    idle.segment_ms = 50;
    let (_dir, _logs, log, _starts) = kept(&idle);
    append_at(&log, std::iter::once(now()), now());
    let deadline = Instant::now() + Duration::from_secs(30);
    while log.segment_count() == 1 {
        assert!(Instant::now() < deadline, "never rolled");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(read_values(&log, 0).len(), 1);
}
