//! Groups that are not there, and offsets without members.
use anyhow::Result;
use harness::ask;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest,
};

use crate::pair::Pair;

pub(crate) fn commit(group: &str, topic: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_leader_epoch(-1)
        .with_committed_metadata(Some(ask::text("note")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(ask::topic(topic))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(ask::group(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

fn fetch(group: &str, topics: Option<&[&str]>) -> OffsetFetchRequest {
    let topic = |name: &&str| {
        OffsetFetchRequestTopics::default()
            .with_name(ask::topic(name))
            .with_partition_indexes(vec![0, 9])
    };
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(ask::group(group))
        .with_member_epoch(-1)
        .with_topics(topics.map(|topics| topics.iter().map(topic).collect()));
    OffsetFetchRequest::default().with_groups(vec![group])
}

pub(crate) fn forget(group: &str, topic: &str) -> OffsetDeleteRequest {
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(ask::topic(topic))
        .with_partitions(vec![OffsetDeleteRequestPartition::default()]);
    OffsetDeleteRequest::default()
        .with_group_id(ask::group(group))
        .with_topics(vec![topic])
}

#[test]
fn offsets() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| wire.create_topic("known", 1, &[]))?;
    for version in [8, 9] {
        pair.ask(
            "an unknown group",
            version,
            &fetch("nobody", Some(&["known", "unknown"])),
        )?;
        pair.ask("all of an unknown group", version, &fetch("nobody", None))?;
    }
    let old = OffsetFetchRequestTopic::default()
        .with_name(ask::topic("known"))
        .with_partition_indexes(vec![0]);
    let old = OffsetFetchRequest::default()
        .with_group_id(ask::group("nobody"))
        .with_topics(Some(vec![old]));
    for version in [1, 2, 5, 7] {
        pair.ask("an unknown group, older", version, &old)?;
    }
    for version in [2, 5, 7, 9] {
        pair.ask(
            "a commit without members",
            version,
            &commit("simple", "known", 5),
        )?;
    }
    pair.ask(
        "a commit of an unknown topic",
        9,
        &commit("simple", "unknown", 5),
    )?;
    pair.ask(
        "a commit of a negative offset",
        9,
        &commit("simple", "known", -5),
    )?;
    pair.ask("a commit to an empty group id", 9, &commit("", "known", 5))?;
    let mut large = commit("simple", "known", 6);
    large.topics[0].partitions[0].committed_metadata = Some(ask::text(&"x".repeat(5_000)));
    pair.ask("metadata that is too large", 9, &large)?;
    let mut null = commit("simple", "known", 7);
    null.topics[0].partitions[0].committed_metadata = None;
    pair.ask("no metadata", 9, &null)?;
    let mut elsewhere = commit("simple", "known", 8);
    elsewhere.topics[0].partitions[0].partition_index = 9;
    pair.ask("an unknown partition", 9, &elsewhere)?;
    let generation = commit("simple", "known", 9).with_generation_id_or_member_epoch(3);
    pair.ask("a generation without a member", 9, &generation)?;
    let stranger = generation.with_member_id(ask::text("stranger"));
    pair.ask("a stranger", 9, &stranger)?;
    pair.ask(
        "a commit to a group that is not there",
        9,
        &stranger.with_group_id(ask::group("new")),
    )?;
    pair.ask(
        "what was committed",
        9,
        &fetch("simple", Some(&["known", "unknown"])),
    )?;
    pair.ask("all that was committed", 9, &fetch("simple", None))?;
    pair.ask(
        "forgetting an unknown topic",
        0,
        &forget("simple", "unknown"),
    )?;
    pair.ask("forgetting", 0, &forget("simple", "known"))?;
    pair.ask(
        "forgetting of an unknown group",
        0,
        &forget("nobody", "known"),
    )?;
    pair.ask("what is left", 9, &fetch("simple", None))?;
    pair.verdict()
}

#[test]
fn strangers() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| wire.create_topic("known", 1, &[]))?;
    pair.ask("a commit", 9, &commit("simple", "known", 5))?;
    let describe =
        |name: &str| DescribeGroupsRequest::default().with_groups(vec![ask::group(name)]);
    for version in [0, 4, 5, 6] {
        pair.ask("describe an unknown group", version, &describe("nobody"))?;
        pair.ask("describe a group of offsets", version, &describe("simple"))?;
    }
    pair.ask("describe an empty name", 5, &describe(""))?;
    let rights = describe("simple").with_include_authorized_operations(true);
    pair.ask("describe with rights", 5, &rights)?;
    let list = |states: &[&str], types: &[&str]| {
        ListGroupsRequest::default()
            .with_states_filter(states.iter().map(|one| ask::text(one)).collect())
            .with_types_filter(types.iter().map(|one| ask::text(one)).collect())
    };
    for version in [0, 3] {
        pair.ask("list", version, &list(&[], &[]))?;
    }
    for states in [
        &["Empty"][..],
        &["empty"],
        &["Stable", "Dead"],
        &["NoSuchState"],
    ] {
        pair.ask("list by state", 4, &list(states, &[]))?;
        pair.ask("list by state", 5, &list(states, &[]))?;
    }
    for types in [&["classic"][..], &["Classic"], &["consumer"], &["nosuch"]] {
        pair.ask("list by type", 5, &list(&[], types))?;
    }
    let delete = |names: &[&str]| {
        let names = names.iter().map(|name| ask::group(name)).collect();
        DeleteGroupsRequest::default().with_groups_names(names)
    };
    pair.ask("delete an unknown group", 2, &delete(&["nobody"]))?;
    pair.ask("delete an empty name", 2, &delete(&[""]))?;
    pair.ask("delete a group of offsets", 2, &delete(&["simple"]))?;
    pair.ask("delete it again", 2, &delete(&["simple"]))?;
    pair.verdict()
}
