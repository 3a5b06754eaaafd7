//! Responses of any API as flat lists of fields.
use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use harness::{fields, wire};
use kafka_protocol::messages as m;
use kafka_protocol::messages::{ApiKey, ResponseHeader};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request};

macro_rules! of_key {
    ($key:expr, $version:expr, $frame:expr; $($api:ident: $request:ident),+ $(,)?) => {
        match $key {
            $(ApiKey::$api => typed::<m::$request>($version, $frame),)+
            other => bail!("{other:?} is missing here"),
        }
    };
}

/// The fields of a response frame (without its size). Encoding what was decoded must give the same
/// bytes.
pub(super) fn fields(key: ApiKey, version: i16, frame: &Bytes) -> Result<BTreeMap<String, String>> {
    of_key! { key, version, frame;
        Produce: ProduceRequest,
        Fetch: FetchRequest,
        ListOffsets: ListOffsetsRequest,
        Metadata: MetadataRequest,
        OffsetCommit: OffsetCommitRequest,
        OffsetFetch: OffsetFetchRequest,
        FindCoordinator: FindCoordinatorRequest,
        JoinGroup: JoinGroupRequest,
        Heartbeat: HeartbeatRequest,
        LeaveGroup: LeaveGroupRequest,
        SyncGroup: SyncGroupRequest,
        DescribeGroups: DescribeGroupsRequest,
        ListGroups: ListGroupsRequest,
        ApiVersions: ApiVersionsRequest,
        CreateTopics: CreateTopicsRequest,
        DeleteTopics: DeleteTopicsRequest,
        DeleteRecords: DeleteRecordsRequest,
        InitProducerId: InitProducerIdRequest,
        OffsetForLeaderEpoch: OffsetForLeaderEpochRequest,
        AddPartitionsToTxn: AddPartitionsToTxnRequest,
        AddOffsetsToTxn: AddOffsetsToTxnRequest,
        EndTxn: EndTxnRequest,
        WriteTxnMarkers: WriteTxnMarkersRequest,
        TxnOffsetCommit: TxnOffsetCommitRequest,
        DescribeConfigs: DescribeConfigsRequest,
        AlterConfigs: AlterConfigsRequest,
        DescribeLogDirs: DescribeLogDirsRequest,
        CreatePartitions: CreatePartitionsRequest,
        DeleteGroups: DeleteGroupsRequest,
        IncrementalAlterConfigs: IncrementalAlterConfigsRequest,
        OffsetDelete: OffsetDeleteRequest,
        DescribeCluster: DescribeClusterRequest,
        DescribeProducers: DescribeProducersRequest,
        DescribeTransactions: DescribeTransactionsRequest,
        ListTransactions: ListTransactionsRequest,
        ListConfigResources: ListConfigResourcesRequest,
        DescribeTopicPartitions: DescribeTopicPartitionsRequest,
    }
}

fn typed<R: Request>(version: i16, frame: &Bytes) -> Result<BTreeMap<String, String>>
where
    R::Response: std::fmt::Debug,
{
    let (correlation_id, response) = wire::decode::<R>(version, frame.clone())?;
    let mut again = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(&mut again, R::Response::header_version(version))?;
    response.encode(&mut again, version)?;
    ensure!(again == frame, "not what an encoder makes: {frame:02x?}");
    Ok(fields::flatten(&response))
}
