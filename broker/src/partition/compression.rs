//! Topics that keep their batches in a codec of their own (`compression.type`).
use bytes::Bytes;
use config::{CompressionType, TopicConfig};
use protocol::record::{self, Compression};
use storage::AppendError;

use crate::process::in_place;

/// The most that a batch may decompress to, if the topic's `max.message.bytes` is not more.
const LIMIT: usize = 64 << 20;

/// The batch as the topic wants it, or `None` if it can stay as it came. What a client sent is held
/// against `max.message.bytes` before it is decompressed, what comes out when it is appended.
pub fn recompress(config: &TopicConfig, batch: &[u8]) -> Result<Option<Bytes>, AppendError> {
    let Some((codec, level)) = codec(config) else {
        return Ok(None);
    };
    let max_message_bytes = config.max_message_bytes as usize;
    if batch.len() > max_message_bytes {
        return Err(AppendError::TooLarge {
            size: batch.len(),
            limit: max_message_bytes as u32,
        });
    }
    let limit = LIMIT.max(max_message_bytes);
    // The batch has to keep its place among those of its connection, so it cannot go to another
    // thread.
    let recompressed = in_place(|| record::recompress(batch, codec, level, limit));
    Ok(recompressed?)
}

fn codec(config: &TopicConfig) -> Option<(Compression, Option<i32>)> {
    match config.compression_type {
        CompressionType::Producer => None,
        CompressionType::Uncompressed => Some((Compression::None, None)),
        CompressionType::Snappy => Some((Compression::Snappy, None)),
        CompressionType::Lz4 => Some((Compression::Lz4, Some(config.compression_lz4_level))),
        CompressionType::Zstd => Some((Compression::Zstd, Some(config.compression_zstd_level))),
        CompressionType::Gzip => {
            // -1 is the codec's default.
            let level = Some(config.compression_gzip_level).filter(|level| *level > 0);
            Some((Compression::Gzip, level))
        }
    }
}

#[cfg(test)]
mod tests {
    use config::Settings;
    use protocol::record::{BatchBuilder, BatchHeader};

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> TopicConfig {
        let pairs = pairs.iter();
        let overrides = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        TopicConfig::resolve(&overrides.collect(), &Settings::default()).unwrap()
    }

    fn batch() -> Bytes {
        let mut builder = BatchBuilder::new();
        builder.push(1, Some(b"k"), Some(&[0; 1000]));
        builder.build()
    }

    #[test]
    fn only_another_codec_costs_anything() {
        for same in ["producer", "uncompressed"] {
            let config = config(&[("compression.type", same)]);
            assert_eq!(recompress(&config, &batch()).unwrap(), None);
        }
        for (word, codec) in [
            ("gzip", Compression::Gzip),
            ("snappy", Compression::Snappy),
            ("lz4", Compression::Lz4),
            ("zstd", Compression::Zstd),
        ] {
            let config = config(&[("compression.type", word)]);
            let changed = recompress(&config, &batch()).unwrap().unwrap();
            let header = BatchHeader::parse(&changed).unwrap();
            assert_eq!(header.attributes.compression(), Ok(codec));
        }
    }

    #[test]
    fn a_batch_too_large_is_refused_as_it_came() {
        let config = config(&[("compression.type", "zstd"), ("max.message.bytes", "500")]);
        let error = recompress(&config, &batch()).unwrap_err();
        assert!(matches!(error, AppendError::TooLarge { limit: 500, .. }));
    }
}
