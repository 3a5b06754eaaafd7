//! What clients may do to the topics of a projection and see of them, asked of the handlers
//! themselves.
use std::sync::Arc;

use bytes::Bytes;
use config::Settings;
use futures_util::FutureExt;
use protocol::StrBytes;
use protocol::error::ErrorCode;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::{
    DeleteRecordsRequest, FetchRequest, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, ProduceRequest, TopicName,
};
use protocol::record::BatchBuilder;

use super::Api;
use super::delete_records::DeleteRecords;
use super::fetch::Fetch;
use super::list_offsets::ListOffsets;
use super::offset_for_leader_epoch::OffsetForLeaderEpoch;
use super::produce::Produce;
use crate::broker::Broker;
use crate::client_info::ClientInfo;
use crate::dispatch::{Context, Reply};
use crate::net::Share;
use crate::partition::Partition;

const DENIED: i16 = 29;

/// A broker with the topic "view" of projection "p": one record that is seen, of time 10, and one
/// that is hidden, of time 20.
fn broker(dir: &std::path::Path) -> (Arc<Broker>, Arc<Partition>) {
    let flags = vec![("data-dir".to_owned(), dir.display().to_string())];
    let settings = Settings::load(None, std::iter::empty(), flags).unwrap();
    let broker = Broker::open(settings).unwrap();
    let policy = [("cleanup.policy", "compact,delete")];
    let topic = broker.topics.owned("view", 1, &policy, "p").unwrap();
    let partition = topic.partition(0).unwrap();
    partition.append_hidden(&batch(10)).unwrap();
    partition.append_hidden(&batch(20)).unwrap();
    partition.reveal(1);
    (broker, partition)
}

fn batch(timestamp: i64) -> Bytes {
    let mut batch = BatchBuilder::new();
    batch.push(timestamp, Some(b"k"), Some(b"v"));
    batch.build()
}

fn context(broker: &Arc<Broker>, version: i16) -> Context {
    let here = ([127, 0, 0, 1], 9092).into();
    Context {
        broker: Arc::clone(broker),
        client: Arc::new(ClientInfo::new(here, here)),
        client_id: "test".into(),
        version,
        share: Share::default(),
    }
}

fn view() -> TopicName {
    TopicName(StrBytes::from_static_str("view"))
}

fn produce(acks: i16) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(0)
        .with_records(Some(batch(1)));
    let data = TopicProduceData::default()
        .with_name(view())
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_topic_data(vec![data])
}

#[tokio::test]
async fn nobody_else_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, partition) = broker(dir.path());
    for acks in [1, -1] {
        let Reply::Ready(answer) = Produce::handle(context(&broker, 9), produce(acks)).await else {
            panic!("no answer");
        };
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (DENIED, -1));
    }
    let silent = Produce::handle(context(&broker, 9), produce(0)).await;
    assert!(matches!(silent, Reply::Disconnect));
    assert_eq!(partition.log.end_offset(), 2);
}

#[tokio::test]
async fn nobody_deletes_records() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, partition) = broker(dir.path());
    let wanted = DeleteRecordsPartition::default().with_offset(-1);
    let topic = DeleteRecordsTopic::default()
        .with_name(view())
        .with_partitions(vec![wanted]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
    let Reply::Ready(answer) = DeleteRecords::handle(context(&broker, 2), request).await else {
        panic!("no answer");
    };
    assert_eq!(answer.topics[0].partitions[0].error_code, DENIED);
    assert_eq!(partition.log.start_offset(), 0);
}

#[tokio::test]
async fn no_look_up_finds_what_is_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, partition) = broker(dir.path());
    let looked_up = async |timestamp| {
        let wanted = ListOffsetsPartition::default()
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(view())
            .with_partitions(vec![wanted]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let answer = ListOffsets::handle(context(&broker, 8), request).await;
        let Reply::Ready(ListOffsetsResponse { topics, .. }) = answer else {
            panic!("no answer");
        };
        let answer = &topics[0].partitions[0];
        assert_eq!(answer.error_code, 0);
        (answer.offset, answer.timestamp)
    };
    let (latest, newest) = (-1, -3);
    assert_eq!(looked_up(latest).await, (1, -1));
    assert_eq!(looked_up(newest).await, (0, 10));
    assert_eq!(looked_up(10).await, (0, 10));
    assert_eq!(looked_up(11).await, (-1, -1));
    partition.reveal(2);
    assert_eq!(looked_up(latest).await, (2, -1));
    assert_eq!(looked_up(newest).await, (1, 20));
    assert_eq!(looked_up(11).await, (1, 20));
    assert_eq!(ErrorCode::TopicAuthorizationFailed.code(), DENIED);
}

fn fetch(offset: i64, max_wait_ms: i32, isolation_level: i8) -> FetchRequest {
    let wanted = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(view())
        .with_partitions(vec![wanted]);
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_isolation_level(isolation_level)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// Error, high watermark, bytes of records.
async fn fetched(broker: &Arc<Broker>, request: FetchRequest) -> (i16, i64, usize) {
    let (answer, records) = match Fetch::handle(context(broker, 11), request).await {
        Reply::Ready(answer) => (answer, Vec::new()),
        Reply::Records(answer, records) => (answer, records),
        Reply::Silent | Reply::Disconnect => panic!("no answer"),
    };
    let answer = &answer.responses[0].partitions[0];
    let bytes = records.iter().map(Bytes::len).sum();
    (answer.error_code, answer.high_watermark, bytes)
}

#[tokio::test]
async fn no_fetch_goes_past_the_high_watermark() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, partition) = broker(dir.path());
    let one = batch(10).len();
    for isolation_level in [0, 1] {
        for (offset, answer) in [(0, (0, 1, one)), (1, (0, 1, 0)), (2, (0, 1, 0))] {
            let request = fetch(offset, 0, isolation_level);
            assert_eq!(fetched(&broker, request).await, answer, "at {offset}");
        }
        let past = fetched(&broker, fetch(3, 0, isolation_level)).await;
        assert_eq!(past, (ErrorCode::OffsetOutOfRange.code(), -1, 0));
    }
    partition.reveal(2);
    assert_eq!(fetched(&broker, fetch(0, 0, 0)).await, (0, 2, 2 * one));
}

#[tokio::test]
async fn a_fetch_waits_until_records_are_revealed() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, partition) = broker(dir.path());
    let hour_ms = 3_600_000;
    let mut waiting = std::pin::pin!(fetched(&broker, fetch(1, hour_ms, 0)));
    assert!(waiting.as_mut().now_or_never().is_none());
    partition.append_hidden(&batch(30)).unwrap();
    assert!(waiting.as_mut().now_or_never().is_none());
    partition.reveal(2);
    assert_eq!(waiting.await, (0, 2, batch(20).len()));
}

#[tokio::test]
async fn a_leader_epoch_ends_at_the_high_watermark() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, _partition) = broker(dir.path());
    let wanted = OffsetForLeaderPartition::default()
        .with_current_leader_epoch(-1)
        .with_leader_epoch(0);
    let topic = OffsetForLeaderTopic::default()
        .with_topic(view())
        .with_partitions(vec![wanted]);
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    let answer = OffsetForLeaderEpoch::handle(context(&broker, 4), request).await;
    let Reply::Ready(answer) = answer else {
        panic!("no answer");
    };
    assert_eq!(answer.topics[0].partitions[0].end_offset, 1);
}
