//! Versions, metadata, cluster, coordinators.
use anyhow::{Context, Result};
use bytes::{BufMut, BytesMut};
use harness::wire::decode;
use harness::{Wire, ask};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest,
    MetadataResponse,
};
use uuid::Uuid;

use crate::pair::Pair;

/// Error code and the range of ApiVersions itself, from the answer to a version from the future.
fn future_version(wire: &mut Wire) -> Result<(i16, i16, i16)> {
    let mut frame = BytesMut::new();
    frame.put_i16(18);
    frame.put_i16(99);
    frame.put_i32(7);
    // No client id, no tagged fields.
    frame.put_i16(-1);
    frame.put_u8(0);
    frame.put_slice(b"nobody knows what stands here");
    wire.send_frame(&frame)?;
    let (_, response) = decode::<ApiVersionsRequest>(0, wire.read_frame()?)?;
    let own = response
        .api_keys
        .iter()
        .find(|key| key.api_key == 18)
        .context("no key 18")?;
    Ok((response.error_code, own.min_version, own.max_version))
}

/// Whether a request of this key and version, with a body of zeros, ends its connection.
fn ends(wire: &mut Wire, key: i16, version: i16) -> Result<bool> {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(7);
    frame.put_i16(-1);
    frame.put_slice(&[0; 64]);
    let mut own = wire.another()?;
    own.send_frame(&frame)?;
    own.closes()
}

/// There is no layout of an error that a client of an unknown key or version could read: the
/// connection ends, with Apache Kafka and with klamm.
#[test]
fn what_is_not_there_ends_the_connection() -> Result<()> {
    let mut pair = Pair::start()?;
    for (key, version) in [
        (999, 0),
        (-1, 0),
        (3, 99),
        (3, -1),
        (0, 0),
        (0, 2),
        (1, 3),
        (4, 0),
    ] {
        let (kafka, klamm) = pair.both(|wire| ends(wire, key, version))?;
        let same = format!("key {key} version {version}: {kafka} | {klamm}");
        assert!(kafka && klamm, "{same}");
    }
    pair.verdict()
}

#[test]
fn api_versions() -> Result<()> {
    let mut pair = Pair::start()?;
    let (kafka, klamm) = pair.both(future_version)?;
    if kafka != klamm {
        pair.note(
            "a version from the future",
            99,
            &[format!("{kafka:?} | {klamm:?}")],
        );
    }
    let keys = [
        "api_key",
        "min_version",
        "max_version",
        "name",
        "max_version_level",
    ];
    let features = [
        "min_version_level",
        "finalized_features_epoch",
        "zk_migration_ready",
    ];
    let lists = ["finalized_features", "supported_features"];
    let own: Vec<&str> = keys
        .iter()
        .chain(&features)
        .chain(&lists)
        .copied()
        .collect();
    let named = |name, version| {
        ApiVersionsRequest::default()
            .with_client_software_name(ask::text(name))
            .with_client_software_version(ask::text(version))
    };
    pair.ask_except("a plain client", 3, &named("tests", "1.0"), &own)?;
    pair.ask(
        "a software name with a space",
        3,
        &named("the tests", "1.0"),
    )?;
    pair.ask("an empty software version", 4, &named("tests", ""))?;
    pair.verdict()
}

#[test]
fn metadata() -> Result<()> {
    let mut pair = Pair::start()?;
    pair.both(|wire| wire.create_topic("known", 1, &[]))?;
    for version in [0, 1, 4, 8, 9, 12, 13] {
        pair.ask(
            "a known topic",
            version,
            &ask::metadata("known").with_allow_auto_topic_creation(true),
        )?;
    }
    pair.ask("an unknown topic", 12, &ask::metadata("unknown"))?;
    let long = "x".repeat(250);
    for name in ["illegal name!", "", ".", "..", long.as_str()] {
        pair.ask("an illegal name", 12, &ask::metadata(name))?;
        let create = ask::metadata(name).with_allow_auto_topic_creation(true);
        pair.ask("an illegal name to create", 12, &create)?;
    }
    let by_id = |id| {
        let topic = MetadataRequestTopic::default()
            .with_topic_id(id)
            .with_name(None);
        MetadataRequest::default().with_topics(Some(vec![topic]))
    };
    pair.ask("an unknown id", 12, &by_id(Uuid::from_u128(0x00ab_cdef)))?;
    let none = MetadataRequest::default().with_topics(Some(vec![]));
    pair.ask("no topics", 1, &none)?;
    let all = MetadataRequest::default().with_topics(None);
    let by_name = |answer: &mut MetadataResponse| answer.topics.sort_by_key(|t| t.name.clone());
    pair.ask_ordered("all topics", 12, &all, by_name, &[])?;
    let twice = vec![MetadataRequestTopic::default().with_name(Some(ask::topic("known"))); 2];
    pair.ask(
        "a topic twice",
        12,
        &MetadataRequest::default().with_topics(Some(twice)),
    )?;
    let rights = ask::metadata("known")
        .with_include_topic_authorized_operations(true)
        .with_include_cluster_authorized_operations(true);
    pair.ask("with authorized operations", 8, &rights)?;
    pair.verdict()
}

#[test]
fn cluster_and_coordinators() -> Result<()> {
    let mut pair = Pair::start()?;
    let cluster = DescribeClusterRequest::default();
    pair.ask("the brokers", 1, &cluster.clone().with_endpoint_type(1))?;
    pair.ask(
        "with rights",
        0,
        &cluster
            .clone()
            .with_include_cluster_authorized_operations(true),
    )?;
    pair.ask("a wrong endpoint type", 1, &cluster.with_endpoint_type(7))?;
    let find = |kind, keys: &[&str]| {
        FindCoordinatorRequest::default()
            .with_key_type(kind)
            .with_coordinator_keys(keys.iter().map(|key| ask::text(key)).collect())
    };
    pair.ask("a group", 4, &find(0, &["a", "b"]))?;
    pair.ask("a wrong key type", 4, &find(9, &["a"]))?;
    pair.ask("an empty group", 4, &find(0, &[""]))?;
    let old = FindCoordinatorRequest::default().with_key(ask::text("a"));
    for version in 0..=3 {
        pair.ask("a group, one at a time", version, &old)?;
    }
    pair.ask(
        "a wrong key type, one at a time",
        3,
        &old.clone().with_key_type(9),
    )?;
    pair.verdict()
}
