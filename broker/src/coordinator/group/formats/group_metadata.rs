//! The value of a group: its last complete generation.
use bytes::Bytes;

use super::{FormatError, Reader, Writer};

/// A group as it was when its last generation was complete, or when it became empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// "consumer", "connect" and the like; empty for a group that never had members.
    pub protocol_type: String,
    /// Number of the generation.
    pub generation: i32,
    /// The protocol (assignor) that was chosen.
    pub protocol: Option<String>,
    /// Member id of the leader.
    pub leader: Option<String>,
    /// When the group last changed its state, epoch milliseconds, -1 if it is not known.
    pub changed_ms: i64,
    /// The members.
    pub members: Vec<MemberMetadata>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// Its id.
    pub id: String,
    /// The instance id of a static member.
    pub instance_id: Option<String>,
    /// The client's name for itself.
    pub client_id: String,
    /// Where the client is.
    pub client_host: String,
    /// How long a rebalance waits for it; -1 stands for the session timeout.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// Its metadata for the protocol that was chosen.
    pub subscription: Bytes,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

impl GroupMetadata {
    /// Reads a value.
    pub fn read(value: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(value, false);
        let version = reader.i16()?;
        if !(0..=4).contains(&version) {
            return Err(FormatError::Version(version));
        }
        reader.set_flexible(version >= 4);
        let protocol_type = reader.string()?;
        let generation = reader.i32()?;
        let protocol = reader.nullable_string()?;
        let leader = reader.nullable_string()?;
        let changed_ms = if version >= 2 { reader.i64()? } else { -1 };
        let mut members = Vec::new();
        for _ in 0..reader.count()? {
            members.push(MemberMetadata::read(&mut reader, version)?);
        }
        reader.tags()?;
        Ok(Self {
            protocol_type,
            generation,
            protocol,
            leader,
            changed_ms,
            members,
        })
    }

    /// Writes a value.
    pub fn write(&self) -> Bytes {
        let mut out = Writer::new(3);
        out.string(&self.protocol_type);
        out.i32(self.generation);
        out.nullable_string(self.protocol.as_deref());
        out.nullable_string(self.leader.as_deref());
        out.i64(self.changed_ms);
        out.i32(self.members.len() as i32);
        for member in &self.members {
            member.write(&mut out);
        }
        out.finish()
    }
}

impl MemberMetadata {
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, FormatError> {
        let member = Self {
            id: reader.string()?,
            instance_id: match version {
                3.. => reader.nullable_string()?,
                _ => None,
            },
            client_id: reader.string()?,
            client_host: reader.string()?,
            rebalance_timeout_ms: if version >= 1 { reader.i32()? } else { -1 },
            session_timeout_ms: reader.i32()?,
            subscription: Bytes::copy_from_slice(reader.bytes()?),
            assignment: Bytes::copy_from_slice(reader.bytes()?),
        };
        reader.tags()?;
        Ok(member)
    }

    fn write(&self, out: &mut Writer) {
        out.string(&self.id);
        out.nullable_string(self.instance_id.as_deref());
        out.string(&self.client_id);
        out.string(&self.client_host);
        out.i32(self.rebalance_timeout_ms);
        out.i32(self.session_timeout_ms);
        out.bytes(&self.subscription);
        out.bytes(&self.assignment);
    }
}
