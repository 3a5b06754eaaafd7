//! Both indexes of a segment as it grows: every `index.interval.bytes` a batch gets an entry.
use protocol::record::BatchHeader;

use crate::batches;
use crate::offset_index::{self, OffsetIndex};
use crate::time_index::{self, TimeEntry, TimeIndex};

/// No timestamp, or none known.
pub(crate) const NO_TIMESTAMP: i64 = -1;

/// The indexes of a segment, and what the next entry depends on.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    /// Offsets to positions.
    pub(crate) offsets: OffsetIndex,
    /// Timestamps to offsets.
    pub(crate) times: TimeIndex,
    /// The largest timestamp so far and the first batch that has it.
    pub(crate) max: Option<TimeEntry>,
    bytes_since_entry: usize,
}

impl Indexes {
    /// As the files of a segment tell them.
    pub(crate) fn loaded(offsets: OffsetIndex, times: TimeIndex) -> Self {
        Self {
            max: times.last(),
            offsets,
            times,
            bytes_since_entry: 0,
        }
    }

    /// Notes a batch that was appended at `position`.
    pub(crate) fn note(
        &mut self,
        base_offset: i64,
        header: &BatchHeader,
        position: usize,
        interval: u32,
    ) {
        let relative = (header.last_offset() - base_offset) as i32;
        // A batch that compaction left without records has none at that time.
        if header.records_count > 0
            && header.max_timestamp > self.max.map_or(NO_TIMESTAMP, |max| max.timestamp)
        {
            self.max = Some(TimeEntry {
                timestamp: header.max_timestamp,
                relative,
            });
        }
        if self.bytes_since_entry > interval as usize {
            self.offsets.push(relative, position as i32);
            self.finish();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size();
    }

    /// Puts the largest timestamp into the time index.
    pub(crate) fn finish(&mut self) {
        if let Some(max) = self.max {
            self.times.push(max);
        }
    }

    /// Whether an index has no room left in a file of `limit` bytes; the time index keeps one entry
    /// for [`Indexes::finish`].
    pub(crate) fn is_full(&self, limit: u32) -> bool {
        self.offsets.len() >= limit as usize / offset_index::ENTRY
            || self.times.len() + 1 >= limit as usize / time_index::ENTRY
    }

    /// Builds them from the batches.
    pub(crate) fn scan(base_offset: i64, bytes: &[u8], interval: u32) -> Self {
        let mut indexes = Self::default();
        for found in batches::good_batches(bytes, 0, base_offset) {
            indexes.note(base_offset, &found.header, found.position, interval);
        }
        indexes
    }
}
