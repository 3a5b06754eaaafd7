//! Fetch (1), v4–18: record batches as they were produced, straight from the mapped segments.
//!
//! Long poll by `min_bytes` and `max_wait_ms`; sessions from v7 (KIP-227); leader epochs from v9
//! (KIP-320); diverging epochs from v12 (KIP-595); topic ids from v13. Records are never null.
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use config::CompressionType;
use protocol::StrBytes;
use protocol::error::{ErrorCode, NONE};
use protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData,
};
use protocol::messages::{ApiKey, BrokerId, FetchRequest, FetchResponse, ProducerId, TopicName};
use uuid::Uuid;

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::fetch::{Answer, Asked, Found, Limits, Patience, Plan, SessionStep, Wanted, wait_for};

/// See the module.
pub struct Fetch;

/// What each partition takes while its fetch waits: what is asked, the partition that was found, the
/// place among those who wait for it.
const WAITING_BYTES: usize = 192;
/// How long a client is told to wait that cannot wait here.
const LONGEST_THROTTLE: Duration = Duration::from_secs(1);
/// First version that names topics by id.
const BY_ID: i16 = 13;
/// First version whose clients know zstd (KIP-110).
const ZSTD: i16 = 10;
/// First version with sessions.
const SESSIONS: i16 = 7;

impl Api for Fetch {
    const KEY: ApiKey = ApiKey::Fetch;
    type Request = FetchRequest;
    const VERSIONS: RangeInclusive<i16> = 4..=18;

    async fn handle(mut context: Context, request: FetchRequest) -> Reply<FetchResponse> {
        let replica = request.replica_id.0.max(request.replica_state.replica_id.0);
        if replica >= 0 {
            // There are no followers, and a client must not pass for one (CVE-2018-1288).
            return refuse(&context, ErrorCode::ClusterAuthorizationFailed);
        }
        let mut step = match session_step(&context, &request) {
            Ok(step) => step,
            Err(error) => return refuse(&context, error),
        };
        let limits = Limits {
            max_bytes: usize::try_from(request.max_bytes)
                .unwrap_or(0)
                .min(context.broker.settings.fetch_max_bytes as usize),
            read_committed: request.isolation_level == 1,
        };
        let patience = Patience {
            max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
            min_bytes: usize::try_from(request.min_bytes)
                .unwrap_or(0)
                .min(limits.max_bytes),
        };
        let read_committed = limits.read_committed;
        drop(request);
        let found = step.wanted.iter().map(|wanted| find(&context, wanted));
        let asked = Arc::new(Asked {
            found: found.collect(),
            wanted: std::mem::take(&mut step.wanted),
        });
        let stopping = context.broker.stopping();
        let held = asked.wanted.len() * WAITING_BYTES;
        let may_wait = || context.keep(held);
        let mut plan = wait_for(&asked, limits, patience, may_wait, stopping).await;
        // There was no room to wait in: its client does it.
        let throttle = if plan.could_not_wait {
            patience.max_wait.min(LONGEST_THROTTLE)
        } else {
            Duration::ZERO
        };
        if plan.cold {
            plan = warm(plan).await;
        }
        count(&asked.found, &plan);
        match respond(&context, &step, &asked.wanted, plan, read_committed) {
            Reply::Records(response, shared) => {
                let throttle_ms = throttle.as_millis() as i32;
                Reply::Records(response.with_throttle_time_ms(throttle_ms), shared)
            }
            refused => refused,
        }
    }
}

fn refuse(context: &Context, error: ErrorCode) -> Reply<FetchResponse> {
    Reply::Ready(FetchResponse::default().with_error_code(context.error(error)))
}

fn session_step(context: &Context, request: &FetchRequest) -> Result<SessionStep, ErrorCode> {
    let topics = &context.broker.topics;
    let name_of = |name: &TopicName, id: Uuid| -> Arc<str> {
        if context.version < BY_ID {
            return Arc::from(name.as_str());
        }
        topics
            .by_id(id)
            .map_or_else(|| Arc::from(""), |topic| Arc::clone(&topic.name))
    };
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let name = name_of(&topic.topic, topic.topic_id);
        wanted.extend(topic.partitions.iter().map(|partition| Wanted {
            topic: Arc::clone(&name),
            topic_id: topic.topic_id,
            partition: partition.partition,
            offset: partition.fetch_offset,
            max_bytes: partition.partition_max_bytes,
            current_leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
        }));
    }
    if context.version < SESSIONS {
        return Ok(SessionStep {
            wanted,
            session: None,
            epoch: 0,
            incremental: false,
        });
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let name = name_of(&topic.topic, topic.topic_id);
        let gone = topic.partitions.iter();
        forgotten.extend(gone.map(|index| (Arc::clone(&name), topic.topic_id, *index)));
    }
    let sessions = &context.broker.sessions;
    Ok(sessions.step(
        (request.session_id, request.session_epoch),
        context.version >= BY_ID,
        wanted,
        &forgotten,
    )?)
}

