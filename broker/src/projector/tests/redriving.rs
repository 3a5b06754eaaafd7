//! Dead letters taken after all.
use std::sync::atomic::Ordering::Relaxed;

use projection::Reason;

use super::stage::{Stage, key};
use crate::projector::{Done, Order, Redriven, Selection};

const VIEW: &str = "order_revenue_minute";
const MINUTE: i64 = 60_000;
const START: i64 = 1_700_000_040_000;

fn purchase(id: &str, at: i64) -> String {
    format!(
        r#"{{"event_id":"{id}","user_id":"u","event_type":"purchase","timestamp":{at},"data":{{"order_id":"o","amount":"1.50","currency":"EUR"}}}}"#
    )
}

fn redrive(stage: &Stage, selection: Selection) -> Redriven {
    match stage.order(VIEW, Order::Redrive(selection)).unwrap() {
        Done::Redriven(redriven) => redriven,
        other => panic!("{other:?}"),
    }
}

fn counts(redriven: u64, rejected: u64, settled: u64) -> Redriven {
    Redriven {
        redriven,
        rejected,
        settled,
    }
}

/// Two late purchases and two records that nothing can be made of.
fn with_letters() -> Stage {
    with_letters_and(("flush", "os"))
}

fn with_letters_and(setting: (&str, &str)) -> Stage {
    let stage = Stage::new(&[("projections", "order_revenue_minute:events"), setting]);
    stage.create("events", 1);
    stage.produce(
        "events",
        0,
        &[
            purchase("a", START),
            purchase("b", START + 10 * MINUTE),
            purchase("late", START),
            "{".to_owned(),
            purchase("later", START + MINUTE),
            "[]".to_owned(),
        ],
    );
    let now = stage.settle(VIEW);
    assert_eq!((now.counts.late, now.counts.dead), (2, 2));
    stage
}

