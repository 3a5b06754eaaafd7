//! What is checked of a batch before the log's lock is taken.
use protocol::record::{
    self, BatchHeader, Compression, HEADER_LEN, RecordError, TimestampType, check_deltas,
    decompress, verify,
};

use crate::{AppendError, LogConfig};

/// A compressed body is opened for the keys of a compacted topic and to find a record by its time,
/// and may grow to this size, or to [`DECOMPRESSION_FACTOR`] times `max.message.bytes`.
const DECOMPRESSION_MIN_LIMIT: usize = 16 * 1024 * 1024;
const DECOMPRESSION_FACTOR: usize = 64;

/// Batches that may be appended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked {
    /// Header of the first batch.
    pub(super) first: BatchHeader,
    /// Offsets that the batches take.
    pub(super) span: i64,
    /// Largest timestamp of all, epoch ms.
    pub(super) max_timestamp: i64,
    /// The header's max timestamp was wrong: what it must be (client's batches only).
    pub(super) repaired: Option<i64>,
}

/// How large a compressed body may become.
pub(super) fn decompression_limit(config: &LogConfig) -> usize {
    (config.max_message_bytes as usize)
        .saturating_mul(DECOMPRESSION_FACTOR)
        .max(DECOMPRESSION_MIN_LIMIT)
}

/// Checks a client's batch.
pub(super) fn client(
    records: &[u8],
    config: &LogConfig,
    now_ms: i64,
) -> Result<Checked, AppendError> {
    if records.is_empty() {
        return Err(AppendError::BatchCount(0));
    }
    let size = BatchHeader::parse(records)?.size();
    if size > config.max_message_bytes as usize {
        return Err(AppendError::TooLarge {
            size,
            limit: config.max_message_bytes,
        });
    }
    let header = verify(records)?;
    if records.len() > size {
        return Err(AppendError::BatchCount(count_batches(records)));
    }
    check_header(&header)?;
    let mut checked = Checked {
        first: header,
        span: i64::from(header.last_offset_delta) + 1,
        max_timestamp: header.max_timestamp,
        repaired: None,
    };
    match check_deltas(&header, records) {
        Ok(()) => {}
        Err(RecordError::BadMaxTimestamp { actual, .. }) => {
            checked.max_timestamp = actual;
            checked.repaired = Some(actual);
        }
        Err(error) => return Err(error.into()),
    }
    match config.timestamp_type {
        TimestampType::CreateTime => check_timestamps(&checked, records, config, now_ms)?,
        TimestampType::LogAppendTime => checked.max_timestamp = now_ms,
    }
    if config.cleanup.compact {
        check_keys(&header, records, config)?;
    }
    Ok(checked)
}

/// Checks batches that the broker itself made.
pub(super) fn internal(
    records: &[u8],
    config: &LogConfig,
    now_ms: i64,
) -> Result<Checked, AppendError> {
    let mut rest = records;
    let mut checked: Option<Checked> = None;
    while !rest.is_empty() {
        let header = verify(rest)?;
        if header.last_offset_delta < 0 {
            return Err(RecordError::BadHeader("negative last offset delta").into());
        }
        let span = i64::from(header.last_offset_delta) + 1;
        let so_far = checked.get_or_insert(Checked {
            first: header,
            span: 0,
            max_timestamp: header.max_timestamp,
            repaired: None,
        });
        so_far.span += span;
        so_far.max_timestamp = so_far.max_timestamp.max(header.max_timestamp);
        rest = &rest[header.size()..];
    }
    let mut checked = checked.ok_or(AppendError::BatchCount(0))?;
    if config.timestamp_type == TimestampType::LogAppendTime {
        checked.max_timestamp = now_ms;
    }
    Ok(checked)
}

fn count_batches(records: &[u8]) -> usize {
    let mut rest = records;
    let mut count = 0;
    while let Ok(header) = BatchHeader::parse(rest) {
        count += 1;
        rest = rest.get(header.size()..).unwrap_or_default();
    }
    count + usize::from(!rest.is_empty())
}

fn check_header(header: &BatchHeader) -> Result<(), RecordError> {
    let reason = if header.attributes.is_control() {
        "a client must not write control batches"
    } else if header.base_offset != 0 {
        "the base offset of a produced batch must be 0"
    } else if header.producer_id >= 0 && header.base_sequence < 0 {
        "a batch with a producer id needs a sequence"
    } else if header.producer_id >= 0 && header.producer_epoch < 0 {
        "a batch with a producer id needs a producer epoch"
    } else {
        return Ok(());
    };
    Err(RecordError::BadHeader(reason))
}

/// By header where that is enough: a body that is compressed is not opened for this.
fn check_timestamps(
    checked: &Checked,
    records: &[u8],
    config: &LogConfig,
    now_ms: i64,
) -> Result<(), AppendError> {
    let header = &checked.first;
    let latest = now_ms.saturating_add(config.timestamp_after_max_ms);
    let earliest = now_ms.saturating_sub(config.timestamp_before_max_ms);
    let good = |timestamp: i64| timestamp == -1 || (earliest..=latest).contains(&timestamp);
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(AppendError::Timestamp {
            index: 0,
            timestamp: header.max_timestamp,
        });
    }
    if header.attributes.compression()? != Compression::None {
        return [header.base_timestamp, header.max_timestamp]
            .into_iter()
            .find(|&timestamp| !good(timestamp))
            .map_or(Ok(()), |timestamp| {
                Err(AppendError::Timestamp {
                    index: 0,
                    timestamp,
                })
            });
    }
    if config.timestamp_before_max_ms == i64::MAX && good(checked.max_timestamp) {
        return Ok(());
    }
    for (index, record) in record::records(header, &records[HEADER_LEN..]).enumerate() {
        let timestamp = header
            .base_timestamp
            .saturating_add(record?.timestamp_delta);
        if !good(timestamp) {
            return Err(AppendError::Timestamp { index, timestamp });
        }
    }
    Ok(())
}

fn check_keys(header: &BatchHeader, records: &[u8], config: &LogConfig) -> Result<(), AppendError> {
    let body = decompress(header, records, decompression_limit(config))?;
    let mut indexes = Vec::new();
    let mut count = 0;
    for record in record::records(header, &body) {
        if record?.key.is_none() {
            indexes.push(count);
        }
        count += 1;
    }
    if count as i64 != i64::from(header.records_count) {
        return Err(RecordError::BadHeader("the records count is not the records'").into());
    }
    if indexes.is_empty() {
        Ok(())
    } else {
        Err(AppendError::MissingKey { indexes })
    }
}
