//! The engine of any view that implements [`Projection`].
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::difference::side_by_side;
use crate::event::{Event, Names};
use crate::overlay::Overlay;
use crate::partition::Partition;
use crate::rows::{Rows, Stored};
use crate::{
    Counts, ENGINE_VERSION, EachChange, Engine, Input, Options, Outcome, Progress, Projection,
    Reason, Rejection, Row, RowError, Table, json,
};

/// Longest key, bytes.
const MAX_KEY_BYTES: usize = 64 * 1024;

/// Makes an engine without rows.
pub fn materialize(projection: impl Projection, options: &Options) -> Box<dyn Engine> {
    Box::new(Materialized::new(projection, options))
}

struct Materialized<P: Projection> {
    projection: P,
    definition_hash: String,
    names: Names,
    dedup_window_ms: Option<i64>,
    max_future_skew_ms: i64,
    partitions: BTreeMap<i32, Partition>,
    counts: Counts,
    committed_counts: Counts,
    overlay: Overlay<P::Row>,
    rows: Arc<Rows<P::Row>>,
    /// The key at hand.
    key: Vec<u8>,
}

impl<P: Projection> Materialized<P> {
    fn new(projection: P, options: &Options) -> Self {
        Self {
            definition_hash: definition_hash(projection.definition(), options),
            names: Names::new(&options.aliases),
            projection,
            dedup_window_ms: options.dedup_window_ms.map(|window| window.max(0)),
            max_future_skew_ms: options.max_future_skew_ms,
            partitions: BTreeMap::new(),
            counts: Counts::default(),
            committed_counts: Counts::default(),
            overlay: Overlay::default(),
            rows: Arc::default(),
            key: Vec::new(),
        }
    }

    fn decode<'a>(&self, input: &Input<'a>) -> Result<Event<'a>, Rejection> {
        let event = self.names.decode(input.value)?;
        let latest = input.timestamp.saturating_add(self.max_future_skew_ms);
        if input.timestamp != -1 && event.timestamp > latest {
            let message = format_args!(
                "event time {} is more than {} ms ahead of the record's timestamp {}",
                event.timestamp, self.max_future_skew_ms, input.timestamp
            );
            return Err(Rejection::new(Reason::TimestampOutOfRange, message));
        }
        Ok(event)
    }

    /// Takes a record in its turn. `redriven`: it is not held against it when it is late.
    fn take(&mut self, input: &Input<'_>, redriven: bool) -> Outcome {
        let decoded = self.decode(input);
        let partition = self.partitions.entry(input.partition);
        let partition = partition.or_insert_with(|| Partition::new(input.offset));
        partition.reach(input.offset.saturating_add(1));
        let event = match decoded {
            Ok(event) => event,
            Err(rejection) => return Outcome::Rejected(rejection),
        };
        let stream_time = partition.stream_time();
        let window = self.dedup_window_ms;
        if partition.sight(&event.event_id, event.timestamp, input.offset, window) {
            return Outcome::Duplicate;
        }
        if !self.projection.selects(&event) {
            return Outcome::Applied;
        }
        let applied = match self.late(&event, stream_time) {
            Some(rejection) if !redriven => Err(rejection),
            _ => self.apply(&event),
        };
        applied.map_or_else(Outcome::Rejected, |()| Outcome::Applied)
    }

    fn late(&self, event: &Event<'_>, stream_time: Option<i64>) -> Option<Rejection> {
        let (window, stream_time) = (self.projection.window()?, stream_time?);
        window.is_closed(event.timestamp, stream_time).then(|| {
            let message = format_args!(
                "the window at {} was closed: event time {}, stream time {stream_time}",
                window.start(event.timestamp),
                event.timestamp
            );
            Rejection::new(Reason::Late, message)
        })
    }

    /// Merges an event into its row. All that can fail does so before anything changes.
    fn apply(&mut self, event: &Event<'_>) -> Result<(), Rejection> {
        let (key, mut row) = self.projection.read(event)?;
        self.key.clear();
        json::write(&key, &mut self.key);
        if self.key.len() > MAX_KEY_BYTES {
            let message = format_args!("a key of {} bytes", self.key.len());
            return Err(Rejection::new(Reason::TooLarge, message));
        }
        // Records have no timestamp below 0.
        let mut timestamp = event.timestamp.max(0);
        if let Some(change) = self.overlay.get_mut(&self.key) {
            change.row = self.projection.merge(&change.row, &row)?;
            change.timestamp = change.timestamp.max(timestamp);
            return Ok(());
        }
        if let Some(stored) = self.rows.read().by_key.get(&*self.key) {
            row = self.projection.merge(&stored.row, &row)?;
            timestamp = timestamp.max(stored.timestamp);
        }
        self.overlay.insert(&self.key, row, timestamp);
        Ok(())
    }

    fn count(&mut self, outcome: Outcome) -> Outcome {
        self.counts.count(&outcome);
        outcome
    }
}

impl<P: Projection> Engine for Materialized<P> {
    fn definition_hash(&self) -> &str {
        &self.definition_hash
    }

    fn step(&mut self, input: &Input<'_>) -> Outcome {
        let outcome = self.take(input, false);
        self.count(outcome)
    }

