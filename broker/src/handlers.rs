//! THE TABLE: one row per API key, in key order. ApiVersions is derived from it.
use std::collections::HashSet;
use std::future::Future;
use std::hash::Hash;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::Request;
use protocol::error::ErrorCode;
use protocol::frame::{self, FrameError};
use protocol::messages::ApiKey;

use crate::dispatch::{Context, DispatchError, Outcome, Reply};

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod txn_offset_commit;
mod write_txn_markers;

/// One API: its versions and what it does.
pub trait Api: 'static {
    /// The key.
    const KEY: ApiKey;
    /// The request; it names the response.
    type Request: Request + Send;
    /// The versions that are implemented.
    const VERSIONS: RangeInclusive<i16>;
    /// The versions that ApiVersions tells; wider than `VERSIONS` only where Apache Kafka does the
    /// same so that old clients do not switch features off (KAFKA-18659).
    const ADVERTISED: RangeInclusive<i16> = Self::VERSIONS;

    /// Answers one request. An error is part of the response.
    fn handle(
        context: Context,
        request: Self::Request,
    ) -> impl Future<Output = Reply<<Self::Request as Request>::Response>> + Send;

    /// Answers a request of an unknown version; only ApiVersions does (KIP-511).
    fn handle_unknown_version(_context: &Context) -> Option<<Self::Request as Request>::Response> {
        None
    }
}

type Call =
    fn(Context, usize, i32, Option<Bytes>) -> BoxFuture<'static, Result<Outcome, DispatchError>>;

/// A row of the table.
pub struct Row {
    /// The API key.
    pub key: ApiKey,
    /// Place in the table, for metrics.
    pub index: usize,
    /// The versions that are implemented.
    pub versions: RangeInclusive<i16>,
    /// The versions that ApiVersions tells.
    pub advertised: RangeInclusive<i16>,
    /// Decodes, handles, encodes. The body is `None` for an unknown version.
    pub call: Call,
}

macro_rules! table {
    ($($module:ident :: $api:ident),* $(,)?) => {
        /// All APIs in key order.
        pub static TABLE: &[Row] = &{
            let mut index = 0;
            [$({
                index += 1;
                row_of::<$module::$api>(index - 1)
            }),*]
        };
    };
}

table![
    produce::Produce,                                   // 0
    fetch::Fetch,                                       // 1
    list_offsets::ListOffsets,                          // 2
    metadata::Metadata,                                 // 3
    offset_commit::OffsetCommit,                        // 8
    offset_fetch::OffsetFetch,                          // 9
    find_coordinator::FindCoordinator,                  // 10
    join_group::JoinGroup,                              // 11
    heartbeat::Heartbeat,                               // 12
    leave_group::LeaveGroup,                            // 13
    sync_group::SyncGroup,                              // 14
    describe_groups::DescribeGroups,                    // 15
    list_groups::ListGroups,                            // 16
    api_versions::ApiVersions,                          // 18
    create_topics::CreateTopics,                        // 19
    delete_topics::DeleteTopics,                        // 20
    delete_records::DeleteRecords,                      // 21
    init_producer_id::InitProducerId,                   // 22
    offset_for_leader_epoch::OffsetForLeaderEpoch,      // 23
    add_partitions_to_txn::AddPartitionsToTxn,          // 24
    add_offsets_to_txn::AddOffsetsToTxn,                // 25
    end_txn::EndTxn,                                    // 26
    write_txn_markers::WriteTxnMarkers,                 // 27
    txn_offset_commit::TxnOffsetCommit,                 // 28
    describe_configs::DescribeConfigs,                  // 32
    alter_configs::AlterConfigs,                        // 33
    describe_log_dirs::DescribeLogDirs,                 // 35
    create_partitions::CreatePartitions,                // 37
    delete_groups::DeleteGroups,                        // 42
    incremental_alter_configs::IncrementalAlterConfigs, // 44
    offset_delete::OffsetDelete,                        // 47
    describe_cluster::DescribeCluster,                  // 60
    describe_producers::DescribeProducers,              // 61
    describe_transactions::DescribeTransactions,        // 65
    list_transactions::ListTransactions,                // 66
    list_config_resources::ListConfigResources,         // 74
    describe_topic_partitions::DescribeTopicPartitions, // 75
];

/// The first of each: a short question can have a long answer, so what a request asks for again and
/// again is answered once.
fn distinct<T, K: Hash + Eq>(asked: Vec<T>, key: impl Fn(&T) -> K) -> impl Iterator<Item = T> {
    let mut seen = HashSet::new();
    asked.into_iter().filter(move |one| seen.insert(key(one)))
}

/// Older clients know INVALID_PRODUCER_EPOCH where newer ones are told PRODUCER_FENCED, from the
/// version `since` on.
fn fenced_before(since: i16, context: &Context, error: ErrorCode) -> ErrorCode {
    if error == ErrorCode::ProducerFenced && context.version < since {
        ErrorCode::InvalidProducerEpoch
    } else {
        error
    }
}

/// The row of a key.
pub fn row(key: i16) -> Option<&'static Row> {
    TABLE
        .binary_search_by_key(&key, |row| row.key as i16)
        .ok()
        .map(|place| &TABLE[place])
}

const fn row_of<A: Api>(index: usize) -> Row {
    Row {
        key: A::KEY,
        index,
        versions: A::VERSIONS,
        advertised: A::ADVERTISED,
        call: call::<A>,
    }
}

fn call<A: Api>(
    context: Context,
    index: usize,
    correlation_id: i32,
    body: Option<Bytes>,
) -> BoxFuture<'static, Result<Outcome, DispatchError>> {
    Box::pin(async move {
        let key = A::KEY;
        let version = context.version;
        let broker = Arc::clone(&context.broker);
        let timer = broker.metrics.request(index);
        let client = Arc::clone(&context.client);
        let encode = |response: &<A::Request as Request>::Response, shared: Vec<Bytes>| {
            let mapped = shared.iter().map(Bytes::len).sum();
            let pieces = frame::encode_response(key, version, correlation_id, response, shared)?;
            let reply = broker.unsent.count(&client, pieces, mapped);
            Ok::<_, FrameError>(Outcome::Frame(reply))
        };
        let Some(body) = body else {
            return match A::handle_unknown_version(&context) {
                Some(response) => Ok(encode(&response, Vec::new())?),
                None => Ok(Outcome::Disconnect),
            };
        };
        let request = frame::decode::<A::Request>(key, version, body)?;
        let outcome = match A::handle(context, request).await {
            Reply::Ready(response) => encode(&response, Vec::new())?,
            Reply::Records(response, shared) => encode(&response, shared)?,
            Reply::Silent => Outcome::Silent,
            Reply::Disconnect => Outcome::Disconnect,
        };
        timer.finish();
        Ok(outcome)
    })
}

#[cfg(test)]
#[path = "handlers_test.rs"]
mod tests;
