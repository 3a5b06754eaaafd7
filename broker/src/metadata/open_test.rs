//! The metadata over real logs in a temporary folder: what is written down is what comes back.
use std::collections::BTreeSet;

use protocol::error::ErrorCode;
use protocol::record::BatchBuilder;
use storage::Origin;
use tempfile::TempDir;

use super::*;
use crate::metadata::{Alteration, Edit, NewTopic, Operation, ProducerIds, Resource, TopicError};

/// A data directory and the topics in it.
struct Place {
    folder: TempDir,
    settings: Arc<Settings>,
    open: Option<(Arc<Logs>, Arc<Topics>)>,
}

impl Place {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(flags: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().display().to_string();
        let own = [("data-dir", &*data_dir)];
        let flags = flags.iter().chain(&own);
        let flags = flags.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = Settings::load(None, std::iter::empty(), flags.collect()).unwrap();
        let mut place = Self {
            folder,
            settings: Arc::new(settings),
            open: None,
        };
        place.start();
        place
    }

    fn logs(&self) -> &Logs {
        &self.open.as_ref().unwrap().0
    }

    fn topics(&self) -> &Arc<Topics> {
        &self.open.as_ref().unwrap().1
    }

    fn shut(&mut self) {
        if let Some((logs, topics)) = self.open.take() {
            drop(topics);
            logs.close().unwrap();
        }
    }

    /// Closes everything and opens it again.
    fn reopen(&mut self) {
        self.shut();
        self.start();
    }

    /// Lets everything go as a crash of the process would, and opens it again.
    fn crash(&mut self) {
        self.open = None;
        self.start();
    }

    fn start(&mut self) {
        let config = TopicConfig::resolve(&Configs::new(), &self.settings).unwrap();
        let options = crate::metadata::storage_options(&self.settings);
        let (logs, recovery) = Logs::open(options, &log_config(&config)).unwrap();
        let logs = Arc::new(logs);
        let topics = Topics::open(Arc::clone(&logs), &self.settings, recovery).unwrap();
        self.open = Some((logs, Arc::new(topics)));
    }

    fn create(&self, name: &str, partitions: i32) -> Result<Uuid, TopicError> {
        let mut topic = NewTopic::named(name);
        topic.partitions = partitions;
        let mut created = self.topics().create(vec![topic], false);
        created.remove(0).map(|created| created.id)
    }

    fn delete(&self, name: &str) -> Result<(), TopicError> {
        let find = |topics: &Topics| topics.get(name).ok_or(TopicError::Unknown);
        self.topics().delete(find).map(drop)
    }

    fn set(&self, resource: &Resource, name: &str, value: &str) -> Result<(), TopicError> {
        let operation = Operation::Set(value.to_owned());
        let name = name.to_owned();
        let alteration = Alteration::Edit(vec![Edit { name, operation }]);
        self.topics().alter(resource, alteration, false)
    }

    fn produce(&self, topic: &str, partition: i32) {
        let mut batch = BatchBuilder::new();
        batch.push(1, Some(b"k"), Some(b"v"));
        let partition = self.topics().partition(topic, partition).unwrap();
        partition.append(&batch.build(), Origin::Client).unwrap();
    }

    /// Partition folders in the data directory, without those of the metadata and those on their
    /// way out.
    fn folders(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let folders = entries.filter(|entry| entry.as_ref().unwrap().path().is_dir());
        folders
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with("-delete") && !name.starts_with("__klamm"))
            .collect()
    }

    fn assert_state_is_replay(&self) {
        let store = self.topics().store();
        let replayed = store.replayed();
        assert_eq!(store.image(), replayed.image());
    }

    fn described(&self) -> Vec<(String, Uuid, usize, Configs)> {
        let topics = self.topics().all().into_iter();
        let described = topics.map(|topic| {
            let overrides = (*topic.overrides()).clone();
            (
                topic.name.to_string(),
                topic.id,
                topic.partitions().len(),
                overrides,
            )
        });
        described.collect()
    }
}

fn code<T>(result: Result<T, TopicError>) -> Option<ErrorCode> {
    result.err().map(|error| error.code())
}

