//! A topic that somebody asks for, and the checks that make a plan of it (Kafka's
//! `ReplicationControlManager.createTopic`).
use std::collections::BTreeSet;

use config::{Settings, TopicConfig};

use super::change::Configs;
use super::topic_error::TopicError;
use super::topic_name;

/// Partitions that one request may make (Kafka's `MAX_RECORDS_PER_USER_OP`).
pub const MAX_PARTITIONS_PER_REQUEST: i32 = 10_000;

/// A topic that somebody asks for.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// How many partitions; -1 for the default.
    pub partitions: i32,
    /// How many replicas; -1 for the default.
    pub replication_factor: i16,
    /// Partition index and brokers, in place of the two above.
    pub assignments: Vec<(i32, Vec<i32>)>,
    /// Configs; a null value is refused.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic that can be made.
#[derive(Debug)]
pub struct Plan {
    /// Name.
    pub name: String,
    /// How many partitions, at least one.
    pub partitions: i32,
    /// Configs that the topic sets itself.
    pub overrides: Configs,
    /// All configs.
    pub config: TopicConfig,
}

impl NewTopic {
    /// A topic with defaults for everything.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }

    /// Checks all that can be checked without knowing which topics there are.
    pub fn plan(self, settings: &Settings) -> Result<Plan, TopicError> {
        if let Some(reason) = topic_name::reason_invalid(&self.name) {
            return Err(TopicError::Name(reason));
        }
        if topic_name::is_hidden(&self.name) || topic_name::is_internal(&self.name) {
            return Err(TopicError::Reserved(self.name));
        }
        let partitions = self.count(settings)?;
        if partitions > MAX_PARTITIONS_PER_REQUEST {
            return Err(TopicError::Limit(format!(
                "Excessively large number of partitions per request: {partitions} is more than \
                 {MAX_PARTITIONS_PER_REQUEST}."
            )));
        }
        let overrides = overrides(self.configs)?;
        let config = TopicConfig::resolve(&overrides, settings)?;
        Ok(Plan {
            name: self.name,
            partitions,
            overrides,
            config,
        })
    }

    fn count(&self, settings: &Settings) -> Result<i32, TopicError> {
        if !self.assignments.is_empty() {
            return self.assigned_count(settings);
        }
        check_replication_factor(self.replication_factor, settings)?;
        match self.partitions {
            -1 => Ok(settings.num_partitions),
            ..=0 => Err(TopicError::Partitions(
                "Number of partitions was set to an invalid non-positive value.".to_owned(),
            )),
            count => Ok(count),
        }
    }

    fn assigned_count(&self, settings: &Settings) -> Result<i32, TopicError> {
        let both = |what| {
            let message = format!(
                "A manual partition assignment was specified, but {what} was not set to -1."
            );
            Err(TopicError::Request(message))
        };
        if self.replication_factor != -1 {
            return both("replication factor");
        }
        if self.partitions != -1 {
            return both("numPartitions");
        }
        let mut seen = BTreeSet::new();
        for (index, brokers) in &self.assignments {
            if !seen.insert(*index) {
                return Err(TopicError::Assignment(format!(
                    "Found multiple manual partition assignments for partition {index}"
                )));
            }
            check_assignment(brokers, settings)?;
        }
        let count = self.assignments.len() as i32;
        if seen.iter().copied().eq(0..count) {
            Ok(count)
        } else {
            Err(TopicError::Assignment(
                "partitions should be a consecutive 0-based integer sequence".to_owned(),
            ))
        }
    }
}

/// Checks the brokers that a client wants to hold a partition.
pub fn check_assignment(brokers: &[i32], settings: &Settings) -> Result<(), TopicError> {
    let refused = |reason: String| {
        Err(TopicError::Assignment(format!(
            "The manual partition assignment includes {reason}"
        )))
    };
    let node = settings.node_id;
    if let Some(other) = brokers.iter().find(|broker| **broker != node) {
        return refused(format!("broker {other}, but no such broker is registered."));
    }
    match brokers.len() {
        0 => refused("an empty replica list.".to_owned()),
        1 => Ok(()),
        _ => refused(format!("the broker {node} more than once.")),
    }
}

