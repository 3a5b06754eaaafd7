//! Produce (0), v3–13: appends one record batch per partition.
//!
//! v0–2 are advertised as Apache Kafka 4 does (KAFKA-18659), but not served. v13 names topics by id.
//! A batch of a transaction is appended only while its producer has the transaction open and the
//! partition is in it; by v12 and later the partition joins it (KIP-890).
//! acks=1 is answered when the batch is in the mapping; acks=all when it is durable (with
//! `flush = "commit"`); both when it is durable if `flush.messages` forced a flush; acks=0 not at
//! all, an error closes the connection.
use std::ops::RangeInclusive;
use std::sync::Arc;

use config::FlushPolicy;
use protocol::StrBytes;
use protocol::error::{self, ErrorCode};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use protocol::messages::{ApiKey, ProduceRequest, ProduceResponse, TopicName};
use protocol::record::{BatchHeader, Compression, RecordError};
use storage::{AppendError, Appended, Origin};

use super::Api;
use crate::coordinator::transaction::{Identity, Target, Written};
use crate::dispatch::{Context, Reply};
use crate::metadata::{Topic, TopicError};
use crate::partition::{Partition, recompress};

/// See the module.
pub struct Produce;

/// First version whose clients know zstd (KIP-110).
const ZSTD: i16 = 7;
/// Records of a batch that are named as wrong: a batch of millions can be wrong in all of them.
const RECORD_ERRORS: usize = 1_000;
/// What a batch takes while it waits for the disk: its place, and its answer.
const WAITING_BYTES: usize = 320;
/// First version that names topics by id.
const BY_ID: i16 = 13;
/// First version whose clients know TRANSACTION_ABORTABLE.
const ABORTABLE: i16 = 11;
/// First version by which a partition joins a transaction.
const JOINS: i16 = 12;

impl Api for Produce {
    const KEY: ApiKey = ApiKey::Produce;
    type Request = ProduceRequest;
    const VERSIONS: RangeInclusive<i16> = 3..=13;
    const ADVERTISED: RangeInclusive<i16> = 0..=13;

    async fn handle(mut context: Context, request: ProduceRequest) -> Reply<ProduceResponse> {
        let mut appends = Vec::new();
        let mut responses = Vec::with_capacity(request.topic_data.len());
        for topic_data in &request.topic_data {
            let topic = find(&context, topic_data);
            let mut answers = Vec::with_capacity(topic_data.partition_data.len());
            for data in &topic_data.partition_data {
                let place = (responses.len(), answers.len());
                answers.push(match append(&context, &request, &topic, data) {
                    Ok((accepted, answer)) => {
                        appends.push((accepted, place));
                        answer
                    }
                    Err(refusal) => refusal.answer(&context, data.index),
                });
            }
            responses.push(
                TopicProduceResponse::default()
                    // A copy: a part of the frame would keep all of it.
                    .with_name(TopicName(StrBytes::from_string(
                        topic_data.name.to_string(),
                    )))
                    .with_topic_id(topic_data.topic_id)
                    .with_partition_responses(answers),
            );
        }
        let acks = request.acks;
        // The records are in the log: their buffer does not wait for the disk.
        drop(request);
        if acks == 0 {
            let failed = responses
                .iter()
                .flat_map(|topic| &topic.partition_responses);
            let failed = failed.into_iter().any(|answer| answer.error_code != 0);
            return if failed {
                Reply::Disconnect
            } else {
                Reply::Silent
            };
        }
        context.keep(appends.len() * WAITING_BYTES);
        let all_durable = acks == -1 && context.broker.settings.flush == FlushPolicy::Commit;
        for (accepted, (topic, place)) in appends {
            if (all_durable || accepted.appended.flush_forced)
                && let Err(refusal) = accepted.durable().await
            {
                let answer = &mut responses[topic].partition_responses[place];
                *answer = refusal.answer(&context, answer.index);
            }
        }
        Reply::Ready(ProduceResponse::default().with_responses(responses))
    }
}

