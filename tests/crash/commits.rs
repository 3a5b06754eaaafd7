//! What a group has committed, asked over a raw connection.
use anyhow::{Result, ensure};
use harness::talk::settled;
use harness::{Broker, ask};
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};

/// The committed offset of each partition from 0 on, -1 without one.
pub(crate) fn committed(
    broker: &Broker,
    group: &str,
    topic: &str,
    partitions: i32,
) -> Result<Vec<i64>> {
    let topics = OffsetFetchRequestTopics::default()
        .with_name(ask::topic(topic))
        .with_partition_indexes((0..partitions).collect());
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(ask::group(group))
        .with_topics(Some(vec![topics]));
    let request = OffsetFetchRequest::default().with_groups(vec![asked]);
    let mut wire = broker.wire()?;
    let mut found = settled(|| {
        let answer = wire.call(8, &request)?.groups.remove(0);
        Ok((answer.error_code, answer))
    })?;
    ensure!(found.error_code == 0, "{found:?}");
    let mut partitions = found.topics.remove(0).partitions;
    partitions.sort_by_key(|partition| partition.partition_index);
    Ok(partitions
        .iter()
        .map(|partition| partition.committed_offset)
        .collect())
}
