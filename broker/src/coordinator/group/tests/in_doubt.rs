//! Offsets that were committed in transactions.
use protocol::error::ErrorCode;

use super::super::classic::{Group, State};
use super::super::commit::{Commit, Committer};
use super::stage::*;

const NOBODY: Committer<'static> = Committer {
    member_id: "",
    instance_id: None,
    generation: -1,
};

fn commit(offset: i64) -> Vec<Commit> {
    vec![Commit {
        topic: "t".into(),
        partition: 0,
        offset,
        leader_epoch: 0,
        metadata: String::new(),
    }]
}

fn in_transaction(
    stage: &mut Stage,
    who: Committer<'_>,
    producer: i64,
    offset: i64,
) -> Result<(), ErrorCode> {
    stage.turn(|group, turn| group.commit_in_transaction(turn, who, (producer, 0), commit(offset)))
}

fn plainly(stage: &mut Stage, offset: i64) {
    let committed = stage.turn(|group, turn| group.commit(turn, NOBODY, commit(offset), None));
    assert_eq!(committed, Ok(()));
}

/// The offset and whether another is in doubt, as it is and as a restart would find it.
fn offset_of(stage: &Stage) -> (i64, bool) {
    let look = |group: &Group| {
        let position = group.positions_of("t", &[0]).remove(0);
        (position.offset, position.in_doubt)
    };
    let now = look(&stage.group);
    let replayed = stage.replayed();
    assert_eq!(replayed.as_ref().map_or((-1, false), look), now);
    now
}

#[test]
fn they_count_with_the_commit_and_are_dropped_with_the_abort() {
    let mut stage = Stage::new();
    in_transaction(&mut stage, NOBODY, 7, 5).unwrap();
    assert_eq!(offset_of(&stage), (-1, true));
    stage.end(7, false);
    assert_eq!(offset_of(&stage), (-1, false));
    in_transaction(&mut stage, NOBODY, 7, 6).unwrap();
    in_transaction(&mut stage, NOBODY, 7, 8).unwrap();
    stage.end(7, true);
    assert_eq!(offset_of(&stage), (8, false));
    stage.end(7, false);
    assert_eq!(offset_of(&stage), (8, false));
}

#[test]
fn what_was_committed_last_wins_whenever_the_marker_comes() {
    let mut stage = Stage::new();
    in_transaction(&mut stage, NOBODY, 7, 5).unwrap();
    plainly(&mut stage, 9);
    assert_eq!(offset_of(&stage), (9, true));
    stage.end(7, true);
    assert_eq!(offset_of(&stage), (9, false));
    plainly(&mut stage, 10);
    in_transaction(&mut stage, NOBODY, 7, 3).unwrap();
    in_transaction(&mut stage, NOBODY, 8, 4).unwrap();
    stage.end(8, true);
    assert_eq!(offset_of(&stage), (4, true));
    stage.end(7, true);
    assert_eq!(offset_of(&stage), (4, false));
}

#[test]
fn whoever_says_who_it_is_must_be_a_member() {
    let mut stage = Stage::new();
    let id = stage.stable(1).remove(0);
    // Clients of old say nothing.
    assert_eq!(in_transaction(&mut stage, NOBODY, 7, 1), Ok(()));
    let member = Committer {
        member_id: &id,
        instance_id: None,
        generation: 1,
    };
    assert_eq!(in_transaction(&mut stage, member, 7, 2), Ok(()));
    let old = Committer {
        generation: 0,
        ..member
    };
    let error = Err(ErrorCode::IllegalGeneration);
    assert_eq!(in_transaction(&mut stage, old, 7, 3), error);
    let stranger = Committer {
        member_id: "x",
        ..member
    };
    let error = Err(ErrorCode::UnknownMemberId);
    assert_eq!(in_transaction(&mut stage, stranger, 7, 3), error);
    stage.end(7, true);
    assert_eq!(offset_of(&stage), (2, false));
}

#[test]
fn a_group_with_offsets_in_doubt_is_not_forgotten() {
    let mut stage = Stage::new();
    in_transaction(&mut stage, NOBODY, 7, 5).unwrap();
    let error = Err(ErrorCode::NonEmptyGroup);
    assert_eq!(stage.turn(Group::delete), error);
    stage.pass(120_000);
    stage.turn(Group::expire_offsets).unwrap();
    assert_ne!(stage.group.state, State::Dead);
    stage.end(7, true);
    assert_eq!(offset_of(&stage), (5, false));
    stage.turn(Group::delete).unwrap();
    assert!(stage.replayed().is_none());
}

#[test]
fn a_commit_that_cannot_be_written_leaves_nothing_in_doubt() {
    let mut stage = Stage::new();
    stage.journal.broken.set(true);
    let error = Err(ErrorCode::NotCoordinator);
    assert_eq!(in_transaction(&mut stage, NOBODY, 7, 5), error);
    assert_eq!(offset_of(&stage), (-1, false));
}

#[test]
fn a_tombstone_takes_offsets_in_doubt_with_it() {
    let places = [("t".into(), 0)];
    for before in [false, true] {
        let mut stage = Stage::new();
        if before {
            plainly(&mut stage, 3);
        }
        in_transaction(&mut stage, NOBODY, 7, 5).unwrap();
        let deleted = stage.turn(|group, turn| group.delete_offsets(turn, &places));
        assert_eq!(deleted, Ok(vec![Ok(())]));
        assert_eq!(offset_of(&stage), (-1, false));
        // What is committed after it counts.
        in_transaction(&mut stage, NOBODY, 8, 6).unwrap();
        stage.end(7, true);
        assert_eq!(offset_of(&stage), (-1, true));
        stage.end(8, true);
        assert_eq!(offset_of(&stage), (6, false));
        in_transaction(&mut stage, NOBODY, 7, 9).unwrap();
        stage
            .turn(|group, turn| group.forget_topic(turn, "t"))
            .unwrap();
        stage.end(7, true);
        assert_eq!(offset_of(&stage), (-1, false));
    }
}

#[test]
fn an_offset_does_not_expire_while_the_next_is_in_doubt() {
    let mut stage = Stage::new();
    plainly(&mut stage, 3);
    in_transaction(&mut stage, NOBODY, 7, 5).unwrap();
    stage.pass(120_000);
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(offset_of(&stage), (3, true));
    stage.end(7, false);
    stage.turn(Group::expire_offsets).unwrap();
    assert_eq!(offset_of(&stage), (-1, false));
}
