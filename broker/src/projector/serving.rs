//! From records to a commit: what the generation that readers see takes in, and how it is made to
//! last.
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Settings;
use projection::{Commit, Outcome, Reason};

use super::batches::Batches;
use super::letters::{self, Sender, Spot};
use super::runner::{Runner, Trouble};
use super::settled;
use super::sink::{Sink, SinkError, Written};
use super::source::{Budget, Item, SourceError};
use super::{crash, publish};

/// A commit that is under way. What fails is tried again until it is made: what stands in the logs
/// already stays there, hidden, so that a full disk needs no room to take it back.
#[derive(Debug)]
pub(super) struct Pending {
    /// What it writes.
    pub written: Written,
    /// Letters that it settles.
    pub settled: Vec<settled::Change>,
    /// Letters that it writes.
    pub rejected: Vec<(Spot, Reason)>,
    /// Whether it puts the new generation in the place of the serving one.
    pub promotes: bool,
}

/// What was taken in and is not committed yet.
struct Taken {
    letters: Batches,
    rejected: Vec<(Spot, Reason)>,
    moved: bool,
    end: Result<(), Trouble>,
}

impl Runner {
    /// Takes in what the source has, up to the limits of one commit.
    pub(super) fn serve(&mut self) -> Result<bool, Trouble> {
        if self.lost.is_some() || self.over_limit().is_some() {
            return Ok(false);
        }
        let Some(serving) = self.serving.as_mut().filter(|it| it.is_live()) else {
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
        if taken.moved {
            self.commit(taken.letters, taken.rejected, Vec::new())?;
            if self.storm.is_raging() {
                let reason = self.storm.reason();
                self.pause(reason)?;
            }
        } else if taken.end.is_ok() {
            publish::caught_up(self);
        }
        taken.end?;
        Ok(taken.moved)
    }

    fn take(&mut self) -> Taken {
        let mut taken = Taken {
            letters: Batches::default(),
            rejected: Vec::new(),
            moved: false,
            end: Ok(()),
        };
        let Some(serving) = &mut self.serving else {
            return taken;
        };
        let sender = Sender {
            view: self.wanted.view.name,
            topic: Arc::clone(&serving.topic),
            topic_id: serving.topic_id.clone(),
            generation: serving.number,
        };
        let (engine, storm) = (&mut serving.engine, &mut self.storm);
        let Some(source) = &mut serving.source else {
            return taken;
        };
        let mut budget = budget(&self.room.settings);
        let started = Instant::now();
        let (letters, rejected, moved) =
            (&mut taken.letters, &mut taken.rejected, &mut taken.moved);
        let end = source.read(None, &mut budget, |item| {
            *moved = true;
            let (outcome, input, record) = match item {
                Item::Skip(partition, next) => {
                    engine.skip_to(partition, next);
                    return ControlFlow::Continue(());
                }
                Item::Record(input, record) => (engine.step(&input), input, *record),
                Item::Unreadable(input, error) => {
                    let outcome = letters::because(engine.step(&input), &error);
                    (outcome, input, letters::NOTHING)
                }
            };
            if let Outcome::Rejected(rejection) = &outcome {
                letters::push(letters, &sender, &input, &record, rejection);
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
        rejected: Vec<(Spot, Reason)>,
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
        self.pending = Some(Pending {
            written,
            settled,
            rejected,
            promotes: false,
        });
        self.finish_commit()
    }

    /// Gets the commit that is under way through its steps.
    pub(super) fn finish_commit(&mut self) -> Result<(), Trouble> {
        let (Some(pending), Some(serving)) = (&self.pending, &self.serving) else {
            return Ok(());
        };
        let generation = match &self.building {
            Some(build) if pending.promotes => &build.generation,
            _ => serving,
        };
        let sink = Sink {
            topics: &self.room.topics,
            commits: &self.room.commits,
            durable: self.room.durable(),
            stopping: &self.room.stopping,
        };
        let view = self.wanted.view.name;
        let mut made = None;
        let committed = sink.commit(&mut self.outputs, &pending.written, |outputs| {
            let commit = generation.record(view, outputs);
            made = Some(commit.clone());
            commit
        });
        match (committed, made) {
            (Ok(first), Some(commit)) => {
                self.committed(first, commit);
                Ok(())
            }
            (Ok(_), None) => Ok(()),
            (Err(_), _) if self.is_stopping() => Err(Trouble::Stopping),
            (Err(SinkError::Stopping), _) => Err(Trouble::Stopping),
            (Err(SinkError::Again(reason)), _) => Err(Trouble::Again(reason)),
            (Err(SinkError::Unknown(reason)), _) => {
                self.unknown = true;
                Err(Trouble::Failed(reason))
            }
        }
    }

    fn committed(&mut self, first: i64, commit: Commit) {
        let sequence = commit.sequence;
        // First of all: should anything below fail, the view is opened again from here.
        let before = self.commit.replace(commit);
        let Some(pending) = self.pending.take() else {
            return;
        };
        if pending.promotes {
            self.take_over(first, sequence);
        } else if let Some(serving) = &mut self.serving {
            serving.engine.commit(first);
            serving.sequence = sequence;
        }
        for change in pending.settled {
            self.settled.apply(change);
        }
        for (_, reason) in &pending.rejected {
            self.handle.stats().letter(*reason);
        }
        self.letters_written(&pending.rejected);
        publish::committed(self, before.as_ref());
        crash::passage(7);
        let mirror = &mut self.mirror;
        mirror.write_now_and_then(&self.room.groups, self.commit.as_ref());
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
