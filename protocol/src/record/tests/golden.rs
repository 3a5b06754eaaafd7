//! Batches written by hand from the format's description.
use crate::record::*;

/// Two records, the second with headers, one key twice; producer 7, epoch 1, sequence 5.
#[rustfmt::skip]
const GOLDEN: &[u8] = &[
    0, 0, 0, 0, 0, 0, 0, 42,        // base offset
    0, 0, 0, 79,                    // batch length: 49 of the header, 30 of records
    0, 0, 0, 3,                     // leader epoch
    2,                              // magic
    0, 0, 0, 0,                     // crc, filled in by `golden`
    0, 0x10,                        // attributes: transactional
    0, 0, 0, 1,                     // last offset delta
    0, 0, 0, 0, 0, 0, 0x03, 0xe8,   // base timestamp 1000
    0, 0, 0, 0, 0, 0, 0x04, 0x4c,   // max timestamp 1100
    0, 0, 0, 0, 0, 0, 0, 7,         // producer id
    0, 1,                           // producer epoch
    0, 0, 0, 5,                     // base sequence
    0, 0, 0, 2,                     // records count
    // first record
    18,                             // length 9
    0,                              // attributes
    0,                              // timestamp delta
    0,                              // offset delta
    2, b'k',                        // key
    4, b'v', b'1',                  // value
    0,                              // no headers
    // second record
    38,                             // length 19
    0,                              // attributes
    0xc8, 0x01,                     // timestamp delta 100
    2,                              // offset delta 1
    1,                              // null key
    1,                              // null value
    6,                              // three headers
    2, b'h', 2, b'1',               //   h: 1
    2, b'h', 2, b'2',               //   h: 2
    4, b'h', b'0', 1,               //   h0: null
];

/// CRC-32C bit by bit, from its polynomial: slow and obviously right.
fn crc32c_by_bits(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
    }
    !crc
}

fn golden() -> Vec<u8> {
    let mut bytes = GOLDEN.to_vec();
    let crc = crc32c_by_bits(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn the_builder_writes_the_golden_bytes() {
    let mut builder = BatchBuilder::new()
        .base_offset(42)
        .leader_epoch(3)
        .producer(7, 1, 5)
        .transactional();
    assert!(builder.is_empty());
    builder.push(1000, Some(b"k"), Some(b"v1"));
    builder.push_with_headers(
        1100,
        None,
        None,
        &[(b"h", Some(b"1")), (b"h", Some(b"2")), (b"h0", None)],
    );
    assert_eq!((builder.len(), builder.size()), (2, GOLDEN.len()));
    assert_eq!(builder.build(), golden());
}

#[test]
fn the_golden_bytes_read_back() {
    let bytes = golden();
    let header = verify(&bytes).unwrap();
    check_deltas(&header, &bytes).unwrap();
    assert_eq!(header.to_bytes(), bytes[..HEADER_LEN]);
    assert_eq!(header.size(), bytes.len());
    assert_eq!((header.base_offset, header.last_offset()), (42, 43));
    assert_eq!((header.base_timestamp, header.max_timestamp), (1000, 1100));
    assert_eq!((header.producer_id, header.producer_epoch), (7, 1));
    assert_eq!((header.base_sequence, header.last_sequence()), (5, 6));
    assert_eq!((header.leader_epoch, header.records_count), (3, 2));
    assert!(header.attributes.is_transactional());
    assert!(!header.attributes.is_control());
    assert!(!header.attributes.has_delete_horizon());
    assert_eq!(
        header.attributes.timestamp_type(),
        TimestampType::CreateTime
    );

    let read: Vec<_> = records(&header, &bytes[HEADER_LEN..])
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(
        (read[0].key, read[0].value),
        (Some(&b"k"[..]), Some(&b"v1"[..]))
    );
    assert_eq!(read[0].headers().count(), 0);
    assert_eq!((read[1].key, read[1].value), (None, None));
    assert_eq!((read[1].offset_delta, read[1].timestamp_delta), (1, 100));
    let headers: Vec<_> = read[1].headers().map(|h| (h.key, h.value)).collect();
    let expected: [(&[u8], Option<&[u8]>); 3] =
        [(b"h", Some(b"1")), (b"h", Some(b"2")), (b"h0", None)];
    assert_eq!(headers, expected);
}

#[test]
fn every_flipped_bit_from_the_attributes_on_breaks_the_checksum() {
    let bytes = golden();
    for at in 21..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            assert!(
                matches!(verify(&bytes), Err(RecordError::BadCrc { .. })),
                "{at}.{bit}"
            );
        }
    }
}

