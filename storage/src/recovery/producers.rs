//! The producers of a log after a start or a cut: the newest snapshot and the batches after it.
use std::path::Path;
use std::sync::Arc;

use crate::StorageError;
use crate::batches;
use crate::files::Files;
use crate::marker::Marker;
use crate::producer_snapshot;
use crate::producer_state::Producers;
use crate::segment::{Segment, file_name};

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
    for (i, segment) in segments.iter().enumerate() {
        let done = segments.get(i + 1).is_some_and(|s| s.base_offset() <= from);
        if done || segment.size() == 0 || from >= end {
            continue;
        }
        let contents = segment.contents()?;
        let bytes = contents.mapping.bytes();
        for found in batches::good_batches(bytes, 0, segment.base_offset()) {
            if found.header.base_offset >= from {
                let batch = &bytes[found.position..found.end()];
                let marker = Marker::read(&found.header, batch);
                restored.producers.apply(&found.header, marker, None);
            }
        }
    }
    for (producer_id, first_offset) in restored.producers.open_since() {
        if first_offset < from && is_compacted_away(segments, producer_id, first_offset)? {
            restored.producers.end_transaction(producer_id);
        }
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
