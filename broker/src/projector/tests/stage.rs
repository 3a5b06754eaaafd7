//! A data directory with topics, groups and views at work in it.
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Settings, TopicConfig};
use projection::View;
use protocol::record::BatchBuilder;
use storage::{Logs, Origin};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::coordinator::Groups;
use crate::metadata::{NewTopic, Topics, log_config, storage_options};
use crate::partition::Partition;
use crate::projector::scan::scan;
use crate::projector::{Description, Done, Handle, Order, OrderError, Projector, State};

/// Long enough for any machine.
const DEADLINE: Duration = Duration::from_secs(60);

pub struct Stage {
    folder: TempDir,
    flags: Vec<(String, String)>,
    /// What takes the place of a view.
    view_of: Option<ViewOf>,
    open: Option<Open>,
}

type ViewOf = fn(&'static View) -> &'static View;

pub struct Open {
    pub logs: Arc<Logs>,
    pub topics: Arc<Topics>,
    pub groups: Arc<Groups>,
    pub projector: Projector,
    stop: watch::Sender<bool>,
}

/// A record as it stands in a topic: key, value, headers.
pub type Seen = (String, Option<String>, Vec<(String, String)>);

impl Stage {
    pub fn new(flags: &[(&str, &str)]) -> Self {
        let mut stage = Self {
            folder: tempfile::tempdir().unwrap(),
            flags: Vec::new(),
            view_of: None,
            open: None,
        };
        stage.start(flags);
        stage
    }

    /// As [`Self::new`], with other views than those that come with klamm.
    pub fn with_views(flags: &[(&str, &str)], view_of: ViewOf) -> Self {
        let mut stage = Self::new(&[("projections", "")]);
        stage.shut();
        stage.view_of = Some(view_of);
        stage.start(flags);
        stage
    }

    /// Opens everything, with these settings.
    pub fn start(&mut self, flags: &[(&str, &str)]) {
        let flags = flags.iter();
        let flags = flags.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.flags = flags.collect();
        self.start_again();
    }

    pub fn start_again(&mut self) {
        self.recover();
        self.open.as_ref().unwrap().projector.start().unwrap();
    }

    /// Opens everything, but no view is at work.
    pub fn recover(&mut self) {
        let data_dir = self.folder.path().display().to_string();
        let mut flags = self.flags.clone();
        flags.push(("data-dir".to_owned(), data_dir));
        if !flags.iter().any(|(name, _)| name == "flush") {
            flags.push(("flush".to_owned(), "os".to_owned()));
        }
        let settings = Arc::new(Settings::load(None, std::iter::empty(), flags).unwrap());
        let config = TopicConfig::resolve(&std::collections::BTreeMap::new(), &settings).unwrap();
        let (logs, recovery) =
            Logs::open(storage_options(&settings), &log_config(&config)).unwrap();
        let logs = Arc::new(logs);
        let topics = Arc::new(Topics::open(Arc::clone(&logs), &settings, recovery).unwrap());
        let groups = Arc::new(Groups::open(Arc::clone(&topics), &settings).unwrap());
        let stop = watch::Sender::new(false);
        let projector = {
            let mut wanted = crate::projector::wanted(&settings).unwrap();
            for wanted in &mut wanted {
                wanted.view = self.view_of.map_or(wanted.view, |of| of(wanted.view));
            }
            Projector::open(wanted, &settings, &topics, &groups, stop.subscribe()).unwrap()
        };
        self.open = Some(Open {
            logs,
            topics,
            groups,
            projector,
            stop,
        });
    }

    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn open(&self) -> &Open {
        self.open.as_ref().unwrap()
    }

    /// Ends the threads of the views; the logs stay open.
    pub fn stop_views(&self) {
        self.open().stop.send_replace(true);
        self.open().projector.join(DEADLINE);
    }

    /// As when the process is told to stop.
    pub fn shut(&mut self) {
        self.stop_views();
        self.open.take().unwrap().logs.close().unwrap();
    }

    /// As when the process is killed.
    pub fn crash(&mut self) {
        self.stop_views();
        self.open = None;
    }

    pub fn create(&self, name: &str, partitions: i32) {
        let mut topic = NewTopic::named(name);
        topic.partitions = partitions;
        self.open()
            .topics
            .create(vec![topic], false)
            .remove(0)
            .unwrap();
    }

    pub fn delete(&self, name: &str) {
        let find = |topics: &Topics| Ok(topics.get(name).expect("the topic"));
        self.open().topics.delete(find).unwrap();
    }

    pub fn partition(&self, topic: &str, index: i32) -> Arc<Partition> {
        self.open().topics.partition(topic, index).unwrap()
    }

    /// Produces these values as one batch.
    pub fn produce(&self, topic: &str, index: i32, values: &[String]) {
        let mut batch = BatchBuilder::new();
        for value in values {
            let now = crate::partition::now_ms();
            batch.push_with_headers(
                now,
                Some(b"k"),
                Some(value.as_bytes()),
                &[(b"h", Some(b"v"))],
            );
        }
        let partition = self.partition(topic, index);
        partition.append(&batch.build(), Origin::Client).unwrap();
    }

    pub fn view(&self, name: &str) -> &Arc<Handle> {
        self.open().projector.get(name).unwrap()
    }

    pub fn order(&self, view: &str, order: Order) -> Result<Done, OrderError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(self.view(view).order(order))
    }

    /// Waits until the view looks as it should.
    pub fn wait(&self, view: &str, what: &str, is: impl Fn(&Description) -> bool) -> Description {
        let start = Instant::now();
        loop {
            let now = self.view(view).describe();
            if is(&now) {
                return now;
            }
            assert!(start.elapsed() < DEADLINE, "not {what}: {now:#?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until the view has everything.
    pub fn settle(&self, view: &str) -> Description {
        self.wait(view, "up to date", |now| {
            let behind = now.sources.iter().any(|lag| lag.records > 0);
            now.state == State::Running && !behind && !now.sources.is_empty()
        })
    }

    pub fn digest(&self, view: &str) -> (String, u64) {
        match self.order(view, Order::Digest).unwrap() {
            Done::Digest { digest, rows, .. } => (digest, rows),
            other => panic!("{other:?}"),
        }
    }

    /// What a reader of the topic sees.
    pub fn read(&self, topic: &str) -> Vec<Seen> {
        let Some(partition) = self.open().topics.partition(topic, 0) else {
            return Vec::new();
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut seen = Vec::new();
        scan(&partition, 0, partition.high_watermark(), |_, record, _| {
            let headers = record.headers();
            let headers = headers.map(|it| (text(it.key), text(it.value.unwrap())));
            let value = record.value.map(text);
            seen.push((text(record.key.unwrap()), value, headers.collect()));
        })
        .unwrap();
        seen
    }

    /// The newest value of a key in a topic.
    pub fn last(&self, topic: &str, key: &str) -> Option<String> {
        let mut newest_first = self.read(topic).into_iter().rev();
        newest_first.find(|(it, ..)| it == key)?.1
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.open.is_some() {
            self.stop_views();
        }
    }
}

/// An event.
pub fn event(id: &str, user: &str, at: i64) -> String {
    format!(r#"{{"event_id":"{id}","user_id":"{user}","event_type":"login","timestamp":{at}}}"#)
}

/// Events with ids of their own, of a few users.
pub fn events(ids: std::ops::Range<i64>) -> Vec<String> {
    let event = |id| {
        event(
            &format!("e{id}"),
            &format!("u{}", id % 5),
            1_700_000_000_000 + id,
        )
    };
    ids.map(event).collect()
}

/// The key of a row of `user_activity`.
pub fn key(user: &str) -> String {
    format!(r#"{{"user_id":"{user}","event_type":"login"}}"#)
}
