//! CreateTopics (19), v2–7: makes topics. From v5 on the response tells what was made, down to every
//! config in force (KIP-525); from v7 on the id.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use protocol::messages::{ApiKey, CreateTopicsRequest, CreateTopicsResponse, TopicName};

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::metadata::{Created, NewTopic, TopicError};

/// See the module.
pub struct CreateTopics;

impl Api for CreateTopics {
    const KEY: ApiKey = ApiKey::CreateTopics;
    type Request = CreateTopicsRequest;
    const VERSIONS: RangeInclusive<i16> = 2..=7;

    async fn handle(context: Context, request: CreateTopicsRequest) -> Reply<CreateTopicsResponse> {
        let creating = tokio::task::spawn_blocking(move || {
            let topics = create(&context, request.topics, request.validate_only);
            CreateTopicsResponse::default().with_topics(topics)
        });
        creating.await.map_or(Reply::Disconnect, Reply::Ready)
    }
}

fn create(
    context: &Context,
    wanted: Vec<CreatableTopic>,
    validate_only: bool,
) -> Vec<CreatableTopicResult> {
    let mut times: BTreeMap<TopicName, usize> = BTreeMap::new();
    for topic in &wanted {
        *times.entry(topic.name.clone()).or_default() += 1;
    }
    let once = wanted.into_iter().filter(|topic| times[&topic.name] == 1);
    let (names, new): (Vec<_>, Vec<_>) = once
        .map(|topic| (topic.name.clone(), new_topic(topic)))
        .unzip();
    let created = context.broker.topics.create(new, validate_only);
    let mut answers: Vec<_> = names
        .into_iter()
        .zip(created)
        .map(|(name, created)| answer(context, name, created))
        .collect();
    let duplicates: BTreeSet<TopicName> = times
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(name, _)| name)
        .collect();
    for name in duplicates {
        let error = TopicError::Request("Duplicate topic name.".to_owned());
        answers.push(answer(context, name, Err(error)));
    }
    answers
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.into_iter().map(|assignment| {
        let brokers = assignment.broker_ids.into_iter().map(i32::from);
        (assignment.partition_index, brokers.collect())
    });
    let configs = topic.configs.into_iter().map(|config| {
        (
            config.name.to_string(),
            config.value.map(|value| value.to_string()),
        )
    });
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn answer(
    context: &Context,
    name: TopicName,
    created: Result<Created, TopicError>,
) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_name(name);
    let described = created.and_then(|created| {
        let settings = context.broker.topics.settings();
        let configs = config::topic::describe(&created.overrides, &settings)?;
        Ok((created, configs))
    });
    match described {
        Ok((created, configs)) => {
            let configs = configs.into_iter().map(|entry| {
                CreatableTopicConfigs::default()
                    .with_name(StrBytes::from_static_str(entry.name))
                    .with_config_source(entry.source.code())
                    .with_value(entry.value.map(StrBytes::from_string))
                    .with_read_only(entry.read_only)
                    .with_is_sensitive(entry.sensitive)
            });
            result
                .with_topic_id(created.id)
                .with_num_partitions(created.partitions)
                .with_replication_factor(1)
                .with_configs(Some(configs.collect()))
        }
        Err(error) => result
            .with_error_code(context.error(error.code()))
            .with_error_message(Some(error::message(&error)))
            .with_configs(Some(Vec::new())),
    }
}