#[test]
fn every_cut_is_named() {
    let bytes = golden();
    for end in 0..bytes.len() {
        let needed = if end < HEADER_LEN {
            HEADER_LEN
        } else {
            bytes.len()
        };
        assert_eq!(
            verify(&bytes[..end]),
            Err(RecordError::Truncated { needed, left: end })
        );
    }
}

#[test]
fn impossible_headers_are_named() {
    let mut old = golden();
    old[16] = 1;
    assert_eq!(verify(&old), Err(RecordError::BadMagic(1)));
    assert_eq!(verify(&old[..17]), Err(RecordError::BadMagic(1)));
    for length in [-1, 0, 48, i32::MIN] {
        let mut bytes = golden();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        assert_eq!(verify(&bytes), Err(RecordError::BadLength(length)));
    }
    assert!(Attributes(5).compression().is_err());
}

#[test]
fn stamps_change_what_they_say_and_nothing_else() {
    let mut bytes = golden();
    restamp(&mut bytes, 1 << 40, 9);
    let header = verify(&bytes).unwrap();
    assert_eq!((header.base_offset, header.leader_epoch), (1 << 40, 9));
    assert_eq!(bytes[16..], golden()[16..]);

    // Bytes after the batch are not part of it.
    bytes.extend_from_slice(b"next");
    stamp_append_time(&mut bytes, 5000);
    let header = verify(&bytes).unwrap();
    assert_eq!(
        header.attributes.timestamp_type(),
        TimestampType::LogAppendTime
    );
    assert!(header.attributes.is_transactional());
    assert_eq!(header.max_timestamp, 5000);
    check_deltas(&header, &bytes).unwrap();
    assert_eq!(header.crc, crc32c_by_bits(&bytes[21..header.size()]));
}

#[test]
fn sequences_wrap_to_zero() {
    let mut header = verify(&golden()).unwrap();
    header.base_sequence = i32::MAX;
    assert_eq!(header.last_sequence(), 0);
    header.base_sequence = -1;
    assert_eq!(header.last_sequence(), -1);
}

#[test]
fn contradictions_between_header_and_records_are_found() {
    let bytes = golden();
    let good = verify(&bytes).unwrap();
    let body = &bytes[HEADER_LEN..];
    let check = |header: BatchHeader| check_records(&header, body);

    let stored = 1099;
    let wrong = BatchHeader {
        max_timestamp: stored,
        ..good
    };
    assert_eq!(
        check(wrong),
        Err(RecordError::BadMaxTimestamp {
            stored,
            actual: 1100
        })
    );
    let wrong = BatchHeader {
        last_offset_delta: 2,
        ..good
    };
    assert!(matches!(check(wrong), Err(RecordError::BadHeader(_))));
    let wrong = BatchHeader {
        last_offset_delta: -1,
        records_count: 0,
        ..good
    };
    assert!(matches!(check(wrong), Err(RecordError::BadHeader(_))));
    let more = BatchHeader {
        last_offset_delta: 2,
        records_count: 3,
        ..good
    };
    assert!(matches!(
        check(more),
        Err(RecordError::BadRecord { index: 2, .. })
    ));
    let fewer = BatchHeader {
        last_offset_delta: 0,
        records_count: 1,
        ..good
    };
    assert!(matches!(
        check(fewer),
        Err(RecordError::BadRecord { index: 1, .. })
    ));
    let mut delta = body.to_vec();
    delta[3] = 2;
    assert!(matches!(
        check_records(&good, &delta),
        Err(RecordError::BadRecord { index: 0, .. })
    ));
}

#[test]
fn a_rewrite_keeps_deltas_and_headers() {
    let bytes = golden();
    let header = verify(&bytes).unwrap();
    let second = records(&header, &bytes[HEADER_LEN..])
        .nth(1)
        .unwrap()
        .unwrap();
    let mut builder = BatchBuilder::rewrite(&header);
    builder.keep(&second);
    let smaller = builder.build();
    let rewritten = verify(&smaller).unwrap();
    assert_eq!(rewritten.records_count, 1);
    assert_eq!(rewritten.last_offset(), header.last_offset());
    assert_eq!(rewritten.last_sequence(), header.last_sequence());
    assert_eq!(
        records(&rewritten, &smaller[HEADER_LEN..])
            .next()
            .unwrap()
            .unwrap(),
        second
    );

    let empty = BatchBuilder::rewrite(&header).build();
    let header = verify(&empty).unwrap();
    assert_eq!(
        (header.size(), header.records_count, header.last_offset()),
        (HEADER_LEN, 0, 43)
    );
    assert_eq!(records(&header, &empty[HEADER_LEN..]).count(), 0);
}
