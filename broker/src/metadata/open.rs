//! Opening: the metadata log is read back, and the folders on disk are made to agree with it.
//!
//! The log is right about which topics there are; folders are right about data. A folder with records
//! that the log does not know is adopted, be it from a copied data directory of Apache Kafka or from
//! a crash; an empty one is the rest of a creation that was never answered, and goes. A folder that
//! is missing is made again.
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use anyhow::Context;
use config::{Settings, TopicConfig};
use storage::{Log, LogConfig, Logs, Recovery, StorageError};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::change::{Change, Configs, TopicRecord};
use super::new_topic::MAX_PARTITIONS_PER_REQUEST;
use super::store::Store;
use super::topic_name::{self, METADATA_TOPIC};
use super::topics::Changes;
use super::{Topics, log_config, uuid_text};
use crate::coordinator::Journal;
use crate::partition::Partition;

/// Id of the metadata log, the same as Kafka's own (`Uuid.METADATA_TOPIC_ID`).
const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// The folders of one topic.
struct Found {
    id: Uuid,
    logs: BTreeMap<i32, Arc<Log>>,
}

impl Found {
    fn nothing() -> Self {
        Self {
            id: Uuid::nil(),
            logs: BTreeMap::new(),
        }
    }

    /// One more than the last partition for which `wanted` holds.
    fn count(&self, wanted: impl Fn(&Log) -> bool) -> i32 {
        let last = self.logs.iter().rev().find(|(_, log)| wanted(log));
        last.map_or(0, |(index, _)| index + 1)
    }
}

impl Topics {
    /// Reads the metadata and takes all topics into service.
    pub fn open(
        logs: Arc<Logs>,
        settings: &Arc<Settings>,
        recovery: Recovery,
    ) -> anyhow::Result<Self> {
        let mut found = group(recovery);
        let (mut store, fresh) = open_store(&logs, found.remove(METADATA_TOPIC))?;
        let cluster_id = cluster_id(&mut store, &settings.data_dir)?;
        let in_force = dynamic(settings, &store);
        let topics = Self {
            logs,
            fixed: Arc::clone(settings),
            cluster_id,
            settings: RwLock::new(Arc::new(in_force)),
            index: RwLock::default(),
            store: Mutex::new(store),
            changes: Changes::default(),
        };
        {
            let mut store = topics.store();
            topics.reopen_known(&mut store, &mut found)?;
            topics.adopt_unknown(&mut store, found, fresh)?;
            store.flush()?;
        }
        Ok(topics)
    }

    fn reopen_known(
        &self,
        store: &mut Store,
        found: &mut BTreeMap<String, Found>,
    ) -> anyhow::Result<()> {
        for (name, mut topic) in store.image().topics.clone() {
            let folders = found.remove(&name).unwrap_or_else(Found::nothing);
            if topic.deleting {
                info!(topic = name, "finishing the deletion of a topic");
                self.drop_folders(&name, folders.logs.into_keys())?;
                store.commit(vec![Change::Topic(name, None)])?;
                continue;
            }
            if !folders.id.is_nil() && folders.id != topic.id {
                warn!(
                    topic = name,
                    folder = uuid_text::to_text(folders.id),
                    metadata = uuid_text::to_text(topic.id),
                    "the folders of a topic carry another id than the metadata; the metadata's is \
                     served"
                );
            }
            let count = folders.count(has_records).max(topic.partitions);
            if count > topic.partitions {
                warn!(
                    topic = name,
                    count, "found records in partitions past the last one"
                );
                topic.partitions = count;
                store.commit(vec![Change::Topic(name.clone(), Some(topic.clone()))])?;
            }
            self.serve(&name, topic, folders.logs)?;
        }
        Ok(())
    }

    fn adopt_unknown(
        &self,
        store: &mut Store,
        found: BTreeMap<String, Found>,
        fresh: bool,
    ) -> anyhow::Result<()> {
        for (name, folders) in found {
            if topic_name::is_hidden(&name) || topic_name::reason_invalid(&name).is_some() {
                warn!(topic = name, "left a folder alone that is no topic's");
                continue;
            }
            // Without metadata of our own this is somebody else's data directory: its empty topics
            // are topics too.
            let count = folders.count(|log| fresh || has_records(log));
            if count == 0 {
                info!(
                    topic = name,
                    "removing the folders of a topic that was never finished"
                );
                self.drop_folders(&name, folders.logs.into_keys())?;
                continue;
            }
            if count > MAX_PARTITIONS_PER_REQUEST {
                error!(
                    topic = name,
                    count, "left a topic alone that has too many partitions"
                );
                continue;
            }
            let id = Some(folders.id).filter(|id| !id.is_nil());
            let topic = TopicRecord {
                id: id.unwrap_or_else(uuid_text::random),
                partitions: count,
                configs: Configs::new(),
                internal: topic_name::is_internal(&name),
                owner: None,
                deleting: false,
            };
            warn!(
                topic = name,
                partitions = count,
                "adopted a topic that the metadata does not know, with the configs of the broker"
            );
            store.commit(vec![Change::Topic(name.clone(), Some(topic.clone()))])?;
            self.serve(&name, topic, folders.logs)?;
        }
        Ok(())
    }

