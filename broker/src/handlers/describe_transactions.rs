//! DescribeTransactions (65), v0: what is known of transactional ids (KIP-664).
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error::{ErrorCode, NONE};
use protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use protocol::messages::{
    ApiKey, DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName,
};

use super::{Api, distinct};
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct DescribeTransactions;

impl Api for DescribeTransactions {
    const KEY: ApiKey = ApiKey::DescribeTransactions;
    type Request = DescribeTransactionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    async fn handle(
        context: Context,
        request: DescribeTransactionsRequest,
    ) -> Reply<DescribeTransactionsResponse> {
        let states = distinct(request.transactional_ids, Clone::clone).map(|id| {
            let described = describe(&context, &id);
            described
                .unwrap_or_else(|error| {
                    TransactionState::default().with_error_code(context.error(error))
                })
                .with_transactional_id(id)
        });
        let response = DescribeTransactionsResponse::default();
        Reply::Ready(response.with_transaction_states(states.collect()))
    }
}

fn describe(context: &Context, id: &str) -> Result<TransactionState, ErrorCode> {
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let described = context.broker.transactions.describe(id);
    let described = described.ok_or(ErrorCode::TransactionalIdNotFound)?;
    let topics = described.partitions.iter().map(|(topic, partitions)| {
        TopicData::default()
            .with_topic(TopicName(StrBytes::from_string(topic.to_string())))
            .with_partitions(partitions.iter().copied().collect())
    });
    Ok(TransactionState::default()
        .with_error_code(NONE)
        .with_transaction_state(StrBytes::from_static_str(described.state.name()))
        .with_transaction_timeout_ms(described.timeout_ms)
        .with_transaction_start_time_ms(described.started_ms)
        .with_producer_id(ProducerId(described.producer.id))
        .with_producer_epoch(described.producer.epoch)
        .with_topics(topics.collect()))
}
