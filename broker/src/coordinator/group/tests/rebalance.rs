//! Generations: how they begin, who is in them, how they end.
use std::collections::HashMap;

use protocol::error::ErrorCode;

use super::super::classic::State;
use super::super::join::Join;
use super::super::leave::Leaver;
use super::stage::*;

#[test]
fn the_first_member_has_its_assignment_at_once() {
    let mut stage = Stage::new();
    let (id, mut answer) = stage.enter();
    let joined = answer.now().unwrap();
    assert_eq!((joined.generation, &joined.leader), (1, &id));
    assert_eq!(joined.protocol.as_deref(), Some("range"));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(stage.group.state, State::CompletingRebalance);
    let mut synced = stage.send_sync(&joined);
    let decided = synced.decided();
    assert_eq!(
        decided.after,
        Some(0),
        "answered when the generation is durable"
    );
    assert_eq!(decided.answer.unwrap().assignment, share(&id));
    assert_eq!(stage.group.state, State::Stable);
    assert_eq!(stage.beat(&id, 1), Ok(()));
}

#[test]
fn a_second_member_starts_a_rebalance_that_the_first_must_follow() {
    let mut stage = Stage::new();
    let first = stage.stable(1).remove(0);
    let (second, mut answer) = stage.enter();
    assert_eq!(stage.group.state, State::PreparingRebalance);
    assert!(answer.is_open());
    assert_eq!(stage.beat(&first, 1), Err(ErrorCode::RebalanceInProgress));
    let mut again = stage.send_join(join(&first));
    let (leader, follower) = (again.now().unwrap(), answer.now().unwrap());
    assert_eq!((leader.generation, follower.generation), (2, 2));
    assert_eq!(follower.leader, first);
    assert_eq!((leader.members.len(), follower.members.len()), (2, 0));
    // The follower waits for the leader's assignment.
    let mut waits = stage.send_sync(&follower);
    assert!(waits.is_open());
    stage.send_sync(&leader).now().unwrap();
    assert_eq!(waits.now().unwrap().assignment, share(&second));
}

#[test]
fn a_pending_id_holds_the_rebalance_until_it_comes_or_is_forgotten() {
    let mut stage = Stage::new();
    let first = stage.stable(1).remove(0);
    stage.new_id();
    let mut again = stage.send_join(join(&first));
    assert!(again.is_open());
    stage.pass(SESSION_MS);
    assert_eq!(again.now().unwrap().generation, 2);
    assert!(stage.group.pending.is_empty());
}

#[test]
fn a_follower_that_joins_again_unchanged_gets_the_current_generation() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    let generation = stage.group.generation;
    let joined = stage.send_join(join(&ids[1])).now().unwrap();
    assert_eq!(joined.generation, generation);
    assert_eq!(stage.group.state, State::Stable);
    let synced = stage.send_sync(&joined).now().unwrap();
    assert_eq!(synced.assignment, share(&ids[1]));
}

#[test]
fn a_leader_that_joins_again_and_a_changed_follower_start_a_rebalance() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    let mut leader = stage.send_join(join(&ids[0]));
    assert!(leader.is_open());
    let mut follower = stage.send_join(join(&ids[1]));
    let joined = leader.now().unwrap();
    stage.send_sync(&joined).now().unwrap();
    follower.now().unwrap();
    let mut changed = join(&ids[1]);
    changed.protocols[0].metadata = subscription("other");
    assert!(stage.send_join(changed).is_open());
    assert_eq!(stage.group.state, State::PreparingRebalance);
}

#[test]
fn a_lost_join_answer_is_given_again() {
    let mut stage = Stage::new();
    let (id, mut answer) = stage.enter();
    let joined = answer.now().unwrap();
    assert_eq!(stage.send_join(join(&id)).now().unwrap(), joined);
}

#[test]
fn a_change_while_the_leader_assigns_starts_again() {
    let mut stage = Stage::new();
    let first = stage.stable(1).remove(0);
    let (_, mut second) = stage.enter();
    stage.send_join(join(&first)).now().unwrap();
    let follower = second.now().unwrap();
    let mut waits = stage.send_sync(&follower);
    let (_, mut third) = stage.enter();
    assert_eq!(sync_error(waits.now()), ErrorCode::RebalanceInProgress);
    assert!(third.is_open());
}