    /// Takes a topic into service; folders that are missing are made, those too many are empty and
    /// go.
    fn serve(
        &self,
        name: &str,
        topic: TopicRecord,
        mut logs: BTreeMap<i32, Arc<Log>>,
    ) -> anyhow::Result<()> {
        let config = TopicConfig::resolve(&topic.configs, &self.settings())
            .with_context(|| format!("the configs of topic {name}"))?;
        let log_config = log_config(&config);
        let too_many = logs.split_off(&topic.partitions);
        self.drop_folders(name, too_many.into_keys())?;
        for log in logs.values() {
            if topic.owner.is_some() {
                // Until its projection has cut off what no commit names: compaction would let that
                // take the place of what one does.
                log.set_cleanable_end(0);
            }
            log.set_config(log_config.clone());
        }
        let missing = gaps(&logs, topic.partitions);
        if !missing.is_empty() {
            warn!(topic = name, partitions = ?missing, "making folders that are missing");
        }
        for range in missing {
            let id = topic.id.into_bytes();
            let made = self
                .logs
                .create_many(name, range.clone(), id, &log_config)?;
            logs.extend(range.zip(made));
        }
        let logs = logs.into_values().collect();
        self.add(name, topic, config, logs);
        Ok(())
    }

    /// Removes partition folders, those of them that are there.
    pub(super) fn drop_folders(
        &self,
        topic: &str,
        partitions: impl IntoIterator<Item = i32>,
    ) -> Result<(), StorageError> {
        for partition in partitions {
            match self.logs.delete(topic, partition) {
                Err(error) if error.source.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn has_records(log: &Log) -> bool {
    log.end_offset() > 0
}

fn group(recovery: Recovery) -> BTreeMap<String, Found> {
    let mut found = BTreeMap::new();
    for folder in recovery.partitions {
        let topic = found.entry(folder.topic).or_insert_with(Found::nothing);
        if topic.id.is_nil() {
            topic.id = Uuid::from_bytes(folder.topic_id);
        }
        topic.logs.insert(folder.partition, folder.log);
    }
    found
}

/// Partitions below `count` that `logs` lacks, as runs.
fn gaps(logs: &BTreeMap<i32, Arc<Log>>, count: i32) -> Vec<Range<i32>> {
    let mut gaps = Vec::new();
    let mut next = 0;
    for index in logs.keys().copied().chain([count]) {
        if next < index {
            gaps.push(next..index);
        }
        next = index + 1;
    }
    gaps
}

/// The store, and whether it was made just now.
fn open_store(logs: &Logs, found: Option<Found>) -> anyhow::Result<(Store, bool)> {
    let config = metadata_log_config();
    let log = found.and_then(|mut found| found.logs.remove(&0));
    let fresh = log.is_none();
    let log = match log {
        Some(log) => {
            log.set_config(config);
            log
        }
        None => logs.create(METADATA_TOPIC, 0, METADATA_TOPIC_ID.into_bytes(), config)?,
    };
    let partition = Partition::new(0, log);
    let store = Store::replay(Journal::new(partition))
        .with_context(|| format!("cannot read the metadata in {METADATA_TOPIC}-0"))?;
    Ok((store, fresh))
}

/// Compacted, and small: an entry is a few hundred bytes.
fn metadata_log_config() -> LogConfig {
    let overrides = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "16777216"),
        ("max.message.bytes", "16777216"),
        ("retention.ms", "-1"),
    ];
    let overrides = overrides.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = TopicConfig::resolve(&overrides.into(), &Settings::default());
    log_config(&config.expect("these names and values are in the table of topic configs"))
}

/// The id that the cluster has, else that of the Kafka cluster whose data this is, else a new one.
fn cluster_id(store: &mut Store, data_dir: &Path) -> anyhow::Result<String> {
    if let Some(id) = &store.image().cluster_id {
        return Ok(id.clone());
    }
    let id = kafkas_cluster_id(data_dir).unwrap_or_else(|| uuid_text::to_text(uuid_text::random()));
    store.commit(vec![Change::Cluster(id.clone())])?;
    info!(cluster_id = id, "new cluster");
    Ok(id)
}

/// From the file that Kafka formats a data directory with.
fn kafkas_cluster_id(data_dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(data_dir.join("meta.properties")).ok()?;
    let id = text
        .lines()
        .find_map(|line| line.strip_prefix("cluster.id="))?;
    uuid_text::from_text(id.trim()).map(uuid_text::to_text)
}

/// The settings with the dynamic ones of the store.
fn dynamic(fixed: &Settings, store: &Store) -> Settings {
    let image = store.image();
    let own = image.broker(&fixed.node_id.to_string());
    match fixed.with_dynamic(&image.broker(""), &own) {
        Ok(settings) => settings,
        Err(error) => {
            error!(%error, "the dynamic broker configs do not go with the settings: left out");
            fixed.clone()
        }
    }
}

#[cfg(test)]
#[path = "open_test.rs"]
mod tests;
