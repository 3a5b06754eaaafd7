//! Dead letters taken after all.
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
    let stage = Stage::new(&[("projections", "order_revenue_minute:events")]);
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
