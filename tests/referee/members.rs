//! Members of groups: joins that are refused, strangers, and one that is let in.
use anyhow::Result;
use bytes::Bytes;
use harness::{Wire, ask};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, SyncGroupRequest,
};

use crate::groups::{commit, forget};
use crate::pair::Pair;

/// Subscription of version 0 to the topic `known`, no user data.
const SUBSCRIPTION: &[u8] = b"\0\0\0\0\0\x01\0\x05known\xff\xff\xff\xff";

fn join(group: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(ask::text("range"))
        .with_metadata(Bytes::from_static(SUBSCRIPTION));
    JoinGroupRequest::default()
        .with_group_id(ask::group(group))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_member_id(ask::text(member))
        .with_protocol_type(ask::text("consumer"))
        .with_protocols(vec![protocol])
}

fn sync(group: &str, generation: i32, member: &str) -> SyncGroupRequest {
    SyncGroupRequest::default()
        .with_group_id(ask::group(group))
        .with_generation_id(generation)
        .with_member_id(ask::text(member))
        .with_protocol_type(Some(ask::text("consumer")))
        .with_protocol_name(Some(ask::text("range")))
}

fn heartbeat(group: &str, generation: i32, member: &str) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(ask::group(group))
        .with_generation_id(generation)
        .with_member_id(ask::text(member))
}

/// Versions up to 2 name one member, later ones a list.
fn leave(version: i16, group: &str, member: &str) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(ask::group(group));
    if version < 3 {
        return request.with_member_id(ask::text(member));
    }
    request.with_members(vec![
        MemberIdentity::default().with_member_id(ask::text(member)),
    ])
}

#[test]
fn refused_joins() -> Result<()> {
    let mut pair = Pair::start()?;
    let joins = [
        ("a first join without an id", join("g", "")),
        ("a stranger", join("g", "stranger")),
        ("an empty group", join("", "")),
        (
            "too short a session",
            join("g", "").with_session_timeout_ms(10),
        ),
        (
            "too long a session",
            join("g", "").with_session_timeout_ms(99_999_999),
        ),
        ("no protocols", join("g", "").with_protocols(vec![])),
        (
            "no protocol type",
            join("g", "").with_protocol_type(ask::text("")),
        ),
        (
            "a stranger with an instance id",
            join("g", "stranger").with_group_instance_id(Some(ask::text("i"))),
        ),
    ];
    for (question, request) in joins {
        for version in [4, 5, 9] {
            let instance = request.group_instance_id.is_some() && version < 5;
            if !instance {
                pair.ask_except(question, version, &request, &["member_id"])?;
            }
        }
    }
    pair.verdict()
}

#[test]
fn strangers() -> Result<()> {
    let mut pair = Pair::start()?;
    for version in [0, 3, 4] {
        pair.ask(
            "a stranger's heartbeat",
            version,
            &heartbeat("g", 1, "stranger"),
        )?;
        pair.ask(
            "a heartbeat to an empty group",
            version,
            &heartbeat("", 1, "stranger"),
        )?;
    }
    for version in [0, 3, 5] {
        for group in ["g", ""] {
            let mut request = sync(group, 1, "stranger");
            if version < 5 {
                request = request.with_protocol_type(None).with_protocol_name(None);
            }
            pair.ask("a stranger's sync", version, &request)?;
            pair.ask(
                "a stranger leaves",
                version,
                &leave(version, group, "stranger"),
            )?;
        }
    }
    pair.verdict()
}

/// Joins with the id that the first answer gives; leader and only member of generation 1.
fn admitted(wire: &mut Wire) -> Result<String> {
    let first = harness::talk::settled(|| {
        let response = wire.call(9, &join("real", ""))?;
        Ok((response.error_code, response))
    })?;
    let member = first.member_id.to_string();
    let second = wire.call(9, &join("real", &member))?;
    assert_eq!(
        (second.error_code, second.generation_id),
        (0, 1),
        "{second:?}"
    );
    assert_eq!(second.leader, second.member_id);
    Ok(member)
}

/// The member ids differ, so that each question is asked with each broker's own.
fn each<R, F>(
    pair: &mut Pair,
    ids: &(String, String),
    question: &str,
    version: i16,
    request: F,
) -> Result<()>
where
    R: kafka_protocol::protocol::Request<Response: std::fmt::Debug>,
    F: Fn(&str) -> R,
{
    let kafka = pair.kafka.call(version, &request(&ids.0))?;
    let klamm = pair.klamm.call(version, &request(&ids.1))?;
    let may = [
        "throttle_time_ms",
        "member_id",
        "error_message",
        "client_host",
        "leader",
    ];
    let found = harness::fields::differences(
        &harness::fields::flatten(&kafka),
        &harness::fields::flatten(&klamm),
        |path| may.contains(&harness::fields::last_name(path)),
    );
    pair.note(question, version, &found);
    Ok(())
}

#[test]
fn a_real_member() -> Result<()> {
    let mut sides = Pair::start()?;
    let pair = &mut sides;
    pair.both(|wire| wire.create_topic("known", 1, &[]))?;
    let ids = pair.both(admitted)?;
    each(pair, &ids, "a heartbeat before the sync", 4, |id| {
        heartbeat("real", 1, id)
    })?;
    each(pair, &ids, "a sync of a wrong generation", 5, |id| {
        sync("real", 7, id)
    })?;
    each(pair, &ids, "a sync of a wrong protocol", 5, |id| {
        sync("real", 1, id).with_protocol_name(Some(ask::text("sticky")))
    })?;
    each(pair, &ids, "a sync of a wrong protocol type", 5, |id| {
        sync("real", 1, id).with_protocol_type(Some(ask::text("connect")))
    })?;
    each(pair, &ids, "a commit while rebalancing", 9, |id| {
        commit("real", "known", 1)
            .with_generation_id_or_member_epoch(1)
            .with_member_id(ask::text(id))
    })?;
    each(pair, &ids, "the leader's sync", 5, |id| {
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(ask::text(id))
            .with_assignment(Bytes::from_static(b"assigned"));
        sync("real", 1, id).with_assignments(vec![assignment])
    })?;
    each(pair, &ids, "the sync again", 5, |id| sync("real", 1, id))?;
    for generation in [1, 0, 2, -1] {
        each(pair, &ids, "a heartbeat", 4, |id| {
            heartbeat("real", generation, id)
        })?;
        each(pair, &ids, "a commit", 9, |id| {
            commit("real", "known", 1)
                .with_generation_id_or_member_epoch(generation)
                .with_member_id(ask::text(id))
        })?;
    }
    pair.ask("a commit from outside", 9, &commit("real", "known", 5))?;
    pair.ask(
        "another protocol type",
        4,
        &join("real", "").with_protocol_type(ask::text("sr")),
    )?;
    let describe = DescribeGroupsRequest::default().with_groups(vec![ask::group("real")]);
    pair.ask_except("describe", 5, &describe, &["member_id", "client_host"])?;
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![ask::group("real")]);
    pair.ask("delete a group with members", 2, &delete)?;
    pair.ask("forget what is subscribed", 0, &forget("real", "known"))?;
    pair.ask("forget what is not", 0, &forget("real", "unknown"))?;
    pair.ask("a stranger leaves", 5, &leave(5, "real", "stranger"))?;
    each(pair, &ids, "the member leaves", 5, |id| {
        leave(5, "real", id)
    })?;
    each(pair, &ids, "the member leaves again", 5, |id| {
        leave(5, "real", id)
    })?;
    pair.ask("describe it empty", 5, &describe)?;
    pair.ask("delete it empty", 2, &delete)?;
    sides.verdict()
}
