//! How far a stream is: a snapshot of the rows, then the records of the view's topic.
//!
//! The snapshot holds the rows whose last write lies below an offset, the boundary; a row that is
//! written while the snapshot goes out is left to the records from the boundary on. So no value is
//! followed by an older one, and every change since the boundary comes exactly once.
use projection::Row;

use super::event_id::EventId;
use super::text;
use crate::http::routes::key_range::{KEY_BYTES, KeyRange};

/// Where a stream goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// In the snapshot below this offset, after this key.
    Snapshot { below: i64, after: Option<Vec<u8>> },
    /// At this offset of the view's topic.
    Records { next: i64 },
}

impl Progress {
    /// Where to go on after `last`, in a topic that has the offsets from `start` to `end`
    /// (exclusive); and if the client has to begin anew, why.
    pub(super) fn after(last: Option<EventId>, start: i64, end: i64) -> (Self, Option<String>) {
        let (place, needed) = match last {
            None => return (Self::snapshot(end), None),
            Some(EventId::Record(offset)) => {
                let next = offset.saturating_add(1);
                (Self::Records { next }, next)
            }
            Some(EventId::Row { below, key }) => {
                let after = Some(key);
                (Self::Snapshot { below, after }, below)
            }
        };
        if (start..=end).contains(&needed) {
            return (place, None);
        }
        let why =
            format!("offset {needed} is not in the topic any more, which has {start} to {end}");
        (Self::snapshot(end), Some(why))
    }

    /// From the first row on.
    pub(super) fn snapshot(below: i64) -> Self {
        Self::Snapshot { below, after: None }
    }

    /// The rows that the snapshot still lacks.
    pub(super) fn rest(after: Option<&[u8]>) -> KeyRange {
        after.map_or_else(KeyRange::all, |key| KeyRange::all().after(key))
    }

    /// Takes the next rows of the snapshot, `ended` if there are no further ones; writes the events.
    pub(super) fn take_rows(self, rows: &[Row], ended: bool, out: &mut Vec<u8>) -> Self {
        let Self::Snapshot { below, mut after } = self else {
            return self;
        };
        for row in rows {
            if row.offset < below {
                // The id of a very long key would not fit into the head of a request: the id before
                // it stands, and whoever goes on there gets the row again.
                let id = (row.key.len() <= KEY_BYTES).then(|| EventId::Row {
                    below,
                    key: row.key.to_vec(),
                });
                text::row(out, id.as_ref(), &row.key, Some(&row.value), row.timestamp);
            }
        }
        if ended {
            text::snapshot_end(out, &EventId::Record(below - 1));
            return Self::Records { next: below };
        }
        if let Some(last) = rows.last() {
            after = Some(last.key.to_vec());
        }
        Self::Snapshot { below, after }
    }
}
