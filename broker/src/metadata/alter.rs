//! Altering configs of topics and of the broker (Kafka's `ConfigurationControlManager` and
//! `ConfigAdminManager`).
use std::sync::{Arc, PoisonError};

use config::{ConfigError, Kind, Setting, Settings, TopicConfig};
use tracing::info;

use super::change::{Change, Configs, TopicRecord};
use super::topic_error::TopicError;
use super::{Topics, topic_name};

/// Whose configs they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// The topic of this name.
    Topic(String),
    /// This node.
    Broker,
    /// Every node.
    EveryBroker,
}

/// What is to become of the configs.
#[derive(Debug)]
pub enum Alteration {
    /// These and no others.
    Replace(Configs),
    /// One by one.
    Edit(Vec<Edit>),
}

/// One change of one config.
#[derive(Debug)]
pub struct Edit {
    /// Name of the config.
    pub name: String,
    /// What is to be done.
    pub operation: Operation,
}

/// What is to be done to a config.
#[derive(Debug)]
pub enum Operation {
    /// Set to this value.
    Set(String),
    /// Back to the default.
    Delete,
    /// Add these words to a list.
    Append(String),
    /// Take these words off a list.
    Subtract(String),
}

impl Resource {
    /// The resource of this type (`ConfigResource.Type`) and name.
    pub fn of(kind: i8, name: &str, settings: &Settings) -> Result<Self, TopicError> {
        let refused = |message: String| Err(TopicError::Request(message));
        match kind {
            2 if name.is_empty() => refused("Default topic resources are not allowed.".to_owned()),
            2 => match topic_name::reason_invalid(name) {
                Some(reason) => Err(TopicError::Name(reason)),
                None => Ok(Resource::Topic(name.to_owned())),
            },
            4 if name.is_empty() => Ok(Resource::EveryBroker),
            4 => match name.parse::<i32>() {
                Ok(id) if id == settings.node_id => Ok(Resource::Broker),
                Ok(_) => refused(format!(
                    "Unexpected broker id, expected {}, but received {name}",
                    settings.node_id
                )),
                Err(_) => refused(format!("Node id must be an integer, but it is: {name}")),
            },
            kind => refused(format!("Unknown resource type {kind}")),
        }
    }
}

impl Topics {
    /// Alters the configs of one resource, all or nothing; blocks until that lasts.
    pub fn alter(
        &self,
        resource: &Resource,
        alteration: Alteration,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        match resource {
            Resource::Topic(name) => self.alter_topic(name, alteration, validate_only),
            Resource::Broker => {
                let name = self.fixed.node_id.to_string();
                self.alter_broker(&name, alteration, validate_only)
            }
            Resource::EveryBroker => self.alter_broker("", alteration, validate_only),
        }
    }

    fn alter_topic(
        &self,
        name: &str,
        alteration: Alteration,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let mut store = self.store();
        let topic = self.get(name).ok_or(TopicError::Unknown)?;
        let settings = self.settings();
        let current = topic.overrides();
        let list_of = |name: &str| {
            let setting = config::topic::find(name).ok()?;
            let described = config::topic::describe(&current, &settings).ok()?;
            let entry = described.into_iter().find(|entry| entry.name == name)?;
            (setting.kind == Kind::List).then(|| entry.value.unwrap_or_default())
        };
        let overrides = altered(&current, alteration, list_of)?;
        let config = TopicConfig::resolve(&overrides, &settings)?;
        topic.check_configs(&topic.config(), &config)?;
        if validate_only || overrides == *current {
            return Ok(());
        }
        let record = store.image().topics.get(name).ok_or(TopicError::Unknown)?;
        let record = TopicRecord {
            configs: overrides.clone(),
            ..record.clone()
        };
        store.commit(vec![Change::Topic(name.to_owned(), Some(record))])?;
        store.flush()?;
        topic.set_configs(overrides, config);
        info!(topic = name, "altered configs");
        Ok(())
    }

