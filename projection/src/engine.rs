//! The engine of one view: what whoever runs it calls.
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Counts, Input, Outcome, Reason, Row, RowError, Table};

/// What a view's definition leaves open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Topic that the view is made from.
    pub source: String,
    /// Further names of the event's fields, beside the built-in aliases: (field, alias).
    pub aliases: Vec<(String, String)>,
    /// How long an event's id is remembered, ms of stream time; `None` for ever.
    pub dedup_window_ms: Option<i64>,
    /// How far an event time may lie ahead of its record's timestamp, ms.
    pub max_future_skew_ms: i64,
}

/// How far one partition of the source was read, and what has to be known to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Offset of the next record.
    pub next: i64,
    /// Largest event time seen, epoch ms; `None` before the first.
    pub stream_time: Option<i64>,
    /// Where to start reading to know again which events were seen: `next` when there is none to
    /// know.
    pub dedup_from: i64,
    /// Stream time just before the record at `dedup_from`.
    pub dedup_stream_time: Option<i64>,
}

/// Takes a change: key, value (`None`: the row is gone), timestamp.
pub type EachChange<'a> = dyn FnMut(&[u8], Option<&[u8]>, i64) + 'a;

/// One view at work. [`Engine::step`] collects changes that nobody sees; then either
/// [`Engine::commit`] puts them into the table or [`Engine::rollback`] takes back everything since
/// the last commit: rows, progress, counts, seen events.
pub trait Engine: Send {
    /// Identifies the definition: SHA-256, in hex, of its normalised text, its options and the
    /// engine's version. Another hash means that the view has to be built anew.
    fn definition_hash(&self) -> &str;

    /// Takes the next record of a partition. Offsets of one partition only rise.
    fn step(&mut self, input: &Input<'_>) -> Outcome;

    /// Moves a partition past offsets that hold nothing for a view: control records, or records
    /// that compaction removed.
    fn skip_to(&mut self, partition: i32, next: i64);

    /// Takes a dead letter's record again, out of turn: neither its age nor an earlier sighting is
    /// held against it, and neither stream time nor progress moves. `Applied` moves one count from
    /// `was` to applied; otherwise nothing changes.
    fn redrive(&mut self, input: &Input<'_>, was: Reason) -> Outcome;

    /// As [`Engine::step`], for a record that was redriven in an earlier generation of the view or
    /// chosen before it was reached: where `step` would reject it, it is taken as `redrive` would.
    fn step_redriven(&mut self, input: &Input<'_>) -> Outcome;

    /// Changes since the last commit, one for each key, in the order in which the keys were first
    /// touched.
    fn changes(&self, each: &mut EachChange<'_>);

    /// Puts the changes into the table; the first one got `first_offset` in the view's topic, the
    /// others those after it.
    fn commit(&mut self, first_offset: i64);

    /// Takes back everything since the last commit.
    fn rollback(&mut self);

    /// Every partition's progress, uncommitted steps included.
    fn progress(&self) -> BTreeMap<i32, Progress>;

    /// What became of the records so far, uncommitted ones included.
    fn counts(&self) -> Counts;

    /// Bytes of memory that rows and seen events take, roughly.
    fn memory_bytes(&self) -> usize;

    /// The committed rows.
    fn table(&self) -> Arc<dyn Table>;

    /// Start-up: sets progress and counts as a commit has them.
    fn restore(&mut self, progress: &BTreeMap<i32, Progress>, counts: Counts);

    /// Start-up: takes one record of the view's topic back; later records replace earlier ones.
    fn restore_row(&mut self, row: &Row, deleted: bool) -> Result<(), RowError>;

    /// Start-up: takes a record between `dedup_from` and `next` for the events that it shows, and
    /// nothing else. From `dedup_from` on, without gaps.
    fn restore_sighting(&mut self, input: &Input<'_>);

    /// What turns `other` (the generation that readers see) into the committed rows of this view:
    /// upserts and tombstones, in the order of the keys. A row whose value and timestamp are the same is no
    /// change.
    fn difference(&self, other: &dyn Table, each: &mut EachChange<'_>);

    /// Takes the place of `other`: rows that differ got the offsets from `first_offset` on in the
    /// order of [`Engine::difference`], the others keep those they have in `other`.
    fn take_place(&mut self, other: &dyn Table, first_offset: i64);
}
