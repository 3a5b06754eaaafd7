//! The sparse offset index of a segment (`.index`), as Apache Kafka's `OffsetIndex`.
//!
//! | bytes | type | what |
//! |---|---|---|
//! | 0..4 | i32 | last offset of a batch, less the segment's base offset |
//! | 4..8 | i32 | position of that batch in the `.log` file |
//!
//! Entries rise in both. It lives in memory while its segment is in use and is written when the
//! segment is sealed. It is a hint: each look-up checks the entry against the batch it points to.

/// Bytes of an entry.
pub(crate) const ENTRY: usize = 8;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// Last offset of the batch, less the base offset.
    pub(crate) relative: i32,
    /// Where the batch starts.
    pub(crate) position: i32,
}

/// The entries of one segment.
#[derive(Debug, Default)]
pub(crate) struct OffsetIndex {
    entries: Vec<OffsetEntry>,
}

impl OffsetIndex {
    /// How many entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry above all others.
    pub(crate) fn push(&mut self, relative: i32, position: i32) {
        self.entries.push(OffsetEntry { relative, position });
    }

    /// Entries whose batch ends at or before `relative`, the nearest first.
    pub(crate) fn at_or_below(&self, relative: i64) -> impl Iterator<Item = OffsetEntry> + '_ {
        let count = self
            .entries
            .partition_point(|entry| i64::from(entry.relative) <= relative);
        self.entries[..count].iter().rev().copied()
    }

    /// The last entry whose batch starts at or before `position`.
    pub(crate) fn before(&self, position: usize) -> Option<OffsetEntry> {
        let count = self
            .entries
            .partition_point(|entry| entry.position as usize <= position);
        self.entries[..count].last().copied()
    }

    /// Entries whose batch starts after `position`, the nearest first.
    pub(crate) fn after(&self, position: usize) -> impl Iterator<Item = OffsetEntry> + '_ {
        let count = self
            .entries
            .partition_point(|entry| entry.position as usize <= position);
        self.entries[count..].iter().copied()
    }

    /// The content of the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * ENTRY);
        for entry in &self.entries {
            out.extend_from_slice(&entry.relative.to_be_bytes());
            out.extend_from_slice(&entry.position.to_be_bytes());
        }
        out
    }

    /// Reads a file's content; `None` if it cannot belong to a segment of `size` bytes.
    pub(crate) fn decode(content: &[u8], size: u64) -> Option<Self> {
        let (entries, []) = content.as_chunks::<ENTRY>() else {
            return None;
        };
        let entries: Vec<OffsetEntry> = entries
            .iter()
            .map(|e| OffsetEntry {
                relative: i32::from_be_bytes([e[0], e[1], e[2], e[3]]),
                position: i32::from_be_bytes([e[4], e[5], e[6], e[7]]),
            })
            .collect();
        let rising = entries
            .windows(2)
            .all(|w| w[0].relative < w[1].relative && w[0].position < w[1].position);
        let within = entries
            .first()
            .is_none_or(|e| e.relative >= 0 && e.position >= 0)
            && entries.last().is_none_or(|e| (e.position as u64) < size);
        (rising && within).then_some(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let mut index = OffsetIndex::default();
        for i in 1..100 {
            index.push(i * 10, i * 4096);
        }
        let bytes = index.encode();
        assert_eq!(&bytes[..8], [0, 0, 0, 10, 0, 0, 16, 0]);
        let read = OffsetIndex::decode(&bytes, 1 << 20).unwrap();
        assert_eq!(read.entries, index.entries);
        assert!(
            OffsetIndex::decode(&bytes, 4096).is_none(),
            "positions past the end"
        );
        assert!(
            OffsetIndex::decode(&bytes[..bytes.len() - 1], 1 << 20).is_none(),
            "torn"
        );
        let zeros = [bytes.as_slice(), &[0; 16]].concat();
        assert!(
            OffsetIndex::decode(&zeros, 1 << 20).is_none(),
            "zeros at the end"
        );
    }

    #[test]
    fn finds_the_nearest_entry_at_or_below() {
        let mut index = OffsetIndex::default();
        index.push(10, 100);
        index.push(20, 200);
        let near = |relative| index.at_or_below(relative).next().map(|e| e.position);
        assert_eq!(near(9), None);
        assert_eq!(near(10), Some(100));
        assert_eq!(near(19), Some(100));
        assert_eq!(near(i64::MAX), Some(200));
    }
}