#[test]
fn topics_come_back_as_they_were() {
    let mut place = Place::new();
    let mut topic = NewTopic::named("events");
    topic.partitions = 3;
    topic.configs = vec![("retention.ms".to_owned(), Some("5000".to_owned()))];
    place.topics().create(vec![topic], false).remove(0).unwrap();
    place.create("orders", 1).unwrap();
    place
        .topics()
        .create_partitions("orders", 4, None, false)
        .unwrap();
    let (cluster_id, before) = (place.topics().cluster_id().to_owned(), place.described());
    assert_eq!(cluster_id.len(), 22);
    place.reopen();
    assert_eq!(place.topics().cluster_id(), cluster_id);
    assert_eq!(place.described(), before);
    let partition = place.topics().partition("events", 2).unwrap();
    assert_eq!(partition.log.config().retention_ms, 5000);
    assert!(place.topics().partition("orders", 3).is_some());
    assert_eq!(
        place.create("events", 1).err().map(|e| e.code()),
        Some(ErrorCode::TopicAlreadyExists)
    );
    place.assert_state_is_replay();
}

#[test]
fn the_state_is_the_replay_of_the_log_after_any_changes() {
    let mut place = Place::new();
    let mut random: u32 = 7;
    for step in 0..120 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let name = format!("t{}", random >> 16 & 3);
        match random >> 24 & 7 {
            0..=2 => drop(place.create(&name, 1 + (random >> 20 & 1) as i32)),
            3 => drop(place.delete(&name)),
            4 => drop(place.topics().create_partitions(&name, 3, None, false)),
            5 => drop(place.set(&Resource::Topic(name), "retention.ms", &step.to_string())),
            6 => drop(place.set(&Resource::Broker, "log.retention.ms", &step.to_string())),
            _ => drop(place.set(
                &Resource::EveryBroker,
                "message.max.bytes",
                &step.to_string(),
            )),
        }
        place.assert_state_is_replay();
        if step % 20 == 19 {
            let before = place.described();
            if step % 40 == 39 {
                place.reopen();
            } else {
                place.crash();
            }
            assert_eq!(place.described(), before);
            place.assert_state_is_replay();
        }
    }
}

#[test]
fn a_deleted_topic_is_gone_and_its_name_gets_a_new_id() {
    let mut place = Place::new();
    let first = place.create("t", 2).unwrap();
    place.produce("t", 1);
    let partition = place.topics().partition("t", 1).unwrap();
    let wake = Arc::new(tokio::sync::Notify::new());
    let registered = partition.register(&wake);
    place.delete("t").unwrap();
    assert!(futures_util::FutureExt::now_or_never(wake.notified()).is_some());
    drop(registered);
    assert!(place.topics().get("t").is_none() && place.topics().by_id(first).is_none());
    assert_eq!(place.folders(), BTreeSet::new());
    assert_eq!(
        code(place.delete("t")),
        Some(ErrorCode::UnknownTopicOrPartition)
    );
    let second = place.create("t", 1).unwrap();
    assert_ne!(first, second);
    place.reopen();
    assert_eq!(place.topics().get("t").unwrap().id, second);
    assert_eq!(
        place.topics().partition("t", 0).unwrap().high_watermark(),
        0
    );
    assert!(place.topics().partition("t", 1).is_none());
}

#[test]
fn a_deletion_that_was_cut_off_is_finished() {
    let mut place = Place::new();
    for name in ["gone", "again", "kept"] {
        place.create(name, 2).unwrap();
        place.produce(name, 1);
    }
    for name in ["gone", "again"] {
        let topic = place.topics().get(name).unwrap();
        let mut store = place.topics().store();
        let mut record = store.image().topics[name].clone();
        record.deleting = true;
        store
            .commit(vec![Change::Topic(name.to_owned(), Some(record))])
            .unwrap();
        place.topics().remove(&topic);
    }
    // Making a topic of the name finishes it too.
    place.create("again", 1).unwrap();
    assert_eq!(
        place
            .topics()
            .partition("again", 0)
            .unwrap()
            .high_watermark(),
        0
    );
    place.reopen();
    assert!(place.topics().get("gone").is_none());
    assert_eq!(place.topics().get("again").unwrap().partitions().len(), 1);
    assert_eq!(
        place
            .topics()
            .partition("kept", 1)
            .unwrap()
            .high_watermark(),
        1
    );
    let folders = ["again-0", "kept-0", "kept-1"].map(str::to_owned);
    assert_eq!(place.folders(), folders.into());
    place.assert_state_is_replay();
}

