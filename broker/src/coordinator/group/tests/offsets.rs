//! Commits: who may, what is kept, what expires.
use std::sync::Arc;

use protocol::error::ErrorCode;

use super::super::classic::{Group, State};
use super::super::commit::{Commit, Committer};
use super::super::describe::Position;
use super::stage::*;

const NOBODY: Committer<'static> = Committer {
    member_id: "",
    instance_id: None,
    generation: -1,
};

fn commit(topic: &str, offset: i64) -> Vec<Commit> {
    vec![Commit {
        topic: topic.into(),
        partition: 0,
        offset,
        leader_epoch: 0,
        metadata: "m".to_owned(),
    }]
}

fn try_commit(stage: &mut Stage, who: Committer<'_>, topic: &str) -> Result<(), ErrorCode> {
    stage.turn(|group, turn| group.commit(turn, who, commit(topic, 5), None))
}

fn offset_of(stage: &Stage, topic: &str) -> i64 {
    stage.group.positions_of(topic, &[0])[0].offset
}

#[test]
fn a_consumer_without_a_group_commits_while_there_are_no_members() {
    let mut stage = Stage::new();
    assert_eq!(try_commit(&mut stage, NOBODY, "t"), Ok(()));
    assert_eq!(offset_of(&stage, "t"), 5);
    assert_eq!(stage.group.positions_of("t", &[1]), [Position::none(1)]);
    stage.stable(1);
    let error = Err(ErrorCode::UnknownMemberId);
    assert_eq!(try_commit(&mut stage, NOBODY, "t"), error);
}

#[test]
fn members_commit_in_their_generation() {
    let mut stage = Stage::new();
    let id = stage.stable(1).remove(0);
    let member = Committer {
        member_id: &id,
        instance_id: None,
        generation: 1,
    };
    assert_eq!(try_commit(&mut stage, member, "t"), Ok(()));
    let old = Committer {
        generation: 0,
        ..member
    };
    let error = Err(ErrorCode::IllegalGeneration);
    assert_eq!(try_commit(&mut stage, old, "t"), error);
    let stranger = Committer {
        member_id: "x",
        ..member
    };
    let error = Err(ErrorCode::UnknownMemberId);
    assert_eq!(try_commit(&mut stage, stranger, "t"), error);
    let fenced = Committer {
        instance_id: Some("i"),
        ..member
    };
    assert_eq!(try_commit(&mut stage, fenced, "t"), error);
}

#[test]
fn members_commit_before_they_rejoin_but_not_before_they_are_assigned() {
    let mut stage = Stage::new();
    let id = stage.stable(1).remove(0);
    let (_, mut second) = stage.enter();
    let member = |generation| Committer {
        member_id: &id,
        instance_id: None,
        generation,
    };
    assert_eq!(stage.group.state, State::PreparingRebalance);
    assert_eq!(try_commit(&mut stage, member(1), "t"), Ok(()));
    stage.send_join(join(&id)).now().unwrap();
    second.now().unwrap();
    let error = Err(ErrorCode::RebalanceInProgress);
    assert_eq!(try_commit(&mut stage, member(2), "t"), error);
}

#[test]
fn a_commit_that_cannot_be_written_changes_nothing() {
    let mut stage = Stage::new();
    stage.journal.broken.set(true);
    let error = Err(ErrorCode::NotCoordinator);
    assert_eq!(try_commit(&mut stage, NOBODY, "t"), error);
    assert_eq!(offset_of(&stage, "t"), -1);
}

#[test]
fn a_commit_is_a_sign_of_life() {
    let mut stage = Stage::new();
    let id = stage.stable(1).remove(0);
    stage.pass(SESSION_MS - 1);
    let member = Committer {
        member_id: &id,
        instance_id: None,
        generation: 1,
    };
    assert_eq!(try_commit(&mut stage, member, "t"), Ok(()));
    stage.pass(SESSION_MS - 1);
    assert_eq!(stage.beat(&id, 1), Ok(()));
}

