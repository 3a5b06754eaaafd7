//! DescribeLogDirs (35), v1–4: how large each partition is on disk; from v4 on also the size of the
//! file system and what is free (KIP-827). Null asks for all; what is not there is left out.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error::ErrorCode;
use protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use protocol::messages::{ApiKey, DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::metadata::Topic;

/// See the module.
pub struct DescribeLogDirs;

impl Api for DescribeLogDirs {
    const KEY: ApiKey = ApiKey::DescribeLogDirs;
    type Request = DescribeLogDirsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=4;

    async fn handle(
        context: Context,
        request: DescribeLogDirsRequest,
    ) -> Reply<DescribeLogDirsResponse> {
        let describing = tokio::task::spawn_blocking(move || {
            let topics = match request.topics {
                None => {
                    let topics = context.broker.topics.all();
                    topics.iter().map(|topic| sizes(topic, None)).collect()
                }
                Some(wanted) => {
                    let mut named: BTreeMap<TopicName, BTreeSet<i32>> = BTreeMap::new();
                    for topic in wanted {
                        let partitions = named.entry(topic.topic).or_default();
                        partitions.extend(topic.partitions);
                    }
                    let found = named.iter().filter_map(|(name, partitions)| {
                        let topic = context.broker.topics.get(name)?;
                        Some(sizes(&topic, Some(partitions)))
                    });
                    found.filter(|topic| !topic.partitions.is_empty()).collect()
                }
            };
            DescribeLogDirsResponse::default().with_results(vec![directory(&context, topics)])
        });
        describing.await.map_or(Reply::Disconnect, Reply::Ready)
    }
}

fn directory(context: &Context, topics: Vec<DescribeLogDirsTopic>) -> DescribeLogDirsResult {
    let path = &context.broker.settings.data_dir;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let result = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(path.display().to_string()));
    match context.broker.logs.disk_space() {
        Ok((total, usable)) => result
            .with_topics(topics)
            .with_total_bytes(total as i64)
            .with_usable_bytes(usable as i64),
        Err(error) => {
            tracing::warn!(%error, "cannot tell the size of the data directory's file system");
            result.with_error_code(context.error(ErrorCode::KafkaStorageError))
        }
    }
}

fn sizes(topic: &Topic, wanted: Option<&BTreeSet<i32>>) -> DescribeLogDirsTopic {
    let partitions = topic.partitions();
    let is_wanted = |index: i32| wanted.is_none_or(|wanted| wanted.contains(&index));
    let partitions = partitions
        .iter()
        .filter(|partition| is_wanted(partition.index));
    let partitions = partitions.map(|partition| {
        DescribeLogDirsPartition::default()
            .with_partition_index(partition.index)
            .with_partition_size(partition.log.size_bytes() as i64)
    });
    DescribeLogDirsTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.name.to_string())))
        .with_partitions(partitions.collect())
}
