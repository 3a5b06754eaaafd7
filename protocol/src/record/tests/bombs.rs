//! Small bodies that claim to be large: each codec stops at the limit.
use super::round_trip::CODECS;
use crate::record::*;

const LIMIT: usize = 100_000;

/// A batch whose body is `body`, whatever that is.
fn wrap(codec: Compression, body: &[u8]) -> (BatchHeader, Vec<u8>) {
    let mut header = verify(&BatchBuilder::new().build()).unwrap();
    header.attributes = Attributes(codec as i16);
    header.batch_length += body.len() as i32;
    let mut batch = header.to_bytes().to_vec();
    batch.extend_from_slice(body);
    (header, batch)
}

fn refused_as_too_large(codec: Compression, body: &[u8]) {
    let (header, batch) = wrap(codec, body);
    match decompress(&header, &batch, LIMIT) {
        Err(RecordError::Compression(reason)) => {
            assert!(reason.contains("larger than"), "{codec:?}: {reason}");
        }
        other => panic!("{codec:?}: {:?}", other.map(|bytes| bytes.len())),
    }
}

#[test]
fn sixteen_mebibytes_of_zeros_stop_at_the_limit() {
    let zeros = vec![0; 16 << 20];
    for codec in CODECS {
        let mut builder = BatchBuilder::new().compression(codec);
        builder.push(0, None, Some(&zeros));
        let bomb = builder.build();
        if codec != Compression::None {
            assert!(
                bomb.len() < zeros.len() / 10,
                "{codec:?} is no bomb: {} bytes",
                bomb.len()
            );
        }
        refused_as_too_large(codec, &bomb[HEADER_LEN..]);
    }
}

#[test]
fn the_limit_itself_is_allowed() {
    for codec in CODECS {
        let mut builder = BatchBuilder::new().compression(codec);
        builder.push(0, None, Some(&[7; 1000]));
        let size = builder.size() - HEADER_LEN;
        let batch = builder.build();
        let header = verify(&batch).unwrap();
        assert_eq!(decompress(&header, &batch, size).unwrap().len(), size);
        assert!(decompress(&header, &batch, size - 1).is_err());
        assert!(decompress(&header, &batch, 0).is_err());
    }
}

#[test]
fn raw_snappy_blocks_are_read() {
    let records = vec![b'x'; 70_000];
    let block = snap::raw::Encoder::new().compress_vec(&records).unwrap();
    let (header, batch) = wrap(Compression::Snappy, &block);
    assert_eq!(*decompress(&header, &batch, LIMIT).unwrap(), *records);
    let large = snap::raw::Encoder::new()
        .compress_vec(&vec![b'x'; LIMIT + 1])
        .unwrap();
    refused_as_too_large(Compression::Snappy, &large);
}

#[test]
fn a_snappy_block_that_only_claims_to_be_large_is_refused_before_memory_is_set_aside() {
    // The length as a varint, then one literal byte.
    let block = [0x80, 0x80, 0x04, 0, b'x'];
    assert!(snap::raw::decompress_len(&block).unwrap() <= LIMIT);
    refused_as_too_large(Compression::Snappy, &block);
}

#[test]
fn a_zstd_frame_that_asks_for_a_large_window_is_refused() {
    // Magic, descriptor without a size, window descriptor 2^27, one empty last block.
    let body = [0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 1, 0, 0];
    let (header, batch) = wrap(Compression::Zstd, &body);
    assert!(decompress(&header, &batch, LIMIT).is_err());
    assert!(decompress(&header, &batch, 1 << 27).unwrap().is_empty());
}
