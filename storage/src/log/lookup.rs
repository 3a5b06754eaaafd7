//! Finding records by their timestamp: time index, then batch headers, then the records of one batch.
use std::ops::Range;
use std::sync::Arc;

use protocol::record::{self, BatchHeader, TimestampType, decompress};

use super::read::corrupt;
use super::visible::EVERYTHING;
use super::{Log, TimestampOffset, validate};
use crate::ReadError;
use crate::batches::Found;
use crate::contents::Contents;
use crate::indexes::NO_TIMESTAMP;
use crate::segment::Segment;

impl Log {
    /// The first record at or after `timestamp` (epoch ms) below `up_to`.
    pub fn offset_for_timestamp(
        &self,
        timestamp: i64,
        up_to: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let start = self.start_offset();
        self.check_range(start)?;
        for segment in self.segments.all() {
            if segment.size() == 0 || segment.is_below(timestamp) {
                continue;
            }
            let contents = self.contents(&segment, start)?;
            let base_offset = segment.base_offset();
            let below = contents.indexes_below(base_offset, timestamp);
            let from = below.map_or(base_offset, |offset| offset + 1).max(start);
            for found in contents.batches_from(base_offset, from) {
                if found.header.base_offset >= up_to {
                    return Ok(None);
                }
                if found.header.max_timestamp < timestamp || !contents.is_whole(&found) {
                    continue;
                }
                let hit = self.record(&segment, &contents, &found, start, timestamp)?;
                if let Some(hit) = hit {
                    return Ok((hit.offset < up_to).then_some(hit));
                }
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp of those that readers see (the first one of several).
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, ReadError> {
        loop {
            let visible = self.visible_below();
            let newest = self.newest_below(visible)?;
            // If records began to be hidden in between, one of them may have been found.
            if self.visible_below() == EVERYTHING || visible != EVERYTHING {
                return Ok(newest);
            }
        }
    }

    fn newest_below(&self, visible: i64) -> Result<Option<TimestampOffset>, ReadError> {
        let start = self.start_offset();
        self.check_range(start)?;
        let mut best: Option<(Arc<Segment>, Arc<Contents>, Found)> = None;
        for segment in self.segments.all() {
            let known = best
                .as_ref()
                .map_or(NO_TIMESTAMP, |(_, _, found)| found.header.max_timestamp);
            if segment.size() == 0 || segment.is_below(known.saturating_add(1)) {
                continue;
            }
            let contents = self.contents(&segment, start)?;
            if let Some(found) = newest_batch(&contents, segment.base_offset(), start..visible)
                && found.header.max_timestamp > known
            {
                best = Some((segment, contents, found));
            }
        }
        let Some((segment, contents, found)) = best else {
            return Ok(None);
        };
        let newest = found.header.max_timestamp;
        self.record(&segment, &contents, &found, start, newest)
    }

    /// The first record of a batch that lies at or after `start` and `earliest` (epoch ms).
    fn record(
        &self,
        segment: &Segment,
        contents: &Contents,
        found: &Found,
        start: i64,
        earliest: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let header = &found.header;
        if header.records_count == 0 {
            return Ok(None);
        }
        let bad = |_| corrupt(segment, header.base_offset);
        let hit = |offset, timestamp| TimestampOffset {
            timestamp,
            offset,
            leader_epoch: header.leader_epoch,
        };
        if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
            // One time for all of the batch.
            let offset = header.base_offset.max(start);
            let found = offset <= header.last_offset() && header.max_timestamp >= earliest;
            return Ok(found.then(|| hit(offset, header.max_timestamp)));
        }
        let batch = &contents.mapping.bytes()[found.position..found.end()];
        let limit = validate::decompression_limit(&self.config());
        let body = decompress(header, batch, limit).map_err(bad)?;
        for record in record::records(header, &body) {
            let record = record.map_err(bad)?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            let timestamp = timestamp_of(header, record.timestamp_delta);
            if offset >= start && timestamp >= earliest {
                return Ok(Some(hit(offset, timestamp)));
            }
        }
        Ok(None)
    }
}

fn timestamp_of(header: &BatchHeader, delta: i64) -> i64 {
    header.base_timestamp.saturating_add(delta)
}

/// The first batch in the range that readers see that has the largest timestamp of a segment. Damaged
/// ones are passed over, as they are when a time is looked for.
fn newest_batch(contents: &Contents, base_offset: i64, seen: Range<i64>) -> Option<Found> {
    let is_hidden = |found: &Found| found.header.last_offset() >= seen.end;
    if base_offset >= seen.start {
        let offset = contents.newest_offset(base_offset)?;
        if let Ok(newest) = contents.find(base_offset, offset) {
            let fits = |found: &Found| !is_hidden(found) && contents.is_whole(found);
            if newest.as_ref().is_none_or(fits) {
                return newest;
            }
        }
    }
    // The batch that the index knows may lie outside, or be damaged.
    let mut newest: Option<Found> = None;
    for found in contents.batches_from(base_offset, seen.start) {
        if is_hidden(&found) {
            break;
        }
        let is_newer = newest.is_none_or(|n| n.header.max_timestamp < found.header.max_timestamp);
        if is_newer && found.header.records_count > 0 && contents.is_whole(&found) {
            newest = Some(found);
        }
    }
    newest
}
