//! The codecs of a batch body.
use std::borrow::Cow;

use super::{BatchHeader, RecordError};

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

/// The records of `batch` (a whole, verified batch) uncompressed, never more than `limit` bytes.
pub fn decompress<'a>(
    _header: &BatchHeader,
    _batch: &'a [u8],
    _limit: usize,
) -> Result<Cow<'a, [u8]>, RecordError> {
    todo!()
}
