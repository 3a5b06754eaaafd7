//! CreatePartitions (37), v0–3: adds partitions to topics.
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use protocol::error;
use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use protocol::messages::{ApiKey, CreatePartitionsRequest, CreatePartitionsResponse, TopicName};

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::metadata::TopicError;

/// See the module.
pub struct CreatePartitions;

impl Api for CreatePartitions {
    const KEY: ApiKey = ApiKey::CreatePartitions;
    type Request = CreatePartitionsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=3;

    async fn handle(
        context: Context,
        request: CreatePartitionsRequest,
    ) -> Reply<CreatePartitionsResponse> {
        let creating = tokio::task::spawn_blocking(move || {
            let mut wanted: BTreeMap<TopicName, Vec<CreatePartitionsTopic>> = BTreeMap::new();
            for topic in request.topics {
                wanted.entry(topic.name.clone()).or_default().push(topic);
            }
            let results = wanted.into_iter().map(|(name, topics)| {
                let grown = grow(&context, &topics, request.validate_only);
                answer(&context, name, grown)
            });
            CreatePartitionsResponse::default().with_results(results.collect())
        });
        creating.await.map_or(Reply::Disconnect, Reply::Ready)
    }
}

fn grow(
    context: &Context,
    topics: &[CreatePartitionsTopic],
    validate_only: bool,
) -> Result<(), TopicError> {
    let [topic] = topics else {
        return Err(TopicError::Request("Duplicate topic name.".to_owned()));
    };
    let assignments: Option<Vec<Vec<i32>>> = topic.assignments.as_ref().map(|assignments| {
        let brokers = assignments.iter().map(|assignment| &assignment.broker_ids);
        brokers
            .map(|ids| ids.iter().map(|id| id.0).collect())
            .collect()
    });
    context.broker.topics.create_partitions(
        &topic.name,
        topic.count,
        assignments.as_deref(),
        validate_only,
    )
}

fn answer(
    context: &Context,
    name: TopicName,
    grown: Result<(), TopicError>,
) -> CreatePartitionsTopicResult {
    let result = CreatePartitionsTopicResult::default().with_name(name);
    match grown {
        Ok(()) => result,
        Err(error) => result
            .with_error_code(context.error(error.code()))
            .with_error_message(Some(error::message(&error))),
    }
}
