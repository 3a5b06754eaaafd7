//! Reading: whole batches as one slice of one segment's mapping.
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Log, Read};
use crate::batches::{Found, Walk};
use crate::contents::Contents;
use crate::segment::Segment;
use crate::{ReadError, StorageError};

/// Where a batch was found.
type Hit = (Arc<Segment>, Arc<Contents>, Found);

impl Log {
    /// Whole batches from the one that holds `offset` on, below `up_to` (an offset, exclusive), at
    /// most `max_bytes`, but at least one batch if `min_one_batch`. An offset equal to the end
    /// (or to `up_to`) gives an empty read.
    pub fn read(
        &self,
        offset: i64,
        up_to: i64,
        max_bytes: usize,
        min_one_batch: bool,
    ) -> Result<Read, ReadError> {
        self.check_range(offset)?;
        let end_offset = self.end_offset();
        let limit = up_to.min(end_offset);
        if offset >= limit {
            return Ok(Read::empty(offset));
        }
        let count = |error: &ReadError| {
            if matches!(error, ReadError::Corrupt { .. }) {
                self.services.corrupt_reads.fetch_add(1, Ordering::Relaxed);
            }
        };
        let found = self.find_below(offset, end_offset).inspect_err(count)?;
        let Some((segment, contents, found)) = found else {
            return Ok(Read::empty(offset));
        };
        let too_large = found.header.size() > max_bytes && !min_one_batch;
        if too_large || found.header.last_offset() >= limit {
            return Ok(Read::empty(offset));
        }
        if !contents.is_whole(&found) {
            return Err(corrupt(&segment, offset)).inspect_err(count);
        }
        let start = found.position;
        let bytes = contents.mapping.bytes();
        let mut end = found.end();
        let mut next_offset = found.header.last_offset() + 1;
        // What was checked when it was appended is not walked again; what was found on disk is.
        if contents.mapping.is_own(end)
            && let Some(further) = contents.jump(
                segment.base_offset(),
                end,
                max_bytes.saturating_sub(end - start),
                limit,
            )
        {
            (end, next_offset) = further;
        }
        for next in Walk::new(bytes, end, next_offset) {
            // A bad batch ends this read; the next one, which starts there, tells.
            let Ok(next) = next else { break };
            if next.end() - start > max_bytes
                || next.header.last_offset() >= limit
                || !contents.is_whole(&next)
            {
                break;
            }
            end = next.end();
            next_offset = next.header.last_offset() + 1;
        }
        Ok(Read {
            next_offset,
            resident: is_resident(&contents, start..end),
            records: contents.mapping.slice(start..end),
        })
    }

    /// Whether [`Log::read`] of this may wait for the disk: then it is not for a thread that must
    /// not block. Costs no file operation itself.
    pub fn would_block(&self, offset: i64, max_bytes: usize) -> bool {
        let Some(segment) = self.segments.holding(offset) else {
            return false;
        };
        if segment.size() == 0 {
            return false;
        }
        let Some(contents) = segment.loaded() else {
            return true;
        };
        !is_resident(
            &contents,
            contents.touched(segment.base_offset(), offset, max_bytes),
        )
    }

    pub(super) fn check_range(&self, offset: i64) -> Result<(), ReadError> {
        if self.is_closed() {
            return Err(ReadError::Closed);
        }
        let (start, end) = (self.start_offset(), self.end_offset());
        if offset < start || offset > end {
            return Err(ReadError::OutOfRange { offset, start, end });
        }
        Ok(())
    }

    /// As [`Log::find`] for an offset below `end`, where the log ended a moment ago.
    fn find_below(&self, offset: i64, end: i64) -> Result<Option<Hit>, ReadError> {
        let found = self.find(offset)?;
        match &found {
            // Its offsets are wrong.
            Some((segment, _, hit)) if hit.header.last_offset() >= end => {
                Err(corrupt(segment, offset))
            }
            _ => Ok(found),
        }
    }

    /// The first batch that ends at or after `offset`, in whichever segment it is.
    pub(super) fn find(&self, offset: i64) -> Result<Option<Hit>, ReadError> {
        let Some(mut segment) = self.segments.holding(offset) else {
            // Retention was faster.
            self.check_range(offset)?;
            return Ok(None);
        };
        loop {
            let contents = self.contents(&segment, offset)?;
            match contents.find(segment.base_offset(), offset) {
                Ok(Some(found)) => return Ok(Some((segment, contents, found))),
                Ok(None) => {}
                Err(_) => return Err(corrupt(&segment, offset)),
            }
            match self.segments.after(segment.base_offset()) {
                Some(next) => segment = next,
                // A hole at the end: nothing will ever be there, and whoever waits for it has to know.
                None if offset < self.end_offset() => return Err(corrupt(&segment, offset)),
                None => return Ok(None),
            }
        }
    }

    /// The contents of a segment; one that retention took away since is out of range.
    pub(super) fn contents(
        &self,
        segment: &Segment,
        offset: i64,
    ) -> Result<Arc<Contents>, ReadError> {
        if segment.size() == 0 {
            return Ok(Arc::new(Contents::empty()));
        }
        segment
            .contents()
            .map_err(|error: StorageError| match self.check_range(offset) {
                Err(gone) => gone,
                Ok(()) => error.into(),
            })
    }
}

/// A bad batch, at or after `offset`.
pub(super) fn corrupt(segment: &Segment, offset: i64) -> ReadError {
    ReadError::Corrupt {
        offset,
        path: segment.log_path(),
    }
}

fn is_resident(contents: &Contents, range: Range<usize>) -> bool {
    contents.mapping.is_hot(&range) || contents.mapping.is_resident(range)
}

impl Read {
    fn empty(offset: i64) -> Self {
        Self {
            next_offset: offset,
            records: Bytes::new(),
            resident: true,
        }
    }
}
