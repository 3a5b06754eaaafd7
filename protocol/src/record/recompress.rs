//! A batch in another codec: for topics whose `compression.type` is not `producer`.
use bytes::Bytes;

use super::batch::{CODEC_MASK, stamp_checksum};
use super::{Compression, HEADER_LEN, LENGTH_PREFIX, RecordError, compression, verify};

/// The one whole batch in `batch` in another codec, or `None` if it is in that one already. The
/// records are not looked at: their bytes, and all header fields but codec, length and checksum, stay
/// as they are. `level` is the codec's own, `None` for its default. Never decompresses more than
/// `limit` bytes.
pub fn recompress(
    batch: &[u8],
    codec: Compression,
    level: Option<i32>,
    limit: usize,
) -> Result<Option<Bytes>, RecordError> {
    // A new checksum would hide that the bytes were bad.
    let mut header = verify(batch)?;
    if header.attributes.compression()? == codec {
        return Ok(None);
    }
    let records = compression::decompress(&header, batch, limit)?;
    let mut out = vec![0; HEADER_LEN];
    compression::compress(codec, level, &records, &mut out);
    header.attributes.0 = header.attributes.0 & !CODEC_MASK | codec as i16;
    let length = i32::try_from(out.len() - LENGTH_PREFIX);
    header.batch_length = length.map_err(|_| RecordError::BadHeader("too long for a batch"))?;
    out[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    stamp_checksum(&mut out);
    Ok(Some(out.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, BatchHeader, decompress, records};

    const CODECS: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    fn batch(codec: Compression) -> Bytes {
        let mut builder = BatchBuilder::new().compression(codec).producer(7, 2, 40);
        let twice: [(&[u8], Option<&[u8]>); 2] = [(b"h", Some(b"1")), (b"h", None)];
        builder.push_with_headers(1_000, Some(b"key"), Some(&[7; 5_000]), &twice);
        builder.push(999, None, None);
        builder.build()
    }

    #[test]
    fn records_and_producer_survive_any_change_of_codec() {
        let plain = batch(Compression::None);
        for from in CODECS {
            for to in CODECS {
                let changed = recompress(&batch(from), to, None, 1 << 20).unwrap();
                assert_eq!(changed.is_none(), from == to);
                let Some(changed) = changed else { continue };
                let header = verify(&changed).unwrap();
                assert_eq!(header.attributes.compression(), Ok(to));
                assert_eq!(header.size(), changed.len());
                let body = decompress(&header, &changed, 1 << 20).unwrap();
                assert_eq!(body[..], plain[HEADER_LEN..]);
                assert_eq!(records(&header, &body).flatten().count(), 2);
                let (was, is) = (BatchHeader::parse(&plain).unwrap(), header);
                let same = BatchHeader {
                    batch_length: was.batch_length,
                    crc: was.crc,
                    attributes: was.attributes,
                    ..is
                };
                assert_eq!(same, was);
            }
        }
    }

    #[test]
    fn bad_bytes_stay_bad_and_bombs_stay_small() {
        let mut bad = batch(Compression::Gzip).to_vec();
        *bad.last_mut().unwrap() ^= 1;
        let error = recompress(&bad, Compression::None, None, 1 << 20).unwrap_err();
        assert!(matches!(error, RecordError::BadCrc { .. }), "{error}");
        let error = recompress(&batch(Compression::Zstd), Compression::None, None, 1_000);
        let error = error.unwrap_err();
        assert!(matches!(error, RecordError::Compression(_)), "{error}");
    }

    #[test]
    fn levels_are_honoured() {
        let words: Vec<u8> = (0..20_000u32)
            .flat_map(|n| (n * n % 977).to_be_bytes())
            .collect();
        let mut builder = BatchBuilder::new();
        builder.push(0, None, Some(&words));
        let plain = builder.build();
        for (codec, low, high) in [(Compression::Gzip, 1, 9), (Compression::Zstd, -50, 19)] {
            let size = |level| {
                let changed = recompress(&plain, codec, Some(level), 1 << 20).unwrap();
                changed.map_or(0, |batch| batch.len())
            };
            assert!(
                size(low) > size(high),
                "{codec:?}: {} {}",
                size(low),
                size(high)
            );
        }
    }
}
