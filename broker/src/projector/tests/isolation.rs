//! A view whose engine panics: it stops, nothing else does, and nothing of it is lost.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use projection::{
    Counts, EachChange, Engine, Input, Options, Outcome, Progress, Reason, Row, RowError, Table,
    View,
};

use super::stage::{Stage, event, events};
use crate::projector::{Order, State};

const VIEW: &str = "user_activity";

/// Whether the engine meets the bug.
static BUG: AtomicBool = AtomicBool::new(true);

static BUGGY: View = View {
    name: VIEW,
    source: "events",
    about: "a view with a bug",
    engine: |options: Options| Box::new(Buggy((sound().engine)(options))),
};

fn sound() -> &'static View {
    projection::find(VIEW).unwrap()
}

/// An engine that panics at a certain record.
struct Buggy(Box<dyn Engine>);

impl Engine for Buggy {
    fn step(&mut self, input: &Input<'_>) -> Outcome {
        let outcome = self.0.step(input);
        let value = String::from_utf8_lossy(input.value.unwrap_or_default());
        assert!(
            !(value.contains("bug") && BUG.load(Ordering::Relaxed)),
            "the bug"
        );
        outcome
    }

    fn definition_hash(&self) -> &str {
        self.0.definition_hash()
    }
    fn skip_to(&mut self, partition: i32, next: i64) {
        self.0.skip_to(partition, next);
    }
    fn redrive(&mut self, input: &Input<'_>, was: Reason) -> Outcome {
        self.0.redrive(input, was)
    }
    fn step_redriven(&mut self, input: &Input<'_>) -> Outcome {
        self.0.step_redriven(input)
    }
    fn changes(&self, each: &mut EachChange<'_>) {
        self.0.changes(each);
    }
    fn commit(&mut self, first_offset: i64) {
        self.0.commit(first_offset);
    }
    fn rollback(&mut self) {
        self.0.rollback();
    }
    fn progress(&self) -> BTreeMap<i32, Progress> {
        self.0.progress()
    }
    fn counts(&self) -> Counts {
        self.0.counts()
    }
    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }
    fn table(&self) -> Arc<dyn Table> {
        self.0.table()
    }
    fn restore(&mut self, progress: &BTreeMap<i32, Progress>, counts: Counts) {
        self.0.restore(progress, counts);
    }
    fn restore_row(&mut self, row: &Row, deleted: bool) -> Result<(), RowError> {
        self.0.restore_row(row, deleted)
    }
    fn restore_sighting(&mut self, input: &Input<'_>) {
        self.0.restore_sighting(input);
    }
    fn difference(&self, other: &dyn Table, each: &mut EachChange<'_>) {
        self.0.difference(other, each);
    }
    fn take_place(&mut self, other: &dyn Table, first_offset: i64) {
        self.0.take_place(other, first_offset);
    }
}

#[test]
fn a_panic_stops_one_view_and_loses_nothing() {
    let flags = [("projections", "user_activity,daily_revenue")];
    let buggy = |view: &'static View| if view.name == VIEW { &BUGGY } else { view };
    let stage = Stage::with_views(&flags, buggy);
    stage.create("events", 1);
    stage.produce("events", 0, &events(0..10));
    stage.settle(VIEW);
    let before = stage.read(VIEW);
    stage.produce("events", 0, &[event("x", "bug", 1)]);
    stage.produce("events", 0, &events(10..20));
    let failed = |state: &State| matches!(state, State::Failed(_));
    let now = stage.wait(VIEW, "failed", |now| failed(&now.state));
    assert_eq!(now.reason.as_deref(), Some("it panicked: the bug"));
    assert_eq!(stage.settle("daily_revenue").counts.input, 21);
    assert_eq!(stage.read(VIEW), before);
    assert_eq!(stage.view(VIEW).serving().unwrap().lag, 11);
    stage.order(VIEW, Order::Resume).unwrap();
    // The other states pass before it is met again.
    stage.wait(VIEW, "failed again", |now| failed(&now.state));
    BUG.store(false, Ordering::Relaxed);
    stage.order(VIEW, Order::Resume).unwrap();
    let now = stage.settle(VIEW);
    assert_eq!((now.counts.applied, now.rows), (21, 6));
}
