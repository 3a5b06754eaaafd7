//! Crashes between the steps of a commit, and after.
use protocol::record::BatchBuilder;

use super::stage::{Stage, event, events, key};
use crate::projector::{Order, OrderError, State};

const VIEW: &str = "user_activity";
const ON: &[(&str, &str)] = &[("projections", VIEW)];

fn batch() -> bytes::Bytes {
    let mut batch = BatchBuilder::new();
    batch.push(1, Some(key("nobody").as_bytes()), Some(b"{}"));
    batch.build()
}

fn with_some_events() -> Stage {
    let stage = Stage::new(ON);
    stage.create("events", 2);
    stage.produce("events", 0, &events(0..50));
    stage.produce("events", 1, &events(50..80));
    stage.produce("events", 1, &["{".to_owned()]);
    stage.settle(VIEW);
    stage
}

#[test]
fn a_restart_goes_on_where_the_view_was() {
    for crash in [false, true] {
        let mut stage = with_some_events();
        let before = (stage.digest(VIEW), stage.read(VIEW));
        if crash {
            stage.crash();
        } else {
            stage.shut();
        }
        stage.start_again();
        let now = stage.settle(VIEW);
        assert_eq!((stage.digest(VIEW), stage.read(VIEW)), before);
        assert_eq!((now.generation, now.counts.input), (1, 81));
        // What was seen before the restart is still known.
        stage.produce("events", 0, &events(40..60));
        let now = stage.settle(VIEW);
        assert_eq!((now.counts.input, now.counts.duplicate), (101, 10));
    }
}

#[test]
fn what_no_commit_names_is_cut_off() {
    let mut stage = with_some_events();
    let before = (stage.digest(VIEW), stage.read(VIEW));
    stage.stop_views();
    for topic in [VIEW, "user_activity.dlq"] {
        stage.partition(topic, 0).append_hidden(&batch()).unwrap();
    }
    // A topic that the crashed commit was the first to need.
    let settled = "__projection_state.user_activity";
    let topics = &stage.open().topics;
    let topic = topics.owned(settled, 1, &[], VIEW).unwrap();
    topic.partition(0).unwrap().append_hidden(&batch()).unwrap();
    stage.crash();
    stage.recover();
    for (topic, next) in [
        (VIEW, before.1.len() as i64),
        ("user_activity.dlq", 1),
        (settled, 0),
    ] {
        let partition = stage.partition(topic, 0);
        let ends = (partition.high_watermark(), partition.log.end_offset());
        assert_eq!(ends, (next, next), "{topic}");
    }
    stage.open().projector.start().unwrap();
    stage.settle(VIEW);
    assert_eq!((stage.digest(VIEW), stage.read(VIEW)), before);
}

#[test]
fn a_view_that_is_off_is_cut_back_all_the_same() {
    let mut stage = with_some_events();
    let rows = stage.read(VIEW);
    stage.stop_views();
    stage.partition(VIEW, 0).append_hidden(&batch()).unwrap();
    stage.crash();
    stage.start(&[("projections", "")]);
    assert!(stage.open().projector.all().is_empty());
    assert_eq!(stage.read(VIEW), rows);
    stage.produce("events", 0, &events(100..110));
    stage.shut();
    stage.start(ON);
    assert_eq!(stage.settle(VIEW).counts.input, 91);
}

#[test]
fn a_commit_that_was_not_revealed_is() {
    let mut stage = with_some_events();
    let mut commit = {
        let topics = std::sync::Arc::clone(&stage.open().topics);
        let commits = crate::projector::commits::Commits::new(topics, false);
        commits
            .load()
            .unwrap()
            .remove(VIEW)
            .unwrap()
            .pop_back()
            .unwrap()
    };
    stage.stop_views();
    let rows = stage.partition(VIEW, 0);
    let next = rows.append_hidden(&batch()).unwrap().last_offset + 1;
    let last = crate::projector::output::last_batch(&rows, next).unwrap();
    let output = commit
        .outputs
        .iter_mut()
        .find(|it| it.topic == VIEW)
        .unwrap();
    (output.next, output.crc) = (next, Some(last.crc));
    commit.sequence += 1;
    let stopping = tokio::sync::watch::Sender::new(false).subscribe();
    let topics = std::sync::Arc::clone(&stage.open().topics);
    let commits = crate::projector::commits::Commits::new(topics, false);
    commits.append(&commit, &stopping).unwrap();
    assert_eq!(rows.high_watermark(), next - 1);
    drop((rows, commits));
    stage.crash();
    stage.recover();
    assert_eq!(stage.partition(VIEW, 0).high_watermark(), next);
    // Of a commit whose outputs are not there, the one before it counts.
    commit.sequence += 1;
    commit.outputs.iter_mut().for_each(|it| it.next += 1);
    let topics = std::sync::Arc::clone(&stage.open().topics);
    let commits = crate::projector::commits::Commits::new(topics, false);
    commits.append(&commit, &stopping).unwrap();
    drop(commits);
    stage.crash();
    stage.recover();
    assert_eq!(stage.partition(VIEW, 0).high_watermark(), next);
}

