//! AlterConfigs (33), v0–2: gives a topic or the broker these configs and no others. Clients use
//! IncrementalAlterConfigs where they can, for two who alter at once undo each other's work here.
use std::ops::RangeInclusive;

use protocol::messages::alter_configs_request::AlterableConfig;
use protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, ApiKey};

use super::Api;
use crate::alteration::{self, Answered, Asked};
use crate::dispatch::{Context, Reply};
use crate::metadata::{Alteration, Configs, TopicError};

/// See the module.
pub struct AlterConfigs;

impl Api for AlterConfigs {
    const KEY: ApiKey = ApiKey::AlterConfigs;
    type Request = AlterConfigsRequest;
    const VERSIONS: RangeInclusive<i16> = 0..=2;
    const IN_TURN: bool = true;

    async fn handle(context: Context, request: AlterConfigsRequest) -> Reply<AlterConfigsResponse> {
        let asked = request.resources.into_iter().map(|resource| Asked {
            kind: resource.resource_type,
            name: resource.resource_name,
            alteration: replacement(resource.configs),
        });
        let altered = alteration::alter(context, asked, request.validate_only).await;
        altered.map_or(Reply::Disconnect, |answers| {
            let responses = answers.into_iter().map(response).collect();
            Reply::Ready(AlterConfigsResponse::default().with_responses(responses))
        })
    }
}

fn replacement(configs: Vec<AlterableConfig>) -> Result<Alteration, TopicError> {
    let nulls = configs.iter().filter(|config| config.value.is_none());
    let nulls: Vec<&str> = nulls.map(|config| &*config.name).collect();
    alteration::refuse_nulls(&nulls)?;
    let mut replacement = Configs::new();
    for config in configs {
        let value = config.value.unwrap_or_default().to_string();
        if replacement.insert(config.name.to_string(), value).is_some() {
            return alteration::refused("Error due to duplicate config keys");
        }
    }
    Ok(Alteration::Replace(replacement))
}

fn response(answered: Answered) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_resource_type(answered.kind)
        .with_resource_name(answered.name)
        .with_error_code(answered.error_code)
        .with_error_message(answered.error_message)
}
