//! The codecs of a batch body.
//!
//! Reading is streamed and stops at a limit, so that a small body cannot blow up: the output is never
//! larger than the limit, and the decoder's own window (zstd) never larger than the limit or 8 MiB,
//! whichever is more.
use std::borrow::Cow;
use std::io::{Read, Write};

use super::{BatchHeader, HEADER_LEN, RecordError};

/// Codec of a batch body, by its number in the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// 0
    #[default]
    None,
    /// 1
    Gzip,
    /// 2: raw blocks (librdkafka) and xerial frames (Java) are both read; written as xerial frames.
    Snappy,
    /// 3: LZ4 frame format.
    Lz4,
    /// 4
    Zstd,
}

/// What a xerial frame opens with: magic, version 1, compatible from version 1.
const XERIAL_HEADER: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];
/// The part of it that is looked at when reading.
const XERIAL_MAGIC_LEN: usize = 8;
/// Uncompressed bytes of a xerial block, as the Java client writes them.
const XERIAL_BLOCK_LEN: usize = 32 * 1024;
/// The largest window (log2) a zstd body may ask for whatever the limit is: level 19's, 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;
/// The largest window (log2) that zstd itself allows by default.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// The records of `batch` (a whole, verified batch) uncompressed, never more than `limit` bytes.
pub fn decompress<'a>(
    header: &BatchHeader,
    batch: &'a [u8],
    limit: usize,
) -> Result<Cow<'a, [u8]>, RecordError> {
    let needed = header.size();
    let body = batch
        .get(HEADER_LEN..needed)
        .ok_or(RecordError::Truncated {
            needed,
            left: batch.len(),
        })?;
    let records = match header.attributes.compression()? {
        Compression::None if body.len() > limit => return Err(too_large(limit)),
        Compression::None => return Ok(Cow::Borrowed(body)),
        Compression::Gzip => read_to_limit(flate2::read::MultiGzDecoder::new(body), limit)?,
        Compression::Snappy => unsnap(body, limit)?,
        Compression::Lz4 => read_to_limit(lz4_flex::frame::FrameDecoder::new(body), limit)?,
        Compression::Zstd => unzstd(body, limit)?,
    };
    Ok(Cow::Owned(records))
}

/// Appends `records`, compressed, to `out`. `level` is the codec's own, `None` for its default;
/// Snappy and LZ4 (as `lz4_flex` has it) know one only.
pub(super) fn compress(codec: Compression, level: Option<i32>, records: &[u8], out: &mut Vec<u8>) {
    let done = match codec {
        Compression::None => out.write_all(records),
        Compression::Gzip => {
            let level = level.and_then(|level| u32::try_from(level).ok());
            let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
            let mut gzip = flate2::write::GzEncoder::new(out, level);
            gzip.write_all(records)
                .and_then(|()| gzip.finish())
                .map(drop)
        }
        Compression::Snappy => snap(records, out),
        Compression::Lz4 => {
            let mut lz4 = lz4_flex::frame::FrameEncoder::new(out);
            lz4.write_all(records)
                .and_then(|()| Ok(lz4.finish()?))
                .map(drop)
        }
        Compression::Zstd => {
            let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
            zstd::stream::copy_encode(records, out, level)
        }
    };
    done.expect("compressing from memory to memory meets no input or output error");
}

/// Reads a decoder to its end or to the limit. The buffer grows with what is really there, to at most
/// twice the limit.
fn read_to_limit(decoder: impl Read, limit: usize) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut out)
        .map_err(unreadable)?;
    if out.len() > limit {
        return Err(too_large(limit));
    }
    Ok(out)
}

fn unzstd(body: &[u8], limit: usize) -> Result<Vec<u8>, RecordError> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(unreadable)?;
    let limit_log = limit
        .max(1)
        .checked_next_power_of_two()
        .map_or(usize::BITS, usize::ilog2);
    let window_log = limit_log.clamp(ZSTD_WINDOW_LOG, ZSTD_WINDOW_LOG_MAX);
    decoder.window_log_max(window_log).map_err(unreadable)?;
    read_to_limit(decoder, limit)
}

fn unsnap(body: &[u8], limit: usize) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    if body.get(..XERIAL_MAGIC_LEN) != Some(&XERIAL_HEADER[..XERIAL_MAGIC_LEN]) {
        unsnap_block(body, limit, &mut out)?;
        return Ok(out);
    }
    let mut rest = body
        .get(XERIAL_HEADER.len()..)
        .ok_or_else(|| unreadable("short xerial frame"))?;
    while !rest.is_empty() {
        let (length, tail) = rest
            .split_first_chunk()
            .ok_or_else(|| unreadable("short xerial block"))?;
        let length = u32::from_be_bytes(*length) as usize;
        let block = tail
            .get(..length)
            .ok_or_else(|| unreadable("short xerial block"))?;
        unsnap_block(block, limit, &mut out)?;
        rest = &tail[length..];
    }
    Ok(out)
}

/// Appends one raw block to `out`, if both together stay within the limit.
fn unsnap_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), RecordError> {
    let length = snap::raw::decompress_len(block).map_err(unreadable)?;
    // Snappy's best is 64 bytes from a 3-byte copy: a block that claims more than that is a lie, and
    // is refused before memory is set aside for it.
    if length > limit - out.len() || length / 32 > block.len() {
        return Err(too_large(limit));
    }
    let start = out.len();
    out.resize(start + length, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut out[start..])
        .map_err(unreadable)?;
    Ok(())
}

fn snap(records: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(&XERIAL_HEADER);
    for block in records.chunks(XERIAL_BLOCK_LEN) {
        let block = snap::raw::Encoder::new().compress_vec(block)?;
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    Ok(())
}

fn unreadable(reason: impl std::fmt::Display) -> RecordError {
    RecordError::Compression(reason.to_string())
}

fn too_large(limit: usize) -> RecordError {
    RecordError::Compression(format!("larger than {limit} bytes when uncompressed"))
}
