//! IncrementalAlterConfigs (44), v0–1: changes single configs of a topic or the broker, and leaves
//! the others (KIP-339).
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::{ApiKey, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::metadata::{Alteration, Edit, Operation, Resource, TopicError};

/// See the module.
pub struct IncrementalAlterConfigs;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

impl Api for IncrementalAlterConfigs {
    const KEY: ApiKey = ApiKey::IncrementalAlterConfigs;
    type Request = IncrementalAlterConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    async fn handle(
        context: Context,
        request: IncrementalAlterConfigsRequest,
    ) -> Reply<IncrementalAlterConfigsResponse> {
        let altering = tokio::task::spawn_blocking(move || {
            let mut times: BTreeMap<(i8, StrBytes), usize> = BTreeMap::new();
            for resource in &request.resources {
                *times.entry(key(resource)).or_default() += 1;
            }
            let resources = request.resources.into_iter();
            let responses = resources.map(|resource| {
                let twice = times[&key(&resource)] > 1;
                let (kind, name) = key(&resource);
                let altered = alter(&context, resource, twice, request.validate_only);
                answer(&context, kind, name, altered)
            });
            IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
        });
        altering.await.map_or(Reply::Disconnect, Reply::Ready)
    }
}

fn key(resource: &AlterConfigsResource) -> (i8, StrBytes) {
    (resource.resource_type, resource.resource_name.clone())
}

fn alter(
    context: &Context,
    resource: AlterConfigsResource,
    twice: bool,
    validate_only: bool,
) -> Result<(), TopicError> {
    let refused = |message: String| Err(TopicError::Request(message));
    if twice {
        return refused("Each resource must appear at most once.".to_owned());
    }
    let mut names = BTreeSet::new();
    if !resource
        .configs
        .iter()
        .all(|config| names.insert(&config.name))
    {
        return refused("Error due to duplicate config keys".to_owned());
    }
    let needs_value = |config: &&AlterableConfig| config.config_operation != DELETE;
    let nulls = resource.configs.iter().filter(needs_value);
    let nulls = nulls.filter(|config| config.value.is_none());
    let nulls: Vec<&str> = nulls.map(|config| &*config.name).collect();
    if !nulls.is_empty() {
        return refused(format!(
            "Null value not supported for : {}",
            nulls.join(", ")
        ));
    }
    let (kind, name) = key(&resource);
    let settings = &context.broker.settings;
    let target = Resource::of(kind, &name, settings)?;
    let edits = resource
        .configs
        .into_iter()
        .map(edit)
        .collect::<Result<_, _>>()?;
    let topics = &context.broker.topics;
    topics.alter(&target, Alteration::Edit(edits), validate_only)
}

fn edit(config: AlterableConfig) -> Result<Edit, TopicError> {
    let value = config.value.unwrap_or_default().to_string();
    let operation = match config.config_operation {
        SET => Operation::Set(value),
        DELETE => Operation::Delete,
        APPEND => Operation::Append(value),
        SUBTRACT => Operation::Subtract(value),
        other => {
            let message = format!("Unknown operations type {other}");
            return Err(TopicError::Request(message));
        }
    };
    let name = config.name.to_string();
    Ok(Edit { name, operation })
}

fn answer(
    context: &Context,
    kind: i8,
    name: StrBytes,
    altered: Result<(), TopicError>,
) -> AlterConfigsResourceResponse {
    let response = AlterConfigsResourceResponse::default()
        .with_resource_type(kind)
        .with_resource_name(name);
    match altered {
        Ok(()) => response,
        Err(error) => response
            .with_error_code(context.error(error.code()))
            .with_error_message(Some(error::message(&error))),
    }
}
