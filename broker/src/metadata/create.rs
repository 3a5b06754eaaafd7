//! Making topics and partitions: written down first, then the folders, then in service.
use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{error, info};
use uuid::Uuid;

use super::change::{Change, Configs, TopicRecord};
use super::new_topic::{MAX_PARTITIONS_PER_REQUEST, NewTopic, Plan, check_assignment};
use super::owner::Class;
use super::store::Store;
use super::topic_error::TopicError;
use super::{Topic, Topics, log_config, topic_name, uuid_text};
use crate::partition::Partition;

/// Partitions of all topics together: each has files, mappings and some KiB of memory.
const MAX_PARTITIONS: i64 = 20_000;

/// A topic that was made, or that could be made.
#[derive(Debug)]
pub struct Created {
    /// Its id.
    pub id: Uuid,
    /// How many partitions.
    pub partitions: i32,
    /// Configs that it sets itself.
    pub overrides: Configs,
}

type Planned = Result<(Plan, TopicRecord), TopicError>;

impl Topics {
    /// Makes topics, one answer each; blocks until they last.
    pub fn create(
        &self,
        wanted: Vec<NewTopic>,
        validate_only: bool,
    ) -> Vec<Result<Created, TopicError>> {
        let settings = self.settings();
        let plans = wanted.into_iter().map(|topic| topic.plan(&settings));
        let plans: Vec<_> = plans.collect();
        let mut store = self.store();
        let planned = self.admit(&mut store, plans, &Class::default());
        let created = |(plan, record): &(Plan, TopicRecord)| Created {
            id: record.id,
            partitions: record.partitions,
            overrides: plan.overrides.clone(),
        };
        if validate_only {
            return planned
                .into_iter()
                .map(|planned| planned.map(|planned| created(&planned)))
                .collect();
        }
        let answers: Vec<_> = planned
            .iter()
            .map(|planned| planned.as_ref().ok().map(created))
            .collect();
        let made = self.make(&mut store, planned);
        made.into_iter()
            .zip(answers)
            .map(|(made, answer)| Ok(made.map(|_| answer)?.expect("what was made was planned")))
            .collect()
    }

    /// The internal topic of this name; makes it if it is not there.
    pub fn internal(
        &self,
        name: &str,
        partitions: i32,
        overrides: &[(&str, &str)],
    ) -> Result<Arc<Topic>, TopicError> {
        if let Some(topic) = self.get(name) {
            return Ok(topic);
        }
        let plan = self.own_plan(name, partitions, overrides)?;
        let mut store = self.store();
        if let Some(topic) = self.get(name) {
            return Ok(topic);
        }
        let class = Class {
            internal: true,
            owner: None,
        };
        self.make_one(&mut store, plan, &class)
    }

    /// Makes one topic of the broker's own.
    pub(super) fn make_one(
        &self,
        store: &mut Store,
        plan: Plan,
        class: &Class,
    ) -> Result<Arc<Topic>, TopicError> {
        let planned = self.admit(store, vec![Ok(plan)], class);
        let mut made = self.make(store, planned);
        made.pop().expect("one plan, one answer")
    }

    /// Checks plans against the topics that there are, and against each other.
    fn admit(
        &self,
        store: &mut Store,
        plans: Vec<Result<Plan, TopicError>>,
        class: &Class,
    ) -> Vec<Planned> {
        let topics = store.image().topics.keys();
        let mut taken: BTreeMap<String, String> = topics
            .map(|name| (topic_name::unified(name), name.clone()))
            .collect();
        let mut room = MAX_PARTITIONS - store.image().partition_count();
        let mut in_request = MAX_PARTITIONS_PER_REQUEST;
        let mut admit = |plan: Plan| {
            if store
                .image()
                .topics
                .get(&plan.name)
                .is_some_and(|topic| topic.deleting)
            {
                self.finish_deletion(store, &plan.name)?;
                taken.remove(&topic_name::unified(&plan.name));
            }
            let unified = topic_name::unified(&plan.name);
            if let Some(other) = taken.get(&unified) {
                return Err(if *other == plan.name {
                    TopicError::Exists(plan.name)
                } else {
                    TopicError::Name(format!(
                        "Topic '{}' collides with existing topic: {other}",
                        plan.name
                    ))
                });
            }
            if i64::from(plan.partitions) > room || plan.partitions > in_request {
                return Err(TopicError::Limit(format!(
                    "Excessively large number of partitions: a request can make \
                     {MAX_PARTITIONS_PER_REQUEST}, the broker can hold {MAX_PARTITIONS}."
                )));
            }
            room -= i64::from(plan.partitions);
            in_request -= plan.partitions;
            taken.insert(unified, plan.name.clone());
            let record = TopicRecord {
                id: uuid_text::random(),
                partitions: plan.partitions,
                configs: plan.overrides.clone(),
                internal: class.internal,
                owner: class.owner.clone(),
                deleting: false,
            };
            Ok((plan, record))
        };
        plans.into_iter().map(|plan| admit(plan?)).collect()
    }

