//! Fates of single batches.
use super::*;
use protocol::record::{Compression, HEADER_LEN, restamp, verify};

const NOW: i64 = 1_750_000_000_000;
const DAY: i64 = 86_400_000;
const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn judge(
    map: &OffsetMap,
    now_ms: impl Into<Option<i64>>,
    batch: &[u8],
    must_stay: bool,
) -> (Fate, usize) {
    judge_after(map, &LastBatches::default(), now_ms, batch, must_stay)
}

fn judge_after(
    map: &OffsetMap,
    last_batches: &LastBatches,
    now_ms: impl Into<Option<i64>>,
    batch: &[u8],
    must_stay: bool,
) -> (Fate, usize) {
    let mut filter = Filter {
        map,
        aborted: &Aborted::default(),
        last_batches,
        transactions: Transactions::default(),
        now_ms: now_ms.into(),
        delete_retention_ms: DAY,
        body_limit: 1 << 20,
    };
    let header = verify(batch).unwrap();
    filter.judge(&header, batch, must_stay).unwrap()
}

/// A map in which the keys have these offsets.
fn map(latest: &[(&str, i64)]) -> OffsetMap {
    let mut map = OffsetMap::new(0, 1 << 16, 10);
    for (key, offset) in latest {
        map.put(key.as_bytes(), *offset);
    }
    map.advance(1000);
    map
}

/// Keys "a", "b", … at offset 100 on, a second apart.
fn batch(codec: Compression, values: &[Option<&str>]) -> Bytes {
    let mut builder = BatchBuilder::new()
        .base_offset(100)
        .leader_epoch(3)
        .producer(7, 1, 40)
        .compression(codec);
    for (i, value) in values.iter().enumerate() {
        let key = [b'a' + i as u8];
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"h", Some(b"1")), (b"h", None)];
        let value = value.map(str::as_bytes);
        builder.push_with_headers(NOW + 1000 * i as i64, Some(&key), value, &headers);
    }
    builder.build()
}

/// Offset, timestamp, key, value and raw headers of each record.
type Told = (i64, i64, Vec<u8>, Option<Vec<u8>>, Vec<u8>);

fn told(batch: &[u8]) -> Vec<Told> {
    let header = verify(batch).unwrap();
    let body = decompress(&header, batch, 1 << 20).unwrap();
    records(&header, &body)
        .map(|record| {
            let record = record.unwrap();
            (
                header.base_offset + i64::from(record.offset_delta),
                header.base_timestamp + record.timestamp_delta,
                record.key.unwrap().to_vec(),
                record.value.map(<[u8]>::to_vec),
                record.raw_headers.to_vec(),
            )
        })
        .collect()
}

#[test]
fn a_batch_that_loses_nothing_is_kept_as_it_is() {
    for codec in CODECS {
        let batch = batch(codec, &[Some("1"), Some("2")]);
        // One key is latest here, of the other nothing is known.
        let fate = judge(&map(&[("a", 100)]), NOW, &batch, false);
        assert_eq!(fate, (Fate::Keep, 0));
    }
}

#[test]
fn what_is_left_of_a_batch_keeps_offsets_times_headers_and_codec() {
    for codec in CODECS {
        let batch = batch(codec, &[Some("1"), Some("2"), Some("3"), Some("4")]);
        let (fate, removed) = judge(&map(&[("a", 200), ("d", 300)]), NOW, &batch, false);
        let Fate::Rewrite(left) = fate else {
            panic!("{fate:?}")
        };
        assert_eq!(removed, 2);
        assert_eq!(told(&left), told(&batch)[1..3]);
        let (old, new) = (verify(&batch).unwrap(), verify(&left).unwrap());
        assert_eq!(new.max_timestamp, NOW + 2000);
        let expected = BatchHeader {
            batch_length: new.batch_length,
            crc: new.crc,
            records_count: 2,
            max_timestamp: NOW + 2000,
            ..old
        };
        assert_eq!(new, expected);
    }
}

#[test]
fn a_tombstone_gets_a_horizon_and_goes_when_it_has_passed() {
    let batch = batch(Compression::Zstd, &[Some("1"), None]);
    let map = map(&[("a", 100), ("b", 101)]);
    let (Fate::Rewrite(marked), 0) = judge(&map, NOW, &batch, false) else {
        panic!("no horizon")
    };
    let header = verify(&marked).unwrap();
    assert!(header.attributes.has_delete_horizon());
    assert_eq!(header.base_timestamp, NOW + DAY);
    assert_eq!(told(&marked), told(&batch));
    // The horizon is set once.
    let fate = judge(&map, NOW + DAY - 1, &marked, false);
    assert_eq!(fate, (Fate::Keep, 0));
    let (Fate::Rewrite(left), 1) = judge(&map, NOW + DAY, &marked, false) else {
        panic!("the tombstone stays")
    };
    assert_eq!(told(&left), told(&batch)[..1]);
}

#[test]
fn a_tombstone_stays_as_it_is_while_the_clock_is_doubted() {
    let batch = batch(Compression::Zstd, &[Some("1"), None]);
    let all = map(&[("a", 100), ("b", 101)]);
    assert_eq!(judge(&all, None, &batch, false), (Fate::Keep, 0));
    let (Fate::Rewrite(marked), 0) = judge(&all, NOW, &batch, false) else {
        panic!("no horizon")
    };
    assert_eq!(judge(&all, None, &marked, false), (Fate::Keep, 0));
    // What is outdated goes all the same.
    let newer = map(&[("a", 500), ("b", 101)]);
    let (Fate::Rewrite(left), 1) = judge(&newer, None, &marked, false) else {
        panic!("the outdated record stays")
    };
    assert_eq!(verify(&left).unwrap().base_timestamp, NOW + DAY);
    assert_eq!(told(&left), told(&marked)[1..]);
}

