//! Static members (KIP-345): a member that comes back under its instance id gets its partitions
//! back without a rebalance; a second one with the same id fences the first.
use anyhow::{Context, Result, ensure};
use harness::{Broker, PATIENCE, ask, rd, unique};
use kafka_protocol::messages::DescribeGroupsRequest;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use std::time::{Duration, Instant};

use crate::groups::{member, options, settle};

/// The member ids of a group, which change with each rejoin of a dynamic member.
fn state(broker: &Broker, group: &str) -> Result<(String, usize)> {
    let request = DescribeGroupsRequest::default().with_groups(vec![ask::group(group)]);
    let response = broker.wire()?.call(5, &request)?;
    let described = response
        .groups
        .into_iter()
        .next()
        .context("no group answered")?;
    Ok((described.group_state.to_string(), described.members.len()))
}

#[test]
fn a_static_member_comes_back_to_its_partitions() -> Result<()> {
    let broker = Broker::start(options())?;
    let topic = unique("static");
    let group = unique("static");
    rd::create_topic(broker.bootstrap(), &topic, 6, &[])?;
    let long = ("session.timeout.ms", "30000");
    let one = [("group.instance.id", "one"), long];
    let two = [("group.instance.id", "two"), long];
    let first = member(&broker, &group, &topic, &one)?;
    let second = member(&broker, &group, &topic, &two)?;
    let shares = settle(&[&first, &second])?;
    // A static member does not leave when it closes.
    drop(second);
    assert_eq!(state(&broker, &group)?, ("Stable".to_owned(), 2));
    let returned = member(&broker, &group, &topic, &two)?;
    assert_eq!(settle(&[&first, &returned])?, shares);
    assert_eq!(state(&broker, &group)?, ("Stable".to_owned(), 2));
    Ok(())
}

#[test]
fn a_second_member_with_the_same_instance_id_fences_the_first() -> Result<()> {
    let broker = Broker::start(options())?;
    let topic = unique("fenced");
    let group = unique("fenced");
    rd::create_topic(broker.bootstrap(), &topic, 6, &[])?;
    let same = [
        ("group.instance.id", "same"),
        ("session.timeout.ms", "30000"),
    ];
    let first = member(&broker, &group, &topic, &same)?;
    settle(&[&first])?;
    let second = member(&broker, &group, &topic, &same)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let _ = second.poll(Duration::from_millis(10));
        let _ = first.poll(Duration::from_millis(10));
        if let Some((code, _)) = first.client().fatal_error() {
            assert_eq!(code, RDKafkaErrorCode::FencedInstanceId);
            break;
        }
        ensure!(Instant::now() < deadline, "the first member is not fenced");
    }
    settle(&[&second])?;
    Ok(())
}
