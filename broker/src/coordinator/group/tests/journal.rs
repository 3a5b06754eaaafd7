//! `state == replay(log)`, and life after a restart.
use std::collections::BTreeMap;

use super::super::classic::{Group, State};
use super::super::commit::{Commit, Committer};
use super::stage::*;

/// What a restart must bring back.
pub fn facts(group: &Group) -> impl PartialEq + std::fmt::Debug {
    let members: BTreeMap<_, _> = group
        .members
        .iter()
        .map(|it| {
            let told = (it.instance_id.clone(), it.assignment.clone());
            (
                it.id.clone(),
                (told, it.session_timeout_ms, it.rebalance_timeout_ms),
            )
        })
        .collect();
    let generation = (group.generation, group.leader.clone(), group.changed_ms);
    let protocol = (group.protocol_type.clone(), group.protocol.clone());
    let subscribed = group.subscribed.clone();
    (
        group.state,
        generation,
        protocol,
        members,
        subscribed,
        group.positions(),
    )
}

fn commit(stage: &mut Stage, member: &str, generation: i32, offset: i64) {
    let commits = vec![Commit {
        topic: "t".into(),
        partition: 1,
        offset,
        leader_epoch: 3,
        metadata: "note".to_owned(),
    }];
    let who = Committer {
        member_id: member,
        instance_id: None,
        generation,
    };
    stage
        .turn(|group, turn| group.commit(turn, who, commits, None))
        .unwrap();
}

#[test]
fn a_replay_brings_back_what_was() {
    let mut stage = Stage::new();
    let ids = stage.stable(3);
    let generation = stage.group.generation;
    commit(&mut stage, &ids[1], generation, 5);
    commit(&mut stage, &ids[1], generation, 9);
    assert_eq!(facts(&stage.replayed().unwrap()), facts(&stage.group));
    stage.pass(SESSION_MS);
    assert_eq!(stage.group.state, State::Empty);
    assert_eq!(facts(&stage.replayed().unwrap()), facts(&stage.group));
}

#[test]
fn members_go_on_after_a_restart_or_time_out() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    let generation = stage.group.generation;
    stage.group = stage.replayed().unwrap();
    stage.ticks_ms = 0;
    stage.turn(|group, turn| group.resume(turn.now));
    assert_eq!(stage.beat(&ids[0], generation), Ok(()));
    commit(&mut stage, &ids[0], generation, 7);
    stage.pass(SESSION_MS - 1);
    assert_eq!(stage.beat(&ids[0], generation), Ok(()));
    stage.pass(1);
    assert!(stage.group.members.contains(&ids[0]));
    assert!(!stage.group.members.contains(&ids[1]));
}

#[test]
fn an_assignment_that_cannot_be_written_is_not_given_out() {
    let mut stage = Stage::new();
    let (id, mut answer) = stage.enter();
    let joined = answer.now().unwrap();
    stage.journal.broken.set(true);
    assert!(stage.send_sync(&joined).now().is_err());
    assert_eq!(stage.group.state, State::PreparingRebalance);
    stage.journal.broken.set(false);
    let joined = stage.send_join(join(&id)).now().unwrap();
    stage.send_sync(&joined).now().unwrap();
    assert_eq!(facts(&stage.replayed().unwrap()), facts(&stage.group));
}

#[test]
fn a_group_that_never_was_anything_leaves_no_trace() {
    let mut stage = Stage::new();
    stage.new_id();
    stage.pass(SESSION_MS);
    assert!(stage.group.is_void());
    assert!(stage.journal.entries.borrow().is_empty());
}