    fn make(
        &self,
        store: &mut Store,
        planned: Vec<Planned>,
    ) -> Vec<Result<Arc<Topic>, TopicError>> {
        let accepted = planned.iter().flatten();
        let changes: Vec<_> = accepted
            .map(|(plan, record)| Change::Topic(plan.name.clone(), Some(record.clone())))
            .collect();
        let committed = store.commit(changes);
        let mut ready: Vec<_> = planned
            .into_iter()
            .map(|planned| {
                let (plan, record) = planned?;
                if let Err(error) = &committed {
                    return Err(not_written(error));
                }
                let logs = self.make_folders(store, &plan, &record)?;
                Ok((plan, record, logs))
            })
            .collect();
        // One flush for all of them.
        if ready.iter().any(Result::is_ok)
            && let Err(error) = store.flush()
        {
            for ready in ready.iter_mut().filter(|ready| ready.is_ok()) {
                *ready = Err(not_written(&error));
            }
        }
        let serve = |(plan, record, logs): (Plan, TopicRecord, _)| {
            info!(topic = plan.name, partitions = plan.partitions, "created");
            self.add(&plan.name, record, plan.config, logs)
        };
        ready.into_iter().map(|ready| ready.map(serve)).collect()
    }

    /// Makes the folders of a topic that is written down; if that fails, the topic is gone again.
    fn make_folders(
        &self,
        store: &mut Store,
        plan: &Plan,
        record: &TopicRecord,
    ) -> Result<Vec<Arc<storage::Log>>, TopicError> {
        let (partitions, id) = (0..plan.partitions, record.id.into_bytes());
        let config = log_config(&plan.config);
        let made = self.logs.create_many(&plan.name, partitions, id, &config);
        made.map_err(|failure| {
            error!(topic = plan.name, error = %failure, "cannot make the folders of a topic");
            if let Err(error) = store.commit(vec![Change::Topic(plan.name.clone(), None)]) {
                error!(topic = plan.name, %error, "cannot take the topic back");
            }
            failure.into()
        })
    }

    /// Adds partitions to a topic so that it has `count`; blocks until they last.
    pub fn create_partitions(
        &self,
        name: &str,
        count: i32,
        assignments: Option<&[Vec<i32>]>,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        let mut store = self.store();
        let topic = self.get(name).ok_or(TopicError::Unknown)?;
        let had = topic.partitions().len() as i32;
        check_growth(&topic, had, count)?;
        if let Some(assignments) = assignments {
            check_assignments(assignments, count - had, &self.fixed)?;
        }
        let added = count - had;
        let room = MAX_PARTITIONS - store.image().partition_count();
        if added > MAX_PARTITIONS_PER_REQUEST || i64::from(added) > room {
            return Err(TopicError::Limit(format!(
                "Excessively large number of partitions: a request can make \
                 {MAX_PARTITIONS_PER_REQUEST}, the broker can hold {MAX_PARTITIONS}."
            )));
        }
        if validate_only {
            return Ok(());
        }
        let before = store.image().topics.get(name).ok_or(TopicError::Unknown)?;
        let before = before.clone();
        let after = TopicRecord {
            partitions: count,
            ..before.clone()
        };
        store.commit(vec![Change::Topic(name.to_owned(), Some(after))])?;
        let id = topic.id.into_bytes();
        let config = log_config(&topic.config());
        let made = match self.logs.create_many(name, had..count, id, &config) {
            Ok(made) => made,
            Err(failure) => {
                error!(topic = name, error = %failure, "cannot make the folders of partitions");
                store.commit(vec![Change::Topic(name.to_owned(), Some(before))])?;
                return Err(failure.into());
            }
        };
        store.flush()?;
        let partitions = (had..count).zip(made);
        topic.extend(partitions.map(|(index, log)| Partition::new(index, log)));
        self.changes.tell();
        info!(topic = name, partitions = count, "added partitions");
        Ok(())
    }
}

fn check_growth(topic: &Topic, had: i32, count: i32) -> Result<(), TopicError> {
    topic.check_open()?;
    if count == had {
        let message = format!("Topic already has {had} partition(s).");
        return Err(TopicError::Partitions(message));
    }
    if count < had {
        return Err(TopicError::Partitions(format!(
            "The topic {} currently has {had} partition(s); {count} would not be an increase.",
            topic.name
        )));
    }
    Ok(())
}

fn check_assignments(
    assignments: &[Vec<i32>],
    added: i32,
    settings: &config::Settings,
) -> Result<(), TopicError> {
    if assignments.len() != added as usize {
        return Err(TopicError::Assignment(format!(
            "Attempted to add {added} additional partition(s), but only {} assignment(s) were \
             specified.",
            assignments.len()
        )));
    }
    assignments
        .iter()
        .try_for_each(|brokers| check_assignment(brokers, settings))
}

/// The same failure for each of the topics that it concerns.
fn not_written(error: &super::store::CommitError) -> TopicError {
    error!(%error, "cannot write topics down");
    TopicError::NotWritten(error.to_string())
}
