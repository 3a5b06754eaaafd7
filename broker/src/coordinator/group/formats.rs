//! The records of `__consumer_offsets`, in Apache Kafka's own formats, so that its tools read them.
//!
//! ```text
//! key     version:i16, then
//!   0, 1  group:string  topic:string  partition:i32          a committed offset
//!   2     group:string                                       a group
//!   3 …   groups of other protocols; skipped
//!
//! committed offset, version:i16, then
//!   0     offset:i64  metadata:string  commit time:i64
//!   1     as 0, then expire time:i64
//!   2     as 0
//!   3     offset:i64  leader epoch:i32  metadata:string  commit time:i64
//!   4     as 3, flexible
//!
//! group, version:i16, then
//!   0     protocol type:string  generation:i32  protocol:string?  leader:string?  members:[member]
//!   1     as 0
//!   2, 3  as 0 with the time of the last change:i64 before the members
//!   4     as 3, flexible
//! member
//!   0     id:string  client id:string  client host:string  session timeout:i32
//!         subscription:bytes  assignment:bytes
//!   1, 2  as 0 with the rebalance timeout:i32 before the session timeout
//!   3     as 1 with the instance id:string? after the id
//!   4     as 3, flexible
//! ```
//!
//! Integers are big-endian, times epoch milliseconds. A string is a length:i16 and UTF-8, bytes are a
//! length:i32 and bytes, an array is a count:i32 and its elements; a length of -1 is null (`?`). In a
//! flexible version they are all an unsigned varint of length + 1 (0 is null), and every structure
//! ends with tagged fields. A record without value deletes its key.
//!
//! Versions 3 are written, as Apache Kafka 4 does, and version 1 of an offset if it has an expire
//! time. Source: the JSON files in Kafka's `group-coordinator/src/main/resources/common/message`.
mod group_metadata;
mod offset_commit;
#[cfg(test)]
mod tests;

pub use group_metadata::{GroupMetadata, MemberMetadata};
pub use offset_commit::Committed;

use bytes::Bytes;

pub use crate::coordinator::fields::FormatError;
use crate::coordinator::fields::{Reader, Writer};

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A committed offset.
    Offset {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// Index of the partition.
        partition: i32,
    },
    /// A group.
    Group(String),
    /// A kind of record that is of no concern here.
    Other(i16),
}

impl Key {
    /// Reads a key.
    pub fn read(key: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(key, false);
        Ok(match reader.i16()? {
            0 | 1 => Self::Offset {
                group: reader.string()?,
                topic: reader.string()?,
                partition: reader.i32()?,
            },
            2 => Self::Group(reader.string()?),
            other => Self::Other(other),
        })
    }
}

/// The key of a committed offset.
pub fn offset_key(group: &str, topic: &str, partition: i32) -> Bytes {
    let mut out = Writer::new(1);
    out.string(group);
    out.string(topic);
    out.i32(partition);
    out.finish()
}

/// The key of a group.
pub fn group_key(group: &str) -> Bytes {
    let mut out = Writer::new(2);
    out.string(group);
    out.finish()
}
