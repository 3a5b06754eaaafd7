//! The producers of a log after a start or a cut: the newest snapshot and the batches after it.
use std::path::Path;
use std::sync::Arc;

use protocol::record::verify;

use crate::StorageError;
use crate::batches;
use crate::files::Files;
use crate::marker::Marker;
use crate::producer_snapshot;
use crate::producer_state::Producers;
use crate::segment::{Segment, file_name};
use crate::txn_index::Aborted;

/// Producers as a snapshot and the batches after it tell.
#[derive(Debug)]
pub(crate) struct Restored {
    /// As of the end.
    pub(crate) producers: Producers,
    /// Offset of the snapshot that was used.
    pub(crate) snapshot_offset: Option<i64>,
    /// Whether snapshots were removed.
    pub(crate) removed: bool,
}

/// Puts the producers of a log that ends at `end` back, and removes snapshots of no use. The caller
/// makes that durable.
pub(crate) fn restore(
    files: &Files,
    dir: &Path,
    segments: &[Arc<Segment>],
    end: i64,
) -> Result<Restored, StorageError> {
    let mut restored = newest_snapshot(files, dir, segments, end)?;
    let from = restored.snapshot_offset.unwrap_or(i64::MIN);
    // Before the batches after it, which may open the next one.
    for (producer_id, first_offset) in restored.producers.open_since() {
        if is_compacted_away(segments, producer_id, first_offset)? {
            restored.producers.end_transaction(producer_id);
        }
    }
    for (i, segment) in segments.iter().enumerate() {
        let done = segments.get(i + 1).is_some_and(|s| s.base_offset() <= from);
        if done || segment.size() == 0 || from >= end {
            continue;
        }
        replay(&mut restored.producers, segment, from)?;
    }
    Ok(restored)
}

/// Whether the first batch of a transaction that a snapshot tells of is gone. Compaction takes nothing
/// of one that is open: it has ended, and its marker went after its batches.
fn is_compacted_away(
    segments: &[Arc<Segment>],
    producer_id: i64,
    first_offset: i64,
) -> Result<bool, StorageError> {
    let above = segments.partition_point(|segment| segment.base_offset() <= first_offset);
    let Some(segment) = above.checked_sub(1).map(|i| &segments[i]) else {
        // Deleted, so nothing is known.
        return Ok(false);
    };
    if segment.size() == 0 {
        return Ok(false);
    }
    let found = segment
        .contents()?
        .find(segment.base_offset(), first_offset);
    Ok(found.is_ok_and(|found| {
        found.is_some_and(|found| {
            found.header.base_offset > first_offset || found.header.producer_id != producer_id
        })
    }))
}

/// Applies the batches of a segment from offset `from` on. Returns the transactions that they abort.
///
/// Below the recovery point no checksum was verified by this start, and a damaged header must not
/// invent a producer, an epoch that fences the true one, or a transaction that never ends. So
/// a batch is verified, and left out if it is damaged, unless its header says just what is expected
/// next of a known producer; to read all batches for that would make starts after a crash slow. A
/// single flipped bit gets past this only if it turns a producer's id into one that has the same epoch
/// and sends the same sequence next, and its own next batch in the log sets that right. The one
/// whose batch is left out is told of a gap when it goes on, unless it wrote on in the log: its next
/// batch is verified then and taken as it is.
pub(crate) fn replay(
    producers: &mut Producers,
    segment: &Segment,
    from: i64,
) -> Result<Vec<Aborted>, StorageError> {
    let mut aborted = Vec::new();
    let contents = segment.contents()?;
    let bytes = contents.mapping.bytes();
    for found in batches::good_batches(bytes, 0, segment.base_offset()) {
        let header = &found.header;
        if header.base_offset < from || header.producer_id < 0 {
            continue;
        }
        let batch = &bytes[found.position..found.end()];
        if !producers.expect(header) && verify(batch).is_err() {
            tracing::warn!(path = %segment.log_path().display(), position = found.position,
                "a damaged batch tells nothing of its producer");
            continue;
        }
        let marker = Marker::read(header, batch);
        aborted.extend(producers.apply(header, marker, None));
    }
    Ok(aborted)
}

fn newest_snapshot(
    files: &Files,
    dir: &Path,
    segments: &[Arc<Segment>],
    end: i64,
) -> Result<Restored, StorageError> {
    // Without the batches after it, a snapshot tells less than was acknowledged: a producer that is
    // unknown may go on, one with an old sequence may not.
    let oldest = segments.first().map_or(0, |first| first.base_offset());
    let mut chosen = None;
    let mut removed = false;
    for offset in super::list(files, dir)?.snapshots.into_iter().rev() {
        let path = dir.join(file_name(offset, "snapshot"));
        let of_segment = segments.iter().any(|s| s.base_offset() == offset);
        if offset > end || offset < oldest || (chosen.is_some() && !of_segment) {
            removed |= files.remove(&path)?;
        } else if chosen.is_none() {
            let content = files.read(&path)?.unwrap_or_default();
            chosen = producer_snapshot::decode(&content).map(|producers| (producers, offset));
            if chosen.is_none() {
                tracing::warn!(path = %path.display(),
                    "a producer snapshot is damaged; the one before it is taken");
                removed |= files.remove(&path)?;
            }
        }
    }
    let (producers, snapshot_offset) = chosen.unzip();
    Ok(Restored {
        producers: producers.unwrap_or_default(),
        snapshot_offset,
        removed,
    })
}