#[test]
fn folders_and_metadata_are_made_to_agree() {
    let mut place = Place::new();
    place.create("known", 3).unwrap();
    place.produce("known", 0);
    let config = log_config(&TopicConfig::resolve(&Configs::new(), &place.settings).unwrap());
    let id = uuid_text::random();
    let logs = place.logs();
    logs.create_many("full", 0..2, id.into_bytes(), &config)
        .unwrap();
    logs.create_many("empty", 0..2, id.into_bytes(), &config)
        .unwrap();
    place.reopen();
    // Nobody wrote to them: they were left by a creation that was never answered.
    assert!(place.topics().get("full").is_none() && place.topics().get("empty").is_none());

    let logs = place.logs();
    let full = logs
        .create_many("full", 0..2, id.into_bytes(), &config)
        .unwrap();
    let mut batch = BatchBuilder::new();
    batch.push(1, None, Some(b"v"));
    let partition = Partition::new(1, Arc::clone(&full[1]));
    partition.append(&batch.build(), Origin::Client).unwrap();
    logs.delete("known", 1).unwrap();
    drop((partition, full));
    place.reopen();
    let full = place.topics().get("full").unwrap();
    assert_eq!((full.id, full.partitions().len()), (id, 2));
    assert_eq!(full.partition(1).unwrap().high_watermark(), 1);
    let known = place.topics().get("known").unwrap();
    let ends: Vec<_> = known
        .partitions()
        .iter()
        .map(|p| p.high_watermark())
        .collect();
    assert_eq!(ends, [1, 0, 0]);
    drop((full, known));
    let before = place.described();
    place.reopen();
    assert_eq!(place.described(), before);
}

#[test]
fn kafkas_own_data_directory_is_adopted_with_its_cluster_id() {
    let mut place = Place::new();
    let config = log_config(&TopicConfig::resolve(&Configs::new(), &place.settings).unwrap());
    let id = uuid_text::random();
    place
        .logs()
        .create_many("theirs", 0..2, id.into_bytes(), &config)
        .unwrap();
    place.shut();
    let folder = place.folder.path();
    std::fs::remove_dir_all(folder.join("__klamm_metadata-0")).unwrap();
    let properties = "version=1\ncluster.id=WZPsR9gxQoKqFP6UnOJrug\nnode.id=1\n";
    std::fs::write(folder.join("meta.properties"), properties).unwrap();
    place.reopen();
    assert_eq!(place.topics().cluster_id(), "WZPsR9gxQoKqFP6UnOJrug");
    let theirs = place.topics().get("theirs").unwrap();
    assert_eq!((theirs.id, theirs.partitions().len()), (id, 2));
}

#[test]
fn configs_of_the_broker_reach_topics_and_last() {
    let mut place = Place::new();
    place.create("own", 1).unwrap();
    place.create("default", 1).unwrap();
    let own = Resource::Topic("own".to_owned());
    place.set(&own, "retention.ms", "1").unwrap();
    place
        .set(&Resource::EveryBroker, "log.retention.ms", "2")
        .unwrap();
    let retention = |place: &Place, topic| {
        let partition = place.topics().partition(topic, 0).unwrap();
        partition.log.config().retention_ms
    };
    assert_eq!(
        (retention(&place, "own"), retention(&place, "default")),
        (1, 2)
    );
    place
        .set(&Resource::Broker, "log.retention.ms", "3")
        .unwrap();
    place.reopen();
    assert_eq!(
        (retention(&place, "own"), retention(&place, "default")),
        (1, 3)
    );
    let entry = place.topics().settings().entry("log.retention.ms").unwrap();
    let sources: Vec<_> = entry.synonyms.iter().map(|s| s.source.code()).collect();
    assert_eq!(sources, [2, 3, 5]);

    let refused = |resource: &Resource, name, value| code(place.set(resource, name, value));
    let request = Some(ErrorCode::InvalidRequest);
    assert_eq!(refused(&Resource::Broker, "num.partitions", "3"), request);
    assert_eq!(
        refused(&Resource::Broker, "log.retention.ms", "soon"),
        request
    );
    assert_eq!(
        refused(&own, "retention.ms", "soon"),
        Some(ErrorCode::InvalidConfig)
    );
    assert_eq!(
        refused(&own, "no.such", "1"),
        Some(ErrorCode::InvalidConfig)
    );
    let unknown = Resource::Topic("unknown".to_owned());
    assert_eq!(
        refused(&unknown, "retention.ms", "1"),
        Some(ErrorCode::UnknownTopicOrPartition)
    );
    let replace = Alteration::Replace(Configs::new());
    place.topics().alter(&own, replace, false).unwrap();
    assert_eq!(retention(&place, "own"), 3);
}