fn find(context: &Context, data: &TopicProduceData) -> Result<Arc<Topic>, ErrorCode> {
    let topics = &context.broker.topics;
    if context.version >= BY_ID {
        topics.by_id(data.topic_id).ok_or(ErrorCode::UnknownTopicId)
    } else {
        topics
            .get(&data.name)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

/// A batch that was taken.
struct Accepted {
    partition: Arc<Partition>,
    appended: Appended,
    /// The entry that says that the partition is in the batch's transaction.
    joined: Option<Written>,
}

impl Accepted {
    async fn durable(&self) -> Result<(), Refusal> {
        self.partition.durable(self.appended.last_offset).await?;
        if let Some(joined) = &self.joined {
            joined.durable().await.map_err(Refusal::code)?;
        }
        Ok(())
    }
}

fn append(
    context: &Context,
    request: &ProduceRequest,
    topic: &Result<Arc<Topic>, ErrorCode>,
    data: &PartitionProduceData,
) -> Result<(Accepted, PartitionProduceResponse), Refusal> {
    if !matches!(request.acks, -1..=1) {
        return Err(Refusal::code(ErrorCode::InvalidRequiredAcks));
    }
    let topic = topic.as_ref().map_err(|error| Refusal::code(*error))?;
    let partition = topic
        .partition(data.index)
        .ok_or(Refusal::code(ErrorCode::UnknownTopicOrPartition))?;
    topic.check_open()?;
    let records = data.records.as_deref().unwrap_or_default();
    if context.version < ZSTD && is_zstd(records) {
        return Err(Refusal::code(ErrorCode::UnsupportedCompressionType));
    }
    let recompressed = recompress(&topic.config(), records)?;
    let records = recompressed.as_deref().unwrap_or(records);
    let write = || {
        partition
            .append(records, Origin::Client)
            .map_err(|error| Refusal::of_log(error, &partition))
    };
    let (appended, joined) = match BatchHeader::parse(records) {
        Ok(header) if header.attributes.is_transactional() => {
            let (appended, joined) = in_transaction(context, request, topic, data, &header, write)?;
            (appended?, Some(joined))
        }
        _ => (write()?, None),
    };
    if !appended.duplicate {
        let count = (appended.last_offset - appended.base_offset + 1) as u64;
        topic.metrics.appended(count, records.len() as u64);
    }
    let answer = PartitionProduceResponse::default()
        .with_index(data.index)
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(appended.log_append_time_ms)
        .with_log_start_offset(appended.log_start_offset);
    let accepted = Accepted {
        partition,
        appended,
        joined,
    };
    Ok((accepted, answer))
}

fn is_zstd(records: &[u8]) -> bool {
    BatchHeader::parse(records)
        .is_ok_and(|header| header.attributes.compression() == Ok(Compression::Zstd))
}

/// Writes a batch of a transaction while that is held open.
fn in_transaction<R>(
    context: &Context,
    request: &ProduceRequest,
    topic: &Topic,
    data: &PartitionProduceData,
    header: &BatchHeader,
    write: impl FnOnce() -> R,
) -> Result<(R, Written), Refusal> {
    let id = request.transactional_id.as_ref();
    let id = id.ok_or(Refusal::code(ErrorCode::TransactionalIdAuthorizationFailed))?;
    let producer = Identity {
        id: header.producer_id,
        epoch: header.producer_epoch,
    };
    let target = Target {
        topic: &topic.name,
        partition: data.index,
        joins: context.version >= JOINS,
    };
    let written = context
        .broker
        .transactions
        .within(id, producer, target, write);
    // As Kafka's `AddPartitionsToTxnManager` and `ReplicaManager` tell it.
    written.map_err(|error| {
        Refusal::code(match error {
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            ErrorCode::TransactionAbortable if context.version < ABORTABLE => {
                ErrorCode::InvalidTxnState
            }
            ErrorCode::ConcurrentTransactions if context.version < JOINS => {
                ErrorCode::NotEnoughReplicas
            }
            ErrorCode::CoordinatorNotAvailable => ErrorCode::NotEnoughReplicas,
            error => error,
        })
    })
}

/// Why a partition's batch was not taken, in the protocol's terms.
struct Refusal {
    code: ErrorCode,
    message: Option<String>,
    records: Vec<(usize, String)>,
    log_start_offset: i64,
}

impl Refusal {
    fn code(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
            records: Vec::new(),
            log_start_offset: -1,
        }
    }

    /// The refusal of a partition that looked into the batch: it tells its log start too, as Apache
    /// Kafka does for what it learns only then (`ReplicaManager.appendToLocalLog`).
    fn of_log(error: AppendError, partition: &Partition) -> Self {
        let looked_into = matches!(
            error,
            AppendError::MissingKey { .. }
                | AppendError::Timestamp { .. }
                | AppendError::OutOfOrderSequence { .. }
                | AppendError::FencedProducer { .. }
        );
        let log_start_offset = if looked_into {
            partition.log.start_offset()
        } else {
            -1
        };
        Self {
            log_start_offset,
            ..Self::from(error)
        }
    }

    fn answer(self, context: &Context, index: i32) -> PartitionProduceResponse {
        let records = self.records.into_iter().map(|(index, message)| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(index as i32)
                .with_batch_index_error_message(Some(error::message(&message)))
        });
        PartitionProduceResponse::default()
            .with_index(index)
            .with_error_code(context.error(self.code))
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(self.log_start_offset)
            .with_record_errors(records.collect())
            .with_error_message(self.message.map(|text| error::message(&text)))
    }
}

impl From<TopicError> for Refusal {
    fn from(error: TopicError) -> Self {
        Self {
            // Apache Kafka has no words for its own internal topics.
            message: matches!(error, TopicError::Owned { .. }).then(|| error.to_string()),
            ..Self::code(error.code())
        }
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let code = code_of(&error);
        let message = Some(error.to_string());
        let records = match error {
            AppendError::MissingKey { indexes } => {
                let reason = "Compacted topic cannot accept message without key";
                indexes
                    .into_iter()
                    .take(RECORD_ERRORS)
                    .map(|index| (index, reason.to_owned()))
                    .collect()
            }
            AppendError::Timestamp { index, timestamp } => {
                vec![(index, format!("Timestamp {timestamp} is out of range"))]
            }
            AppendError::Record(RecordError::BadRecord { index, reason }) => {
                vec![(index, reason.to_owned())]
            }
            _ => Vec::new(),
        };
        Self {
            code,
            message,
            records,
            log_start_offset: -1,
        }
    }
}

fn code_of(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Record(
            RecordError::BadCrc { .. } | RecordError::BadLength(_) | RecordError::Truncated { .. },
        ) => ErrorCode::CorruptMessage,
        AppendError::Record(_) | AppendError::BatchCount(_) | AppendError::MissingKey { .. } => {
            ErrorCode::InvalidRecord
        }
        AppendError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        AppendError::Timestamp { .. } => ErrorCode::InvalidTimestamp,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::FencedProducer { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::FencedCoordinator { .. } => ErrorCode::TransactionCoordinatorFenced,
        AppendError::OpenTransaction { .. } => ErrorCode::InvalidTxnState,
        AppendError::Closed => ErrorCode::UnknownTopicOrPartition,
        AppendError::Full(_) | AppendError::Poisoned | AppendError::Storage(_) => {
            ErrorCode::KafkaStorageError
        }
    }
}