fn check_replication_factor(wanted: i16, settings: &Settings) -> Result<(), TopicError> {
    let refused = |message: String| Err(TopicError::ReplicationFactor(message));
    match wanted {
        -1 | 1 => Ok(()),
        ..=0 => refused(
            "Replication factor must be larger than 0, or -1 to use the default value.".to_owned(),
        ),
        _ if settings.clamp_replication_factor => Ok(()),
        _ => refused(format!(
            "Unable to replicate the partition {wanted} time(s): The target replication factor of \
             {wanted} cannot be reached because only 1 broker(s) are registered."
        )),
    }
}

fn overrides(configs: Vec<(String, Option<String>)>) -> Result<Configs, TopicError> {
    let mut overrides = Configs::new();
    let mut nulls = Vec::new();
    for (name, value) in configs {
        match value {
            Some(value) => drop(overrides.insert(name, value)),
            None => nulls.push(name),
        }
    }
    if nulls.is_empty() {
        Ok(overrides)
    } else {
        Err(TopicError::Config(format!(
            "Null value not supported for topic configs: {}",
            nulls.join(",")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(topic: NewTopic, settings: &Settings) -> Option<protocol::error::ErrorCode> {
        topic.plan(settings).err().map(|error| error.code())
    }

    #[test]
    fn what_one_node_cannot_do_is_refused_with_kafkas_code() {
        use protocol::error::ErrorCode as Code;
        let settings = Settings::default();
        let with = |edit: fn(&mut NewTopic)| {
            let mut topic = NewTopic::named("t");
            edit(&mut topic);
            code(topic, &settings)
        };
        assert_eq!(with(|_| ()), None);
        assert_eq!(with(|t| t.partitions = 0), Some(Code::InvalidPartitions));
        assert_eq!(with(|t| t.partitions = -2), Some(Code::InvalidPartitions));
        assert_eq!(with(|t| t.partitions = 10_001), Some(Code::PolicyViolation));
        let replicas = with(|t| t.replication_factor = 3);
        assert_eq!(replicas, Some(Code::InvalidReplicationFactor));
        let replicas = with(|t| t.replication_factor = 0);
        assert_eq!(replicas, Some(Code::InvalidReplicationFactor));
        let assigned = with(|t| t.assignments = vec![(1, vec![1]), (0, vec![1])]);
        assert_eq!(assigned, None);
        for assignments in [
            vec![(0, vec![2])],
            vec![(0, vec![])],
            vec![(0, vec![1, 1])],
            vec![(0, vec![1]), (0, vec![1])],
            vec![(1, vec![1])],
        ] {
            let mut topic = NewTopic::named("t");
            topic.assignments = assignments;
            assert_eq!(code(topic, &settings), Some(Code::InvalidReplicaAssignment));
        }
        let unknown = with(|t| t.configs = vec![("no.such".to_owned(), Some("1".to_owned()))]);
        assert_eq!(unknown, Some(Code::InvalidConfig));
        let null = with(|t| t.configs = vec![("retention.ms".to_owned(), None)]);
        assert_eq!(null, Some(Code::InvalidConfig));
        let named = |name| code(NewTopic::named(name), &settings);
        assert_eq!(named("a b"), Some(Code::InvalidTopicException));
        assert_eq!(named("__consumer_offsets"), Some(Code::InvalidRequest));
    }

    #[test]
    fn a_replication_factor_can_be_clamped() {
        let flags = vec![("clamp-replication-factor".to_owned(), "true".to_owned())];
        let settings = Settings::load(None, std::iter::empty(), flags).unwrap();
        let mut topic = NewTopic::named("t");
        topic.replication_factor = 3;
        assert_eq!(code(topic, &settings), None);
    }
}
