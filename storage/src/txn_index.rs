//! The index of aborted transactions of a segment (`.txnindex`), as Apache Kafka's
//! `TransactionIndex`. Big-endian:
//!
//! | bytes | type | what |
//! |---|---|---|
//! | 0..2 | i16 | version, 0 |
//! | 2..10 | i64 | producer id |
//! | 10..18 | i64 | first offset of the transaction |
//! | 18..26 | i64 | last offset: the marker's, which lies in this segment |
//! | 26..34 | i64 | last stable offset once it had ended |
//!
//! Last offsets rise. A segment without aborted transactions has no file, so a file that is missing
//! says something: it is written before its segment is let go of, made durable before the recovery
//! point passes it, and built again from the batches with the segments that recovery scans.
//!
//! Compaction takes an entry out, durably, before it takes its marker: a consumer that is told of a
//! transaction leaves out all batches of that producer until it comes to an abort marker. Without the
//! entry the marker says nothing, since no batch of the transaction is left.
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use protocol::record::BatchHeader;

use crate::StorageError;
use crate::files::Files;
use crate::producer_snapshot;
use crate::producer_state::Producers;
use crate::recovery::producers;
use crate::segment::{Segment, file_name};

const VERSION: i16 = 0;
/// Bytes of an entry.
const ENTRY: usize = 34;

/// An aborted transaction in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    /// Whose it was.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of its marker.
    pub last_offset: i64,
    /// Last stable offset once it had ended.
    pub last_stable_offset: i64,
}

impl Aborted {
    /// Whether a batch is part of it: its records count for nothing.
    pub fn has(&self, header: &BatchHeader) -> bool {
        header.producer_id == self.producer_id
            && header.attributes.is_transactional()
            && !header.attributes.is_control()
            && (self.first_offset..self.last_offset).contains(&header.base_offset)
    }
}

/// The aborted transactions of a log, by rising last offset.
#[derive(Debug, Clone, Default)]
pub(crate) struct AbortedIndex {
    entries: Vec<Aborted>,
}

impl AbortedIndex {
    /// Adds one that ends after all others.
    pub(crate) fn push(&mut self, aborted: Aborted) {
        self.entries.push(aborted);
    }

    /// Those that have records at or after `from` and below `upper`.
    pub(crate) fn overlapping(&self, from: i64, upper: i64) -> Vec<Aborted> {
        let mut found = Vec::new();
        for entry in self.ending_from(from) {
            if entry.first_offset < upper {
                found.push(*entry);
            }
            // Whatever ends later began at or after this.
            if entry.last_stable_offset >= upper {
                break;
            }
        }
        found
    }

    /// Those whose marker lies at or after `offset`.
    pub(crate) fn ending_from(&self, offset: i64) -> &[Aborted] {
        let below = self.entries.partition_point(|e| e.last_offset < offset);
        &self.entries[below..]
    }

    /// Those whose marker lies at or after `first` and below `end`.
    fn ending_within(&self, first: i64, end: i64) -> &[Aborted] {
        let from = self.ending_from(first);
        &from[..from.partition_point(|e| e.last_offset < end)]
    }

    /// Forgets those whose marker lies at or after `end`.
    pub(crate) fn truncate(&mut self, end: i64) {
        self.entries.retain(|entry| entry.last_offset < end);
    }

    /// Forgets those with these markers, by rising offset.
    pub(crate) fn forget(&mut self, markers: &[i64]) {
        self.entries
            .retain(|entry| markers.binary_search(&entry.last_offset).is_err());
    }

    /// Forgets those whose marker lies below `start`.
    pub(crate) fn trim_start(&mut self, start: i64) {
        self.entries.retain(|entry| entry.last_offset >= start);
    }

    /// Writes the file of a segment that ends at `end`, without any sync: the recovery point must
    /// lie below.
    pub(crate) fn write(
        &self,
        files: &Files,
        segment: &Segment,
        end: i64,
    ) -> Result<(), StorageError> {
        let path = segment.path("txnindex");
        match self.ending_within(segment.base_offset(), end) {
            [] => files.remove(&path).map(drop),
            entries => files.replace_unsynced(&path, &encode(entries)),
        }
    }

