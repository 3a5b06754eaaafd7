//! What happens when nothing does: silent members, lost connections, late joins.
use protocol::error::ErrorCode;

use super::super::classic::State;
use super::super::join::Join;
use super::stage::*;

#[test]
fn a_silent_member_is_out_after_its_session_and_a_beating_one_stays() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    let generation = stage.group.generation;
    stage.pass(SESSION_MS / 2);
    assert_eq!(stage.beat(&ids[0], generation), Ok(()));
    stage.pass(SESSION_MS / 2);
    assert!(!stage.group.members.contains(&ids[1]));
    assert!(stage.group.members.contains(&ids[0]));
    let error = Err(ErrorCode::RebalanceInProgress);
    assert_eq!(stage.beat(&ids[0], generation), error);
}

#[test]
fn a_member_that_does_not_rejoin_is_out_after_the_rebalance_timeout() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    let generation = stage.group.generation;
    let mut waits = stage.send_join(join(&ids[0]));
    // It beats all the time, but it does not join.
    for _ in 0..REBALANCE_MS / SESSION_MS * 2 - 1 {
        stage.pass(SESSION_MS / 2);
        let error = Err(ErrorCode::RebalanceInProgress);
        assert_eq!(stage.beat(&ids[1], generation), error);
        assert!(waits.is_open());
    }
    stage.pass(SESSION_MS / 2);
    assert_eq!(waits.now().unwrap().members.len(), 1);
    assert!(!stage.group.members.contains(&ids[1]));
}

#[test]
fn waiting_is_not_silence() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    let generation = stage.group.generation;
    let mut waits = stage.send_join(join(&ids[0]));
    for _ in 0..3 {
        stage.pass(SESSION_MS / 2);
        let _ = stage.beat(&ids[1], generation);
    }
    assert!(waits.is_open());
    assert!(stage.group.members.contains(&ids[0]));
}

#[test]
fn members_that_never_sync_are_out() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    let mut leader = stage.send_join(join(&ids[0]));
    let mut follower = stage.send_join(join(&ids[1]));
    let (leader, follower) = (leader.now().unwrap(), follower.now().unwrap());
    let mut waits = stage.send_sync(&follower);
    // The leader beats, but it does not assign.
    for _ in 0..REBALANCE_MS / SESSION_MS * 2 - 1 {
        stage.pass(SESSION_MS / 2);
        assert_eq!(stage.beat(&ids[0], leader.generation), Ok(()));
        assert!(waits.is_open());
    }
    stage.pass(SESSION_MS / 2);
    assert_eq!(sync_error(waits.now()), ErrorCode::RebalanceInProgress);
    assert!(!stage.group.members.contains(&ids[0]));
    assert!(stage.group.is_leader(&ids[1]));
}

#[test]
fn an_initial_delay_gathers_members_and_ends() {
    let mut stage = Stage::with_delay(3_000);
    let (_, mut first) = stage.enter();
    stage.pass(2_000);
    let (_, mut second) = stage.enter();
    stage.pass(1_000);
    assert!(first.is_open(), "prolonged by the second member");
    stage.pass(3_000);
    let generations = [first.now(), second.now()].map(|it| it.unwrap().generation);
    assert_eq!(generations, [1, 1]);
    assert_eq!(stage.group.members.len(), 2);
}

#[test]
fn a_client_that_goes_away_without_knowing_its_id_is_not_waited_for() {
    let mut stage = Stage::new();
    let first = stage.stable(1).remove(0);
    let old = Join {
        needs_member_id: false,
        ..join("")
    };
    drop(stage.send_join(old));
    let ticket = stage.last_ticket();
    let mut waits = stage.send_join(join(&first));
    // The join phase has ended with the lost member in it; it is out once that is noticed.
    waits.now().unwrap();
    stage.turn(|group, turn| group.abandon_join(turn, ticket));
    assert_eq!(
        stage.group.members.len(),
        2,
        "its join was answered already"
    );
    stage.pass(SESSION_MS / 2);
    let generation = stage.group.generation;
    let _ = stage.beat(&first, generation);
    stage.pass(SESSION_MS / 2);
    assert_eq!(stage.group.members.len(), 1);
}

#[test]
fn an_abandoned_join_of_an_unknown_id_ends_the_wait() {
    let mut stage = Stage::new();
    let first = stage.stable(1).remove(0);
    let old = Join {
        needs_member_id: false,
        ..join("")
    };
    drop(stage.send_join(old));
    assert_eq!(stage.group.members.len(), 2);
    let ticket = stage.last_ticket();
    stage.turn(|group, turn| group.abandon_join(turn, ticket));
    assert_eq!(stage.group.members.len(), 1);
    let joined = stage.send_join(join(&first)).now().unwrap();
    assert_eq!(joined.members.len(), 1);
}

#[test]
fn an_abandoned_join_of_a_known_id_has_its_session_to_come_back() {
    let mut stage = Stage::new();
    let first = stage.stable(1).remove(0);
    let (second, answer) = stage.enter();
    drop(answer);
    let ticket = stage.last_ticket();
    stage.turn(|group, turn| group.abandon_join(turn, ticket));
    stage.pass(SESSION_MS - 1);
    assert!(stage.group.members.contains(&second));
    let mut back = stage.send_join(join(&second));
    assert!(back.is_open());
    stage.send_join(join(&first)).now().unwrap();
    assert_eq!(back.now().unwrap().generation, 2);
}

#[test]
fn a_leader_whose_client_is_gone_does_not_lead() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    drop(stage.send_join(join(&ids[0])));
    let joined = stage.send_join(join(&ids[1])).now().unwrap();
    assert_eq!(joined.leader, ids[1]);
    assert_eq!(joined.members.len(), 2);
}

#[test]
fn a_new_member_is_not_waited_for_without_end() {
    let mut stage = Stage::new();
    let first = stage.stable(1).remove(0);
    let patient = Join {
        rebalance_timeout_ms: i32::MAX,
        ..join(&first)
    };
    // The rebalance has no end of its own: the leader's own timeout is very long.
    stage.send_join(patient.clone()).now().unwrap();
    let (second, mut answer) = stage.enter();
    for _ in 0..5 * 60 {
        assert!(answer.is_open());
        let _ = stage.beat(&first, 2);
        stage.pass(1_000);
    }
    assert_eq!(join_error(answer.now()), ErrorCode::UnknownMemberId);
    assert!(!stage.group.members.contains(&second));
}

#[test]
fn a_group_of_nobody_falls_empty() {
    let mut stage = Stage::new();
    stage.stable(3);
    stage.pass(SESSION_MS);
    assert_eq!(stage.group.state, State::Empty);
    assert_eq!(stage.group.earliest_ms, None, "nothing is left to wait for");
}

#[test]
fn stopping_answers_all_who_wait() {
    let mut stage = Stage::new();
    let ids = stage.stable(2);
    let mut waits = stage.send_join(join(&ids[0]));
    stage.turn(|group, turn| group.stop(turn));
    assert_eq!(join_error(waits.now()), ErrorCode::NotCoordinator);
}