    fn alter_broker(
        &self,
        name: &str,
        alteration: Alteration,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let mut store = self.store();
        let current = store.image().broker(name);
        let settings = self.settings();
        let list_of = |name: &str| {
            let setting = Setting::by_kafka_name(name)?;
            let entry = settings.entry(name)?;
            let is_list = setting.kind == Kind::List;
            is_list.then(|| entry.value.unwrap_or_default())
        };
        let configs = altered(&current, alteration, list_of)?;
        let own = self.fixed.node_id.to_string();
        let (every, own) = if name.is_empty() {
            (configs.clone(), store.image().broker(&own))
        } else {
            (store.image().broker(""), configs.clone())
        };
        let settings = self.fixed.with_dynamic(&every, &own).map_err(refused)?;
        let settings = Arc::new(settings);
        // Topics take from the broker what they do not set: it has to go with what they do set.
        let topics = self.all();
        let mut resolved = Vec::with_capacity(topics.len());
        for topic in topics {
            let overrides = topic.overrides();
            let config = TopicConfig::resolve(&overrides, &settings)
                .map_err(|error| TopicError::Request(format!("topic {}: {error}", topic.name)))?;
            resolved.push((topic, overrides, config));
        }
        if validate_only || configs == current {
            return Ok(());
        }
        store.commit(vec![Change::Broker(name.to_owned(), configs)])?;
        store.flush()?;
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = settings;
        for (topic, overrides, config) in resolved {
            topic.set_configs((*overrides).clone(), config);
        }
        info!(broker = name, "altered dynamic broker configs");
        Ok(())
    }
}

/// Kafka answers all of these with INVALID_REQUEST (KAFKA-13609).
fn refused(error: ConfigError) -> TopicError {
    TopicError::Request(match error {
        ConfigError::Invalid {
            key, value, reason, ..
        } => {
            let setting = Settings::table().iter().find(|setting| setting.key == key);
            let name = setting.map_or(key, |setting| setting.kafka_name);
            format!("Invalid value {value} for configuration {name}: {reason}")
        }
        error => error.to_string(),
    })
}

/// The configs after the alteration. `list_of` gives the value in force of a config that is a list.
fn altered(
    current: &Configs,
    alteration: Alteration,
    list_of: impl Fn(&str) -> Option<String>,
) -> Result<Configs, TopicError> {
    let edits = match alteration {
        Alteration::Replace(configs) => return Ok(configs),
        Alteration::Edit(edits) => edits,
    };
    let mut configs = current.clone();
    for Edit { name, operation } in edits {
        let parts = |name: &str, verb: &str| -> Result<Vec<String>, TopicError> {
            let now = list_of(name).ok_or_else(|| {
                TopicError::Config(format!(
                    "Can't {verb} to key {name} because its type is not LIST."
                ))
            })?;
            let words = now.split(',').filter(|word| !word.is_empty());
            Ok(words.map(str::to_owned).collect())
        };
        match operation {
            Operation::Set(value) => {
                configs.insert(name, value);
            }
            Operation::Delete => {
                configs.remove(&name);
            }
            Operation::Append(words) => {
                let mut parts = parts(&name, "APPEND")?;
                for word in words.split(',') {
                    if !parts.iter().any(|part| part == word) {
                        parts.push(word.to_owned());
                    }
                }
                configs.insert(name, parts.join(","));
            }
            Operation::Subtract(words) => {
                let mut parts = parts(&name, "SUBTRACT")?;
                parts.retain(|part| !words.split(',').any(|word| word == part));
                configs.insert(name, parts.join(","));
            }
        }
    }
    Ok(configs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(name: &str, operation: Operation) -> Alteration {
        let name = name.to_owned();
        Alteration::Edit(vec![Edit { name, operation }])
    }

    #[test]
    fn lists_grow_and_shrink_by_words() {
        let current = Configs::new();
        let list_of = |name: &str| (name == "cleanup.policy").then(|| "delete".to_owned());
        let after = |operation| altered(&current, edit("cleanup.policy", operation), list_of);
        let appended = after(Operation::Append("compact,delete".to_owned())).unwrap();
        assert_eq!(appended["cleanup.policy"], "delete,compact");
        let subtracted = after(Operation::Subtract("delete".to_owned())).unwrap();
        assert_eq!(subtracted["cleanup.policy"], "");
        let no_list = edit("retention.ms", Operation::Append("1".to_owned()));
        let error = altered(&current, no_list, list_of).unwrap_err();
        assert_eq!(error.code(), protocol::error::ErrorCode::InvalidConfig);
    }

    #[test]
    fn edits_leave_the_rest_and_replacing_does_not() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let current: Configs = [pair("a", "1"), pair("b", "2")].into();
        let none = |_: &str| None;
        let edited = altered(&current, edit("a", Operation::Delete), none).unwrap();
        assert_eq!(edited, Configs::from([pair("b", "2")]));
        let replaced = Alteration::Replace([pair("c", "3")].into());
        let replaced = altered(&current, replaced, none).unwrap();
        assert_eq!(replaced, Configs::from([pair("c", "3")]));
    }
}