#[test]
fn the_last_to_leave_empties_the_group() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    let leavers: Vec<_> = ids.iter().map(|id| leaver(id)).collect();
    let results = stage.turn(|group, turn| group.leave(turn, &leavers));
    assert_eq!(results, [Ok(()), Ok(())]);
    assert_eq!(stage.group.state, State::Empty);
    assert_eq!(stage.beat(&ids[0], 2), Err(ErrorCode::UnknownMemberId));
    // A member can come again.
    let (_, mut answer) = stage.enter();
    assert_eq!(answer.now().unwrap().generation, 4);
}

#[test]
fn leaving_ends_the_wait_of_the_others() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    let mut waits = stage.send_join(join(&ids[0]));
    assert!(waits.is_open());
    let leaves = [leaver(&ids[1])];
    stage.turn(|group, turn| group.leave(turn, &leaves));
    assert_eq!(waits.now().unwrap().members.len(), 1);
}

#[test]
fn each_leaver_has_its_own_result() {
    let mut stage = Stage::new();
    let id = stage.stable(1).remove(0);
    let pending = stage.new_id();
    let leavers = [leaver("nobody"), leaver(&pending), leaver(&id), leaver("")];
    let results = stage.turn(|group, turn| group.leave(turn, &leavers));
    let unknown = Err(ErrorCode::UnknownMemberId);
    assert_eq!(results, [unknown, Ok(()), Ok(()), unknown]);
    assert!(stage.group.pending.is_empty());
}

#[test]
fn the_protocol_that_most_prefer_and_all_support_is_chosen() {
    let mut stage = Stage::with_delay(10);
    let lists = [["a", "b"], ["b", "a"], ["b", "c"]];
    let mut answers = Vec::new();
    for list in lists {
        let protocols = list.iter().map(|name| protocol(name)).collect();
        let join = Join {
            protocols,
            needs_member_id: false,
            ..join("")
        };
        answers.push(stage.send_join(join));
    }
    stage.pass(1_000);
    let chosen = answers[0].now().unwrap().protocol;
    assert_eq!(chosen.as_deref(), Some("b"));
    let other = Join {
        protocols: vec![protocol("c")],
        ..join("")
    };
    let error = join_error(stage.send_join(other).now());
    assert_eq!(error, ErrorCode::InconsistentGroupProtocol);
}

#[test]
fn the_protocol_type_is_the_groups() {
    let mut stage = Stage::new();
    let empty = Join {
        protocol_type: "".into(),
        ..join("")
    };
    let error = join_error(stage.send_join(empty).now());
    assert_eq!(error, ErrorCode::InconsistentGroupProtocol);
    let connect = Join {
        protocol_type: "connect".into(),
        ..join("")
    };
    let id = stage
        .send_join(connect.clone())
        .now()
        .unwrap_err()
        .member_id;
    let connect = Join {
        member_id: id,
        ..connect
    };
    let joined = stage.send_join(connect).now().unwrap();
    assert_eq!(joined.protocol_type.as_deref(), Some("connect"));
    let error = join_error(stage.send_join(join("")).now());
    assert_eq!(error, ErrorCode::InconsistentGroupProtocol);
    let mut wrong = sync(&joined, HashMap::new());
    wrong.protocol_type = Some("consumer".into());
    let error = sync_error(stage.send_sync_of(&wrong).now());
    assert_eq!(error, ErrorCode::InconsistentGroupProtocol);
}

#[test]
fn a_full_group_refuses() {
    let mut stage = Stage::new();
    stage.limits.max_size = 2;
    stage.stable(2);
    let error = join_error(stage.send_join(join("")).now());
    assert_eq!(error, ErrorCode::GroupMaxSizeReached);
}

#[test]
fn unknown_ids_and_generations_are_told_so() {
    let mut stage = Stage::new();
    let id = stage.stable(1).remove(0);
    assert_eq!(stage.beat("x", 1), Err(ErrorCode::UnknownMemberId));
    assert_eq!(stage.beat(&id, 0), Err(ErrorCode::IllegalGeneration));
    let error = join_error(stage.send_join(join("x")).now());
    assert_eq!(error, ErrorCode::UnknownMemberId);
    let mut joined = stage.group.joined(&id, true);
    joined.generation = 7;
    let error = sync_error(stage.send_sync(&joined).now());
    assert_eq!(error, ErrorCode::IllegalGeneration);
}

#[test]
fn an_old_client_is_in_without_a_round_trip() {
    let mut stage = Stage::new();
    let old = Join {
        needs_member_id: false,
        ..join("")
    };
    let joined = stage.send_join(old).now().unwrap();
    assert!(joined.member_id.starts_with("client-"));
}

fn leaver(id: &str) -> Leaver {
    Leaver {
        member_id: id.into(),
        instance_id: None,
    }
}
