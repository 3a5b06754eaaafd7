//! The two indexes of a segment against its batches.
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::read;
use crate::cli::log::entries;

/// What the indexes of a segment are compared with.
#[derive(Debug)]
pub(super) struct Extent {
    pub(super) base_offset: i64,
    /// Base offset of the batch at each position.
    pub(super) positions: BTreeMap<u64, i64>,
    pub(super) last_offset: i64,
    pub(super) max_timestamp_ms: i64,
}

/// An index may lack entries, and may be missing: it is made again from the batches. What it has
/// must be true.
pub(super) fn check_indexes(
    path: &Path,
    extent: &Extent,
    problems: &mut Vec<String>,
) -> Result<()> {
    let range = extent.base_offset..=extent.last_offset;
    if let Some(bytes) = read(&path.with_extension("index"))? {
        let index = entries::offset_index(&bytes, extent.base_offset);
        let rises = index.is_sorted_by(|a, b| a.offset < b.offset && a.position < b.position);
        let wrong = index.iter().find(|entry| {
            let batch = extent.positions.get(&entry.position);
            !range.contains(&entry.offset) || batch.is_none_or(|base| *base > entry.offset)
        });
        if let Some(entry) = wrong {
            problems.push(format!(
                "offset index: no batch with offset {} at position {}",
                entry.offset, entry.position
            ));
        } else if !rises {
            problems.push("offset index: entries do not rise".to_owned());
        }
    }
    if let Some(bytes) = read(&path.with_extension("timeindex"))? {
        let index = entries::time_index(&bytes, extent.base_offset);
        let rises =
            index.is_sorted_by(|a, b| a.timestamp_ms <= b.timestamp_ms && a.offset <= b.offset);
        let wrong = index.iter().find(|entry| {
            !range.contains(&entry.offset) || entry.timestamp_ms > extent.max_timestamp_ms
        });
        if let Some(entry) = wrong {
            problems.push(format!(
                "time index: timestamp {} at offset {} is not of this segment",
                entry.timestamp_ms, entry.offset
            ));
        } else if !rises {
            problems.push("time index: entries do not rise".to_owned());
        }
    }
    Ok(())
}
