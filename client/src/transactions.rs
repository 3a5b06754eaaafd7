//! Transactions from outside: listing, describing, and aborting one that nobody else will end.
use protocol::messages::describe_producers_request::TopicRequest;
use protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use protocol::messages::{
    ApiKey, DescribeProducersRequest, DescribeTransactionsRequest, ListTransactionsRequest,
    ProducerId, TransactionalId, WriteTxnMarkersRequest,
};

use crate::TopicPartition;
use crate::connection::Connection;
use crate::error::{ClientError, check};
use crate::topics::{text, topic_name};

/// Which transactional ids are asked for.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    /// In one of these states; empty for any.
    pub states: Vec<String>,
    /// Of one of these producers; empty for any.
    pub producer_ids: Vec<i64>,
    /// With a transaction that began longer ago than this; `None` for any.
    pub longer_than_ms: Option<i64>,
}

/// A transactional id in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionListing {
    /// The id.
    pub transactional_id: String,
    /// Who writes under it.
    pub producer_id: i64,
    /// `Ongoing`, `Empty` and so on.
    pub state: String,
}

/// A described transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionDescription {
    /// The id.
    pub transactional_id: String,
    /// `Ongoing`, `Empty` and so on.
    pub state: String,
    /// Who writes under it.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// How long a transaction may be open.
    pub timeout_ms: i32,
    /// When the transaction began, epoch ms; `None` without one.
    pub started_ms: Option<i64>,
    /// What is in it.
    pub partitions: Vec<TopicPartition>,
}

/// A transaction that is open in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTransaction {
    /// Whose it is.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Epoch of the coordinator that ended its last one, -1 if there was none.
    pub coordinator_epoch: i32,
    /// Where it begins.
    pub first_offset: i64,
}

impl Connection {
    /// The transactional ids that the filter lets through.
    pub async fn list_transactions(
        &mut self,
        filter: &TransactionFilter,
    ) -> Result<Vec<TransactionListing>, ClientError> {
        let request = ListTransactionsRequest::default()
            .with_state_filters(filter.states.iter().map(|state| text(state)).collect())
            .with_producer_id_filters(
                filter
                    .producer_ids
                    .iter()
                    .copied()
                    .map(ProducerId)
                    .collect(),
            )
            .with_duration_filter(filter.longer_than_ms.unwrap_or(-1));
        let answer = self.send(&request).await?;
        check(answer.error_code, None, || "list transactions".to_owned())?;
        let listed = answer.transaction_states.iter();
        let mut listed: Vec<_> = listed
            .map(|it| TransactionListing {
                transactional_id: it.transactional_id.to_string(),
                producer_id: it.producer_id.0,
                state: it.transaction_state.to_string(),
            })
            .collect();
        listed.sort_by(|a, b| a.transactional_id.cmp(&b.transactional_id));
        Ok(listed)
    }

    /// One transactional id.
    pub async fn describe_transaction(
        &mut self,
        id: &str,
    ) -> Result<TransactionDescription, ClientError> {
        let ids = vec![TransactionalId(text(id))];
        let request = DescribeTransactionsRequest::default().with_transactional_ids(ids);
        let answer = self.send(&request).await?;
        let found = answer.transaction_states.first();
        let found = found.ok_or(ClientError::Incomplete(ApiKey::DescribeTransactions))?;
        check(found.error_code, None, || format!("transactional id {id}"))?;
        let topics = found.topics.iter();
        let partitions = topics.flat_map(|topic| {
            let indexes = topic.partitions.iter();
            indexes.map(|index| (topic.topic.to_string(), *index))
        });
        Ok(TransactionDescription {
            transactional_id: id.to_owned(),
            state: found.transaction_state.to_string(),
            producer_id: found.producer_id.0,
            producer_epoch: found.producer_epoch,
            timeout_ms: found.transaction_timeout_ms,
            started_ms: Some(found.transaction_start_time_ms).filter(|at_ms| *at_ms >= 0),
            partitions: partitions.collect(),
        })
    }

    /// The transactions that are open in a partition.
    pub async fn open_transactions(
        &mut self,
        topic: &str,
        partition: i32,
    ) -> Result<Vec<OpenTransaction>, ClientError> {
        let topics = TopicRequest::default()
            .with_name(topic_name(topic))
            .with_partition_indexes(vec![partition]);
        let request = DescribeProducersRequest::default().with_topics(vec![topics]);
        let answer = self.send(&request).await?;
        let found = answer.topics.first().and_then(|it| it.partitions.first());
        let found = found.ok_or(ClientError::Incomplete(ApiKey::DescribeProducers))?;
        check(found.error_code, found.error_message.as_ref(), || {
            format!("{topic}-{partition}")
        })?;
        let producers = found.active_producers.iter();
        let open = producers.filter(|it| it.current_txn_start_offset >= 0);
        let open = open.map(|it| OpenTransaction {
            producer_id: it.producer_id.0,
            producer_epoch: it.producer_epoch as i16,
            coordinator_epoch: it.coordinator_epoch,
            first_offset: it.current_txn_start_offset,
        });
        Ok(open.collect())
    }

    /// Aborts a transaction in one partition, whatever the coordinator knows of it.
    pub async fn abort_transaction(
        &mut self,
        topic: &str,
        partition: i32,
        open: OpenTransaction,
    ) -> Result<(), ClientError> {
        let topics = WritableTxnMarkerTopic::default()
            .with_name(topic_name(topic))
            .with_partition_indexes(vec![partition]);
        let marker = WritableTxnMarker::default()
            .with_producer_id(ProducerId(open.producer_id))
            .with_producer_epoch(open.producer_epoch)
            .with_coordinator_epoch(open.coordinator_epoch.max(0))
            .with_transaction_result(false)
            .with_topics(vec![topics]);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        let answer = self.send(&request).await?;
        let result = answer
            .markers
            .first()
            .and_then(|marker| marker.topics.first()?.partitions.first())
            .ok_or(ClientError::Incomplete(ApiKey::WriteTxnMarkers))?;
        check(result.error_code, None, || {
            format!(
                "abort of producer {} in {topic}-{partition}",
                open.producer_id
            )
        })
    }
}
