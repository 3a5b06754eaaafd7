//! WriteTxnMarkers (27), v1: writes markers, whatever the coordinator knows of the transaction. Tools
//! end a transaction with it that nobody else will (`kafka-transactions.sh abort`).
use std::ops::RangeInclusive;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use protocol::messages::{ApiKey, WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use super::{Api, distinct};
use crate::coordinator::group;
use crate::coordinator::transaction::{Identity, Written};
use crate::dispatch::{Context, Reply};
use crate::metadata::Topic;

/// See the module.
pub struct WriteTxnMarkers;

impl Api for WriteTxnMarkers {
    const KEY: ApiKey = ApiKey::WriteTxnMarkers;
    type Request = WriteTxnMarkersRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=1;

    async fn handle(
        context: Context,
        request: WriteTxnMarkersRequest,
    ) -> Reply<WriteTxnMarkersResponse> {
        let mut written = Vec::new();
        for marker in request.markers {
            let topics = distinct(marker.topics.clone(), |topic| topic.name.clone());
            let topics = topics.map(|topic| {
                let write = |index| (index, write(&context, &marker, &topic, index));
                let partitions = distinct(topic.partition_indexes.clone(), |index| *index);
                let partitions: Vec<_> = partitions.map(write).collect();
                (topic.name, partitions)
            });
            let topics: Vec<_> = topics.collect();
            written.push((marker.producer_id, topics));
        }
        let mut markers = Vec::with_capacity(written.len());
        for (producer_id, topics) in written {
            let mut results = Vec::with_capacity(topics.len());
            for (name, partitions) in topics {
                let mut answers = Vec::with_capacity(partitions.len());
                for (index, result) in partitions {
                    let result = durable(result).await;
                    let code = result.map_or_else(|error| context.error(error), |()| NONE);
                    answers.push(
                        WritableTxnMarkerPartitionResult::default()
                            .with_partition_index(index)
                            .with_error_code(code),
                    );
                }
                results.push(
                    WritableTxnMarkerTopicResult::default()
                        .with_name(name)
                        .with_partitions(answers),
                );
            }
            markers.push(
                WritableTxnMarkerResult::default()
                    .with_producer_id(producer_id)
                    .with_topics(results),
            );
        }
        Reply::Ready(WriteTxnMarkersResponse::default().with_markers(markers))
    }
}

fn write(
    context: &Context,
    marker: &WritableTxnMarker,
    topic: &WritableTxnMarkerTopic,
    index: i32,
) -> Result<Written, ErrorCode> {
    let known = context.broker.topics.get(&topic.name);
    let known = known.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    check_markable(&known)?;
    let producer = Identity {
        id: marker.producer_id.0,
        epoch: marker.producer_epoch,
    };
    let commits = marker.transaction_result;
    let coordinator_epoch = Some(marker.coordinator_epoch);
    let transactions = &context.broker.transactions;
    transactions.mark(&topic.name, index, producer, commits, coordinator_epoch)
}

/// Whether others may end transactions in the topic: clients write it, or it has their offsets.
pub(super) fn check_markable(topic: &Topic) -> Result<(), ErrorCode> {
    if &*topic.name == group::TOPIC {
        return Ok(());
    }
    topic.check_open().map_err(|error| error.code())
}

async fn durable(written: Result<Written, ErrorCode>) -> Result<(), ErrorCode> {
    written?.durable().await
}
