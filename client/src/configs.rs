//! Reading and changing the configs of topics.
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use protocol::messages::{ApiKey, DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use crate::connection::Connection;
use crate::error::{ClientError, check};
use crate::topics::text;

/// The resource type of a topic (Kafka's `ConfigResource.Type`).
const TOPIC: i8 = 2;

/// A config with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigValue {
    /// Name.
    pub name: String,
    /// Value, `None` for null.
    pub value: Option<String>,
    /// Where the value comes from, in words.
    pub source: &'static str,
    /// What it does.
    pub doc: String,
}

impl ConfigValue {
    /// Whether the topic itself sets it.
    pub fn is_own(&self) -> bool {
        self.source == "topic"
    }
}

/// A change of one config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets it.
    Set(String, String),
    /// Takes it back to what it falls back to.
    Delete(String),
}

impl Connection {
    /// All configs of a topic.
    pub async fn topic_configs(&mut self, topic: &str) -> Result<Vec<ConfigValue>, ClientError> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(topic))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![resource])
            .with_include_documentation(true);
        let answer = self.send(&request).await?;
        let result = answer
            .results
            .first()
            .ok_or(ClientError::Incomplete(ApiKey::DescribeConfigs))?;
        check(result.error_code, result.error_message.as_ref(), || {
            format!("configs of topic {topic}")
        })?;
        let mut configs: Vec<ConfigValue> = result
            .configs
            .iter()
            .map(|config| ConfigValue {
                name: config.name.to_string(),
                value: config.value.as_ref().map(ToString::to_string),
                source: source(config.config_source),
                doc: config
                    .documentation
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            })
            .collect();
        configs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(configs)
    }

    /// Changes configs of a topic, all or none.
    pub async fn alter_topic_configs(
        &mut self,
        topic: &str,
        changes: &[ConfigChange],
    ) -> Result<(), ClientError> {
        let configs = changes
            .iter()
            .map(|change| match change {
                ConfigChange::Set(name, value) => AlterableConfig::default()
                    .with_name(text(name))
                    .with_config_operation(0)
                    .with_value(Some(text(value))),
                ConfigChange::Delete(name) => AlterableConfig::default()
                    .with_name(text(name))
                    .with_config_operation(1)
                    .with_value(None),
            })
            .collect();
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(topic))
            .with_configs(configs);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.send(&request).await?;
        let result = answer
            .responses
            .first()
            .ok_or(ClientError::Incomplete(ApiKey::IncrementalAlterConfigs))?;
        check(result.error_code, result.error_message.as_ref(), || {
            format!("alter topic {topic}")
        })
    }
}

/// Kafka's `DescribeConfigsResponse.ConfigSource` in words.
fn source(code: i8) -> &'static str {
    match code {
        1 => "topic",
        2 => "broker, dynamic",
        3 => "all brokers, dynamic",
        4 => "broker",
        5 => "default",
        _ => "unknown",
    }
}