fn find(context: &Context, wanted: &Wanted) -> Found {
    let topics = &context.broker.topics;
    let topic = if context.version >= BY_ID {
        topics
            .by_id(wanted.topic_id)
            .ok_or(ErrorCode::UnknownTopicId)
    } else {
        topics
            .get(&wanted.topic)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
    };
    match topic {
        // The topic's producers may or may not use zstd; the client would not know what it is.
        Ok(topic)
            if context.version < ZSTD
                && topic.config().compression_type == CompressionType::Zstd =>
        {
            Found::Missing(ErrorCode::UnsupportedCompressionType)
        }
        Ok(topic) => match topic.partition(wanted.partition) {
            Some(partition) => Found::Here(topic, partition),
            None => Found::Missing(ErrorCode::UnknownTopicOrPartition),
        },
        Err(error) => Found::Missing(error),
    }
}

/// Brings cold records into the page cache on a thread that may block, so that the write to the
/// socket does not stall the others that share its thread.
async fn warm(plan: Plan) -> Plan {
    let cold: Vec<_> = plan
        .answers
        .iter()
        .map(|answer| answer.records.clone())
        .collect();
    let warmed = tokio::task::spawn_blocking(move || {
        for records in cold {
            for page in records.chunks(4096) {
                std::hint::black_box(page[0]);
            }
        }
    });
    // A failure to warm costs time, not truth: the pages are read when they are written out.
    let _ = warmed.await;
    plan
}

fn count(found: &[Found], plan: &Plan) {
    for (found, answer) in found.iter().zip(&plan.answers) {
        if let Found::Here(topic, _) = found
            && !answer.records.is_empty()
        {
            topic.metrics.fetched(&answer.records);
        }
    }
}

fn respond(
    context: &Context,
    step: &SessionStep,
    wanted: &[Wanted],
    plan: Plan,
    read_committed: bool,
) -> Reply<FetchResponse> {
    let mut session_id = 0;
    let heard = match &step.session {
        Some(session) => {
            let mut session = session
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            session_id = if wanted.is_empty() { 0 } else { session.id };
            match session.answer(&plan.answers, step.epoch, step.incremental) {
                Ok(heard) => heard,
                Err(error) => return refuse(context, error.into()),
            }
        }
        None => vec![true; plan.answers.len()],
    };
    let mut shared = Vec::new();
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    for ((wanted, answer), heard) in wanted.iter().zip(plan.answers).zip(heard) {
        if !heard {
            continue;
        }
        if !answer.records.is_empty() {
            shared.push(answer.records.clone());
        }
        let data = partition_data(context, wanted, answer, read_committed);
        match responses.last_mut() {
            Some(last) if last.topic_id == wanted.topic_id && *last.topic == *wanted.topic => {
                last.partitions.push(data);
            }
            _ => responses.push(
                FetchableTopicResponse::default()
                    .with_topic(TopicName(StrBytes::from_string(wanted.topic.to_string())))
                    .with_topic_id(wanted.topic_id)
                    .with_partitions(vec![data]),
            ),
        }
    }
    let response = FetchResponse::default()
        .with_error_code(NONE)
        .with_session_id(session_id)
        .with_responses(responses);
    Reply::Records(response, shared)
}

fn partition_data(
    context: &Context,
    wanted: &Wanted,
    answer: Answer,
    read_committed: bool,
) -> PartitionData {
    // None aborted is an empty list to who reads committed, and null to who reads all (KIP-98).
    // Apache Kafka lists none for what is not there, too.
    let missing = matches!(
        answer.error,
        Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId)
    );
    let lists_aborted = read_committed || missing;
    let aborted = answer.aborted.iter().map(|it| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(it.producer_id))
            .with_first_offset(it.first_offset)
    });
    let mut data = PartitionData::default()
        .with_partition_index(wanted.partition)
        .with_error_code(answer.error.map_or(NONE, |error| context.error(error)))
        .with_high_watermark(answer.high_watermark)
        .with_last_stable_offset(answer.last_stable_offset)
        .with_log_start_offset(answer.log_start_offset)
        .with_aborted_transactions(lists_aborted.then(|| aborted.collect()))
        .with_preferred_read_replica(BrokerId(-1))
        .with_records(Some(answer.records));
    if let Some(end) = answer.diverging {
        data = data.with_diverging_epoch(
            EpochEndOffset::default()
                .with_epoch(end.leader_epoch)
                .with_end_offset(end.end_offset),
        );
    }
    data
}
