//! Gaps between segments above the recovery point.
//!
//! Apache Kafka's cleaner leaves them, and the segments after one are sound. So does a crash that
//! takes the end of a segment which was not durable; what comes after it must not stay then, since
//! records would be missing in the middle. Our own cleaner leaves none, and cleans only what is
//! durable: a gap is a cleaner's if it lies below the offset that the cleaner's checkpoint tells, or
//! if a segment at its edge or after it shows that it was compacted, so that all before that was
//! durable.
use protocol::record::verify;

use super::Opening;
use crate::StorageError;
use crate::batches::Walk;
use crate::segment::Segment;

impl Opening<'_> {
    /// Whether the gap between the first and the second one of the segments with these base offsets is
    /// a cleaner's; the first one was looked at last.
    pub(super) fn is_left_by_cleaner(&self, bases: &[i64]) -> Result<bool, StorageError> {
        if self.is_torn || bases[1] < self.recovered.end {
            return Ok(false);
        }
        if bases[1] <= self.known.cleaned {
            return Ok(true);
        }
        for &base_offset in bases {
            let segment = Segment::existing(self.files, self.dir, base_offset)?;
            if segment.size() > 0 && has_gaps(segment.contents()?.mapping.bytes(), base_offset) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether offsets are missing before or between the batches of a segment, or in one of them.
fn has_gaps(bytes: &[u8], base_offset: i64) -> bool {
    let mut next_offset = base_offset;
    for found in Walk::new(bytes, 0, base_offset).map_while(Result::ok) {
        let header = &found.header;
        let last_offset = header.last_offset();
        let is_dense = header.base_offset == next_offset
            && i64::from(header.records_count) == last_offset - header.base_offset + 1;
        if !is_dense {
            // A header that a crash tore tells nothing.
            return verify(&bytes[found.position..found.end()]).is_ok();
        }
        next_offset = last_offset + 1;
    }
    false
}
