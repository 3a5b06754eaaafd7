//! The thread of one view: orders, records, commits, and sleep until there are more.
use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use config::Settings;
use projection::{Commit, Outcome, Reason};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::batches::Batches;
use super::build::Build;
use super::commits::Commits;
use super::definitions::{Definition, Definitions};
use super::describe::State;
use super::generation::Generation;
use super::handle::{Ask, Handle};
use super::letters::{self, Sender, Spot};
use super::mirror::Mirror;
use super::recovery::Recovered;
use super::settled::{self, Settled};
use super::sink::{Outputs, Sink, SinkError, Written};
use super::source::{Budget, Item, SourceError};
use super::storm::Storm;
use super::wanted::Wanted;
use super::{crash, publish};
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
    /// Why there is none although there should be.
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
            build_refused: None,
            loss: None,
            wanted_hash: engine.definition_hash().to_owned(),
            storm: Storm::default(),
            lost: recovered.lost,
            failed: None,
            unknown: false,
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
        let worked = if self.stands_still() {
            Ok(false)
        } else {
            self.work()
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

    /// Whether nothing is to be read at all.
    fn stands_still(&self) -> bool {
        self.failed.is_some() || self.definition.paused.is_some()
    }

    fn work(&mut self) -> Result<bool, Trouble> {
        if self.serving.is_none() {
            if self.commit.is_some() {
                self.open()?;
            } else if !self.begin()? {
                return Ok(false);
            }
        }
        self.settle_definition()?;
        let served = self.serve()?;
        Ok(self.build()? || served)
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
        definition.definition = serving.engine.definition_hash().to_owned();
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
        self.outputs
            .cut()
            .map_err(|error| Trouble::Again(error.to_string()))?;
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

    /// Takes in what the source has, up to the limits of one commit.
    fn serve(&mut self) -> Result<bool, Trouble> {
        let Some(serving) = &mut self.serving else {
            return Ok(false);
        };
        if self.lost.is_some() || !serving.is_live() || self.over_limit().is_some() {
            return Ok(false);
        }
        let Some(serving) = &mut self.serving else {
            return Ok(false);
        };
        serving.take_in_partitions();
        let Some(source) = &mut serving.source else {
            return Ok(false);
        };
        if self.room.topics.by_id(source.topic.id).is_none() {
            return Err(Trouble::Lost(format!("{} was deleted", serving.topic)));
        }
        if !source.has_more()
            && let Some((partition, last)) = source.unflushed()
        {
            let flushed = partition.durable_blocking(last, &self.room.stopping);
            flushed.map_err(|error| Trouble::Again(format!("{}: {error}", serving.topic)))?;
        }
        let taken = self.take();
        let Taken {
            letters,
            rejected,
            moved,
            end,
        } = taken;
        if moved {
            self.commit(letters, Vec::new())?;
            for (_, reason) in &rejected {
                self.handle.stats().letter(*reason);
            }
            self.letters_written(&rejected);
            if self.storm.is_raging() {
                let reason = self.storm.reason();
                self.pause(reason)?;
            }
        } else {
            publish::caught_up(self);
        }
        end?;
        Ok(moved)
    }

    fn take(&mut self) -> Taken {
        let (serving, storm) = (self.serving.as_mut(), &mut self.storm);
        let mut taken = Taken::default();
        let Some(serving) = serving else {
            return taken;
        };
        let sender = Sender {
            view: self.wanted.view.name,
            topic: Arc::clone(&serving.topic),
            topic_id: serving.topic_id.clone(),
            generation: serving.number,
        };
        let (engine, source) = (&mut serving.engine, serving.source.as_mut());
        let Some(source) = source else {
            return taken;
        };
        let mut budget = budget(&self.room.settings);
        let started = Instant::now();
        let (letters, rejected, moved) =
            (&mut taken.letters, &mut taken.rejected, &mut taken.moved);
        let end = source.read(None, &mut budget, |item| {
            *moved = true;
            let (input, record) = match item {
                Item::Skip(partition, next) => {
                    engine.skip_to(partition, next);
                    return ControlFlow::Continue(());
                }
                Item::Record(input, record) => (input, record),
            };
            let outcome = engine.step(&input);
            if let Outcome::Rejected(rejection) = &outcome {
                letters::push(letters, &sender, &input, record, rejection);
                rejected.push(((input.partition, input.offset), rejection.reason));
            }
            if storm.note(matches!(outcome, Outcome::Rejected(_))) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        if taken.moved {
            self.handle.stats().apply.observe(started.elapsed());
        }
        taken.end = end.map_err(|error| match error {
            SourceError::Lost(reason) => Trouble::Lost(reason),
            SourceError::Corrupt { .. } => Trouble::Failed(error.to_string()),
            SourceError::Read { .. } => Trouble::Again(error.to_string()),
        });
        taken
    }

    /// Commits what the engine has changed since the last commit.
    pub(super) fn commit(
        &mut self,
        mut letters: Batches,
        settled: Vec<settled::Change>,
    ) -> Result<(), Trouble> {
        let Some(serving) = &mut self.serving else {
            return Ok(());
        };
        let mut rows = Batches::default();
        serving
            .engine
            .changes(&mut |key, value, timestamp| rows.push(timestamp, Some(key), value, &[]));
        let written = Written {
            rows: rows.finish(),
            letters: letters.finish(),
            settled: settled::records(&settled, &serving.topic_id).finish(),
        };
        let view = self.wanted.view.name;
        let record = |outputs| serving.record(view, outputs);
        let committed = commit(&self.room, &mut self.outputs, &written, record);
        match committed {
            Ok((first, record)) => {
                serving.engine.commit(first);
                serving.sequence = record.sequence;
                for change in settled {
                    self.settled.apply(change);
                }
                publish::committed(self, record);
                crash::passage(7);
                self.mirror
                    .write_now_and_then(&self.room.groups, self.commit.as_ref());
                Ok(())
            }
            Err(error) => {
                serving.rollback();
                self.storm.calm();
                Err(self.not_committed(error))
            }
        }
    }

    pub(super) fn not_committed(&mut self, error: SinkError) -> Trouble {
        match error {
            _ if self.is_stopping() => Trouble::Stopping,
            SinkError::Stopping => Trouble::Stopping,
            SinkError::Unknown(reason) => {
                self.unknown = true;
                Trouble::Failed(reason)
            }
            SinkError::Again(reason) => {
                if let Err(error) = self.outputs.cut() {
                    error!(view = self.name(), %error, "cannot cut off what was not committed");
                }
                Trouble::Again(reason)
            }
        }
    }

    /// Why the view stops for want of memory, if it does.
    fn over_limit(&self) -> Option<String> {
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

/// What was taken in and is not committed yet.
struct Taken {
    letters: Batches,
    rejected: Vec<(Spot, Reason)>,
    moved: bool,
    end: Result<(), Trouble>,
}

impl Default for Taken {
    fn default() -> Self {
        Self {
            letters: Batches::default(),
            rejected: Vec::new(),
            moved: false,
            end: Ok(()),
        }
    }
}

/// What one commit may take.
pub(super) fn budget(settings: &Settings) -> Budget {
    let time = Duration::from_millis(settings.projection_commit_max_ms.unsigned_abs());
    Budget {
        records: settings.projection_commit_max_records as usize,
        bytes: settings.projection_commit_max_bytes as usize,
        until: Instant::now() + time,
    }
}

/// Goes through the steps of a commit; gives the offset of the first row, and the record.
pub(super) fn commit(
    room: &Room,
    outputs: &mut Outputs,
    written: &Written,
    record: impl FnOnce(Vec<projection::OutputPosition>) -> Commit,
) -> Result<(i64, Commit), SinkError> {
    // An earlier attempt may have failed to.
    outputs
        .cut()
        .map_err(|error| SinkError::Again(error.to_string()))?;
    let sink = Sink {
        topics: &room.topics,
        commits: &room.commits,
        durable: room.durable(),
        stopping: &room.stopping,
    };
    let mut made = None;
    let first = sink.commit(outputs, written, |positions| {
        let commit = record(positions);
        made = Some(commit.clone());
        commit
    })?;
    Ok((first, made.expect("a commit is made of its record")))
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no reason given".to_owned())
}
