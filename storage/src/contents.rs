//! A segment in memory: its mapped batches and its indexes, and how a batch is found by them.
use std::ops::Range;
use std::sync::{Arc, RwLock};

use protocol::record::{BatchHeader, HEADER_LEN, verify};

use crate::batches::{self, BadBatch, Found, Walk};
use crate::hold::HoldShared;
use crate::indexes::Indexes;
use crate::mapping::Mapping;
use crate::offset_index::OffsetEntry;
use crate::time_index::TimeEntry;

/// A segment in memory.
#[derive(Debug)]
pub(crate) struct Contents {
    /// The `.log` file.
    pub(crate) mapping: Arc<Mapping>,
    /// Both indexes.
    pub(crate) indexes: RwLock<Indexes>,
}

impl Contents {
    /// Those of a segment without batches, which needs no file.
    pub(crate) fn empty() -> Self {
        Self {
            mapping: Mapping::empty(),
            indexes: RwLock::default(),
        }
    }

    /// The offset after the last batch; `None` if the end is damaged.
    pub(crate) fn end_offset(&self, base_offset: i64) -> Option<i64> {
        let (position, next_offset) = self.nearest(base_offset, i64::MAX);
        let mut end_offset = next_offset;
        for step in Walk::new(self.mapping.bytes(), position, next_offset) {
            end_offset = step.ok()?.header.last_offset() + 1;
        }
        Some(end_offset)
    }

    /// Where the batch with `offset` is looked for first, by the index alone.
    pub(crate) fn position_hint(&self, base_offset: i64, offset: i64) -> usize {
        let indexes = self.indexes.shared();
        let entry = indexes.offsets.at_or_below(offset - base_offset).next();
        entry.map_or(0, |entry| entry.position as usize)
    }

    /// Positions that a read of `max_bytes` from `offset` on may look at, by the index alone: from
    /// where the batch is looked for, over the next two that the index knows (the first of which does
    /// not begin before it, the second not before its end) and as many bytes as are read.
    pub(crate) fn touched(&self, base_offset: i64, offset: i64, max_bytes: usize) -> Range<usize> {
        let published = self.mapping.published();
        let start = self.position_hint(base_offset, offset);
        let indexes = self.indexes.shared();
        let mut later = indexes.offsets.after(start);
        let mut later = || later.next().map_or(published, |e| e.position as usize);
        let by_bytes = later().saturating_add(max_bytes);
        // The walk looks at the header after the batch too.
        let by_batch = later().saturating_add(HEADER_LEN);
        start..by_bytes.max(by_batch).min(published)
    }

    /// Whether the checksum of a batch holds. That of one that was appended through this mapping was
    /// verified then.
    pub(crate) fn is_whole(&self, found: &Found) -> bool {
        self.mapping.is_own(found.position)
            || verify(&self.mapping.bytes()[found.position..found.end()]).is_ok()
    }

    /// An offset up to which all records are older than `timestamp`.
    pub(crate) fn indexes_below(&self, base_offset: i64, timestamp: i64) -> Option<i64> {
        let entry = self.indexes.shared().times.below(timestamp)?;
        let fits = self.has_time(base_offset, entry);
        fits.then_some(base_offset + i64::from(entry.relative))
    }

    /// Whether the batch that an entry of the time index names has the timestamp that it tells.
    pub(crate) fn has_time(&self, base_offset: i64, entry: TimeEntry) -> bool {
        let offset = base_offset + i64::from(entry.relative);
        let found = self.find(base_offset, offset).ok().flatten();
        found.is_some_and(|found| {
            found.header.last_offset() == offset && found.header.max_timestamp == entry.timestamp
        })
    }

    /// Last offset of the first batch with the largest timestamp.
    pub(crate) fn newest_offset(&self, base_offset: i64) -> Option<i64> {
        let max = self.indexes.shared().max?;
        Some(base_offset + i64::from(max.relative))
    }

