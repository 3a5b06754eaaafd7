//! AddPartitionsToTxn (24), v0–5: partitions join a transaction before anything is written to them,
//! all or none. Clients speak up to v3; from v4 brokers ask for many transactions at once, or only
//! whether partitions are in one (KIP-890).
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::error::{ErrorCode, NONE};
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey};

use super::write_txn_markers::check_markable;
use super::{Api, distinct, fenced_before};
use crate::coordinator::transaction::Identity;
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct AddPartitionsToTxn;

/// First version with many transactions.
const BATCHED: i16 = 4;
/// First version whose clients know PRODUCER_FENCED.
const FENCED: i16 = 2;

impl Api for AddPartitionsToTxn {
    const KEY: ApiKey = ApiKey::AddPartitionsToTxn;
    type Request = AddPartitionsToTxnRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        context: Context,
        request: AddPartitionsToTxnRequest,
    ) -> Reply<AddPartitionsToTxnResponse> {
        let response = AddPartitionsToTxnResponse::default();
        if context.version < BATCHED {
            let who = Identity {
                id: request.v3_and_below_producer_id.0,
                epoch: request.v3_and_below_producer_epoch,
            };
            let topics = request.v3_and_below_topics;
            let id = &request.v3_and_below_transactional_id;
            let results = answer(&context, id, who, topics, false).await;
            return Reply::Ready(response.with_results_by_topic_v3_and_below(results));
        }
        let mut results = Vec::new();
        for transaction in distinct(request.transactions, |it| it.transactional_id.clone()) {
            let who = Identity {
                id: transaction.producer_id.0,
                epoch: transaction.producer_epoch,
            };
            let id = transaction.transactional_id;
            let topics = transaction.topics;
            let topics = answer(&context, &id, who, topics, transaction.verify_only).await;
            results.push(
                AddPartitionsToTxnResult::default()
                    .with_transactional_id(id)
                    .with_topic_results(topics),
            );
        }
        Reply::Ready(response.with_results_by_transaction(results))
    }
}

async fn answer(
    context: &Context,
    id: &str,
    who: Identity,
    topics: Vec<AddPartitionsToTxnTopic>,
    verify_only: bool,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = distinct(topics, |topic| topic.name.clone());
    let topics: Vec<_> = topics
        .map(|topic| {
            let partitions = distinct(topic.partitions, |index| *index);
            (topic.name, partitions.collect::<Vec<_>>())
        })
        .collect();
    let mut places = Vec::new();
    for (name, partitions) in &topics {
        let name: Arc<str> = Arc::from(&***name);
        places.extend(partitions.iter().map(|index| (Arc::clone(&name), *index)));
    }
    let mut results = decide(context, id, who, &places, verify_only)
        .await
        .into_iter();
    let topics = topics.into_iter().map(|(name, partitions)| {
        let results = partitions.into_iter().zip(&mut results);
        let results = results.map(|(index, result)| {
            let code = |error| context.error(fenced_before(FENCED, context, error));
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(index)
                .with_partition_error_code(result.map_or_else(code, |()| NONE))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(name)
            .with_results_by_partition(results.collect())
    });
    topics.collect()
}

/// One result for each partition.
async fn decide(
    context: &Context,
    id: &str,
    who: Identity,
    places: &[(Arc<str>, i32)],
    verify_only: bool,
) -> Vec<Result<(), ErrorCode>> {
    let topics = &context.broker.topics;
    let check = |(topic, partition): &(Arc<str>, i32)| {
        let topic = topics
            .get(topic)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        topic
            .partition(*partition)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        // Offsets join a transaction of a client by AddOffsetsToTxn alone.
        if context.version >= BATCHED {
            check_markable(&topic)
        } else {
            topic.check_open().map_err(|error| error.code())
        }
    };
    let checked: Vec<Result<(), ErrorCode>> = places.iter().map(check).collect();
    if checked.iter().any(Result::is_err) {
        let rest = |checked: Result<(), _>| checked.and(Err(ErrorCode::OperationNotAttempted));
        return checked.into_iter().map(rest).collect();
    }
    let transactions = &context.broker.transactions;
    if verify_only {
        return transactions.verify(id, who, places);
    }
    let added = transactions.add(id, who, places).await;
    vec![added; places.len()]
}
