//! New generations: asked for, needed, refused, promoted.
use super::stage::{Stage, event, events, key};
use crate::projector::{Done, Order, OrderError, State};

const VIEW: &str = "user_activity";
const ON: (&str, &str) = ("projections", VIEW);
const REBUILD: Order = Order::Rebuild {
    accept_loss: false,
    hold: false,
};

fn with_some_events() -> Stage {
    with_some_events_and("os")
}

fn with_some_events_and(flush: &str) -> Stage {
    let stage = Stage::new(&[ON, ("flush", flush)]);
    stage.create("events", 2);
    stage.produce("events", 0, &events(0..50));
    stage.produce("events", 1, &events(20..80));
    stage.produce("events", 1, &["{".to_owned(), "[]".to_owned()]);
    stage.settle(VIEW);
    stage
}

fn generation(stage: &Stage, wanted: u64) {
    stage.wait(VIEW, "promoted", |now| now.generation == wanted);
}

fn lost(state: &State) -> bool {
    matches!(state, State::LostInput(_))
}

#[test]
fn a_rebuild_of_the_same_changes_nothing_but_the_generation() {
    let mut stage = with_some_events();
    let before = (stage.digest(VIEW), stage.read(VIEW));
    let letters = stage.read("user_activity.dlq");
    assert_eq!(stage.order(VIEW, REBUILD), Ok(Done::Accepted));
    generation(&stage, 2);
    let now = stage.settle(VIEW);
    assert_eq!((stage.digest(VIEW), stage.read(VIEW)), before);
    assert_eq!(stage.read("user_activity.dlq"), letters, "no letter twice");
    assert_eq!((now.counts.input, now.counts.dead), (112, 2));
    assert_eq!(now.building, None);
    stage.crash();
    stage.start_again();
    let now = stage.settle(VIEW);
    assert_eq!((now.generation, stage.digest(VIEW)), (2, before.0));
    stage.produce("events", 0, &events(30..90));
    assert_eq!(stage.settle(VIEW).counts.duplicate, 20);
}

#[test]
fn a_generation_that_is_held_follows_until_it_is_promoted() {
    let mut stage = with_some_events();
    let held = Order::Rebuild {
        accept_loss: false,
        hold: true,
    };
    stage.order(VIEW, held).unwrap();
    let ready = |now: &crate::projector::Description| {
        now.building
            .as_ref()
            .is_some_and(|it| it.ready && it.read == it.of)
    };
    stage.wait(VIEW, "ready", ready);
    stage.produce("events", 0, &events(100..120));
    stage.settle(VIEW);
    stage.wait(VIEW, "ready again", ready);
    assert!(matches!(
        stage.order(VIEW, REBUILD),
        Err(OrderError::Conflict(_))
    ));
    stage.crash();
    stage.start_again();
    stage.wait(VIEW, "ready after a crash", ready);
    let before = stage.digest(VIEW);
    assert_eq!(stage.settle(VIEW).generation, 1);
    stage.order(VIEW, Order::Promote).unwrap();
    generation(&stage, 2);
    assert_eq!(stage.digest(VIEW), before);
    let refused = stage.order(VIEW, Order::Promote);
    assert!(
        matches!(refused, Err(OrderError::Conflict(_))),
        "{refused:?}"
    );
}

#[test]
fn another_definition_builds_a_new_generation_by_itself() {
    let mut stage = Stage::new(&[ON]);
    stage.create("events", 1);
    let odd = r#"{"event_id":"x","uid":"odd","event_type":"login","timestamp":5}"#;
    stage.produce("events", 0, &events(0..20));
    stage.produce("events", 0, &[odd.to_owned()]);
    assert_eq!(stage.settle(VIEW).counts.dead, 1);
    let rows = stage.read(VIEW);
    stage.shut();
    let alias = ("projection-aliases", "events.aggregate_id=uid");
    stage.start(&[ON, alias]);
    generation(&stage, 2);
    let now = stage.settle(VIEW);
    assert_eq!((now.counts.dead, now.counts.applied), (0, 21));
    let wanted = r#"{"user_id":"odd","event_type":"login","count":1,"last_seen":5}"#;
    assert_eq!(stage.last(VIEW, &key("odd")).as_deref(), Some(wanted));
    let now = stage.read(VIEW);
    assert_eq!((&now[..rows.len()], now.len()), (&rows[..], rows.len() + 1));
    // The letter's record is in the view already.
    let redriven = stage.order(VIEW, Order::Redrive(crate::projector::Selection::default()));
    let Ok(Done::Redriven(redriven)) = redriven else {
        panic!("{redriven:?}");
    };
    assert_eq!((redriven.redriven, redriven.settled), (0, 1));
    // And back: what the first definition rejects, the view loses again.
    stage.shut();
    stage.start(&[ON]);
    generation(&stage, 3);
    stage.settle(VIEW);
    assert_eq!(stage.last(VIEW, &key("odd")), None);
    assert_eq!(stage.read("user_activity.dlq").len(), 1);
}

