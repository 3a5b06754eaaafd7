//! Transactions in one log: the last stable offset, and what was aborted.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::record::BatchHeader;

use super::Log;
use super::writer::Writer;
use crate::hold::HoldShared;
use crate::marker::Marker;
use crate::segment::Segment;
use crate::txn_index::Aborted;
use crate::{AppendError, StorageError};

/// The first offset of the oldest open transaction of a log without one.
pub(super) const NONE_OPEN: i64 = i64::MAX;

impl Log {
    /// First offset of the oldest open transaction, or the high watermark: everything below is
    /// decided. Where records of an open transaction were deleted it is the log start offset.
    pub fn last_stable_offset(&self) -> i64 {
        // The high watermark first: what a transaction wrote is noted as open before it is visible.
        let high_watermark = self.high_watermark();
        let undecided = self.first_open().max(self.start_offset());
        high_watermark.min(undecided)
    }

    /// The aborted transactions with records at or after `from` and below `upper`, by rising end.
    pub fn aborted(&self, from: i64, upper: i64) -> Vec<Aborted> {
        self.aborted.shared().overlapping(from, upper)
    }

    /// Whether any transaction is open.
    pub fn has_open_transactions(&self) -> bool {
        self.first_open() != NONE_OPEN
    }

    /// First offset of the oldest open transaction; above everything without one.
    pub(super) fn first_open(&self) -> i64 {
        self.first_open.load(Ordering::Acquire)
    }

    /// A cleaned segment has taken the place of several: so does its index.
    pub(super) fn merge_aborted(&self, cleaned: &Segment, others: &[i64]) {
        // Until that is done the files of all of them count together.
        if let Err(error) = self.settle_aborted(cleaned, others) {
            tracing::warn!(%error, "an index of aborted transactions is not merged yet");
        }
    }

    /// Writes the index of a segment durably, in the place of the one of segments that are gone.
    pub(super) fn settle_aborted(
        &self,
        segment: &Segment,
        others: &[i64],
    ) -> Result<(), StorageError> {
        let next = self.segments.after(segment.base_offset());
        let end = next.map_or(self.end_offset(), |next| next.base_offset());
        let aborted = self.aborted.shared().clone();
        let others = others.iter().copied();
        aborted.settle(self.files(), &self.dir, segment, end, others)
    }

    /// Forgets aborted transactions of which no batch is left, and whose markers in `segments`, which
    /// rise, are about to go: durably, see `txn_index.rs`.
    pub(super) fn forget_aborted(
        &self,
        segments: &[Arc<Segment>],
        markers: &[i64],
    ) -> Result<(), StorageError> {
        if markers.is_empty() {
            return Ok(());
        }
        let left = {
            let mut aborted = self.aborted.exclusive();
            aborted.forget(markers);
            aborted.clone()
        };
        for segment in segments {
            let base_offset = segment.base_offset();
            let next = self.segments.after(base_offset);
            let end = next.map_or(self.end_offset(), |next| next.base_offset());
            let own = base_offset..end;
            if markers.iter().any(|marker| own.contains(marker)) {
                left.settle(self.files(), &self.dir, segment, end, None)?;
            }
        }
        Ok(())
    }

    /// A marker of a producer or a coordinator that was replaced is refused.
    pub(super) fn check_marker(
        writer: &Writer,
        header: &BatchHeader,
        batch: &[u8],
    ) -> Result<(), AppendError> {
        match Marker::read(header, batch) {
            Some(marker) => writer.producers.check_marker(header, marker),
            None => Ok(()),
        }
    }
}
