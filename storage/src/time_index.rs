//! The sparse time index of a segment (`.timeindex`), as Apache Kafka's `TimeIndex`.
//!
//! | bytes | type | what |
//! |---|---|---|
//! | 0..8 | i64 | the largest timestamp of the segment so far, epoch ms |
//! | 8..12 | i32 | last offset of the first batch that has it, less the segment's base offset |
//!
//! Timestamps rise strictly. The last entry of a sealed segment holds its largest timestamp.

use std::path::Path;

use crate::files::Files;

/// Bytes of an entry.
pub(crate) const ENTRY: usize = 12;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    /// Epoch ms.
    pub(crate) timestamp: i64,
    /// Last offset of its batch, less the base offset.
    pub(crate) relative: i32,
}

impl TimeEntry {
    fn decode(e: &[u8; ENTRY]) -> Self {
        Self {
            timestamp: i64::from_be_bytes([e[0], e[1], e[2], e[3], e[4], e[5], e[6], e[7]]),
            relative: i32::from_be_bytes([e[8], e[9], e[10], e[11]]),
        }
    }
}

/// The last entry of the file at `path`, if it is there and whole.
pub(crate) fn read_last(files: &Files, path: &Path) -> Option<TimeEntry> {
    let file = files.open(path).ok()?;
    let length = file.length().ok()?;
    let at = length.checked_sub(ENTRY as u64)?;
    let mut entry = [0; ENTRY];
    let whole = file.read_at(&mut entry, at).ok()? == ENTRY && length % ENTRY as u64 == 0;
    whole.then(|| TimeEntry::decode(&entry))
}

/// The entries of one segment.
#[derive(Debug, Default)]
pub(crate) struct TimeIndex {
    entries: Vec<TimeEntry>,
}

impl TimeIndex {
    /// How many entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry with the largest timestamp.
    pub(crate) fn last(&self) -> Option<TimeEntry> {
        self.entries.last().copied()
    }

    /// Adds an entry if its timestamp is above all others.
    pub(crate) fn push(&mut self, entry: TimeEntry) {
        if self
            .last()
            .is_none_or(|last| last.timestamp < entry.timestamp)
        {
            self.entries.push(entry);
        }
    }

    /// The last entry below `timestamp`: all records up to its offset are older than that.
    pub(crate) fn below(&self, timestamp: i64) -> Option<TimeEntry> {
        let count = self.entries.partition_point(|e| e.timestamp < timestamp);
        self.entries[..count].last().copied()
    }

    /// The content of the file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * ENTRY);
        for entry in &self.entries {
            out.extend_from_slice(&entry.timestamp.to_be_bytes());
            out.extend_from_slice(&entry.relative.to_be_bytes());
        }
        out
    }

    /// Reads a file's content; `None` if it is not one of these.
    pub(crate) fn decode(content: &[u8]) -> Option<Self> {
        let (entries, []) = content.as_chunks::<ENTRY>() else {
            return None;
        };
        let entries: Vec<TimeEntry> = entries.iter().map(TimeEntry::decode).collect();
        let rising = entries
            .windows(2)
            .all(|w| w[0].timestamp < w[1].timestamp && w[0].relative < w[1].relative);
        let within = entries.first().is_none_or(|e| e.relative >= 0);
        (rising && within).then_some(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_rising_timestamps() {
        let mut index = TimeIndex::default();
        for (timestamp, relative) in [(10, 1), (5, 2), (10, 3), (11, 4)] {
            index.push(TimeEntry {
                timestamp,
                relative,
            });
        }
        let bytes = index.encode();
        assert_eq!(
            bytes,
            [
                0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 4
            ]
        );
        let read = TimeIndex::decode(&bytes).unwrap();
        assert_eq!(read.entries, index.entries);
        assert_eq!(read.below(10), None);
        assert_eq!(read.below(11).map(|e| e.relative), Some(1));
        assert_eq!(read.below(i64::MAX).map(|e| e.relative), Some(4));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(read_last(&Files::real(), file.path()), None);
        std::fs::write(file.path(), &bytes).unwrap();
        assert_eq!(read_last(&Files::real(), file.path()), read.last());
        std::fs::write(file.path(), &bytes[1..]).unwrap();
        assert_eq!(read_last(&Files::real(), file.path()), None);
        assert!(TimeIndex::decode(&bytes[1..]).is_none());
        assert!(TimeIndex::decode(&[bytes.as_slice(), &[0; 12]].concat()).is_none());
    }
}
