//! Batches that somebody made to do harm: what cannot be read goes to the dead letters.
use protocol::record::{BatchBuilder, BatchHeader, Compression, Record, stamp_max_timestamp};
use storage::Origin;

use super::stage::{Stage, events};
use crate::projector::Order;
use crate::projector::scan::scan;

const VIEW: &str = "user_activity";

fn compressed(codec: Compression, value: &[u8]) -> Vec<u8> {
    let mut batch = BatchBuilder::new().compression(codec);
    batch.push(1_700_000_000_000, Some(b"k"), Some(value));
    batch.build().to_vec()
}

/// A body that is no gzip, under a good checksum.
fn garbage() -> Vec<u8> {
    let mut batch = compressed(Compression::Gzip, b"value");
    let end = batch.len();
    batch[end - 20..].fill(7);
    stamp_max_timestamp(&mut batch, 1_700_000_000_000);
    batch
}

/// Less than 1 MiB that is more than anybody should hold in memory.
fn bomb() -> Vec<u8> {
    compressed(Compression::Zstd, &vec![b' '; 65 << 20])
}

/// A batch of one offset, in which a record says that it lies `offset_delta` further.
fn displaced(offset_delta: i32) -> Vec<u8> {
    let value = events(50..51).remove(0);
    let batch = compressed(Compression::Gzip, value.as_bytes());
    let mut builder = BatchBuilder::rewrite(&BatchHeader::parse(&batch).unwrap());
    builder.keep(&Record {
        offset_delta,
        timestamp_delta: 0,
        key: Some(b"k"),
        value: Some(value.as_bytes()),
        raw_headers: &[0],
    });
    builder.build().to_vec()
}

#[test]
fn batches_that_cannot_be_read_go_to_the_dead_letters() {
    let mut stage = Stage::new(&[("projections", VIEW)]);
    stage.create("events", 1);
    stage.produce("events", 0, &events(0..10));
    let partition = stage.partition("events", 0);
    for bad in [garbage(), bomb(), displaced(1_000_000), displaced(-1)] {
        partition.append(&bad, Origin::Client).unwrap();
    }
    drop(partition);
    stage.produce("events", 0, &events(5..15));
    let now = stage.settle(VIEW);
    assert_eq!(stage.view(VIEW).serving().unwrap().position, [(0, 24)]);
    let counts = (now.counts.applied, now.counts.duplicate, now.counts.dead);
    assert_eq!((now.counts.input, counts), (24, (15, 5, 4)));
    let header = |headers: &[(String, String)], name: &str| {
        let found = headers.iter().find(|(key, _)| key == name);
        found.unwrap().1.clone()
    };
    let offsets = |stage: &Stage| -> Vec<String> {
        let partition = stage.partition("user_activity.dlq", 0);
        let mut offsets = Vec::new();
        scan(&partition, 0, i64::MAX, |_, record, _| {
            assert_eq!((record.key, record.value), (None, None));
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let headers = record.headers();
            let headers: Vec<_> = headers
                .map(|it| (text(it.key), text(it.value.unwrap())))
                .collect();
            let message = header(&headers, "dlq.message");
            assert!(message.contains("cannot be read"), "{message}");
            offsets.push(header(&headers, "dlq.offset"));
        })
        .unwrap();
        offsets
    };
    assert_eq!(offsets(&stage), ["10", "11", "12", "13"]);
    let digest = stage.digest(VIEW);
    stage.crash();
    stage.start_again();
    assert_eq!(stage.settle(VIEW).counts, now.counts);
    let rebuild = Order::Rebuild {
        accept_loss: false,
        hold: false,
    };
    stage.order(VIEW, rebuild).unwrap();
    stage.wait(VIEW, "promoted", |now| now.generation == 2);
    assert_eq!(stage.settle(VIEW).counts, now.counts);
    assert_eq!(stage.digest(VIEW), digest);
    assert_eq!(offsets(&stage).len(), 4, "no letter twice");
}

/// What a commit holds in memory is bounded by what records have uncompressed.
#[test]
fn records_that_were_small_in_the_log_fill_no_memory() {
    let slow = ("projection-commit-max-ms", "60000");
    let stage = Stage::new(&[("projections", VIEW), slow]);
    stage.create("events", 1);
    let large = vec![b'x'; 4 << 20];
    let mut batch = BatchBuilder::new().compression(Compression::Zstd);
    for _ in 0..4 {
        batch.push(1_700_000_000_000, Some(b"k"), Some(&large));
    }
    let batch = batch.build();
    assert!(batch.len() < 100_000);
    let both = [&batch[..], &batch[..]];
    stage.order(VIEW, Order::Pause).unwrap();
    for batch in both {
        let partition = stage.partition("events", 0);
        partition.append(batch, Origin::Client).unwrap();
    }
    stage.order(VIEW, Order::Resume).unwrap();
    assert_eq!(stage.settle(VIEW).counts.dead, 8);
    let mut commits = 0;
    let partition = stage.partition("__projection_commits", 0);
    scan(&partition, 0, i64::MAX, |_, _, _| commits += 1).unwrap();
    assert_eq!(commits, 8);
}
