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
use protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey, TopicName,
};

use super::write_txn_markers::check_markable;
use super::{Api, distinct, fenced_before};
use crate::coordinator::transaction::{Identity, Written};
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
            let results = decide(&context, id, who, topics, false).answer(&context);
            return Reply::Ready(response.with_results_by_topic_v3_and_below(results.await));
        }
        // All are decided first: they reach the disk together.
        let transactions = distinct(request.transactions, |it| it.transactional_id.clone());
        let decided = transactions.map(|transaction| {
            let who = Identity {
                id: transaction.producer_id.0,
                epoch: transaction.producer_epoch,
            };
            let (id, topics) = (transaction.transactional_id, transaction.topics);
            let decided = decide(&context, &id, who, topics, transaction.verify_only);
            (id, decided)
        });
        let decided: Vec<_> = decided.collect();
        let mut results = Vec::with_capacity(decided.len());
        for (id, decided) in decided {
            results.push(
                AddPartitionsToTxnResult::default()
                    .with_transactional_id(id)
                    .with_topic_results(decided.answer(&context).await),
            );
        }
        Reply::Ready(response.with_results_by_transaction(results))
    }
}

/// What became of the partitions of one transaction.
struct Decided {
    topics: Vec<(TopicName, Vec<i32>)>,
    /// One for each partition.
    results: Vec<Result<(), ErrorCode>>,
    /// What has to be on disk before that is told.
    written: Option<Written>,
}

impl Decided {
    async fn answer(self, context: &Context) -> Vec<AddPartitionsToTxnTopicResult> {
        let durable = match &self.written {
            Some(written) => written.durable().await,
            None => Ok(()),
        };
        let mut results = self.results.into_iter();
        let topics = self.topics.into_iter().map(|(name, partitions)| {
            let results = partitions.into_iter().zip(&mut results);
            let results = results.map(|(index, result)| {
                let code = |error| context.error(fenced_before(FENCED, context, error));
                let result = result.and(durable);
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
}

/// Takes effect at once.
fn decide(
    context: &Context,
    id: &str,
    who: Identity,
    topics: Vec<AddPartitionsToTxnTopic>,
    verify_only: bool,
) -> Decided {
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
    let mut results: Vec<_> = places.iter().map(|place| check(context, place)).collect();
    let transactions = &context.broker.transactions;
    let mut written = None;
    if results.iter().any(Result::is_err) {
        let rest = |checked: Result<(), _>| checked.and(Err(ErrorCode::OperationNotAttempted));
        results = results.into_iter().map(rest).collect();
    } else if verify_only {
        results = transactions.verify(id, who, &places);
    } else {
        match transactions.add(id, who, &places) {
            Ok(added) => written = Some(added),
            Err(error) => results = vec![Err(error); places.len()],
        }
    }
    Decided {
        topics,
        results,
        written,
    }
}

/// Whether a partition may join a transaction.
fn check(context: &Context, (topic, partition): &(Arc<str>, i32)) -> Result<(), ErrorCode> {
    let topics = &context.broker.topics;
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
}
