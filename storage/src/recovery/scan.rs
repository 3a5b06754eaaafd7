//! The look of recovery at one segment, batch by batch.
use std::io::ErrorKind;
use std::path::Path;

use protocol::record::verify;

use crate::StorageError;
use crate::batches::{self, Found, Walk};
use crate::files::Files;

/// The walk of recovery over one segment.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    /// Where the next segment begins.
    next_segment: Option<i64>,
    recovery_point: i64,
    /// Where the next batch starts.
    pub(super) position: usize,
    /// Its offset is this at least.
    pub(super) next_offset: i64,
    /// Batches whose checksum was verified.
    pub(super) batches: u64,
    /// Where the first batch starts that was verified.
    pub(super) first_verified: Option<usize>,
    before: Option<Found>,
}

impl<'a> Scan<'a> {
    /// Of the segment `bytes` from `base_offset` on, which is durable below `recovery_point`.
    pub(super) fn new(
        bytes: &'a [u8],
        base_offset: i64,
        next_segment: Option<i64>,
        recovery_point: i64,
    ) -> Self {
        Self {
            bytes,
            next_segment,
            recovery_point,
            position: 0,
            next_offset: base_offset,
            batches: 0,
            first_verified: None,
            before: None,
        }
    }

    /// Whether a batch lies where durable ones were, with offsets above them: those are wrong, if
    /// nothing after it shows that the ones between are gone by compaction.
    fn is_astray(&self, found: &Found) -> bool {
        if self.next_offset >= self.recovery_point
            || found.header.base_offset == self.recovery_point
        {
            return false;
        }
        let end_offset = found.header.last_offset() + 1;
        let followed = Walk::new(self.bytes, found.end(), end_offset).next();
        let fits_next = self.next_segment.is_some_and(|next| end_offset <= next);
        !fits_next && !matches!(followed, Some(Ok(_)))
    }

    /// The next batch that can stay. Below the recovery point damage is passed over, since what
    /// comes after it was durable; above, it ends the log.
    pub(super) fn next_good(&mut self) -> Option<Found> {
        let found = match Walk::new(self.bytes, self.position, self.next_offset).next()? {
            Ok(found) if found.header.last_offset() < self.recovery_point => found,
            Ok(found)
                if !self.is_astray(&found) && verify(&self.bytes[found.position..]).is_ok() =>
            {
                self.batches += 1;
                self.first_verified.get_or_insert(found.position);
                found
            }
            _ if self.next_offset < self.recovery_point => {
                let walk = Walk::new(self.bytes, self.position, self.next_offset);
                let (from, at_least) = batches::damage(self.bytes, &walk, self.before.take());
                batches::resync(self.bytes, from, at_least)?
            }
            _ => return None,
        };
        self.position = found.end();
        self.next_offset = found.header.last_offset() + 1;
        self.before = Some(found);
        Some(found)
    }
}

/// Copies what is about to be cut off at `end`, unless it is zeros: space that was reserved and
/// never written. Returns how many bytes that are.
///
/// On a full disk there is no copy: it is for people to look at, while a broker that does not start
/// cannot delete anything either, so that the disk stays full. Any other error ends the start.
pub(super) fn keep_copy(
    files: &Files,
    path: &Path,
    bytes: &[u8],
    end: usize,
) -> Result<u64, StorageError> {
    let Some(last) = bytes[end..].iter().rposition(|&byte| byte != 0) else {
        return Ok(0);
    };
    let torn = &bytes[end..=end + last];
    let copy = path.with_extension(format!("log.{end}.corrupt"));
    match files.write(&copy, torn, true) {
        Ok(()) => tracing::warn!(path = %path.display(), position = end, bytes = torn.len(),
            copy = %copy.display(), "cut at a torn batch; a copy is kept"),
        Err(error) if is_full(&error) => {
            files.remove(&copy)?;
            tracing::error!(path = %path.display(), position = end, bytes = torn.len(), %error,
                "cut at a torn batch; the disk is full, and no copy is kept");
        }
        Err(error) => return Err(error),
    }
    Ok(torn.len() as u64)
}

fn is_full(error: &StorageError) -> bool {
    let kind = error.source.kind();
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
