//! How dirty a log is: which of its segments may be cleaned, and whether it is time.
use protocol::record::BatchHeader;

use super::source::Source;
use crate::{Log, LogConfig, StorageError};

/// The part of a log that may be cleaned.
#[derive(Debug)]
pub(super) struct Dirt {
    /// Where the part begins that was not cleaned yet.
    pub(super) first_dirty: i64,
    /// Where the part ends that may be cleaned.
    pub(super) end: i64,
    clean_bytes: u64,
    dirty_bytes: u64,
    /// A dirty segment is older than `max.compaction.lag.ms`.
    overdue: bool,
}

impl Dirt {
    /// Of a log with these settings.
    pub(super) fn of(log: &Log, config: &LogConfig, now_ms: i64) -> Result<Self, StorageError> {
        let first_dirty = log.first_dirty_offset();
        let mut dirt = Self {
            first_dirty,
            end: first_dirty,
            clean_bytes: 0,
            dirty_bytes: 0,
            overdue: false,
        };
        let young = now_ms.saturating_sub(config.min_compaction_lag_ms);
        let overdue = now_ms.saturating_sub(config.max_compaction_lag_ms);
        for source in log.sealed(log.cleanable_end()) {
            let Source {
                segment,
                end_offset,
            } = &source;
            if *end_offset <= first_dirty {
                dirt.clean_bytes += segment.size();
                continue;
            }
            if config.min_compaction_lag_ms > 0 && segment.newest_ms(now_ms) > young {
                break;
            }
            dirt.end = *end_offset;
            dirt.dirty_bytes += segment.size();
            // Not looked at without need: it maps the segment.
            if config.max_compaction_lag_ms < i64::MAX && !dirt.overdue {
                let first = first_timestamp(&source)?;
                dirt.overdue = first.is_some_and(|first| first < overdue);
            }
        }
        Ok(dirt)
    }

    /// The share of the log that is dirty, apart from what may not be cleaned.
    pub(super) fn ratio(&self) -> f64 {
        let bytes = self.clean_bytes + self.dirty_bytes;
        if bytes == 0 {
            return 0.0;
        }
        self.dirty_bytes as f64 / bytes as f64
    }

    /// Whether the log should be cleaned now.
    pub(super) fn is_due(&self, config: &LogConfig) -> bool {
        let dirty = self.dirty_bytes > 0;
        dirty && (self.overdue || self.ratio() >= config.min_cleanable_dirty_ratio)
    }
}

/// The timestamp of a segment's first batch.
fn first_timestamp(source: &Source) -> Result<Option<i64>, StorageError> {
    let contents = source.segment.contents()?;
    let first = BatchHeader::parse(contents.mapping.bytes()).ok();
    Ok(first.map(|h| h.max_timestamp).filter(|&time| time > 0))
}
