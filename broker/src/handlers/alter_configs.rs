//! AlterConfigs (33), v0–2: gives a topic or the broker these configs and no others. Clients use
//! IncrementalAlterConfigs where they can, for two who alter at once undo each other's work here.
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use protocol::StrBytes;
use protocol::error;
use protocol::messages::alter_configs_request::AlterConfigsResource;
use protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, ApiKey};

use super::Api;
use crate::dispatch::{Context, Reply};
use crate::metadata::{Alteration, Configs, Resource, TopicError};

/// See the module.
pub struct AlterConfigs;

impl Api for AlterConfigs {
    const KEY: ApiKey = ApiKey::AlterConfigs;
    type Request = AlterConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(context: Context, request: AlterConfigsRequest) -> Reply<AlterConfigsResponse> {
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
            AlterConfigsResponse::default().with_responses(responses.collect())
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
    let (kind, name) = key(&resource);
    let mut configs = Configs::new();
    let mut nulls = Vec::new();
    for config in resource.configs {
        let name = config.name.to_string();
        match config.value {
            None => nulls.push(name),
            Some(value) => {
                if configs.insert(name, value.to_string()).is_some() {
                    return refused("Error due to duplicate config keys".to_owned());
                }
            }
        }
    }
    if !nulls.is_empty() {
        return refused(format!(
            "Null value not supported for : {}",
            nulls.join(", ")
        ));
    }
    let topics = &context.broker.topics;
    let resource = Resource::of(kind, &name, &context.broker.settings)?;
    topics.alter(&resource, Alteration::Replace(configs), validate_only)
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
