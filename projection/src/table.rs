//! The rows of a view, as readers see them.
use std::ops::Bound;

/// A row as it was last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Key, canonical JSON.
    pub key: Box<[u8]>,
    /// Value, canonical JSON.
    pub value: Vec<u8>,
    /// Newest event time that contributed, epoch ms: the record's timestamp.
    pub timestamp: i64,
    /// Offset of the record in the view's topic.
    pub offset: i64,
}

/// A record of a view's topic that is no row of the view.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a row of this view: {0}")]
pub struct RowError(pub String);

/// The committed rows of a view, in the order of their keys. Any thread may look; every look sees
/// one commit.
pub trait Table: Send + Sync {
    /// The row of this key.
    fn get(&self, key: &[u8]) -> Option<Row>;

    /// The first `limit` rows whose keys lie between the bounds.
    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Vec<Row>;

    /// How many rows.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 over `key TAB value LF` of every row in the order of the keys: what
    /// `sort | sha256sum` makes of the rows outside. Blocks writers while it runs: for the thread
    /// that writes.
    fn digest(&self) -> [u8; 32];
}
