//! From a record to a row that every reader sees.
use projection::Counts;

use super::stage::{Stage, event, events, key};
use crate::projector::scan::scan;
use crate::projector::source::timestamp;
use crate::projector::{Done, Order, OrderError, State};

const VIEW: &str = "user_activity";

#[test]
fn nothing_is_made_before_the_first_record() {
    let stage = Stage::new(&[("projections", VIEW)]);
    assert_eq!(stage.view(VIEW).describe().state, State::Created);
    stage.create("events", 2);
    let names = |stage: &Stage| {
        let all = stage.open().topics.all();
        all.iter().map(|it| it.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&stage), ["events"]);
    stage.produce("events", 1, &[event("a", "u", 7)]);
    let now = stage.settle(VIEW);
    assert_eq!((now.generation, now.rows), (1, 1));
    for topic in [VIEW, "__projection_commits", "__projections"] {
        assert!(names(&stage).iter().any(|it| it == topic), "{topic}");
    }
    assert!(!names(&stage).iter().any(|it| it.contains("dlq")));
}

#[test]
fn rows_letters_and_counts_follow_the_records() {
    for flush in ["os", "commit"] {
        let stage = Stage::new(&[("projections", VIEW), ("flush", flush)]);
        stage.create("events", 3);
        let good = event("a", "u", 7);
        stage.produce("events", 0, &[good.clone(), good, "{".to_owned()]);
        stage.produce("events", 2, &[event("b", "u", 9)]);
        let now = stage.settle(VIEW);
        let counts = Counts {
            input: 4,
            applied: 2,
            duplicate: 1,
            late: 0,
            dead: 1,
        };
        assert_eq!(now.counts, counts);
        let row = r#"{"user_id":"u","event_type":"login","count":2,"last_seen":9}"#;
        assert_eq!(stage.last(VIEW, &key("u")).as_deref(), Some(row));
        let letters = stage.read("user_activity.dlq");
        let [(dead_key, value, headers)] = &letters[..] else {
            panic!("{letters:?}");
        };
        assert_eq!((dead_key.as_str(), value.as_deref()), ("k", Some("{")));
        let header = |name: &str| {
            let found = headers.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(header("h"), Some("v"), "the record's own headers stay");
        assert_eq!(header("dlq.reason"), Some("BAD_JSON"));
        assert_eq!(header("dlq.topic"), Some("events"));
        assert_eq!(header("dlq.partition"), Some("0"));
        assert_eq!(header("dlq.offset"), Some("2"));
        let serving = stage.view(VIEW).serving().unwrap();
        assert_eq!(serving.position, [(0, 3), (1, 0), (2, 1)]);
        assert_eq!(
            (serving.lag, serving.rows_next),
            (0, stage.read(VIEW).len() as i64)
        );
    }
}

#[test]
fn the_limits_of_a_commit_do_not_change_the_rows() {
    let digest = |flags: &[(&str, &str)]| {
        let stage = Stage::new(&[&[("projections", VIEW)], flags].concat());
        stage.create("events", 2);
        stage.produce("events", 0, &events(0..500));
        stage.produce("events", 1, &events(500..700));
        stage.produce("events", 0, &events(400..900));
        stage.settle(VIEW);
        stage.digest(VIEW)
    };
    let one = digest(&[("projection-commit-max-records", "1")]);
    assert_eq!(one, digest(&[]));
    assert_eq!(one, digest(&[("projection-commit-max-bytes", "1")]));
    assert_eq!(one.1, 5);
}

#[test]
fn rows_have_the_time_of_their_events_whatever_the_broker_does() {
    let append_time = ("log-message-timestamp-type", "LogAppendTime");
    let stage = Stage::new(&[("projections", VIEW), append_time]);
    stage.create("events", 1);
    stage.produce("events", 0, &[event("a", "u", 7)]);
    stage.settle(VIEW);
    let mut times = Vec::new();
    scan(&stage.partition(VIEW, 0), 0, 1, |header, record, _| {
        times.push(timestamp(header, record));
    })
    .unwrap();
    assert_eq!(times, [7]);
}

#[test]
fn the_group_shows_how_far_a_view_is() {
    let stage = Stage::new(&[("projections", VIEW)]);
    stage.create("events", 2);
    stage.produce("events", 0, &events(0..10));
    stage.settle(VIEW);
    stage.stop_views();
    let offsets = stage.open().groups.snapshot();
    let shown = |partition| {
        let mut of = offsets.iter().filter(|it| it.partition == partition);
        of.find(|it| &*it.group == "__projection.user_activity" && &*it.topic == "events")
            .map(|it| it.offset)
    };
    assert_eq!((shown(0), shown(1)), (Some(10), Some(0)));
}

#[test]
fn a_paused_view_stands_still_also_after_a_restart() {
    let mut stage = Stage::new(&[("projections", VIEW)]);
    stage.create("events", 1);
    stage.produce("events", 0, &events(0..10));
    stage.settle(VIEW);
    assert_eq!(stage.order(VIEW, Order::Pause), Ok(Done::Accepted));
    stage.produce("events", 0, &events(10..20));
    stage.shut();
    stage.start_again();
    let paused = |state: &State| matches!(state, State::Paused(_));
    let now = stage.wait(VIEW, "paused", |now| paused(&now.state));
    assert_eq!(now.reason.as_deref(), Some("by the user"));
    assert_eq!(stage.order(VIEW, Order::Resume), Ok(Done::Accepted));
    assert_eq!(stage.settle(VIEW).counts.input, 20);
}

#[test]
fn too_many_rejections_pause_a_view_and_harm_no_other() {
    let stage = Stage::new(&[("projections", "user_activity,daily_revenue:revenue")]);
    stage.create("events", 1);
    stage.create("revenue", 1);
    stage.produce("events", 0, &vec!["{".to_owned(); 2000]);
    stage.produce("revenue", 0, &events(0..100));
    let stopped = stage.wait(VIEW, "paused", |now| matches!(now.state, State::Paused(_)));
    assert_eq!(stopped.counts.dead, 501);
    assert_eq!(stage.read("user_activity.dlq").len(), 501);
    assert_eq!(stage.settle("daily_revenue").counts.applied, 100);
    stage.order(VIEW, Order::Resume).unwrap();
    stage.wait(VIEW, "paused again", |now| {
        now.counts.dead == 1002 && matches!(now.state, State::Paused(_))
    });
}

#[test]
fn orders_that_make_no_sense_are_refused() {
    let stage = Stage::new(&[("projections", VIEW)]);
    let refused = stage.order(VIEW, Order::Digest);
    assert!(
        matches!(refused, Err(OrderError::Conflict(_))),
        "{refused:?}"
    );
}

#[test]
fn a_commit_that_fails_half_way_is_made_later_and_once() {
    let stage = Stage::new(&[("projections", VIEW)]);
    stage.create("events", 1);
    // Somebody else's topic stands where the dead letters go; the rows are appended by then.
    stage.create("user_activity.dlq", 1);
    stage.produce("events", 0, &[event("a", "u", 7), "{".to_owned()]);
    let stuck = stage.wait(VIEW, "stuck", |now| now.reason.is_some());
    let reason = stuck.reason.unwrap();
    assert!(reason.contains("user_activity.dlq"), "{reason}");
    stage.produce("events", 0, &[event("b", "u", 8)]);
    assert_eq!(stage.read(VIEW), [], "nothing of it is to be seen");
    assert!(stage.view(VIEW).serving().is_none());
    stage.delete("user_activity.dlq");
    let now = stage.settle(VIEW);
    assert_eq!((now.counts.applied, now.counts.dead), (2, 1));
    assert_eq!(stage.read(VIEW).len(), 2);
    assert_eq!(stage.read("user_activity.dlq").len(), 1);
    assert_eq!(now.reason, None);
}

#[test]
fn a_view_that_needs_too_much_memory_pauses_until_it_may_have_it() {
    let small = ("projection-memory-max-bytes", "1048576");
    let mut stage = Stage::new(&[("projections", "user_activity,daily_revenue"), small]);
    stage.create("events", 1);
    let many = |from: i64| -> Vec<String> {
        let user = |id| event(&format!("e{id}"), &format!("user-{id}"), 1_700_000_000_000);
        (from..from + 5_000).map(user).collect()
    };
    for batch in 0..8 {
        stage.produce("events", 0, &many(batch * 5_000));
    }
    let now = stage.wait(VIEW, "paused", |now| matches!(now.state, State::Paused(_)));
    let reason = now.reason.unwrap();
    assert!(reason.starts_with("STATE_LIMIT"), "{reason}");
    assert!(now.rows < 40_000);
    stage.shut();
    stage.start(&[("projections", VIEW)]);
    let now = stage.settle(VIEW);
    assert_eq!((now.rows, now.counts.applied), (40_000, 40_000));
}

#[test]
fn a_damaged_batch_stops_a_view_at_its_place() {
    let mut stage = Stage::new(&[("projections", VIEW)]);
    stage.create("events", 1);
    stage.produce("events", 0, &events(0..10));
    stage.settle(VIEW);
    stage.shut();
    let log = stage.path().join("events-0/00000000000000000000.log");
    let first_batch = std::fs::read(&log).unwrap().len();
    stage.start(&[("projections", "")]);
    stage.produce("events", 0, &events(10..20));
    stage.shut();
    let whole = std::fs::read(&log).unwrap();
    let mut bad = whole.clone();
    bad[first_batch + 100] ^= 1;
    std::fs::write(&log, &bad).unwrap();
    stage.start(&[("projections", VIEW)]);
    let now = stage.wait(VIEW, "failed", |now| matches!(now.state, State::Failed(_)));
    let reason = now.reason.unwrap();
    assert!(reason.contains("events-0 at offset 10"), "{reason}");
    assert_eq!(now.counts.input, 10, "what was good is kept");
    stage.shut();
    std::fs::write(&log, whole).unwrap();
    stage.start(&[("projections", VIEW)]);
    assert_eq!(stage.settle(VIEW).counts.input, 20);
}
