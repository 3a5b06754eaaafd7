//! ListTransactions (66), v0–2: the transactional ids that there are, by state, producer id, from v1
//! on by how long a transaction has been open (KIP-664, KIP-994), and from v2 on by a regular
//! expression that the whole id must match (KIP-1152).
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error::{ErrorCode, NONE};
use protocol::messages::list_transactions_response::TransactionState;
use protocol::messages::{
    ApiKey, ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId,
};

use super::Api;
use crate::coordinator::transaction::{Filter, Pattern, State};
use crate::dispatch::{Context, Reply};

/// See the module.
pub struct ListTransactions;

impl Api for ListTransactions {
    const KEY: ApiKey = ApiKey::ListTransactions;
    type Request = ListTransactionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        context: Context,
        request: ListTransactionsRequest,
    ) -> Reply<ListTransactionsResponse> {
        let known = |name: &StrBytes| State::ALL.into_iter().find(|it| it.name() == &**name);
        let filters = &request.state_filters;
        let unknown = filters.iter().filter(|name| known(name).is_none());
        let unknown: Vec<_> = unknown.cloned().collect();
        let states: Vec<_> = filters.iter().filter_map(known).collect();
        let nothing = states.is_empty() && !filters.is_empty();
        let pattern = request.transactional_id_pattern.as_deref();
        let pattern = pattern.filter(|it| !it.is_empty()).map(Pattern::new);
        let Ok(pattern) = pattern.transpose() else {
            let error = context.error(ErrorCode::InvalidRegularExpression);
            return Reply::Ready(ListTransactionsResponse::default().with_error_code(error));
        };
        let filter = Filter {
            pattern,
            states,
            producer_ids: request.producer_id_filters.iter().map(|id| id.0).collect(),
            longer_than_ms: request.duration_filter,
        };
        let listed = if nothing {
            Vec::new()
        } else {
            context.broker.transactions.list(&filter)
        };
        let states = listed.into_iter().map(|it| {
            TransactionState::default()
                .with_transactional_id(TransactionalId(StrBytes::from_string(it.id.to_string())))
                .with_producer_id(ProducerId(it.producer.id))
                .with_transaction_state(StrBytes::from_static_str(it.state.name()))
        });
        let response = ListTransactionsResponse::default()
            .with_error_code(NONE)
            .with_unknown_state_filters(unknown)
            .with_transaction_states(states.collect());
        Reply::Ready(response)
    }
}
