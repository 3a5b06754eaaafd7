//! Topic configs: the names, types, limits and broker synonyms of Apache Kafka 4
//! (`TopicConfig`, `LogConfig`, `ServerTopicConfigSynonyms`), and what they resolve to.
//!
//! A config's value is the topic's own, else that of the broker setting it is a synonym of, else
//! a fixed default. Configs that one node cannot honour take their default only.
use std::collections::BTreeMap;

mod row;
mod table;

pub use row::TopicSetting;
pub use table::TopicConfig;

use crate::Settings;
use crate::entry::{Entry, Source, Synonym};
use crate::suggest::nearest;
use row::Fallback;
use table::TABLE;

/// Why a topic config is refused; the texts are in Kafka's tone, for the error message of a
/// response with `INVALID_CONFIG`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicConfig {
    /// No config has the name.
    #[error("Unknown topic config name: {name}{}", did_you_mean(*suggestion))]
    Unknown {
        /// The name as given.
        name: String,
        /// The nearest name that exists.
        suggestion: Option<&'static str>,
    },
    /// The value is of the wrong type or out of its limits.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Value {
        /// The config.
        name: &'static str,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Values that exclude each other.
    #[error("{0}")]
    Conflict(String),
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}

/// Every topic config there is, by name.
pub fn table() -> &'static [TopicSetting] {
    TABLE
}

/// The topic config with this name.
pub fn find(name: &str) -> Result<&'static TopicSetting, InvalidTopicConfig> {
    TABLE
        .iter()
        .find(|setting| setting.name == name)
        .ok_or_else(|| InvalidTopicConfig::Unknown {
            name: name.to_owned(),
            suggestion: nearest(name, TABLE.iter().map(|setting| setting.name)),
        })
}

/// Checks one name and value by themselves.
pub fn validate(name: &str, value: &str) -> Result<(), InvalidTopicConfig> {
    let setting = find(name)?;
    let mut scratch = TopicConfig::of(&Settings::default());
    scratch.put(setting, value)
}

impl TopicConfig {
    /// The configs of a topic with these `overrides` on a broker with these `settings`. Checks
    /// every name, every value, and that they go together.
    pub fn resolve(
        overrides: &BTreeMap<String, String>,
        settings: &Settings,
    ) -> Result<TopicConfig, InvalidTopicConfig> {
        let mut config = TopicConfig::of(settings);
        for (name, value) in overrides {
            config.put(find(name)?, value)?;
        }
        if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
            return Err(InvalidTopicConfig::Conflict(format!(
                "conflict topic config setting min.compaction.lag.ms ({}) > \
                 max.compaction.lag.ms ({})",
                config.min_compaction_lag_ms, config.max_compaction_lag_ms
            )));
        }
        Ok(config)
    }

    fn put(&mut self, setting: &TopicSetting, value: &str) -> Result<(), InvalidTopicConfig> {
        self.assign(setting, value)
            .map_err(|reason| InvalidTopicConfig::Value {
                name: setting.name,
                value: value.to_owned(),
                reason,
            })
    }
}

/// Every config of a topic with these `overrides` (which [`TopicConfig::resolve`] took) on a broker
/// with these `settings`, for `DescribeConfigs`.
pub fn describe(
    overrides: &BTreeMap<String, String>,
    settings: &Settings,
) -> Result<Vec<Entry>, InvalidTopicConfig> {
    let config = TopicConfig::resolve(overrides, settings)?;
    Ok(TABLE
        .iter()
        .map(|setting| entry(setting, &config, overrides, settings))
        .collect())
}

fn entry(
    setting: &'static TopicSetting,
    config: &TopicConfig,
    overrides: &BTreeMap<String, String>,
    settings: &Settings,
) -> Entry {
    let value = config.shown(setting);
    let broker = match setting.fallback {
        Fallback::Broker(name) => settings.entry(name),
        Fallback::Fixed(_) => None,
    };
    let default = match (setting.fallback, &broker) {
        (Fallback::Fixed(default), _) => Some(default.to_owned()),
        (Fallback::Broker(_), broker) => broker.as_ref().and_then(|entry| entry.default.clone()),
    };
    let mut synonyms = broker.map(|entry| entry.synonyms).unwrap_or_default();
    if overrides.contains_key(setting.name) {
        let own = Synonym {
            name: setting.name,
            value: value.clone(),
            source: Source::Topic,
        };
        synonyms.insert(0, own);
    }
    Entry {
        name: setting.name,
        value,
        default,
        kind: setting.kind,
        source: synonyms
            .first()
            .map_or(Source::Default, |synonym| synonym.source),
        read_only: false,
        sensitive: false,
        synonyms,
        doc: setting.doc,
    }
}

#[cfg(test)]
#[path = "topic_test.rs"]
mod tests;