    /// Writes the file of a segment that ends at `end`, durably, in the place of the files with the
    /// base offsets `others`. One that is there may be believed, so that it is replaced as a whole.
    pub(crate) fn settle(
        &self,
        files: &Files,
        dir: &Path,
        segment: &Segment,
        end: i64,
        others: impl IntoIterator<Item = i64>,
    ) -> Result<(), StorageError> {
        let path = segment.path("txnindex");
        match self.ending_within(segment.base_offset(), end) {
            [] => _ = files.remove(&path)?,
            entries => files.replace(&path, &encode(entries))?,
        }
        for other in others {
            files.remove(&dir.join(file_name(other, "txnindex")))?;
        }
        Ok(())
    }
}

fn encode(entries: &[Aborted]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * ENTRY);
    for entry in entries {
        out.extend_from_slice(&VERSION.to_be_bytes());
        for field in [
            entry.producer_id,
            entry.first_offset,
            entry.last_offset,
            entry.last_stable_offset,
        ] {
            out.extend_from_slice(&field.to_be_bytes());
        }
    }
    out
}

/// Reads the file of a segment that holds the offsets from `base_offset` to `end`; `None` if it is
/// not one.
fn decode(content: &[u8], base_offset: i64, end: i64) -> Option<Vec<Aborted>> {
    let (entries, []) = content.as_chunks::<ENTRY>() else {
        return None;
    };
    let mut decoded: Vec<Aborted> = Vec::with_capacity(entries.len());
    for entry in entries {
        let field = |at: usize| i64::from_be_bytes(std::array::from_fn(|i| entry[at + i]));
        let aborted = Aborted {
            producer_id: field(2),
            first_offset: field(10),
            last_offset: field(18),
            last_stable_offset: field(26),
        };
        let floor = decoded.last().map_or(base_offset, |e| e.last_offset + 1);
        let good = entry[..2] == VERSION.to_be_bytes()
            && aborted.first_offset < aborted.last_offset
            && aborted.last_stable_offset <= aborted.last_offset + 1
            && aborted.last_offset < end
            && aborted.last_offset >= floor;
        if !good {
            return None;
        }
        decoded.push(aborted);
    }
    Some(decoded)
}

/// Puts the index of a log back that ends at `end`: from the files with the base offsets `named`,
/// but for the segments in `scanned` and for files that are damaged from the batches. After a crash
/// in the middle of a compaction a segment may have several files.
pub(crate) fn open(
    files: &Files,
    dir: &Path,
    segments: &[Arc<Segment>],
    end: i64,
    named: &[i64],
    scanned: &HashSet<i64>,
) -> Result<AbortedIndex, StorageError> {
    // Of segments that were cut off: the log would grow into their offsets.
    let cut: Vec<i64> = named.iter().filter(|at| **at >= end).copied().collect();
    for at in &cut {
        files.remove(&dir.join(file_name(*at, "txnindex")))?;
    }
    if !cut.is_empty() {
        files.sync_dir(dir)?;
    }
    let mut index = AbortedIndex::default();
    for (i, segment) in segments.iter().enumerate() {
        let end = segments.get(i + 1).map_or(end, |next| next.base_offset());
        let base_offset = segment.base_offset();
        let own = |at: &&i64| (base_offset..end).contains(*at);
        let named: Vec<i64> = named.iter().filter(own).copied().collect();
        let is_scanned = scanned.contains(&base_offset);
        let known = read(files, dir, &named, end)?.filter(|_| !is_scanned);
        let is_whole = known.is_some() && named.iter().all(|at| *at == base_offset);
        index.entries.extend(match known {
            Some(known) => known,
            None => rebuild(files, dir, &segments[..=i])?,
        });
        if !is_whole {
            let others = named.iter().filter(|at| **at != base_offset);
            index.settle(files, dir, segment, end, others.copied())?;
        }
    }
    Ok(index)
}

