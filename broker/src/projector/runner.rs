//! The thread of one view: orders, records, commits, and sleep until there are more.
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use config::Settings;
use projection::{Commit, Reason};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::build::Build;
use super::commits::Commits;
use super::definitions::{Definition, Definitions};
use super::describe::State;
use super::generation::Generation;
use super::handle::{Ask, Handle};
use super::mirror::Mirror;
use super::publish;
use super::recovery::Recovered;
use super::serving::Pending;
use super::settled::Settled;
use super::sink::Outputs;
use super::storm::Storm;
use super::wanted::Wanted;
use crate::coordinator::Groups;
use crate::metadata::{Topic, Topics};
use crate::partition::{Bell, Partition};

/// How long a thread sleeps that nothing wakes.
const LONG: Duration = Duration::from_secs(3600);
/// How long after a failure the next attempt comes.
const RETRY: Duration = Duration::from_secs(1);

/// What the threads of all views work with.
#[derive(Debug)]
pub struct Room {
    /// All settings.
    pub settings: Arc<Settings>,
    /// Topics.
    pub topics: Arc<Topics>,
    /// Groups, for lag tools.
    pub groups: Arc<Groups>,
    /// The log of commits.
    pub commits: Commits,
    /// The log of definitions.
    pub definitions: Definitions,
    /// Becomes true when the broker stops.
    pub stopping: watch::Receiver<bool>,
}

impl Room {
    /// Whether commits wait for the disk.
    pub fn durable(&self) -> bool {
        self.settings.flush == config::FlushPolicy::Commit
    }
}

/// Why a view does not get on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be better later.
    Again(String),
    /// Not without the user.
    Failed(String),
    /// The source is not what it was.
    Lost(String),
    /// The broker stops.
    Stopping,
}

/// What a thread does next.
enum Next {
    Work,
    Sleep(Duration),
}

/// See the module.
pub(super) struct Runner {
    pub(super) room: Arc<Room>,
    pub(super) wanted: Wanted,
    pub(super) handle: Arc<Handle>,
    pub(super) bell: Arc<Bell>,
    pub(super) orders: Receiver<Ask>,
    /// What the user wants.
    pub(super) definition: Definition,
    /// The last commit of the generation that readers see.
    pub(super) commit: Option<Commit>,
    /// Why its outputs are not what it says.
    pub(super) broken: Option<String>,
    pub(super) outputs: Outputs,
    pub(super) settled: Settled,
    pub(super) serving: Option<Generation>,
    /// The generation that is to take its place.
    pub(super) building: Option<Build>,
    /// The commit that is under way.
    pub(super) pending: Option<Pending>,
    /// Why no generation is built although one should be.
    pub(super) build_refused: Option<String>,
    /// What the serving generation lacks because the user accepted that.
    pub(super) loss: Option<String>,
    /// Hash of the definition that the settings ask for.
    pub(super) wanted_hash: String,
    pub(super) storm: Storm,
    /// Why the source is not what it was.
    pub(super) lost: Option<String>,
    /// Why nothing goes on until the user says so.
    pub(super) failed: Option<String>,
    /// Whether the last commit is known neither to last nor not to.
    pub(super) unknown: bool,
    pub(super) mirror: Mirror,
    retry_at: Option<Instant>,
    told: Option<State>,
}

impl Runner {
    pub(super) fn new(
        room: Arc<Room>,
        wanted: Wanted,
        (handle, bell, orders): (Arc<Handle>, Arc<Bell>, Receiver<Ask>),
        definition: Definition,
        recovered: Recovered,
    ) -> Self {
        let outputs = Outputs::new(&room.topics, wanted.view.name, recovered.commit.as_ref());
        let engine = (wanted.view.engine)(wanted.options.clone());
        let lost = recovered.lost.or_else(|| definition.lost.clone());
        handle.show(|shown| shown.definition = engine.definition_hash().into());
        Self {
            mirror: Mirror::new(wanted.view.name),
            room,
            handle,
            bell,
            orders,
            definition,
            commit: recovered.commit,
            broken: recovered.broken,
            outputs,
            settled: Settled::default(),
            serving: None,
            building: None,
            pending: None,
            build_refused: None,
            loss: None,
            wanted_hash: engine.definition_hash().to_owned(),
            storm: Storm::default(),
            lost,
            unknown: recovered.unreadable.is_some(),
            failed: recovered.unreadable,
            retry_at: None,
            told: None,
            wanted,
        }
    }

