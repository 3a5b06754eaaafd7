//! Which segments become one: compaction leaves small ones.
use super::source::Source;
use crate::LogConfig;
use crate::{offset_index, time_index};

/// Cuts `sources` into runs of neighbours, each of which fits one segment whatever is left of it: by
/// bytes, by index entries, by offsets that 32 bits can tell from the base offset (Apache Kafka's
/// `groupSegmentsBySize`).
pub(super) fn groups<'a>(sources: &'a [Source], config: &LogConfig) -> Vec<&'a [Source]> {
    let bytes_max = u64::from(config.segment_bytes).min(indexed_bytes(config));
    let mut groups = Vec::new();
    let mut rest = sources;
    while let Some(first) = rest.first() {
        let mut bytes = 0;
        let count = rest
            .iter()
            .take_while(|source| {
                bytes += source.segment.size();
                let last_relative = source.end_offset - 1 - first.segment.base_offset();
                bytes <= bytes_max && last_relative <= i64::from(i32::MAX)
            })
            .count();
        // One alone is as large as it is.
        let (group, others) = rest.split_at(count.max(1));
        groups.push(group);
        rest = others;
    }
    groups
}

/// How many bytes of batches the indexes have room for.
fn indexed_bytes(config: &LogConfig) -> u64 {
    let entry = offset_index::ENTRY.max(time_index::ENTRY) as u64;
    let entries = u64::from(config.segment_index_bytes) / entry;
    entries.saturating_mul(u64::from(config.index_interval_bytes).max(1))
}
