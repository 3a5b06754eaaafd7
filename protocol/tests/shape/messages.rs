//! From an API key to the type of its request.
use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_protocol::messages::{self as m, ApiKey};
use kafka_protocol::protocol::Request;
use protocol::frame::{self, FrameError};

use super::allocations::peak_of;

/// A body that was decoded.
pub(crate) struct Visited {
    /// The versions that the crate knows.
    pub(crate) versions: RangeInclusive<i16>,
    /// What the crate makes of it when it encodes it again.
    pub(crate) encoded: Vec<u8>,
}

/// Decodes a body; the first number is the memory that it took.
pub(crate) fn visit(
    key: ApiKey,
    version: i16,
    body: Bytes,
) -> (usize, Result<Visited, FrameError>) {
    match key {
        ApiKey::Produce => visit_as::<m::ProduceRequest>(key, version, body),
        ApiKey::Fetch => visit_as::<m::FetchRequest>(key, version, body),
        ApiKey::ListOffsets => visit_as::<m::ListOffsetsRequest>(key, version, body),
        ApiKey::Metadata => visit_as::<m::MetadataRequest>(key, version, body),
        ApiKey::OffsetCommit => visit_as::<m::OffsetCommitRequest>(key, version, body),
        ApiKey::OffsetFetch => visit_as::<m::OffsetFetchRequest>(key, version, body),
        ApiKey::FindCoordinator => visit_as::<m::FindCoordinatorRequest>(key, version, body),
        ApiKey::JoinGroup => visit_as::<m::JoinGroupRequest>(key, version, body),
        ApiKey::Heartbeat => visit_as::<m::HeartbeatRequest>(key, version, body),
        ApiKey::LeaveGroup => visit_as::<m::LeaveGroupRequest>(key, version, body),
        ApiKey::SyncGroup => visit_as::<m::SyncGroupRequest>(key, version, body),
        ApiKey::DescribeGroups => visit_as::<m::DescribeGroupsRequest>(key, version, body),
        ApiKey::ListGroups => visit_as::<m::ListGroupsRequest>(key, version, body),
        ApiKey::SaslHandshake => visit_as::<m::SaslHandshakeRequest>(key, version, body),
        ApiKey::ApiVersions => visit_as::<m::ApiVersionsRequest>(key, version, body),
        ApiKey::CreateTopics => visit_as::<m::CreateTopicsRequest>(key, version, body),
        ApiKey::DeleteTopics => visit_as::<m::DeleteTopicsRequest>(key, version, body),
        ApiKey::DeleteRecords => visit_as::<m::DeleteRecordsRequest>(key, version, body),
        ApiKey::InitProducerId => visit_as::<m::InitProducerIdRequest>(key, version, body),
        ApiKey::OffsetForLeaderEpoch => {
            visit_as::<m::OffsetForLeaderEpochRequest>(key, version, body)
        }
        ApiKey::AddPartitionsToTxn => visit_as::<m::AddPartitionsToTxnRequest>(key, version, body),
        ApiKey::AddOffsetsToTxn => visit_as::<m::AddOffsetsToTxnRequest>(key, version, body),
        ApiKey::EndTxn => visit_as::<m::EndTxnRequest>(key, version, body),
        ApiKey::WriteTxnMarkers => visit_as::<m::WriteTxnMarkersRequest>(key, version, body),
        ApiKey::TxnOffsetCommit => visit_as::<m::TxnOffsetCommitRequest>(key, version, body),
        ApiKey::DescribeAcls => visit_as::<m::DescribeAclsRequest>(key, version, body),
        ApiKey::CreateAcls => visit_as::<m::CreateAclsRequest>(key, version, body),
        ApiKey::DeleteAcls => visit_as::<m::DeleteAclsRequest>(key, version, body),
        ApiKey::DescribeConfigs => visit_as::<m::DescribeConfigsRequest>(key, version, body),
        ApiKey::AlterConfigs => visit_as::<m::AlterConfigsRequest>(key, version, body),
        ApiKey::DescribeLogDirs => visit_as::<m::DescribeLogDirsRequest>(key, version, body),
        ApiKey::SaslAuthenticate => visit_as::<m::SaslAuthenticateRequest>(key, version, body),
        ApiKey::CreatePartitions => visit_as::<m::CreatePartitionsRequest>(key, version, body),
        ApiKey::DeleteGroups => visit_as::<m::DeleteGroupsRequest>(key, version, body),
        ApiKey::ElectLeaders => visit_as::<m::ElectLeadersRequest>(key, version, body),
        ApiKey::IncrementalAlterConfigs => {
            visit_as::<m::IncrementalAlterConfigsRequest>(key, version, body)
        }
        ApiKey::AlterPartitionReassignments => {
            visit_as::<m::AlterPartitionReassignmentsRequest>(key, version, body)
        }
        ApiKey::ListPartitionReassignments => {
            visit_as::<m::ListPartitionReassignmentsRequest>(key, version, body)
        }
        ApiKey::OffsetDelete => visit_as::<m::OffsetDeleteRequest>(key, version, body),
        ApiKey::DescribeClientQuotas => {
            visit_as::<m::DescribeClientQuotasRequest>(key, version, body)
        }
        ApiKey::AlterClientQuotas => visit_as::<m::AlterClientQuotasRequest>(key, version, body),
        ApiKey::DescribeUserScramCredentials => {
            visit_as::<m::DescribeUserScramCredentialsRequest>(key, version, body)
        }
        ApiKey::AlterUserScramCredentials => {
            visit_as::<m::AlterUserScramCredentialsRequest>(key, version, body)
        }
        ApiKey::DescribeQuorum => visit_as::<m::DescribeQuorumRequest>(key, version, body),
        ApiKey::DescribeCluster => visit_as::<m::DescribeClusterRequest>(key, version, body),
        ApiKey::DescribeProducers => visit_as::<m::DescribeProducersRequest>(key, version, body),
        ApiKey::DescribeTransactions => {
            visit_as::<m::DescribeTransactionsRequest>(key, version, body)
        }
        ApiKey::ListTransactions => visit_as::<m::ListTransactionsRequest>(key, version, body),
        ApiKey::ConsumerGroupHeartbeat => {
            visit_as::<m::ConsumerGroupHeartbeatRequest>(key, version, body)
        }
        ApiKey::ConsumerGroupDescribe => {
            visit_as::<m::ConsumerGroupDescribeRequest>(key, version, body)
        }
        ApiKey::GetTelemetrySubscriptions => {
            visit_as::<m::GetTelemetrySubscriptionsRequest>(key, version, body)
        }
        ApiKey::PushTelemetry => visit_as::<m::PushTelemetryRequest>(key, version, body),
        ApiKey::ListConfigResources => {
            visit_as::<m::ListConfigResourcesRequest>(key, version, body)
        }
        ApiKey::DescribeTopicPartitions => {
            visit_as::<m::DescribeTopicPartitionsRequest>(key, version, body)
        }
        other => panic!("{other:?} is missing here"),
    }
}

fn visit_as<T: Request>(
    key: ApiKey,
    version: i16,
    body: Bytes,
) -> (usize, Result<Visited, FrameError>) {
    assert_eq!(T::KEY, key as i16);
    let (peak, decoded) = peak_of(|| frame::decode::<T>(key, version, body));
    let visited = decoded.map(|request| {
        let mut encoded = Vec::new();
        request
            .encode(&mut encoded, version)
            .expect("what was decoded can be encoded");
        Visited {
            versions: T::VERSIONS.min..=T::VERSIONS.max,
            encoded,
        }
    });
    (peak, visited)
}