#[test]
fn offsets_of_consumers_without_group_expire_by_their_age() {
    let mut stage = Stage::new();
    try_commit(&mut stage, NOBODY, "old").unwrap();
    stage.pass(30_000);
    try_commit(&mut stage, NOBODY, "new").unwrap();
    stage.pass(30_000);
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(
        (offset_of(&stage, "old"), offset_of(&stage, "new")),
        (-1, 5)
    );
    stage.pass(30_000);
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(stage.group.state, State::Dead);
    assert!(stage.replayed().is_none());
}

#[test]
fn offsets_of_a_projection_do_not_expire() {
    let mut stage = Stage::new();
    stage.group = Group::new("__projection.activity".into());
    try_commit(&mut stage, NOBODY, "t").unwrap();
    stage.pass(1_000_000_000);
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(offset_of(&stage, "t"), 5);
}

#[test]
fn offsets_of_a_group_expire_from_when_it_fell_empty() {
    let mut stage = Stage::new();
    try_commit(&mut stage, NOBODY, "t").unwrap();
    let id = stage.stable(1).remove(0);
    for _ in 0..20 {
        stage.pass(SESSION_MS / 2);
        assert_eq!(stage.beat(&id, 1), Ok(()));
    }
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(offset_of(&stage, "t"), 5, "in use");
    stage.pass(SESSION_MS);
    assert_eq!(stage.group.state, State::Empty);
    stage.pass(59_999);
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(offset_of(&stage, "t"), 5);
    stage.pass(1);
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(stage.group.state, State::Dead);
}

#[test]
fn a_live_group_keeps_only_what_it_subscribes_to() {
    let mut stage = Stage::new();
    try_commit(&mut stage, NOBODY, "t").unwrap();
    try_commit(&mut stage, NOBODY, "elsewhere").unwrap();
    let id = stage.stable(1).remove(0);
    for _ in 0..20 {
        stage.pass(SESSION_MS / 2);
        assert_eq!(stage.beat(&id, 1), Ok(()));
    }
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(
        (offset_of(&stage, "t"), offset_of(&stage, "elsewhere")),
        (5, -1)
    );
}

#[test]
fn a_wish_for_retention_is_granted() {
    let mut stage = Stage::new();
    stage
        .turn(|group, turn| group.commit(turn, NOBODY, commit("t", 5), Some(100)))
        .unwrap();
    stage.pass(99);
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(offset_of(&stage, "t"), 5);
    stage.pass(1);
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(stage.group.state, State::Dead);
}

#[test]
fn offsets_of_subscribed_topics_cannot_be_deleted() {
    let mut stage = Stage::new();
    try_commit(&mut stage, NOBODY, "t").unwrap();
    try_commit(&mut stage, NOBODY, "elsewhere").unwrap();
    stage.stable(1);
    let places: Vec<(Arc<str>, i32)> = vec![("t".into(), 0), ("elsewhere".into(), 0)];
    let results = stage.turn(|group, turn| group.delete_offsets(turn, &places));
    let subscribed = Err(ErrorCode::GroupSubscribedToTopic);
    assert_eq!(results, Ok(vec![subscribed, Ok(())]));
    assert_eq!(
        (offset_of(&stage, "t"), offset_of(&stage, "elsewhere")),
        (5, -1)
    );
}

#[test]
fn only_empty_groups_are_deleted() {
    let mut stage = Stage::new();
    stage.stable(1);
    let error = Err(ErrorCode::NonEmptyGroup);
    assert_eq!(stage.turn(Group::delete), error);
    stage.pass(SESSION_MS);
    try_commit(&mut stage, NOBODY, "t").unwrap();
    assert_eq!(stage.turn(Group::delete), Ok(()));
    assert!(stage.replayed().is_none());
}

#[test]
fn offsets_of_a_deleted_topic_are_forgotten() {
    let mut stage = Stage::new();
    try_commit(&mut stage, NOBODY, "t").unwrap();
    try_commit(&mut stage, NOBODY, "u").unwrap();
    stage
        .turn(|group, turn| group.forget_topic(turn, "t"))
        .unwrap();
    assert_eq!((offset_of(&stage, "t"), offset_of(&stage, "u")), (-1, 5));
    let replayed = stage.replayed().unwrap();
    assert_eq!(replayed.positions(), stage.group.positions());
}