    /// The first batch that ends at or after `offset`. An offset inside a hole of damaged bytes is
    /// an error.
    pub(crate) fn find(&self, base_offset: i64, offset: i64) -> Result<Option<Found>, BadBatch> {
        let bytes = self.mapping.bytes();
        let (position, next_offset) = self.nearest(base_offset, offset);
        let mut walk = Walk::new(bytes, position, next_offset);
        let mut before = None;
        while let Some(step) = walk.next() {
            match step {
                Ok(found) if found.header.last_offset() >= offset => {
                    // The offset lies between two batches: compaction leaves such gaps, and so does
                    // damage to the first one.
                    let is_gap = found.header.base_offset > offset;
                    if !is_gap || before.is_none_or(|before| self.is_whole(&before)) {
                        return Ok(Some(found));
                    }
                }
                Ok(found) => {
                    before = Some(found);
                    continue;
                }
                Err(BadBatch) => {}
            }
            let (from, at_least) = batches::damage(bytes, &walk, before.take());
            // Not past the next batch that the index knows.
            let known = self.boundary_after(base_offset, from);
            let stop = known.map_or(bytes.len(), |(position, _)| position);
            let found = batches::resync(&bytes[..stop], from, at_least)
                .map(|found| (found.position, found.header.base_offset));
            let (position, next_offset) = found.or(known).ok_or(BadBatch)?;
            if next_offset > offset {
                return Err(BadBatch);
            }
            walk = Walk::new(bytes, position, next_offset);
        }
        Ok(None)
    }

    /// The batches from the one that holds `offset` on; bytes that are none are passed over.
    pub(crate) fn batches_from(
        &self,
        base_offset: i64,
        offset: i64,
    ) -> impl Iterator<Item = Found> + '_ {
        let (position, next_offset) = self.nearest(base_offset, offset);
        batches::good_batches(self.mapping.bytes(), position, next_offset)
            .skip_while(move |found| found.header.last_offset() < offset)
    }

    /// Where a batch starts at or before `position`, and a bound of its offset.
    pub(crate) fn boundary_before(&self, base_offset: i64, position: usize) -> (usize, i64) {
        let entry = self.indexes.shared().offsets.before(position);
        entry
            .and_then(|entry| self.checked(base_offset, entry))
            .unwrap_or((0, base_offset))
    }

    /// The first batch after `position` that the index knows: its position and base offset.
    fn boundary_after(&self, base_offset: i64, position: usize) -> Option<(usize, i64)> {
        let indexes = self.indexes.shared();
        indexes
            .offsets
            .after(position)
            .find_map(|entry| self.checked(base_offset, entry))
    }

    /// The batch that an index entry points to: its position and base offset, if the entry fits.
    fn checked(&self, base_offset: i64, entry: OffsetEntry) -> Option<(usize, i64)> {
        let position = entry.position as usize;
        let header = BatchHeader::parse(self.mapping.bytes().get(position..)?).ok()?;
        let fits = header.last_offset() == base_offset + i64::from(entry.relative);
        fits.then_some((position, header.base_offset))
    }

    /// A batch that begins within `max_bytes` of `position` and ends below `limit`, as far on as the
    /// index knows one.
    pub(crate) fn jump(
        &self,
        base_offset: i64,
        position: usize,
        max_bytes: usize,
        limit: i64,
    ) -> Option<(usize, i64)> {
        let indexes = self.indexes.shared();
        let by_bytes = indexes.offsets.before(position.saturating_add(max_bytes))?;
        let by_offset = indexes
            .offsets
            .at_or_below(limit - 1 - base_offset)
            .next()?;
        let entry = if by_bytes.position < by_offset.position {
            by_bytes
        } else {
            by_offset
        };
        let ahead = entry.position as usize > position;
        ahead.then(|| self.checked(base_offset, entry)).flatten()
    }

    /// A position at or before the batch with `offset`, by an index entry that fits its batch.
    fn nearest(&self, base_offset: i64, offset: i64) -> (usize, i64) {
        let indexes = self.indexes.shared();
        indexes
            .offsets
            .at_or_below(offset - base_offset)
            .find_map(|entry| self.checked(base_offset, entry))
            .unwrap_or((0, base_offset))
    }
}
