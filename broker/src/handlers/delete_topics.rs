//! DeleteTopics (20), v1–6: deletes topics by name, or from v6 on by id (KIP-516).
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use protocol::StrBytes;
use protocol::error::{self, ErrorCode};
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::delete_topics_response::DeletableTopicResult;
use protocol::messages::{ApiKey, DeleteTopicsRequest, DeleteTopicsResponse, TopicName};

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::metadata::{Topic, TopicError, Topics};

/// See the module.
pub struct DeleteTopics;

/// First version that names topics by id, in a list of its own.
const BY_ID: i16 = 6;
/// First version that knows TOPIC_DELETION_DISABLED.
const DELETION_DISABLED: i16 = 3;

impl Api for DeleteTopics {
    const KEY: ApiKey = ApiKey::DeleteTopics;
    type Request = DeleteTopicsRequest;
    const VERSIONS: RangeInclusive<i16> = 1..=6;

    async fn handle(context: Context, request: DeleteTopicsRequest) -> Reply<DeleteTopicsResponse> {
        let deleting = tokio::task::spawn_blocking(move || {
            let by_name = |name: TopicName| DeleteTopicState::default().with_name(Some(name));
            let wanted = if context.version >= BY_ID {
                request.topics
            } else {
                request.topic_names.into_iter().map(by_name).collect()
            };
            DeleteTopicsResponse::default().with_responses(delete(&context, wanted))
        });
        deleting.await.map_or(Reply::Disconnect, Reply::Ready)
    }
}

fn delete(context: &Context, wanted: Vec<DeleteTopicState>) -> Vec<DeletableTopicResult> {
    let mut times: BTreeMap<DeleteKey, usize> = BTreeMap::new();
    for state in &wanted {
        *times.entry(key(state)).or_default() += 1;
    }
    let mut answers = Vec::with_capacity(times.len());
    for state in wanted {
        // The answer to what stands there twice comes once.
        let Some(times) = times.remove(&key(&state)) else {
            continue;
        };
        let deleted = check(&state, times).and_then(|()| {
            let topics = &context.broker.topics;
            let topic = topics.delete(|topics| find(topics, &state))?;
            context.broker.groups.forget_topic(&topic.name);
            Ok(topic)
        });
        answers.push(answer(context, state, deleted));
    }
    answers
}

type DeleteKey = (Option<TopicName>, uuid::Uuid);

fn key(state: &DeleteTopicState) -> DeleteKey {
    (state.name.clone(), state.topic_id)
}

fn check(state: &DeleteTopicState, times: usize) -> Result<(), TopicError> {
    let refused = |message: &str| Err(TopicError::Request(message.to_owned()));
    match (&state.name, state.topic_id.is_nil()) {
        (None, true) => refused("Neither topic name nor id were specified."),
        (Some(_), false) => refused("You may not specify both topic name and topic id."),
        (Some(_), true) if times > 1 => refused("Duplicate topic name."),
        (None, false) if times > 1 => refused("Duplicate topic id."),
        _ => Ok(()),
    }
}

fn find(topics: &Topics, state: &DeleteTopicState) -> Result<Arc<Topic>, TopicError> {
    match &state.name {
        Some(name) => topics.get(name).ok_or(TopicError::Unknown),
        None => topics.by_id(state.topic_id).ok_or(TopicError::UnknownId),
    }
}

fn answer(
    context: &Context,
    state: DeleteTopicState,
    deleted: Result<Arc<Topic>, TopicError>,
) -> DeletableTopicResult {
    let result = DeletableTopicResult::default();
    match deleted {
        Ok(topic) => result
            .with_name(Some(TopicName(StrBytes::from_string(
                topic.name.to_string(),
            ))))
            .with_topic_id(topic.id),
        Err(error) => {
            let code = match error {
                TopicError::DeletionDisabled if context.version < DELETION_DISABLED => {
                    ErrorCode::InvalidRequest
                }
                ref error => error.code(),
            };
            result
                .with_name(state.name)
                .with_topic_id(state.topic_id)
                .with_error_code(context.error(code))
                .with_error_message(Some(error::message(&error)))
        }
    }
}