#[test]
fn internal_topics_are_made_once_and_belong_to_the_broker() {
    let mut place = Place::new();
    let overrides = [("cleanup.policy", "compact")];
    let internal = |place: &Place| {
        let topic = place
            .topics()
            .internal("__consumer_offsets", 2, &overrides)
            .unwrap();
        (
            topic.id,
            topic.internal,
            topic.partitions().len(),
            topic.config().cleanup_policy.compact,
        )
    };
    let made = internal(&place);
    assert_eq!((made.1, made.2, made.3), (true, 2, true));
    assert_eq!(internal(&place), made);
    place.reopen();
    assert_eq!(internal(&place), made);
    let invalid = Some(ErrorCode::InvalidTopicException);
    assert_eq!(code(place.delete("__consumer_offsets")), invalid);
    let grown = place
        .topics()
        .create_partitions("__consumer_offsets", 9, None, false);
    assert_eq!(code(grown), invalid);
    for reserved in [METADATA_TOPIC, "__transaction_state"] {
        assert_eq!(
            code(place.create(reserved, 1)),
            Some(ErrorCode::InvalidRequest)
        );
    }
    assert!(place.topics().get(METADATA_TOPIC).is_none());
}

#[test]
fn what_is_only_validated_leaves_no_trace() {
    let place = Place::new();
    let wanted = vec![
        NewTopic::named("a.b"),
        NewTopic::named("a_b"),
        NewTopic::named("c"),
    ];
    let codes: Vec<_> = place
        .topics()
        .create(wanted, true)
        .into_iter()
        .map(code)
        .collect();
    assert_eq!(codes, [None, Some(ErrorCode::InvalidTopicException), None]);
    assert_eq!((place.described().len(), place.folders().len()), (0, 0));
    place.create("t", 1).unwrap();
    place
        .topics()
        .create_partitions("t", 5, None, true)
        .unwrap();
    assert_eq!(place.topics().get("t").unwrap().partitions().len(), 1);
    for count in [0, 1] {
        let grown = place.topics().create_partitions("t", count, None, false);
        assert_eq!(code(grown), Some(ErrorCode::InvalidPartitions));
    }
    place.assert_state_is_replay();
}

#[test]
fn deletion_can_be_turned_off() {
    let place = Place::with(&[("delete-topic-enable", "false")]);
    place.create("t", 1).unwrap();
    assert_eq!(
        code(place.delete("t")),
        Some(ErrorCode::TopicDeletionDisabled)
    );
}

#[tokio::test]
async fn no_producer_id_is_given_out_twice() {
    let mut place = Place::new();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let ids = ProducerIds::new(Arc::clone(place.topics()));
        for _ in 0..1_500 {
            assert!(seen.insert(ids.next().await.unwrap()));
        }
        drop(ids);
        place.crash();
    }
    place.assert_state_is_replay();
}

#[tokio::test]
async fn whoever_waits_for_the_disk_is_answered_when_the_topic_is_deleted() {
    let place = Place::new();
    place.create("events", 1).unwrap();
    let topic = place.topics().get("events").unwrap();
    let partition = topic.partition(0).unwrap();
    // No flush gets that far.
    let waiting = tokio::spawn(async move { partition.durable(i64::MAX - 1).await });
    tokio::task::yield_now().await;
    place
        .topics()
        .delete(|topics| topics.get("events").ok_or(TopicError::Unknown))
        .unwrap();
    let answer = waiting.await.unwrap();
    assert!(
        matches!(answer, Err(storage::AppendError::Closed)),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_is_answered_is_on_disk_also_without_flushes_for_clients() {
    let place = Place::with(&[("flush", "os")]);
    let check = |what| assert_eq!(place.topics().store().unflushed(), 0, "{what}");
    check("start");
    place.create("t", 1).unwrap();
    check("create");
    place
        .topics()
        .create_partitions("t", 3, None, false)
        .unwrap();
    check("partitions");
    place
        .set(&Resource::Topic("t".to_owned()), "retention.ms", "1000")
        .unwrap();
    check("configs");
    place
        .set(&Resource::EveryBroker, "log.retention.ms", "1000")
        .unwrap();
    check("broker configs");
    let ids = ProducerIds::new(Arc::clone(place.topics()));
    ids.next().await.unwrap();
    check("producer ids");
    place.delete("t").unwrap();
    // That it shall go is on disk; that it is gone is found again.
    assert_eq!(place.topics().store().unflushed(), 1);
}

#[path = "owner_test.rs"]
mod owner;
