//! A sealed segment as the cleaner reads it: every batch checked, none left in memory.
use std::path::PathBuf;
use std::sync::Arc;

use protocol::record::{BatchHeader, RecordError, verify};

use super::CleanError;
use crate::batches::{Found, Walk};
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
            let found = step.map_err(|_| self.no_batch(walk.position()))?;
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

    /// Hands `see` the header of every batch that ends at or after `offset`, unchecked.
    pub(super) fn each_header(
        &self,
        offset: i64,
        mut see: impl FnMut(&BatchHeader),
    ) -> Result<(), CleanError> {
        let contents = self.segment.contents()?;
        let bytes = contents.mapping.bytes();
        let mut walk = Walk::new(bytes, 0, self.segment.base_offset());
        while let Some(step) = walk.next() {
            let found = step.map_err(|_| self.no_batch(walk.position()))?;
            if found.header.last_offset() >= offset {
                see(&found.header);
            }
        }
        Ok(())
    }

    /// The error of a batch that cannot be read.
    pub(super) fn bad_batch(&self, found: &Found, error: &RecordError) -> CleanError {
        self.damaged(found.position, error.to_string())
    }

    fn no_batch(&self, position: usize) -> CleanError {
        self.damaged(position, "no batch".to_owned())
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
