//! TxnOffsetCommit (28), v0–5: commits offsets of a group in a transaction. They count when the
//! transaction commits. From v3 on the client says which member it is; from v5 on the group joins
//! the transaction by this (KIP-890), before by AddOffsetsToTxn.
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::error::ErrorCode;
use protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use protocol::messages::{ApiKey, TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::Api;
use super::offset_commit::Commits;
use crate::coordinator::group::{self, Commit, Committer, append_error};
use crate::coordinator::transaction::{Identity, Target};
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct TxnOffsetCommit;

/// First version by which the group joins the transaction.
const JOINS: i16 = 5;
/// First version whose clients know TRANSACTION_ABORTABLE.
const ABORTABLE: i16 = 4;

impl Api for TxnOffsetCommit {
    const KEY: ApiKey = ApiKey::TxnOffsetCommit;
    type Request = TxnOffsetCommitRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        context: Context,
        request: TxnOffsetCommitRequest,
    ) -> Reply<TxnOffsetCommitResponse> {
        let mut commits = Commits::default();
        for topic in &request.topics {
            let partitions = topic.partitions.iter();
            commits.add(&context, &topic.name, partitions.map(commit));
        }
        let committed = match commits.take() {
            none if none.is_empty() => Ok(()),
            some => store(&context, &request, some).await,
        };
        let topics = commits.answers(&context, committed);
        let topics = topics.map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, error_code)| {
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(error_code)
            });
            TxnOffsetCommitResponseTopic::default()
                .with_name(name)
                .with_partitions(partitions.collect())
        });
        Reply::Ready(TxnOffsetCommitResponse::default().with_topics(topics.collect()))
    }
}

fn commit(partition: &TxnOffsetCommitRequestPartition) -> Commit {
    let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
    Commit {
        topic: Arc::default(),
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: metadata.to_owned(),
    }
}

async fn store(
    context: &Context,
    request: &TxnOffsetCommitRequest,
    commits: Vec<Commit>,
) -> Result<(), ErrorCode> {
    let broker = &context.broker;
    let producer = Identity {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let target = Target {
        topic: group::TOPIC,
        partition: broker.groups.partition_of(&request.group_id)?,
        joins: context.version >= JOINS,
    };
    let who = Committer {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_deref(),
        generation: request.generation_id,
    };
    let transactions = &broker.transactions;
    let id = &request.transactional_id;
    let stored = transactions.within(id, producer, target, || {
        let producer = (producer.id, producer.epoch);
        let groups = &broker.groups;
        groups.commit_in_transaction(&request.group_id, who, producer, commits)
    });
    let (stored, written) = stored.map_err(|error| for_client(context, error))?;
    let (journal, offset) = stored?;
    written.durable().await?;
    if let Some(offset) = offset {
        let durable = journal.durable(offset).await;
        durable.map_err(|error| append_error(&error))?;
    }
    Ok(())
}

/// Errors of the transaction, as clients of this API expect them (Kafka's
/// `AddPartitionsToTxnManager`).
fn for_client(context: &Context, error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if context.version < ABORTABLE => {
            ErrorCode::InvalidTxnState
        }
        ErrorCode::ConcurrentTransactions if context.version < JOINS => {
            ErrorCode::CoordinatorNotAvailable
        }
        error => error,
    }
}