#[test]
fn a_letter_is_taken_once_whatever_happens() {
    let mut stage = with_letters();
    let late = Selection {
        reason: Some(Reason::Late),
        ..Selection::default()
    };
    let one = Selection {
        places: Some(vec![("events".to_owned(), 0, 2)]),
        ..Selection::default()
    };
    assert_eq!(redrive(&stage, one.clone()), counts(1, 0, 0));
    assert_eq!(redrive(&stage, one), counts(0, 0, 1));
    assert_eq!(redrive(&stage, late.clone()), counts(1, 0, 1));
    stage.crash();
    stage.start_again();
    let now = stage.settle(VIEW);
    assert_eq!((now.counts.late, now.counts.applied), (0, 4));
    assert_eq!(now.counts.input, 6);
    assert_eq!(redrive(&stage, late), counts(0, 0, 2));
    assert_eq!(redrive(&stage, Selection::default()), counts(0, 2, 2));
    let first = format!(r#"{{"minute_bucket":{START},"currency":"EUR"}}"#);
    let row = stage.last(VIEW, &first).unwrap();
    assert!(row.contains(r#""revenue":"3.00","order_count":2"#), "{row}");
    assert_ne!(first, key("u"));
}

#[test]
fn a_rebuild_takes_what_was_redriven_and_nothing_twice() {
    let mut stage = with_letters();
    let late = Selection {
        reason: Some(Reason::Late),
        ..Selection::default()
    };
    redrive(&stage, late);
    let before = stage.digest(VIEW);
    let rebuild = Order::Rebuild {
        accept_loss: false,
        hold: false,
    };
    stage.order(VIEW, rebuild).unwrap();
    stage.wait(VIEW, "promoted", |now| now.generation == 2);
    assert_eq!(stage.digest(VIEW), before);
    assert_eq!(redrive(&stage, Selection::default()), counts(0, 2, 2));
    stage.crash();
    stage.start_again();
    stage.settle(VIEW);
    assert_eq!(stage.digest(VIEW), before);
    assert_eq!(stage.read("order_revenue_minute.dlq").len(), 4);
}

#[test]
fn letters_are_chosen_by_the_time_of_their_records() {
    let stage = with_letters();
    let long_ago = Selection {
        to_ms: Some(START),
        ..Selection::default()
    };
    assert_eq!(redrive(&stage, long_ago), counts(0, 0, 0));
    let lately = Selection {
        from_ms: Some(START),
        reason: Some(Reason::Late),
        ..Selection::default()
    };
    assert_eq!(redrive(&stage, lately), counts(2, 0, 0));
}

#[test]
fn letters_are_taken_while_a_new_generation_is_built() {
    let mut stage = with_letters();
    let held = Order::Rebuild {
        accept_loss: false,
        hold: true,
    };
    let place = |offset| Selection {
        places: Some(vec![("events".to_owned(), 0, offset)]),
        ..Selection::default()
    };
    stage.order(VIEW, held).unwrap();
    let ready = |now: &crate::projector::Description| {
        let building = now.building.as_ref();
        building.is_some_and(|it| it.ready && it.read == it.of)
    };
    stage.wait(VIEW, "ready", ready);
    // One that the new generation has rejected as well, then one over a restart: that generation
    // is begun anew, and comes to the letter when it is settled.
    assert_eq!(redrive(&stage, place(2)), counts(1, 0, 0));
    let now = stage.settle(VIEW);
    assert_eq!((now.generation, now.counts.late), (1, 1));
    stage.crash();
    stage.start_again();
    stage.wait(VIEW, "ready after a crash", ready);
    assert_eq!(redrive(&stage, place(4)), counts(1, 0, 0));
    assert_eq!(redrive(&stage, Selection::default()), counts(0, 2, 2));
    let before = stage.digest(VIEW);
    stage.order(VIEW, Order::Promote).unwrap();
    stage.wait(VIEW, "promoted", |now| now.generation == 2);
    for _ in 0..2 {
        let now = stage.settle(VIEW);
        assert_eq!(stage.digest(VIEW), before);
        assert_eq!((now.counts.input, now.counts.applied), (6, 4));
        assert_eq!((now.counts.late, now.counts.dead), (0, 2));
        assert_eq!(redrive(&stage, Selection::default()), counts(0, 2, 2));
        stage.crash();
        stage.start_again();
    }
    assert_eq!(stage.read("order_revenue_minute.dlq").len(), 4);
}

#[test]
fn a_redrive_is_many_commits_and_no_commit_is_large() {
    for setting in [
        "projection-commit-max-records",
        "projection-commit-max-bytes",
    ] {
        let stage = with_letters_and((setting, "1"));
        let commits = || stage.view(VIEW).stats().commits.load(Relaxed);
        let before = commits();
        assert_eq!(redrive(&stage, Selection::default()), counts(2, 2, 0));
        assert_eq!(commits() - before, 2, "one for each letter");
        assert_eq!(redrive(&stage, Selection::default()), counts(0, 2, 2));
        assert_eq!(commits() - before, 2);
    }
}

#[test]
fn nobody_waits_for_letters_that_cannot_be_taken() {
    let stage = with_letters();
    stage.delete("events");
    stage.wait(VIEW, "lost", |now| {
        matches!(now.state, crate::projector::State::LostInput(_))
    });
    let refused = stage.order(VIEW, Order::Redrive(Selection::default()));
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("events was deleted"), "{refused}");
}

#[test]
fn what_was_settled_is_forgotten_when_no_generation_can_ask_for_it() {
    const STATE: &str = "__projection_state.order_revenue_minute";
    let mut stage = with_letters();
    redrive(&stage, Selection::default());
    assert_eq!(stage.read(STATE).len(), 2);
    let letters = stage.partition("order_revenue_minute.dlq", 0);
    letters.log.delete_records(4).unwrap();
    stage.produce("events", 0, &[purchase("c", START + 10 * MINUTE)]);
    stage.settle(VIEW);
    // The letters are gone, but a rebuild would reject the records once more.
    assert_eq!(stage.read(STATE).len(), 2);
    let before = stage.digest(VIEW);
    let rebuild = Order::Rebuild {
        accept_loss: false,
        hold: false,
    };
    stage.order(VIEW, rebuild).unwrap();
    stage.wait(VIEW, "promoted", |now| now.generation == 2);
    assert_eq!(stage.digest(VIEW), before);
    stage.settle(VIEW);
    stage.partition("events", 0).log.delete_records(4).unwrap();
    stage.shut();
    stage.start_again();
    stage.produce("events", 0, &[purchase("d", START + 10 * MINUTE)]);
    stage.settle(VIEW);
    let dropped = stage.read(STATE).split_off(2);
    assert_eq!(dropped.len(), 1, "the other record is still there");
    assert!(dropped[0].0.contains(r#""offset":2"#) && dropped[0].1.is_none());
}
