//! What goes into a builder comes out of a walk; damage is an error, never a panic.
use proptest::collection::vec;
use proptest::prelude::*;

use crate::record::*;

pub(super) const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];
const LIMIT: usize = 1 << 20;

type Field = Option<Vec<u8>>;

#[derive(Debug, Clone)]
struct Entry {
    timestamp_ms: i64,
    key: Field,
    value: Field,
    headers: Vec<(Vec<u8>, Field)>,
}

fn field() -> impl Strategy<Value = Field> {
    proptest::option::of(vec(any::<u8>(), 0..300))
}

fn entry() -> impl Strategy<Value = Entry> {
    // Few header keys, so that they repeat.
    let header = (vec(0u8..2, 0..2), field());
    let timestamp = prop_oneof![0..10_000i64, any::<i64>()];
    (timestamp, field(), field(), vec(header, 0..4)).prop_map(
        |(timestamp_ms, key, value, headers)| Entry {
            timestamp_ms,
            key,
            value,
            headers,
        },
    )
}

fn build(entries: &[Entry], codec: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new().compression(codec);
    for entry in entries {
        let headers: Vec<_> = entry
            .headers
            .iter()
            .map(|(k, v)| (k.as_slice(), v.as_deref()))
            .collect();
        builder.push_with_headers(
            entry.timestamp_ms,
            entry.key.as_deref(),
            entry.value.as_deref(),
            &headers,
        );
    }
    builder.build().to_vec()
}

/// Everything a reader may do with bytes that nobody vouches for.
fn read_all(bytes: &[u8]) {
    let _ = verify(bytes);
    let Ok(header) = BatchHeader::parse(bytes) else {
        return;
    };
    let _ = (
        header.last_offset(),
        header.last_sequence(),
        check_deltas(&header, bytes),
    );
    let Ok(body) = decompress(&header, bytes, LIMIT) else {
        return;
    };
    assert!(body.len() <= LIMIT);
    let _ = check_records(&header, &body);
    for record in records(&header, &body).flatten() {
        record.headers().count();
    }
}

proptest! {
    #[test]
    fn records_survive_every_codec(
        entries in vec(entry(), 1..20),
        codec in proptest::sample::select(&CODECS[..]),
    ) {
        let batch = build(&entries, codec);
        let header = verify(&batch).unwrap();
        prop_assert_eq!(header.size(), batch.len());
        prop_assert_eq!(header.attributes.compression().unwrap(), codec);
        prop_assert_eq!(
            header.max_timestamp,
            entries.iter().map(|e| e.timestamp_ms).max().unwrap()
        );
        let body = decompress(&header, &batch, LIMIT).unwrap();
        prop_assert!(decompress(&header, &batch, body.len() - 1).is_err());
        let mut read = 0;
        for (record, entry) in records(&header, &body).zip(&entries) {
            let record = record.unwrap();
            prop_assert_eq!(record.offset_delta, read);
            prop_assert_eq!(
                header.base_timestamp.wrapping_add(record.timestamp_delta),
                entry.timestamp_ms
            );
            prop_assert_eq!(record.key, entry.key.as_deref());
            prop_assert_eq!(record.value, entry.value.as_deref());
            let headers: Vec<_> =
                record.headers().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(&headers, &entry.headers);
            read += 1;
        }
        prop_assert_eq!(read as usize, entries.len());
        prop_assert_eq!(records(&header, &body).count(), entries.len());
    }

    #[test]
    fn damage_never_panics(
        entries in vec(entry(), 1..6),
        codec in proptest::sample::select(&CODECS[..]),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut batch = build(&entries, codec);
        for (at, byte) in flips {
            let at = at.index(batch.len());
            batch[at] = byte;
        }
        read_all(&batch);
        batch.truncate(cut.index(batch.len()));
        read_all(&batch);
    }

    #[test]
    fn noise_never_panics(noise in vec(any::<u8>(), 0..400), codec in 0i16..6) {
        read_all(&noise);
        // The same as the body of a header that is in order.
        let mut header = verify(&BatchBuilder::new().build()).unwrap();
        header.batch_length += noise.len() as i32;
        header.attributes = Attributes(codec);
        header.records_count = 3;
        let mut batch = header.to_bytes().to_vec();
        batch.extend_from_slice(&noise);
        read_all(&batch);
    }
}