#[test]
fn history_that_is_gone_is_not_lost_in_silence() {
    let stage = with_some_events();
    stage.partition("events", 0).log.delete_records(10).unwrap();
    let refused = stage.order(VIEW, REBUILD);
    assert!(
        matches!(refused, Err(OrderError::Conflict(_))),
        "{refused:?}"
    );
    let accepting = Order::Rebuild {
        accept_loss: true,
        hold: false,
    };
    stage.order(VIEW, accepting).unwrap();
    generation(&stage, 2);
    assert_eq!(stage.settle(VIEW).counts.input, 102);
}

#[test]
fn a_source_made_again_is_read_once_the_loss_is_accepted() {
    for flush in ["os", "commit"] {
        a_source_made_again(flush);
    }
}

fn a_source_made_again(flush: &str) {
    let stage = with_some_events_and(flush);
    stage.delete("events");
    stage.create("events", 1);
    stage.produce("events", 0, &[event("n", "new", 9), "{".to_owned()]);
    stage.wait(VIEW, "lost", |now| lost(&now.state));
    for order in [Order::Resume, REBUILD] {
        let refused = stage.order(VIEW, order);
        assert!(
            matches!(refused, Err(OrderError::Conflict(_))),
            "{refused:?}"
        );
    }
    let accepting = Order::Rebuild {
        accept_loss: true,
        hold: false,
    };
    stage.order(VIEW, accepting).unwrap();
    generation(&stage, 2);
    let now = stage.settle(VIEW);
    assert_eq!((now.rows, now.counts.input), (1, 2));
    assert_eq!(
        stage.last(VIEW, &key("u1")),
        None,
        "rows that are no more are deleted"
    );
    // The same coordinates, but another record.
    assert_eq!(stage.read("user_activity.dlq").len(), 3);
}

#[test]
fn a_view_that_lost_its_input_while_it_was_paused_can_be_built_anew() {
    let mut stage = with_some_events();
    stage.order(VIEW, Order::Pause).unwrap();
    stage.produce("events", 0, &events(100..120));
    stage.partition("events", 0).log.delete_records(60).unwrap();
    stage.crash();
    stage.start_again();
    stage.wait(VIEW, "lost", |now| lost(&now.state));
    let accepting = Order::Rebuild {
        accept_loss: true,
        hold: false,
    };
    let refused = stage.order(VIEW, accepting.clone()).unwrap_err();
    assert!(refused.to_string().contains("resume it first"), "{refused}");
    assert_eq!(stage.order(VIEW, Order::Resume), Ok(Done::Accepted));
    stage.order(VIEW, accepting).unwrap();
    generation(&stage, 2);
    assert_eq!(stage.settle(VIEW).counts.input, 72);
}

#[test]
fn topics_that_no_commit_knows_are_built_anew() {
    let mut stage = with_some_events();
    let before = stage.digest(VIEW);
    stage.stop_views();
    let rows = stage.partition(VIEW, 0);
    // As if the disk had lost the end of the log.
    let end = rows.log.end_offset();
    rows.cut(end - 1).unwrap();
    let topics = std::sync::Arc::clone(&stage.open().topics);
    let commits = topics.partition("__projection_commits", 0).unwrap();
    let (mut last, mut count) = (None, 0);
    crate::projector::scan::scan(&commits, 0, i64::MAX, |_, record, offset| {
        last = record.value.map(<[u8]>::to_vec);
        count = offset + 1;
    })
    .unwrap();
    // And compaction the older commits.
    commits.cut(0).unwrap();
    let mut batch = protocol::record::BatchBuilder::new();
    let view_key = br#"{"projection":"user_activity"}"#;
    batch.push(1, Some(view_key), last.as_deref());
    commits
        .append(&batch.build(), storage::Origin::Internal)
        .unwrap();
    drop((rows, commits, topics));
    stage.crash();
    stage.start_again();
    generation(&stage, 2);
    stage.settle(VIEW);
    assert_eq!(stage.digest(VIEW), before);
}