/// The content of several files; `None` if one is damaged.
fn read(
    files: &Files,
    dir: &Path,
    named: &[i64],
    end: i64,
) -> Result<Option<Vec<Aborted>>, StorageError> {
    let mut known: Vec<Aborted> = Vec::new();
    for &base_offset in named {
        let path = dir.join(file_name(base_offset, "txnindex"));
        let content = files.read(&path)?.unwrap_or_default();
        let Some(entries) = decode(&content, base_offset, end) else {
            tracing::warn!(path = %path.display(),
                "an index of aborted transactions is damaged: built again from the batches");
            return Ok(None);
        };
        known.extend(entries);
    }
    known.sort_unstable_by_key(|entry| entry.last_offset);
    known.dedup();
    Ok(Some(known))
}

/// The aborted transactions that end in the last one of `segments`, the first of which is the log's.
fn rebuild(
    files: &Files,
    dir: &Path,
    segments: &[Arc<Segment>],
) -> Result<Vec<Aborted>, StorageError> {
    let mut known = Producers::default();
    let mut first = 0;
    for (i, segment) in segments.iter().enumerate().rev() {
        let path = dir.join(file_name(segment.base_offset(), "snapshot"));
        let content = files.read(&path)?.unwrap_or_default();
        if let Some(snapshot) = producer_snapshot::decode(&content) {
            (known, first) = (snapshot, i);
            break;
        }
    }
    let mut aborted = Vec::new();
    for segment in &segments[first..] {
        aborted = match segment.size() {
            0 => Vec::new(),
            _ => producers::replay(&mut known, segment, i64::MIN)?,
        };
    }
    Ok(aborted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(first_offset: i64, last_offset: i64, last_stable_offset: i64) -> Aborted {
        Aborted {
            producer_id: 1,
            first_offset,
            last_offset,
            last_stable_offset,
        }
    }

    #[test]
    fn comes_back_whole_and_every_cut_is_noticed() {
        let entries = [aborted(0, 10, 5), aborted(5, 11, 12)];
        let bytes = encode(&entries);
        assert_eq!(bytes.len(), 68);
        assert_eq!(decode(&bytes, 0, 12), Some(entries.to_vec()));
        assert_eq!(decode(&[], 0, 12), Some(Vec::new()));
        for cut in 1..bytes.len() {
            assert_eq!(decode(&bytes[..cut], 0, 12).is_none(), cut % ENTRY != 0);
        }
        // A marker outside of the segment, and last offsets that do not rise.
        assert_eq!(decode(&bytes, 11, 12), None);
        assert_eq!(decode(&bytes, 0, 11), None);
        assert_eq!(decode(&encode(&[entries[1], entries[0]]), 0, 12), None);
        assert_eq!(decode(&[1; ENTRY], 0, i64::MAX), None);
    }

    #[test]
    fn finds_what_overlaps() {
        let mut index = AbortedIndex::default();
        let all = [aborted(0, 10, 5), aborted(5, 11, 12), aborted(20, 30, 31)];
        for entry in all {
            index.push(entry);
        }
        assert_eq!(index.overlapping(0, 31), all);
        assert_eq!(index.overlapping(0, 5), all[..1]);
        assert_eq!(index.overlapping(11, 20), all[1..2]);
        assert_eq!(index.overlapping(12, 20), []);
        assert_eq!(index.overlapping(30, 31), all[2..]);
        index.truncate(11);
        assert_eq!(index.overlapping(0, 31), all[..1]);
        index.push(all[1]);
        index.forget(&[3, 10]);
        assert_eq!(index.overlapping(0, 31), all[1..2]);
        index.forget(&[11]);
        assert_eq!(index.overlapping(0, 31), []);
        index.push(all[0]);
        index.trim_start(11);
        assert_eq!(index.overlapping(0, 31), []);
    }
}
