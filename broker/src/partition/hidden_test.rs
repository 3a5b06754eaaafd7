//! What readers see of a partition whose high watermark is moved by hand.
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::{Settings, TopicConfig};
use protocol::record::BatchBuilder;
use storage::{Logs, Origin, ReadError};
use tokio::sync::{Notify, watch};

use crate::metadata::{Configs, log_config, storage_options};
use crate::partition::{Bell, Partition};

const NOW: Duration = Duration::ZERO;

fn open(dir: &Path) -> (Logs, Arc<Partition>) {
    let flags = vec![("data-dir".to_owned(), dir.display().to_string())];
    let settings = Settings::load(None, std::iter::empty(), flags).unwrap();
    let config = TopicConfig::resolve(&Configs::new(), &settings).unwrap();
    let config = log_config(&config);
    let (logs, recovery) = Logs::open(storage_options(&settings), &config).unwrap();
    let found = recovery.partitions.into_iter().next();
    let log = found.map_or_else(
        || logs.create("view", 0, [1; 16], config).unwrap(),
        |found| found.log,
    );
    (logs, Partition::new(0, log))
}

fn batch(timestamp: i64) -> Bytes {
    let mut batch = BatchBuilder::new();
    batch.push(timestamp, Some(b"k"), Some(b"v"));
    batch.build()
}

fn readable(partition: &Partition, offset: i64) -> usize {
    let up_to = partition.high_watermark();
    let read = partition.log.read(offset, up_to, 1 << 20, true).unwrap();
    read.records.len()
}

#[test]
fn hidden_records_are_found_in_no_way() {
    let dir = tempfile::tempdir().unwrap();
    let (_logs, partition) = open(dir.path());
    let one = batch(0).len();
    partition.append(&batch(10), Origin::Internal).unwrap();
    assert_eq!(partition.high_watermark(), 1);
    assert_eq!(partition.append_hidden(&batch(30)).unwrap().base_offset, 1);
    assert_eq!(partition.append_hidden(&batch(20)).unwrap().base_offset, 2);
    assert_eq!(partition.log.end_offset(), 3);
    assert_eq!(partition.high_watermark(), 1);
    assert_eq!(partition.last_stable_offset(), 1);
    assert_eq!(readable(&partition, 0), one);
    // Between the high watermark and the end there is nothing yet; past the end there is an error.
    assert_eq!(readable(&partition, 1), 0);
    assert_eq!(readable(&partition, 3), 0);
    let past = partition.log.read(4, 1, 1, true).unwrap_err();
    assert!(matches!(past, ReadError::OutOfRange { .. }));
    let newest = || partition.log.max_timestamp().unwrap().unwrap();
    assert_eq!((newest().timestamp, newest().offset), (10, 0));
    let up_to = partition.high_watermark();
    assert_eq!(partition.log.offset_for_timestamp(11, up_to).unwrap(), None);
    assert_eq!(partition.log.epoch_end(0).unwrap().end_offset, 1);
    let too_far = partition.log.delete_records(2).unwrap_err();
    assert!(matches!(too_far, ReadError::OutOfRange { end: 1, .. }));

    partition.reveal(2);
    assert_eq!(partition.high_watermark(), 2);
    assert_eq!(readable(&partition, 0), 2 * one);
    assert_eq!((newest().timestamp, newest().offset), (30, 1));
    partition.reveal(1);
    assert_eq!(partition.high_watermark(), 2, "never down");
    partition.reveal(100);
    assert_eq!(partition.high_watermark(), 3);
    // By hand once, by hand always.
    partition.append(&batch(40), Origin::Internal).unwrap();
    assert_eq!(partition.high_watermark(), 3);
}

#[test]
fn an_ordinary_partition_shows_what_is_appended() {
    let dir = tempfile::tempdir().unwrap();
    let (_logs, partition) = open(dir.path());
    for end in 1..10 {
        partition.append(&batch(end), Origin::Internal).unwrap();
        assert_eq!(partition.high_watermark(), end);
        partition.reveal(1);
        assert_eq!(partition.high_watermark(), end);
    }
}

#[test]
fn only_what_is_revealed_wakes() {
    let dir = tempfile::tempdir().unwrap();
    let (_logs, partition) = open(dir.path());
    let bell = Arc::new(Bell::default());
    let _place = partition.register(&bell);
    partition.append_hidden(&batch(1)).unwrap();
    assert!(!bell.wait(NOW));
    partition.reveal(1);
    assert!(bell.wait(NOW));
}

#[tokio::test]
async fn a_parked_fetch_is_woken_by_what_is_revealed() {
    let dir = tempfile::tempdir().unwrap();
    let (_logs, partition) = open(dir.path());
    let wake = Arc::new(Notify::new());
    let _place = partition.register(&wake);
    partition.append_hidden(&batch(1)).unwrap();
    let there = Arc::clone(&partition);
    tokio::task::spawn_blocking(move || there.reveal(1));
    wake.notified().await;
    assert_eq!(partition.high_watermark(), 1);
}

#[test]
fn what_was_hidden_at_a_crash_is_cut_and_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (_sender, running) = watch::channel(false);
    {
        let (_logs, partition) = open(dir.path());
        for timestamp in 0..5 {
            partition.append_hidden(&batch(timestamp)).unwrap();
        }
        partition.reveal(2);
        partition.durable_blocking(4, &running).unwrap();
        assert_eq!(partition.log.flushed_offset(), 5);
    }
    let (_logs, partition) = open(dir.path());
    partition.hide_from(2);
    assert_eq!(partition.log.end_offset(), 5);
    assert_eq!(partition.high_watermark(), 2);
    assert_eq!(readable(&partition, 0), 2 * batch(0).len());
    partition.cut(2).unwrap();
    assert_eq!(partition.log.end_offset(), 2);
    let again = partition.append_hidden(&batch(100)).unwrap();
    assert_eq!(again.base_offset, 2);
    // That these offsets were on disk once says nothing about what stands there now.
    partition.durable_blocking(2, &running).unwrap();
    assert_eq!(partition.log.flushed_offset(), 3);
    assert_eq!(partition.high_watermark(), 2);
    partition.reveal(3);
    let newest = partition.log.max_timestamp().unwrap().unwrap();
    assert_eq!((newest.timestamp, newest.offset), (100, 2));
}

#[test]
fn a_wait_for_the_disk_ends_with_the_partition_and_with_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let (_logs, partition) = open(dir.path());
    let (stop, running) = watch::channel(false);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| partition.durable_blocking(0, &running));
        partition.deleted();
        assert!(waiting.join().unwrap().is_err());
    });
    let dir = tempfile::tempdir().unwrap();
    let (_logs, partition) = open(dir.path());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| partition.durable_blocking(0, &running));
        stop.send_replace(true);
        assert!(waiting.join().unwrap().is_err());
    });
}

#[test]
fn appends_are_timed_once_somebody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let (_logs, partition) = open(dir.path());
    partition.append(&batch(1), Origin::Internal).unwrap();
    assert_eq!(partition.appended_at(0), None);
    partition.watch_appends();
    assert_eq!(partition.appended_at(0), None);
    partition.append(&batch(1), Origin::Internal).unwrap();
    assert!(partition.appended_at(1).is_some());
    partition.append_hidden(&batch(1)).unwrap();
    assert_eq!(partition.appended_at(2), None);
    partition.reveal(3);
    assert!(partition.appended_at(2).is_some());
}
