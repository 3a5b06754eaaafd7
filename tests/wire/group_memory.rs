//! Groups without number: their memory is bounded, those that are there go on, and what is given up
//! makes room for others.
use anyhow::{Result, ensure};
use bytes::Bytes;
use harness::{Broker, Options, Wire, ask, eventually};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, SyncGroupRequest,
};

use crate::frames::check_alive;
use crate::memory::Peak;

const COORDINATOR_NOT_AVAILABLE: i16 = 15;
/// What all groups may take.
const LIMIT: u64 = 8 << 20;
/// What each member says.
const METADATA: usize = 100_000;
/// Many times more groups than fit.
const GROUPS: usize = 1_000;

fn started() -> Result<Broker> {
    let options = Options::default()
        .set("groups.memory.max.bytes", &LIMIT.to_string())
        .set("offsets.retention.check.interval.ms", "100");
    Broker::start(options)
}

fn counted(broker: &Broker) -> Result<u64> {
    Ok(broker.metric("klamm_groups_memory_bytes", &[])? as u64)
}

/// Joins as the static member "one" of a group.
fn join(wire: &mut Wire, group: &str, member: &str) -> Result<JoinGroupResponse> {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(ask::text("range"))
        .with_metadata(Bytes::from(vec![7; METADATA]));
    let request = JoinGroupRequest::default()
        .with_group_id(ask::group(group))
        .with_member_id(ask::text(member))
        .with_group_instance_id(Some(ask::text("one")))
        .with_session_timeout_ms(60_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(ask::text("test"))
        .with_protocols(vec![protocol]);
    wire.call(5, &request)
}

fn sync(wire: &mut Wire, group: &str, joined: &JoinGroupResponse) -> Result<i16> {
    let share = SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(&[1; 500]));
    let request = SyncGroupRequest::default()
        .with_group_id(ask::group(group))
        .with_member_id(joined.member_id.clone())
        .with_group_instance_id(Some(ask::text("one")))
        .with_generation_id(joined.generation_id)
        .with_assignments(vec![share]);
    Ok(wire.call(3, &request)?.error_code)
}

fn leave(wire: &mut Wire, group: &str) -> Result<()> {
    let member = MemberIdentity::default().with_group_instance_id(Some(ask::text("one")));
    let request = LeaveGroupRequest::default()
        .with_group_id(ask::group(group))
        .with_members(vec![member]);
    let answer = wire.call(3, &request)?;
    ensure!(answer.error_code == 0, "{answer:?}");
    Ok(())
}

#[test]
fn members_of_any_number_of_groups_take_bounded_memory() -> Result<()> {
    let mut broker = started()?;
    let mut wire = broker.wire()?;
    wire.create_topic("small", 1, &[])?;
    let first = join(&mut wire, "group-0", "")?;
    ensure!(sync(&mut wire, "group-0", &first)? == 0);
    let before = broker.anonymous_bytes()?;
    let peak = Peak::watch(broker.process()?.id());
    let mut members = vec![0];
    for number in 1..GROUPS {
        let answer = join(&mut wire, &format!("group-{number}"), "")?;
        match answer.error_code {
            0 => members.push(number),
            COORDINATOR_NOT_AVAILABLE => {}
            other => anyhow::bail!("error {other}"),
        }
    }
    let grown = peak.bytes()?.saturating_sub(before);
    println!("{} members, {} KiB", members.len(), grown >> 10);
    ensure!((60..90).contains(&members.len()), "{}", members.len());
    ensure!(grown <= 5 * LIMIT, "{grown} bytes");
    ensure!(counted(&broker)? <= LIMIT);
    ensure!(
        broker
            .process()?
            .log()
            .contains("no memory is left for groups")
    );

    // A member that is in goes on: it joins again, is assigned something, and commits.
    let again = join(&mut wire, "group-0", &first.member_id)?;
    ensure!(again.error_code == 0, "{}", again.error_code);
    ensure!(sync(&mut wire, "group-0", &again)? == 0);
    ensure!(commit(&mut wire, "group-0", "small", 1, 10, Some(&again))? == 0);

    for number in members {
        leave(&mut wire, &format!("group-{number}"))?;
    }
    eventually("memory of groups that are gone", || {
        (counted(&broker).ok()? < LIMIT / 64).then_some(())
    })?;
    ensure!(join(&mut wire, "late", "")?.error_code == 0);
    check_alive(&mut broker)
}

/// Commits an offset of each partition with so much metadata.
fn commit(
    wire: &mut Wire,
    group: &str,
    topic: &str,
    partitions: i32,
    metadata: usize,
    member: Option<&JoinGroupResponse>,
) -> Result<i16> {
    let metadata = ask::text(&"m".repeat(metadata));
    let each = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(1)
            .with_committed_metadata(Some(metadata.clone()))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(ask::topic(topic))
        .with_partitions((0..partitions).map(each).collect());
    let mut request = OffsetCommitRequest::default()
        .with_group_id(ask::group(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    if let Some(joined) = member {
        request = request
            .with_generation_id_or_member_epoch(joined.generation_id)
            .with_member_id(joined.member_id.clone())
            .with_group_instance_id(Some(ask::text("one")));
    }
    Ok(wire.call(7, &request)?.topics[0].partitions[0].error_code)
}

#[test]
fn offsets_of_any_number_of_groups_take_bounded_memory() -> Result<()> {
    let mut broker = started()?;
    let mut wire = broker.wire()?;
    wire.create_topic("wide", 100, &[])?;
    let commit = |wire: &mut Wire, number: usize| {
        commit(wire, &format!("group-{number}"), "wide", 100, 4_000, None)
    };
    let mut taken = 0;
    for number in 0..100 {
        match commit(&mut wire, number)? {
            0 => taken += 1,
            COORDINATOR_NOT_AVAILABLE => {}
            other => anyhow::bail!("error {other}"),
        }
    }
    ensure!((15..=21).contains(&taken), "{taken} groups");
    ensure!(counted(&broker)? <= LIMIT);
    ensure!(commit(&mut wire, 0)? == 0, "what is there can be replaced");

    // What was taken is there after a restart, and counts.
    let before = counted(&broker)?;
    broker.kill9()?;
    broker.restart()?;
    let mut wire = broker.wire()?;
    ensure!(counted(&broker)? == before, "{before}");
    ensure!(commit(&mut wire, 0)? == 0);
    ensure!(commit(&mut wire, 99)? == COORDINATOR_NOT_AVAILABLE);
    let request = DeleteGroupsRequest::default().with_groups_names(vec![ask::group("group-0")]);
    ensure!(wire.call(1, &request)?.results[0].error_code == 0);
    ensure!(commit(&mut wire, 99)? == 0, "there is room again");
    check_alive(&mut broker)
}
