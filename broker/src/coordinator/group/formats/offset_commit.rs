//! The value of a committed offset.
use bytes::Bytes;

use super::{FormatError, Reader, Writer};

/// What a group committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Offset of the next record to consume.
    pub offset: i64,
    /// Leader epoch of the last record consumed, -1 if it is not known.
    pub leader_epoch: i32,
    /// Whatever the client wants to remember.
    pub metadata: String,
    /// Offset of its record in the journal, -1 before it has one; not part of the value.
    pub at: i64,
    /// When it was committed, epoch milliseconds.
    pub commit_ms: i64,
    /// When it expires, epoch milliseconds, if the client said so (OffsetCommit up to v4).
    pub expire_ms: Option<i64>,
}

impl Committed {
    /// Reads a value.
    pub fn read(value: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(value, false);
        let version = reader.i16()?;
        if !(0..=4).contains(&version) {
            return Err(FormatError::Version(version));
        }
        reader.set_flexible(version >= 4);
        let offset = reader.i64()?;
        let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
        let metadata = reader.string()?;
        let commit_ms = reader.i64()?;
        let expire_ms = match version {
            1 => Some(reader.i64()?).filter(|expire_ms| *expire_ms != -1),
            _ => None,
        };
        reader.tags()?;
        Ok(Self {
            offset,
            leader_epoch,
            metadata,
            at: -1,
            commit_ms,
            expire_ms,
        })
    }

    /// Writes a value.
    pub fn write(&self) -> Bytes {
        let mut out = Writer::new(if self.expire_ms.is_some() { 1 } else { 3 });
        out.i64(self.offset);
        if self.expire_ms.is_none() {
            out.i32(self.leader_epoch);
        }
        out.string(&self.metadata);
        out.i64(self.commit_ms);
        if let Some(expire_ms) = self.expire_ms {
            out.i64(expire_ms);
        }
        out.finish()
    }
}