    /// Runs until the broker stops. A panic stops the view and nothing else.
    pub(super) fn run(mut self) {
        while !self.is_stopping() {
            let lived = catch_unwind(AssertUnwindSafe(|| self.live()));
            if let Err(panic) = lived {
                // What the engine holds is not to be trusted any more; the logs are.
                self.serving = None;
                self.building = None;
                self.pending = None;
                self.failed = Some(format!("it panicked: {}", message(&*panic)));
            }
        }
    }

    fn live(&mut self) {
        let room = Arc::clone(&self.room);
        let bell = Arc::clone(&self.bell);
        while !self.is_stopping() {
            // Before the look at the offsets, so that no append is missed.
            let sources = self.sources();
            let _places: Vec<_> = sources.iter().map(|it| it.register(&bell)).collect();
            let _changes = room.topics.register(&bell);
            match self.turn() {
                Next::Work => {}
                Next::Sleep(time) => {
                    self.mirror.write(&self.room.groups, self.commit.as_ref());
                    bell.wait(time);
                }
            }
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.room.stopping.borrow()
    }

    pub(super) fn name(&self) -> &'static str {
        self.wanted.view.name
    }

    /// The partitions that are or will be read.
    fn sources(&self) -> Vec<Arc<Partition>> {
        let read = |topic: Arc<Topic>| topic.partitions().to_vec();
        let waited = self.room.topics.get(&self.wanted.options.source);
        let serving = self.serving.as_ref().and_then(|it| it.source.as_ref());
        let mut partitions = waited.map_or_else(Vec::new, read);
        if let Some(source) = serving
            && source.topic.name.as_ref() != self.wanted.options.source
        {
            partitions.extend(read(Arc::clone(&source.topic)));
        }
        partitions
    }

