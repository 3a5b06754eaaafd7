//! One record of a source.

/// One record of a source, as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'a> {
    /// Partition of the source topic.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// The record's own timestamp, epoch ms; -1 without one.
    pub timestamp: i64,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}
