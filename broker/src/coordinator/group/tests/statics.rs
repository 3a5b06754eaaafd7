//! Static members (KIP-345, KIP-814).
use std::sync::Arc;

use protocol::error::ErrorCode;

use super::super::classic::State;
use super::super::join::Join;
use super::super::leave::Leaver;
use super::super::member::Joined;
use super::stage::*;

fn static_join(id: &str, instance_id: &str) -> Join {
    Join {
        instance_id: Some(instance_id.into()),
        ..join(id)
    }
}

/// A stable group of static members "a" (the leader) and "b"; what they were told last.
fn two(stage: &mut Stage) -> (Joined, Joined) {
    let first = stage.send_join(static_join("", "a")).now().unwrap();
    let mut second = stage.send_join(static_join("", "b"));
    let first = stage.send_join(static_join(&first.member_id, "a")).now();
    let (first, second) = (first.unwrap(), second.now().unwrap());
    stage.send_sync(&first).now().unwrap();
    stage.send_sync(&second).now().unwrap();
    (first, second)
}

#[test]
fn a_restarted_member_has_its_assignment_back_without_a_rebalance() {
    let mut stage = Stage::new();
    let (_, second) = two(&mut stage);
    let mut answer = stage.send_join(static_join("", "b"));
    let decided = answer.decided();
    assert_eq!(
        decided.after,
        Some(stage.journal.entries.borrow().len() as i64 - 1)
    );
    let back = decided.answer.unwrap();
    assert_ne!(back.member_id, second.member_id);
    assert_eq!(back.generation, second.generation);
    assert!(!back.skip_assignment);
    assert_eq!(stage.group.state, State::Stable);
    let synced = stage.send_sync(&back).now().unwrap();
    assert_eq!(synced.assignment, share(&second.member_id));
    // The id that it had is fenced if it comes with the instance id, and unknown without.
    let fenced = stage
        .turn(|group, turn| group.heartbeat(turn, &second.member_id, Some("b"), second.generation));
    assert_eq!(fenced, Err(ErrorCode::FencedInstanceId));
    let unknown = stage.beat(&second.member_id, second.generation);
    assert_eq!(unknown, Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_restarted_leader_is_told_to_skip_the_assignment() {
    let mut stage = Stage::new();
    two(&mut stage);
    let back = stage.send_join(static_join("", "a")).now().unwrap();
    assert!(back.skip_assignment);
    assert_eq!((&back.leader, back.members.len()), (&back.member_id, 2));
}

#[test]
fn an_old_restarted_leader_is_not_told_that_it_leads() {
    let mut stage = Stage::new();
    let (first, _) = two(&mut stage);
    let old = Join {
        can_skip_assignment: false,
        ..static_join("", "a")
    };
    let back = stage.send_join(old).now().unwrap();
    assert_eq!(back.leader, first.member_id);
    assert_ne!(back.leader, back.member_id);
    assert!(stage.group.is_leader(&back.member_id));
}

#[test]
fn the_old_one_is_fenced_while_it_waits() {
    let mut stage = Stage::new();
    let (first, second) = two(&mut stage);
    let mut waits = stage.send_join(static_join(&first.member_id, "a"));
    assert!(waits.is_open());
    let mut back = stage.send_join(static_join("", "a"));
    assert_eq!(join_error(waits.now()), ErrorCode::FencedInstanceId);
    assert!(back.is_open());
    stage
        .send_join(static_join(&second.member_id, "b"))
        .now()
        .unwrap();
    assert_eq!(back.now().unwrap().members.len(), 2);
}

#[test]
fn a_static_member_that_is_away_stays_in_the_next_generation() {
    let mut stage = Stage::new();
    let (first, second) = two(&mut stage);
    let slow = Join {
        rebalance_timeout_ms: 1_000,
        ..static_join(&first.member_id, "a")
    };
    stage
        .group
        .members
        .get_mut(&second.member_id)
        .unwrap()
        .rebalance_timeout_ms = 1_000;
    let mut waits = stage.send_join(slow);
    stage.pass(1_000);
    assert_eq!(waits.now().unwrap().members.len(), 2);
}

#[test]
fn a_changed_protocol_of_a_restarted_member_starts_a_rebalance() {
    let mut stage = Stage::new();
    let both = vec![protocol("range"), protocol("sticky")];
    let one = Join {
        protocols: both.clone(),
        ..static_join("", "a")
    };
    let joined = stage.send_join(one.clone()).now().unwrap();
    stage.send_sync(&joined).now().unwrap();
    let other = Join {
        protocols: both.into_iter().rev().collect(),
        ..one
    };
    let back = stage.send_join(other).now().unwrap();
    assert_eq!(back.generation, 2);
    assert_eq!(back.protocol.as_deref(), Some("sticky"));
}

#[test]
fn a_restart_that_cannot_be_written_leaves_everything_as_it_was() {
    let mut stage = Stage::new();
    let (_, second) = two(&mut stage);
    stage.journal.broken.set(true);
    let error = join_error(stage.send_join(static_join("", "b")).now());
    assert_eq!(error, ErrorCode::NotCoordinator);
    stage.journal.broken.set(false);
    let beat = stage
        .turn(|group, turn| group.heartbeat(turn, &second.member_id, Some("b"), second.generation));
    assert_eq!(beat, Ok(()));
    assert_eq!(stage.group.members.len(), 2);
}

#[test]
fn an_administrator_puts_a_static_member_out_by_its_instance_id() {
    let mut stage = Stage::new();
    let (_, second) = two(&mut stage);
    let leavers = ["b", "c"].map(|instance_id| Leaver {
        member_id: Arc::default(),
        instance_id: Some(instance_id.into()),
    });
    let results = stage.turn(|group, turn| group.leave(turn, &leavers));
    assert_eq!(results, [Ok(()), Err(ErrorCode::UnknownMemberId)]);
    assert!(!stage.group.members.contains(&second.member_id));
}
