//! A sealed segment as the cleaner reads it: every batch checked, none left in memory.
use std::path::PathBuf;
use std::sync::Arc;

use protocol::record::{RecordError, verify};

use super::CleanError;
use crate::batches::{self, Found, Walk};
use crate::segment::Segment;

/// What was read leaves the process's memory after so many bytes.
const READ_PAST_BYTES: usize = 1024 * 1024;

/// A sealed segment.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The segment.
    pub(crate) segment: Arc<Segment>,
    /// Where the next one begins.
    pub(crate) end_offset: i64,
}

impl Source {
    /// Hands `see` every batch that ends at or after `offset`, until it says false. A bad batch is an
    /// error.
    pub(super) fn each_batch(
        &self,
        offset: i64,
        mut see: impl FnMut(&Found, &[u8]) -> Result<bool, CleanError>,
    ) -> Result<(), CleanError> {
        let contents = self.segment.contents()?;
        let bytes = contents.mapping.bytes();
        let mut walk = Walk::new(bytes, 0, self.segment.base_offset());
        let mut read_past = 0;
        while let Some(step) = walk.next() {
            let bad = |reason| self.damaged(walk.position(), reason);
            let found = step.map_err(|_| bad("no batch".to_owned()))?;
            if found.header.last_offset() < offset {
                continue;
            }
            let batch = &bytes[found.position..found.end()];
            verify(batch).map_err(|error| self.bad_batch(&found, &error))?;
            if !see(&found, batch)? {
                break;
            }
            if found.end() - read_past > READ_PAST_BYTES {
                drop(contents.mapping.slice(read_past..found.end()));
                read_past = found.end();
            }
        }
        Ok(())
    }

    /// How many records the headers of the batches that end at or after `offset` tell of. They may
    /// lie: it is for an estimate.
    pub(super) fn count_records(&self, offset: i64) -> Result<usize, CleanError> {
        let contents = self.segment.contents()?;
        let bytes = contents.mapping.bytes();
        let count = batches::good_batches(bytes, 0, self.segment.base_offset())
            .filter(|found| found.header.last_offset() >= offset)
            .map(|found| usize::try_from(found.header.records_count).unwrap_or_default())
            .fold(0, usize::saturating_add);
        Ok(count)
    }

    /// The error of a batch that cannot be read.
    pub(super) fn bad_batch(&self, found: &Found, error: &RecordError) -> CleanError {
        self.damaged(found.position, error.to_string())
    }

    fn damaged(&self, position: usize, reason: String) -> CleanError {
        CleanError::Damaged {
            path: self.path(),
            position,
            reason,
        }
    }

    fn path(&self) -> PathBuf {
        self.segment.log_path()
    }
}
