//! IncrementalAlterConfigs (44), v0–1: changes single configs of a topic or the broker, and leaves
//! the others (KIP-339).
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use protocol::messages::incremental_alter_configs_request::AlterableConfig;
use protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::{ApiKey, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::Api;
use crate::alteration::{self, Answered, Asked};
use crate::dispatch::{Context, Reply};
use crate::metadata::{Alteration, Edit, Operation, TopicError};

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
    const IN_TURN: bool = true;

    async fn handle(
        context: Context,
        request: IncrementalAlterConfigsRequest,
    ) -> Reply<IncrementalAlterConfigsResponse> {
        let asked = request.resources.into_iter().map(|resource| Asked {
            kind: resource.resource_type,
            name: resource.resource_name,
            alteration: edits(resource.configs),
        });
        let altered = alteration::alter(context, asked, request.validate_only).await;
        altered.map_or(Reply::Disconnect, |answers| {
            let responses = answers.into_iter().map(response).collect();
            Reply::Ready(IncrementalAlterConfigsResponse::default().with_responses(responses))
        })
    }
}

fn edits(configs: Vec<AlterableConfig>) -> Result<Alteration, TopicError> {
    let mut names = BTreeSet::new();
    if !configs.iter().all(|config| names.insert(&config.name)) {
        return alteration::refused("Error due to duplicate config keys");
    }
    let needs_value = |config: &&AlterableConfig| config.config_operation != DELETE;
    let nulls = configs.iter().filter(needs_value);
    let nulls = nulls.filter(|config| config.value.is_none());
    let nulls: Vec<&str> = nulls.map(|config| &*config.name).collect();
    alteration::refuse_nulls(&nulls)?;
    let edits = configs.into_iter().map(edit).collect::<Result<_, _>>()?;
    Ok(Alteration::Edit(edits))
}

fn edit(config: AlterableConfig) -> Result<Edit, TopicError> {
    let value = config.value.unwrap_or_default().to_string();
    let operation = match config.config_operation {
        SET => Operation::Set(value),
        DELETE => Operation::Delete,
        APPEND => Operation::Append(value),
        SUBTRACT => Operation::Subtract(value),
        other => return alteration::refused(format!("Unknown operations type {other}")),
    };
    let name = config.name.to_string();
    Ok(Edit { name, operation })
}

fn response(answered: Answered) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_resource_type(answered.kind)
        .with_resource_name(answered.name)
        .with_error_code(answered.error_code)
        .with_error_message(answered.error_message)
}