#[test]
fn a_source_that_was_made_again_is_not_read() {
    let mut stage = with_some_events();
    let before = stage.digest(VIEW);
    stage.delete("events");
    stage.create("events", 2);
    stage.produce("events", 0, &events(200..300));
    let lost = |state: &State| matches!(state, State::LostInput(_));
    stage.wait(VIEW, "lost", |now| lost(&now.state));
    assert_eq!(stage.digest(VIEW), before);
    stage.shut();
    stage.start_again();
    stage.wait(VIEW, "lost after a restart", |now| {
        lost(&now.state) && now.rows > 0
    });
    assert_eq!(stage.digest(VIEW), before);
}

#[test]
fn a_source_that_lost_its_end_stays_lost_when_it_has_grown_again() {
    let mut stage = with_some_events();
    stage.stop_views();
    stage.partition("events", 0).cut(0).unwrap();
    stage.crash();
    stage.start_again();
    let lost = |state: &State| matches!(state, State::LostInput(_));
    stage.wait(VIEW, "lost", |now| lost(&now.state) && now.rows > 0);
    stage.produce("events", 0, &events(200..300));
    stage.shut();
    stage.start_again();
    let now = stage.wait(VIEW, "lost for good", |now| {
        lost(&now.state) && now.rows > 0
    });
    assert_eq!(now.counts.input, 81);
}

#[test]
fn what_a_transaction_took_back_was_not_seen_after_a_restart_either() {
    let mut stage = Stage::new(&[("projections", VIEW)]);
    stage.create("events", 1);
    stage.produce("events", 0, &events(0..5));
    let again = event("again", "u1", 1_700_000_000_004);
    let mut batch = protocol::record::BatchBuilder::new()
        .producer(7, 0, 0)
        .transactional();
    batch.push(1_700_000_000_004, Some(b"k"), Some(again.as_bytes()));
    let aborted = storage::Marker {
        commits: false,
        coordinator_epoch: 0,
    };
    let partition = stage.partition("events", 0);
    partition
        .append(&batch.build(), storage::Origin::Client)
        .unwrap();
    let marker = aborted.batch(7, 0, 1_700_000_000_004);
    partition
        .append(&marker, storage::Origin::Internal)
        .unwrap();
    drop(partition);
    stage.produce("events", 0, &events(5..6));
    assert_eq!(stage.settle(VIEW).counts.input, 6);
    stage.crash();
    stage.start_again();
    stage.produce("events", 0, &[again]);
    let now = stage.settle(VIEW);
    assert_eq!((now.counts.applied, now.counts.duplicate), (7, 0));
}

#[test]
fn commits_that_cannot_be_read_stop_the_views_and_nobody_else() {
    let mut stage = with_some_events();
    let before = stage.read(VIEW);
    stage.shut();
    let log = stage
        .path()
        .join("__projection_commits-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&log).unwrap();
    // The magic of the first batch.
    bytes[16] = 9;
    std::fs::write(&log, bytes).unwrap();
    stage.start_again();
    let failed = |now: &crate::projector::Description| matches!(now.state, State::Failed(_));
    let now = stage.wait(VIEW, "fails", failed);
    assert!(now.reason.unwrap().contains("cannot be read"));
    let resumed = stage.order(VIEW, Order::Resume);
    assert!(
        matches!(resumed, Err(OrderError::Conflict(_))),
        "{resumed:?}"
    );
    assert_eq!(stage.read(VIEW), before, "nothing of it is cut");
    stage.produce("events", 0, &events(80..90));
}
