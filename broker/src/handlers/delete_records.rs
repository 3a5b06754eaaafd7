//! DeleteRecords (21), v0–2: moves log start offsets; -1 means the high watermark.
use std::ops::RangeInclusive;

use protocol::error::ErrorCode;
use protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use protocol::messages::{ApiKey, DeleteRecordsRequest, DeleteRecordsResponse};

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::fetch::read_error;

/// See the module.
pub struct DeleteRecords;

impl Api for DeleteRecords {
    const KEY: ApiKey = ApiKey::DeleteRecords;
    type Request = DeleteRecordsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        context: Context,
        request: DeleteRecordsRequest,
    ) -> Reply<DeleteRecordsResponse> {
        let deleted = tokio::task::spawn_blocking(move || {
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|wanted| {
                    let result = DeleteRecordsPartitionResult::default()
                        .with_partition_index(wanted.partition_index);
                    match delete(&context, &topic.name, wanted.partition_index, wanted.offset) {
                        Ok(low_watermark) => result.with_low_watermark(low_watermark),
                        Err(error) => result
                            .with_low_watermark(-1)
                            .with_error_code(context.error(error)),
                    }
                });
                DeleteRecordsTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
            DeleteRecordsResponse::default().with_topics(topics.collect())
        });
        deleted.await.map_or(Reply::Disconnect, Reply::Ready)
    }
}

/// Returns the new log start offset.
fn delete(context: &Context, topic: &str, partition: i32, offset: i64) -> Result<i64, ErrorCode> {
    let topic = context
        .broker
        .topics
        .get(topic)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = topic
        .partition(partition)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    topic.check_open().map_err(|error| error.code())?;
    if !topic.config().cleanup_policy.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let high_watermark = partition.high_watermark();
    let offset = if offset == -1 { high_watermark } else { offset };
    if !(partition.log.start_offset().min(offset)..=high_watermark).contains(&offset) || offset < 0
    {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let start = partition
        .log
        .delete_records(offset)
        .map_err(|error| read_error(&error))?;
    partition.wake();
    Ok(start)
}
