//! What becomes of a batch: kept, dropped, or written again with fewer records. As Apache Kafka's
//! `LogCleaner.cleanInto` and `MemoryRecords.filterTo`.
use bytes::Bytes;
use protocol::record::{
    BatchBuilder, BatchHeader, Record, RecordError, TimestampType, decompress, records,
};

use super::aborted::Aborted;
use super::last_batches::LastBatches;
use super::offset_map::OffsetMap;
use super::transactions::Transactions;
use crate::Marker;

/// What becomes of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Copied byte for byte.
    Keep,
    /// Left out.
    Drop,
    /// Replaced.
    Rewrite(Bytes),
}

/// What a record's and a batch's fate depends on.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    /// The latest offset of each key, as far as the map reaches.
    pub(super) map: &'a OffsetMap,
    /// Transactions whose records count for nothing.
    pub(super) aborted: &'a Aborted,
    /// They hold what a producer may send again, and stay even without records.
    pub(super) last_batches: &'a LastBatches,
    /// Transactions in what was judged so far, which is all from the log's start on.
    pub(super) transactions: Transactions,
    /// Wall clock, epoch ms; `None` while it is doubted: then neither a tombstone nor a marker goes,
    /// and none is told when to go.
    pub(super) now_ms: Option<i64>,
    /// How long tombstones stay, and markers that decide nothing any more.
    pub(super) delete_retention_ms: i64,
    /// How large a batch may become when it is decompressed.
    pub(super) body_limit: usize,
}

impl Filter<'_> {
    /// The fate of a whole, verified batch, and how many records it loses. One that `must_stay`
    /// stays even without records.
    pub(super) fn judge(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        must_stay: bool,
    ) -> Result<(Fate, usize), RecordError> {
        if header.attributes.is_control() {
            return self.judge_marker(header, batch, must_stay);
        }
        self.transactions.note(header);
        if header.base_offset >= self.map.end() {
            return Ok((Fate::Keep, 0));
        }
        let body = decompress(header, batch, self.body_limit)?;
        let is_aborted = self.aborted.has(header);
        let mut kept = Vec::new();
        let mut count = 0;
        for record in records(header, &body) {
            let record = record?;
            count += 1;
            if !is_aborted && self.keeps(header, &record) {
                kept.push(record);
            }
        }
        let removed = count - kept.len();
        if kept.is_empty() {
            let fate = match must_stay || self.last_batches.have(header) {
                true if count == 0 => Fate::Keep,
                true => Fate::Rewrite(BatchBuilder::rewrite(header).build()),
                false => Fate::Drop,
            };
            return Ok((fate, removed));
        }
        let new_horizon = !header.attributes.has_delete_horizon()
            && kept.iter().any(|record| record.value.is_none());
        let horizon_ms = self.new_horizon_ms().filter(|_| new_horizon);
        if removed == 0 && horizon_ms.is_none() {
            return Ok((Fate::Keep, 0));
        }
        let rewritten = rewrite(header, &kept, horizon_ms);
        Ok((Fate::Rewrite(rewritten), removed))
    }

    /// Whether the record is the latest of its key, and not a tombstone whose time is over. Without a
    /// key it has no place in a compacted log: it was there before the log was compacted.
    fn keeps(&self, header: &BatchHeader, record: &Record<'_>) -> bool {
        let Some(key) = record.key else {
            return false;
        };
        let offset = header.base_offset + i64::from(record.offset_delta);
        let is_latest = self.map.latest(key).is_none_or(|latest| offset >= latest);
        is_latest && (record.value.is_some() || !self.is_due(header))
    }

    /// The same for a marker.
    fn judge_marker(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        must_stay: bool,
    ) -> Result<(Fate, usize), RecordError> {
        let decides = self.transactions.end(header);
        let stays = decides || self.last_batches.have(header);
        if stays || header.base_offset >= self.map.end() {
            return Ok((Fate::Keep, 0));
        }
        if header.records_count == 0 {
            let fate = if must_stay { Fate::Keep } else { Fate::Drop };
            return Ok((fate, 0));
        }
        let Some(marker) = Marker::read(header, batch) else {
            return Ok((Fate::Keep, 0));
        };
        if self.is_due(header) {
            if !marker.commits {
                self.transactions.forgotten.push(header.last_offset());
            }
            let empty = || Fate::Rewrite(BatchBuilder::rewrite(header).build());
            let fate = if must_stay { empty() } else { Fate::Drop };
            return Ok((fate, 1));
        }
        let horizon_ms = self.new_horizon_ms();
        if horizon_ms.is_none() || header.attributes.has_delete_horizon() {
            return Ok((Fate::Keep, 0));
        }
        let body = decompress(header, batch, self.body_limit)?;
        let kept = records(header, &body).collect::<Result<Vec<_>, _>>()?;
        Ok((Fate::Rewrite(rewrite(header, &kept, horizon_ms)), 0))
    }

    /// Whether the time of a batch's tombstones, or of a marker, is over.
    fn is_due(&self, header: &BatchHeader) -> bool {
        header.attributes.has_delete_horizon()
            && self
                .now_ms
                .is_some_and(|now_ms| header.base_timestamp <= now_ms)
    }

    /// Until when tombstones stay that are met now.
    fn new_horizon_ms(&self) -> Option<i64> {
        self.now_ms
            .map(|now_ms| now_ms.saturating_add(self.delete_retention_ms))
    }
}

/// The batch with these records only; offsets and sequences stay as they are.
fn rewrite(header: &BatchHeader, kept: &[Record<'_>], horizon_ms: Option<i64>) -> Bytes {
    let mut builder = BatchBuilder::rewrite(header);
    if header.attributes.timestamp_type() == TimestampType::CreateTime
        && let Some(latest) = kept.iter().map(|record| record.timestamp_delta).max()
    {
        builder = builder.max_timestamp(header.base_timestamp.wrapping_add(latest));
    }
    if let Some(horizon_ms) = horizon_ms {
        builder = builder.delete_horizon(horizon_ms);
    }
    for record in kept {
        builder.keep(record);
    }
    builder.build()
}

#[cfg(test)]
#[path = "filter_test.rs"]
mod tests;