#[test]
fn batches_without_records_stay_for_a_producer_or_a_segment_only() {
    let outdated = map(&[("a", 500)]);
    let batch = batch(Compression::Gzip, &[Some("1")]);
    assert_eq!(judge(&outdated, NOW, &batch, false), (Fate::Drop, 1));
    let (Fate::Rewrite(empty), 1) = judge(&outdated, NOW, &batch, true) else {
        panic!("gone")
    };
    assert_eq!(empty.len(), HEADER_LEN);
    let header = verify(&empty).unwrap();
    assert_eq!((header.records_count, header.last_offset()), (0, 100));
    assert_eq!((header.producer_id, header.last_sequence()), (7, 40));
    assert_eq!(judge(&outdated, NOW, &empty, true), (Fate::Keep, 0));
    assert_eq!(judge(&outdated, NOW, &empty, false), (Fate::Drop, 0));
    let mut last = LastBatches::default();
    last.note(&header);
    let fate = judge_after(&outdated, &last, NOW, &empty, false);
    assert_eq!(fate, (Fate::Keep, 0));
    for later in 101..106 {
        last.note(&BatchHeader {
            base_offset: later,
            ..header
        });
    }
    let fate = judge_after(&outdated, &last, NOW, &empty, false);
    assert_eq!(fate, (Fate::Drop, 0));
}

#[test]
fn what_lies_past_the_map_is_kept_whole() {
    let mut short = OffsetMap::new(0, 1 << 16, 10);
    short.advance(100);
    let tombstone = batch(Compression::None, &[None]);
    assert_eq!(judge(&short, NOW, &tombstone, false), (Fate::Keep, 0));
    let marker = marker(true);
    assert_eq!(judge(&short, NOW, &marker, false), (Fate::Keep, 0));
}

/// A marker of producer 7 at offset 150.
fn marker(commits: bool) -> Bytes {
    let marker = Marker {
        commits,
        coordinator_epoch: 0,
    };
    let mut marker = marker.batch(7, 1, NOW).to_vec();
    restamp(&mut marker, 150, 3);
    Bytes::from(marker)
}

#[test]
fn a_marker_that_decides_nothing_gets_a_horizon_and_goes_when_it_has_passed() {
    for commits in [false, true] {
        let marker = marker(commits);
        let all = map(&[]);
        let (Fate::Rewrite(timed), 0) = judge(&all, NOW, &marker, false) else {
            panic!("no horizon")
        };
        let header = verify(&timed).unwrap();
        assert!(header.attributes.has_delete_horizon() && header.attributes.is_control());
        assert_eq!(header.base_timestamp, NOW + DAY);
        assert_eq!(told(&timed), told(&marker));
        let read = |batch: &[u8]| Marker::read(&verify(batch).unwrap(), batch);
        assert_eq!(read(&timed), read(&marker));
        assert_eq!(judge(&all, None, &marker, false), (Fate::Keep, 0));
        assert_eq!(judge(&all, None, &timed, false), (Fate::Keep, 0));
        let early = judge(&all, NOW + DAY - 1, &timed, false);
        assert_eq!(early, (Fate::Keep, 0));
        let due = judge(&all, NOW + DAY, &timed, false);
        assert_eq!(due, (Fate::Drop, 1));
        // At the end of a segment its place stays.
        let (Fate::Rewrite(empty), 1) = judge(&all, NOW + DAY, &timed, true) else {
            panic!("gone")
        };
        assert_eq!(empty.len(), HEADER_LEN);
        assert_eq!(read(&empty), None);
        assert_eq!(judge(&all, NOW, &empty, true), (Fate::Keep, 0));
        assert_eq!(judge(&all, NOW, &empty, false), (Fate::Drop, 0));
    }
}

#[test]
fn a_marker_stays_with_the_batches_of_its_transaction_and_as_the_last_of_its_producer() {
    let all = map(&[]);
    let mut last = LastBatches::default();
    let mut filter = Filter {
        map: &all,
        aborted: &Aborted::default(),
        last_batches: &last,
        transactions: Transactions::default(),
        now_ms: Some(NOW),
        delete_retention_ms: 0,
        body_limit: 1 << 20,
    };
    let mut data = BatchBuilder::new().producer(7, 1, 0).transactional();
    data.push(NOW, Some(b"k"), Some(b"v"));
    let data = data.build();
    let abort = marker(false);
    let mut fate = |batch: &[u8]| {
        let header = verify(batch).unwrap();
        filter.judge(&header, batch, false).unwrap().0
    };
    assert_eq!(fate(&data), Fate::Keep);
    assert_eq!(fate(&abort), Fate::Keep);
    // A second one has no batches.
    let Fate::Rewrite(marked) = fate(&abort) else {
        panic!("no horizon")
    };
    assert_eq!(fate(&marked), Fate::Drop);
    assert_eq!(filter.transactions.forgotten, [150]);
    last.note(&verify(&marked).unwrap());
    let fate = judge_after(&all, &last, NOW + DAY, &marked, false);
    assert_eq!(fate, (Fate::Keep, 0));
}

#[test]
fn a_record_without_key_goes() {
    let mut builder = BatchBuilder::new();
    builder.push(NOW, None, Some(b"1"));
    builder.push(NOW, Some(b"k"), Some(b"2"));
    let (Fate::Rewrite(left), 1) = judge(&map(&[]), NOW, &builder.build(), false) else {
        panic!("kept")
    };
    assert_eq!(told(&left)[0].0, 1);
}