    fn turn(&mut self) -> Next {
        self.follow_orders();
        if let Some(at) = self.retry_at {
            let left = at.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Next::Sleep(left);
            }
            self.retry_at = None;
        }
        let worked = match self.failed {
            Some(_) => Ok(false),
            None => self.work(),
        };
        let next = self.judge(worked);
        self.show_state();
        next
    }

    fn judge(&mut self, worked: Result<bool, Trouble>) -> Next {
        let mut trouble = None;
        let next = match worked {
            Ok(true) => Next::Work,
            Ok(false) => Next::Sleep(LONG),
            Err(Trouble::Stopping) => Next::Sleep(Duration::ZERO),
            Err(Trouble::Again(reason)) => {
                self.retry_at = Some(Instant::now() + RETRY);
                trouble = Some(reason);
                Next::Sleep(RETRY)
            }
            Err(Trouble::Failed(reason)) => {
                self.failed = Some(reason);
                Next::Work
            }
            Err(Trouble::Lost(reason)) => {
                self.lost = Some(reason);
                Next::Work
            }
        };
        let refused = self.build_refused.clone();
        self.handle.show(|shown| {
            if let Some(reason) = &trouble
                && shown.trouble.is_none()
            {
                warn!(
                    view = shown.name,
                    reason, "a view cannot get on, trying again"
                );
            }
            shown.trouble = trouble.or(refused);
        });
        next
    }

    fn work(&mut self) -> Result<bool, Trouble> {
        if self.serving.is_none() && self.commit.is_some() {
            self.open()?;
        }
        self.note_loss()?;
        // Its rows are there for readers all the same.
        if self.definition.paused.is_some() {
            return Ok(false);
        }
        if self.serving.is_none() && !self.begin()? {
            return Ok(false);
        }
        self.finish_commit()?;
        self.settle_definition()?;
        let served = self.serve()?;
        Ok(self.build()? || served)
    }

    /// Writes down that the source is not what it was, or that the user got over it.
    fn note_loss(&mut self) -> Result<(), Trouble> {
        if self.definition.lost == self.lost {
            return Ok(());
        }
        let mut definition = self.definition.clone();
        definition.lost.clone_from(&self.lost);
        self.redefine(definition)
    }

    /// Writes down which generation serves, once another one does: what was asked for is done.
    fn settle_definition(&mut self) -> Result<(), Trouble> {
        let Some(serving) = &self.serving else {
            return Ok(());
        };
        if self.definition.generation == serving.number {
            return Ok(());
        }
        let mut definition = self.definition.clone();
        let hash = serving.engine.definition_hash();
        hash.clone_into(&mut definition.hash);
        definition.options = (&serving.options).into();
        definition.generation = serving.number;
        definition.rebuild = None;
        definition.accepted_loss.clone_from(&self.loss);
        self.redefine(definition)
    }

    /// The first generation, once the source has a record.
    fn begin(&mut self) -> Result<bool, Trouble> {
        let Some(topic) = self.room.topics.get(&self.wanted.options.source) else {
            return Ok(false);
        };
        let partitions = topic.partitions();
        for partition in partitions.iter() {
            partition.watch_appends();
        }
        self.handle
            .show(|shown| shown.topic = Some(Arc::clone(&topic)));
        if partitions.iter().all(|it| it.high_watermark() == 0) {
            return Ok(false);
        }
        self.cut()?;
        let view = self.wanted.view;
        let durable = self.room.durable();
        let generation = Generation::fresh(1, view, &self.wanted.options, topic, durable);
        info!(
            view = view.name,
            source = &*generation.topic,
            "building a view: its source has records"
        );
        self.serving = Some(generation);
        Ok(true)
    }

    /// Writes down what the user wants.
    pub(super) fn redefine(&mut self, definition: Definition) -> Result<(), Trouble> {
        if definition == self.definition {
            return Ok(());
        }
        let room = &self.room;
        let written = room
            .definitions
            .write(self.name(), &definition, &room.stopping);
        written.map_err(|error| Trouble::Again(error.to_string()))?;
        self.definition = definition;
        Ok(())
    }

    /// Takes back what stands above the last commit.
    fn cut(&mut self) -> Result<(), Trouble> {
        let cut = self.outputs.cut();
        cut.map_err(|error| Trouble::Again(error.to_string()))
    }

    /// The generation that made the last commit, read back.
    fn open(&mut self) -> Result<(), Trouble> {
        let Some(commit) = &self.commit else {
            return Ok(());
        };
        let view = self.wanted.view;
        self.outputs = Outputs::new(&self.room.topics, view.name, Some(commit));
        let failed = |error: super::scan::ScanError| {
            Trouble::Failed(format!("the view cannot be read back: {error}"))
        };
        self.cut()?;
        let Some(commit) = &self.commit else {
            return Ok(());
        };
        let choices = [
            self.wanted.options.clone(),
            self.definition.options.clone().into(),
        ];
        let rows = (&self.outputs.rows, self.room.durable());
        let started = Instant::now();
        let generation = Generation::restored(view, commit, &choices, &self.room.topics, rows);
        let mut generation = generation.map_err(failed)?;
        if let Some(broken) = &self.broken {
            generation.frozen = Some(broken.clone());
        }
        self.settled = match self.outputs.settled.partition() {
            None => Settled::default(),
            Some(partition) => {
                let next = self.outputs.settled.next();
                Settled::load(partition, next, &generation.topic_id).map_err(failed)?
            }
        };
        if let Some(source) = &generation.source {
            for partition in source.topic.partitions().iter() {
                partition.watch_appends();
            }
        } else if self.lost.is_none() {
            self.lost = Some(format!("{} is gone", generation.topic));
        }
        info!(
            view = view.name,
            generation = generation.number,
            rows = generation.engine.table().len(),
            took_ms = started.elapsed().as_millis() as u64,
            "read a view back"
        );
        self.serving = Some(generation);
        self.storm.calm();
        publish::restored(self);
        Ok(())
    }

    /// Why the view stops for want of memory, if it does.
    pub(super) fn over_limit(&self) -> Option<String> {
        let limit = self.room.settings.projection_memory_max_bytes;
        let used = self.serving.as_ref()?.engine.memory_bytes();
        (used as u64 > limit as u64).then(|| {
            format!(
                "{}: {used} bytes of rows and seen events, projection_memory_max_bytes is {limit}",
                Reason::StateLimit
            )
        })
    }

    pub(super) fn show_state(&mut self) {
        let stopped = self.stopped();
        if stopped != self.told {
            let view = self.name();
            match &stopped {
                None => info!(view, "a view goes on"),
                Some(state @ (State::Failed(reason) | State::LostInput(reason))) => {
                    error!(view, %state, reason, "a view stopped");
                }
                Some(state) => warn!(view, %state, reason = state.reason(), "a view stopped"),
            }
            self.told.clone_from(&stopped);
        }
        self.handle.show(|shown| shown.stopped = stopped);
    }

    fn stopped(&self) -> Option<State> {
        let failed = self.failed.clone().map(State::Failed);
        let lost = || self.lost.clone().map(State::LostInput);
        let paused = || self.definition.paused.clone().map(State::Paused);
        let limit = || self.over_limit().map(State::Paused);
        failed.or_else(lost).or_else(paused).or_else(limit)
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no reason given".to_owned())
}
