//! Duplicates of before a restart: a snapshot tells the last batch of a producer, the log the four
//! before it. They are looked for when a producer sends one of them again, once.
use protocol::record::BatchHeader;

use super::Log;
use super::writer::Writer;
use crate::batches::good_batches;
use crate::producer_state::Sequence;
use crate::{AppendError, StorageError};

/// How far back, in bytes: clients do not have more in flight.
const REACH: usize = 64 * 1024 * 1024;

impl Log {
    /// Judges a client's batch by its producer id, epoch and sequence.
    pub(super) fn check_sequence(
        &self,
        writer: &mut Writer,
        header: &BatchHeader,
    ) -> Result<Sequence, AppendError> {
        match writer.producers.check(header) {
            Err(AppendError::OutOfOrderSequence { .. })
                if self.recall(writer, header.producer_id)? =>
            {
                writer.producers.check(header)
            }
            judged => judged,
        }
    }

    /// Remembers more batches of a producer; false if there is nothing more to find.
    fn recall(&self, writer: &mut Writer, producer_id: i64) -> Result<bool, StorageError> {
        let Some(mut last) = writer.producers.partial_since(producer_id) else {
            return Ok(false);
        };
        let mut reach = REACH;
        while reach > 0
            && let Some(segment) = self.segments.holding(last)
        {
            let base_offset = segment.base_offset();
            if segment.size() > 0 {
                let contents = segment.contents()?;
                let bytes = contents.mapping.bytes();
                let end = contents.position_hint(base_offset, last);
                let (position, next_offset) =
                    contents.boundary_before(base_offset, end.saturating_sub(reach));
                let headers = good_batches(bytes, position, next_offset)
                    .map(|found| found.header)
                    .take_while(|header| header.last_offset() <= last);
                if writer.producers.recall(producer_id, headers) {
                    break;
                }
            }
            reach = reach.saturating_sub(segment.size() as usize);
            last = base_offset - 1;
        }
        writer.producers.recalled(producer_id);
        Ok(true)
    }
}