    fn skip_to(&mut self, partition: i32, next: i64) {
        let partition = self.partitions.entry(partition);
        partition
            .or_insert_with(|| Partition::new(next))
            .reach(next);
    }

    fn redrive(&mut self, input: &Input<'_>, was: Reason) -> Outcome {
        let applied = self.decode(input).and_then(|event| {
            if self.projection.selects(&event) {
                self.apply(&event)?;
            }
            Ok(())
        });
        match applied {
            Ok(()) => {
                self.counts.redriven(was);
                Outcome::Applied
            }
            Err(rejection) => Outcome::Rejected(rejection),
        }
    }

    fn step_redriven(&mut self, input: &Input<'_>) -> Outcome {
        let outcome = self.take(input, true);
        self.count(outcome)
    }

    fn changes(&self, each: &mut EachChange<'_>) {
        for change in self.overlay.iter() {
            let value = json::value(&change.key, &change.row);
            each(&change.key, Some(&value), change.timestamp);
        }
    }

    fn commit(&mut self, first_offset: i64) {
        let mut content = self.rows.write();
        for (offset, change) in (first_offset..).zip(self.overlay.drain()) {
            let stored = Stored {
                row: change.row,
                timestamp: change.timestamp,
                offset,
            };
            content.insert(change.key, stored);
        }
        drop(content);
        self.partitions.values_mut().for_each(Partition::commit);
        self.committed_counts = self.counts;
    }

    fn rollback(&mut self) {
        self.overlay.drain();
        self.partitions.retain(|_, partition| partition.rollback());
        self.counts = self.committed_counts;
    }

    fn progress(&self) -> BTreeMap<i32, Progress> {
        let all = self.partitions.iter();
        all.map(|(number, partition)| (*number, partition.progress()))
            .collect()
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn memory_bytes(&self) -> usize {
        let partitions = self.partitions.values();
        let seen: usize = partitions.map(Partition::memory_bytes).sum();
        self.rows.memory_bytes() + self.overlay.memory_bytes() + seen
    }

    fn table(&self) -> Arc<dyn Table> {
        Arc::clone(&self.rows) as Arc<dyn Table>
    }

    fn restore(&mut self, progress: &BTreeMap<i32, Progress>, counts: Counts) {
        let all = progress.iter();
        let partitions = all.map(|(number, progress)| (*number, Partition::restored(progress)));
        self.partitions = partitions.collect();
        self.counts = counts;
        self.committed_counts = counts;
    }

    fn restore_row(&mut self, row: &Row, deleted: bool) -> Result<(), RowError> {
        if deleted {
            self.rows.write().remove(&row.key);
            return Ok(());
        }
        let columns = serde_json::from_slice(&row.value);
        let columns: P::Row = columns.map_err(|error| RowError(error.to_string()))?;
        if json::value(&row.key, &columns) != row.value {
            return Err(RowError(
                "the value is not as this view writes it".to_owned(),
            ));
        }
        let stored = Stored {
            row: columns,
            timestamp: row.timestamp,
            offset: row.offset,
        };
        self.rows.write().insert(row.key.clone(), stored);
        Ok(())
    }

    fn restore_sighting(&mut self, input: &Input<'_>) {
        let Ok(event) = self.decode(input) else {
            return;
        };
        if let Some(partition) = self.partitions.get_mut(&input.partition) {
            partition.restore(&event.event_id, event.timestamp, input.offset);
        }
    }

    fn difference(&self, other: &dyn Table, each: &mut EachChange<'_>) {
        let content = self.rows.read();
        let mine = content.by_key.iter().map(|(key, stored)| (&**key, stored));
        side_by_side(mine, other, |key, mine, theirs| match (mine, theirs) {
            (Some(mine), theirs) => {
                let value = json::value(key, &mine.row);
                if theirs.is_none_or(|theirs| differs(mine.timestamp, &value, &theirs)) {
                    each(key, Some(&value), mine.timestamp);
                }
            }
            (None, Some(theirs)) => each(key, None, theirs.timestamp),
            (None, None) => {}
        });
    }

    fn take_place(&mut self, other: &dyn Table, first_offset: i64) {
        let mut next = first_offset;
        let mut fresh = || {
            next += 1;
            next - 1
        };
        let mut content = self.rows.write();
        let mine = content
            .by_key
            .iter_mut()
            .map(|(key, stored)| (&**key, stored));
        side_by_side(mine, other, |key, mine, theirs| match (mine, theirs) {
            (Some(mine), Some(theirs))
                if !differs(mine.timestamp, &json::value(key, &mine.row), &theirs) =>
            {
                mine.offset = theirs.offset;
            }
            (Some(mine), _) => mine.offset = fresh(),
            (None, _) => _ = fresh(),
        });
    }
}

fn differs(timestamp: i64, value: &[u8], other: &Row) -> bool {
    timestamp != other.timestamp || value != other.value
}

fn definition_hash(definition: &str, options: &Options) -> String {
    let Options {
        source,
        aliases,
        dedup_window_ms,
        max_future_skew_ms,
    } = options;
    let parts = (
        definition,
        source,
        aliases,
        dedup_window_ms,
        max_future_skew_ms,
        ENGINE_VERSION,
    );
    let text = serde_json::to_vec(&parts).expect("plain values");
    Sha256::digest(&text)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string does not fail");
            hex
        })
}
