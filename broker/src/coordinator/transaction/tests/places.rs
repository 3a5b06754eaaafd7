//! Transactions over logs in a folder: what is written when, and what is left in memory.
use std::collections::BTreeMap;

use ::config::{Settings, TopicConfig};
use protocol::record::BatchBuilder;
use storage::{AppendError, Logs, Origin};
use tempfile::TempDir;

use super::super::{Target, Transactions};
use super::*;
use crate::coordinator::Groups;
use crate::metadata::{NewTopic, ProducerIds, Topics, log_config, storage_options};

struct Scene {
    _folder: TempDir,
    logs: Arc<Logs>,
    topics: Arc<Topics>,
    transactions: Arc<Transactions>,
}

impl Scene {
    /// With topic "t" of two partitions.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let flags = [
            ("data-dir", path.as_str()),
            ("transaction-state-log-num-partitions", "1"),
        ];
        let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Arc::new(Settings::load(None, std::iter::empty(), flags.into()).unwrap());
        let config = TopicConfig::resolve(&BTreeMap::new(), &settings).unwrap();
        let opened = Logs::open(storage_options(&settings), &log_config(&config));
        let (logs, recovery) = opened.unwrap();
        let logs = Arc::new(logs);
        let topics = Arc::new(Topics::open(Arc::clone(&logs), &settings, recovery).unwrap());
        let groups = Arc::new(Groups::open(Arc::clone(&topics), &settings).unwrap());
        let producer_ids = Arc::new(ProducerIds::new(Arc::clone(&topics)));
        let mut topic = NewTopic::named("t");
        topic.partitions = 2;
        topics.create(vec![topic], false).remove(0).unwrap();
        let transactions =
            Transactions::open(&settings, Arc::clone(&topics), groups, producer_ids).unwrap();
        Self {
            _folder: folder,
            logs,
            topics,
            transactions,
        }
    }

    /// Writes a batch of one record; `joins` as clients with an epoch per transaction do.
    fn write(&self, who: Identity, sequence: i32, joins: bool) -> Result<(), ErrorCode> {
        let target = Target {
            topic: "t",
            partition: 0,
            joins,
        };
        let partition = self.topics.partition("t", 0).unwrap();
        let batch = BatchBuilder::new().producer(who.id, who.epoch, sequence);
        let mut batch = batch.transactional();
        batch.push(1, None, Some(b"v"));
        let batch = batch.build();
        let write = || partition.append(&batch, Origin::Client);
        let written = self.transactions.within("id", who, target, write)?;
        written
            .0
            .map(|_| ())
            .map_err(|error: AppendError| panic!("{error}"))
    }

    /// Markers and records of partition 0.
    fn end_offset(&self) -> i64 {
        self.topics.partition("t", 0).unwrap().log.end_offset()
    }
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

/// Its markers could be written again after a loss of power, and would end the next transaction.
#[test]
fn nothing_is_written_with_the_same_epoch_before_the_last_end_is_on_disk() {
    let scene = Scene::new();
    run(async {
        let it = &scene.transactions;
        let who = it.init("id", TIMEOUT_MS, None).await.unwrap();
        it.add("id", who, &[("t".into(), 0)]).await.unwrap();
        assert_eq!(scene.write(who, 0, false), Ok(()));
        it.end("id", who, true, 0).await.unwrap();
        assert_eq!(scene.end_offset(), 2);
        let place = it.find("id").unwrap();
        let complete = place.lock().written;
        assert_eq!(place.lock().unsettled, Some(complete));
        // As if it were not on disk, which only clients that do not wait for an answer meet.
        place.lock().unsettled = Some(complete + 1);
        for joins in [false, true] {
            let early = scene.write(who, 1, joins);
            let error = if joins {
                ErrorCode::ConcurrentTransactions
            } else {
                ErrorCode::TransactionAbortable
            };
            assert_eq!(early, Err(error));
        }
        assert_eq!(scene.end_offset(), 2);
        // Whoever is refused has it flushed.
        place.lock().unsettled = Some(complete);
        while scene.write(who, 1, true) == Err(ErrorCode::ConcurrentTransactions) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!(scene.end_offset(), 3);
        // This end raises the epoch: what comes next is told apart by it, and need not wait.
        let next = it.end("id", who, true, TV2).await.unwrap();
        assert_eq!(place.lock().unsettled, None);
        assert_eq!(scene.write(next, 0, true), Ok(()));
        it.end("id", next, true, 0).await.unwrap();
        // One that waits notices nothing.
        it.add("id", next, &[("t".into(), 0)]).await.unwrap();
        assert_eq!(scene.write(next, 1, false), Ok(()));
    });
}

#[test]
fn an_id_that_could_not_be_written_down_leaves_nothing() {
    let scene = Scene::new();
    run(async {
        let it = &scene.transactions;
        let who = it.init("id", TIMEOUT_MS, None).await.unwrap();
        it.add("id", who, &[("t".into(), 0)]).await.unwrap();
        scene.logs.close().unwrap();
        for nth in 0..3 {
            it.init(&format!("other {nth}"), TIMEOUT_MS, None)
                .await
                .unwrap_err();
        }
        it.init("id", TIMEOUT_MS, None).await.unwrap_err();
        assert_eq!(it.all().len(), 1);
    });
}

/// A partition that takes no marker keeps none of the others waiting, nor are theirs written again.
#[test]
fn one_bad_partition_does_not_keep_the_others_open() {
    let scene = Scene::new();
    run(async {
        let it = &scene.transactions;
        let who = it.init("id", TIMEOUT_MS, None).await.unwrap();
        let both = [("t".into(), 0), ("t".into(), 1)];
        it.add("id", who, &both).await.unwrap();
        let place = it.find("id").unwrap();
        let prepared = {
            let mut slot = place.lock();
            let end = slot
                .transaction
                .as_ref()
                .unwrap()
                .end(who, true, 0, None, 1);
            let Ok(End::Prepared(next, _)) = end else {
                panic!("{end:?}");
            };
            place.become_next(&mut slot, next).unwrap();
            slot.transaction.clone().unwrap()
        };
        let write = || it.write_markers(&place, &prepared, |_, _, _| true);
        let bad = ErrorCode::KafkaStorageError;
        let settle = |failing: Option<i32>| {
            let written = write().into_iter().map(|(topic, index, marked)| {
                let marked = match failing {
                    Some(failing) if failing == index => Err(bad),
                    _ => marked.map(|_| ()),
                };
                (topic, index, marked)
            });
            it.settle(&place, &prepared, written.collect())
        };
        assert_eq!(settle(Some(1)), Err(bad));
        assert_eq!(scene.end_offset(), 1);
        assert_eq!(settle(Some(1)), Err(bad));
        assert_eq!(scene.end_offset(), 1, "its marker is there");
        assert_eq!(settle(None), Ok(()));
        assert_eq!(scene.end_offset(), 1);
        assert_eq!(it.describe("id").unwrap().state, State::CompleteCommit);
    });
}
