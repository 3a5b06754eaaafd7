//! A new generation beside the one that readers see: built in memory from the start of the source,
//! then put in the other's place by writing what differs.
//!
//! Nothing of it is written before that. A restart builds it anew, so a half-built generation needs
//! no place on the disk and no recovery.
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use projection::{Outcome, Reason};
use tracing::{info, warn};

use super::batches::Batches;
use super::definitions::Rebuild;
use super::describe::Building;
use super::generation::Generation;
use super::letters::{self, Sender, Spot};
use super::runner::{Runner, Trouble};
use super::scan::ScanError;
use super::serving::{Pending, budget};
use super::settled::{self, Change, How, Settled, Settlement};
use super::sink::Written;
use super::source::{Item, Source, SourceError};
use super::storm::Storm;
use crate::partition::now_ms;

/// How long it builds before the serving generation has its turn again.
const SHARE: Duration = Duration::from_millis(50);

/// See the module.
pub(super) struct Build {
    pub(super) generation: Generation,
    /// Dead letters of this generation that are not in their topic yet.
    letters: Batches,
    rejected: Vec<(Spot, Reason)>,
    /// Those that are in it, from generations before.
    known: HashMap<Spot, Reason>,
    settled: Settled,
    changes: Vec<Change>,
    storm: Storm,
    /// What it lacks that the serving generation read, as the user accepted.
    loss: Option<String>,
    /// Whether it waits to be promoted by hand.
    pub(super) hold: bool,
    ready: bool,
}

impl Runner {
    /// Gets the new generation on, if there is to be one.
    pub(super) fn build(&mut self) -> Result<bool, Trouble> {
        if self.building.is_none() && !self.begin_build() {
            return Ok(false);
        }
        let moved = match self.advance_build() {
            Ok(moved) => moved,
            Err(reason) => {
                self.abandon(&reason);
                false
            }
        };
        let promote = self
            .building
            .as_ref()
            .is_some_and(|it| it.ready && !it.hold);
        self.show_building();
        if promote {
            self.promote()?;
        }
        Ok(moved || promote)
    }

    /// The request for a new generation: the user's, or because this one cannot go on.
    fn wants_build(&mut self) -> Option<Rebuild> {
        let serving = self.serving.as_ref()?;
        if self.build_refused.is_some() {
            return None;
        }
        let same = serving.engine.definition_hash() == self.wanted_hash;
        let needed = self.lost.is_none() && !(same && serving.is_live());
        let by_itself = needed.then_some(Rebuild {
            accept_loss: false,
            hold: false,
        });
        let rebuild = self.definition.rebuild.or(by_itself)?;
        let missing = self.lost.clone().or_else(|| serving.missing_history());
        if let Some(missing) = missing
            && !rebuild.accept_loss
        {
            let reason = format!(
                "a new generation is wanted, but {missing}: rebuild and accept the loss, or take \
                 the settings back"
            );
            warn!(view = self.name(), reason, "a view cannot be built anew");
            self.build_refused = Some(reason);
            return None;
        }
        Some(rebuild)
    }

    fn begin_build(&mut self) -> bool {
        let Some(rebuild) = self.wants_build() else {
            return false;
        };
        let Some(serving) = &self.serving else {
            return false;
        };
        let Some(topic) = self.room.topics.get(&self.wanted.options.source) else {
            return false;
        };
        if topic.partitions().iter().all(|it| it.high_watermark() == 0) {
            return false;
        }
        let loss = self.lost.clone().or_else(|| serving.missing_history());
        let view = self.wanted.view;
        let (options, durable) = (&self.wanted.options, self.room.durable());
        let number = serving.number + 1;
        let generation = Generation::fresh(number, view, options, topic, durable);
        let (known, settled) = match self.judged(&generation.topic_id) {
            Ok(judged) => judged,
            Err(error) => {
                self.abandon(&format!("the dead letters cannot be read: {error}"));
                return false;
            }
        };
        info!(
            view = view.name,
            generation = number,
            "building a new generation of a view"
        );
        self.building = Some(Build {
            generation,
            letters: Batches::default(),
            rejected: Vec::new(),
            known,
            settled,
            changes: Vec::new(),
            storm: Storm::default(),
            loss: loss.filter(|_| rebuild.accept_loss),
            hold: rebuild.hold,
            ready: false,
        });
        true
    }

    /// The dead letters of a topic, and those of them that are settled.
    fn judged(&self, topic_id: &str) -> Result<(HashMap<Spot, Reason>, Settled), ScanError> {
        let mut known = HashMap::new();
        if let Some(partition) = self.outputs.letters.partition() {
            let to = self.outputs.letters.next();
            letters::each(partition, 0, to, |letter| {
                if letter.topic_id == topic_id {
                    known.insert(letter.spot, letter.reason);
                }
            })?;
        }
        let settled = match self.outputs.settled.partition() {
            None => Settled::default(),
            Some(partition) => Settled::load(partition, self.outputs.settled.next(), topic_id)?,
        };
        Ok((known, settled))
    }

    /// Takes in some more; an error says why the new generation cannot be.
    fn advance_build(&mut self) -> Result<bool, String> {
        let (Some(build), Some(serving)) = (&mut self.building, &self.serving) else {
            return Ok(false);
        };
        // Never ahead of the serving one: of two that reject a record, that one writes the letter.
        let same = serving.topic_id == build.generation.topic_id;
        let bound = (same && serving.is_live() && self.lost.is_none()).then(|| serving.positions());
        if bound.is_none() {
            // Nothing else waits for what is not on disk yet, and no record comes to wake this.
            let source = build.generation.source.as_ref();
            let source = source.filter(|source| !source.has_more());
            if let Some((partition, last)) = source.and_then(Source::unflushed) {
                let flushed = partition.durable_blocking(last, &self.room.stopping);
                flushed.map_err(|error| error.to_string())?;
            }
        }
        let mut budget = budget(&self.room.settings);
        budget.until = budget.until.min(Instant::now() + SHARE);
        let moved = build.take(self.wanted.view.name, bound.as_ref(), budget)?;
        build.generation.engine.commit(0);
        let reached = build.generation.positions();
        build.ready = match (&bound, &build.generation.source) {
            (Some(bound), _) => bound
                .iter()
                .all(|(partition, next)| reached.get(partition) == Some(next)),
            (None, Some(source)) => !source.has_more() && source.unflushed().is_none(),
            (None, None) => false,
        };
        let limit = self.room.settings.projection_memory_max_bytes as usize;
        let used = build.generation.engine.memory_bytes() + build.letters.bytes();
        if used > limit {
            return Err(format!(
                "{}: {used} bytes, projection_memory_max_bytes is {limit}",
                Reason::StateLimit
            ));
        }
        if build.storm.is_raging() {
            return Err(build.storm.reason());
        }
        Ok(moved)
    }

    /// Gives the new generation up; the old one goes on serving.
    fn abandon(&mut self, reason: &str) {
        warn!(
            view = self.name(),
            reason, "gave a new generation of a view up"
        );
        self.building = None;
        self.build_refused = Some(format!("the new generation was given up: {reason}"));
    }

    /// The serving generation wrote letters.
    pub(super) fn letters_written(&mut self, written: &[(Spot, Reason)]) {
        if let Some(build) = &mut self.building {
            build.known.extend(written.iter().copied());
        }
    }

    /// One commit that turns what readers see into the new generation.
    fn promote(&mut self) -> Result<(), Trouble> {
        let (Some(build), Some(serving)) = (&mut self.building, &self.serving) else {
            return Ok(());
        };
        let table = serving.engine.table();
        let mut rows = Batches::default();
        for key in &serving.strays {
            rows.push(now_ms(), Some(key), None, &[]);
        }
        let engine = &build.generation.engine;
        engine.difference(&*table, &mut |key, value, timestamp| {
            rows.push(timestamp, Some(key), value, &[]);
        });
        let (view, generation) = (self.wanted.view.name, build.generation.number);
        info!(
            view,
            generation,
            changes = rows.count(),
            "promoting a new generation of a view"
        );
        let written = Written {
            rows: rows.finish(),
            letters: build.letters.finish(),
            settled: settled::records(&build.changes, &build.generation.topic_id).finish(),
        };
        self.pending = Some(Pending {
            written,
            settled: build.changes.clone(),
            rejected: build.rejected.clone(),
            promotes: true,
        });
        self.finish_commit()
    }

    /// The new generation is what readers see.
    pub(super) fn take_over(&mut self, first: i64, sequence: u64) {
        let (Some(mut build), Some(serving)) = (self.building.take(), &self.serving) else {
            return;
        };
        let first = first + serving.strays.len() as i64;
        let generation = &mut build.generation;
        generation
            .engine
            .take_place(&*serving.engine.table(), first);
        generation.sequence = sequence;
        self.serving = Some(build.generation);
        self.settled = build.settled;
        self.loss = build.loss;
        self.lost = None;
        self.broken = None;
        self.storm.calm();
        self.handle.show(|shown| shown.building = None);
    }

    fn show_building(&self) {
        let building = self.building.as_ref().map(Build::describe);
        self.handle.show(|shown| shown.building = building);
    }
}

impl Build {
    fn take(
        &mut self,
        view: &'static str,
        bound: Option<&std::collections::BTreeMap<i32, i64>>,
        mut budget: super::source::Budget,
    ) -> Result<bool, String> {
        self.generation.take_in_partitions();
        let generation = &mut self.generation;
        let Some(source) = &mut generation.source else {
            return Ok(false);
        };
        let (engine, number) = (&mut generation.engine, generation.number);
        let mut judge = Judge {
            sender: Sender {
                view,
                topic: Arc::clone(&generation.topic),
                topic_id: generation.topic_id.clone(),
                generation: number,
            },
            letters: &mut self.letters,
            rejected: &mut self.rejected,
            known: &self.known,
            settled: &self.settled,
            changes: &mut self.changes,
        };
        let (storm, mut moved) = (&mut self.storm, false);
        let end = source.read(bound, &mut budget, |item| {
            moved = true;
            let mut is_storm = false;
            match item {
                Item::Skip(partition, next) => engine.skip_to(partition, next),
                Item::Record(input, record) => {
                    let spot = (input.partition, input.offset);
                    let outcome = if judge.was_redriven(spot) {
                        engine.step_redriven(&input)
                    } else {
                        engine.step(&input)
                    };
                    is_storm = storm.note(judge.note(&input, record, &outcome));
                }
                Item::Unreadable(input, error) => {
                    let outcome = letters::because(engine.step(&input), &error);
                    is_storm = storm.note(judge.note(&input, &letters::NOTHING, &outcome));
                }
            }
            if is_storm {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        end.map_err(|error: SourceError| error.to_string())?;
        Ok(moved)
    }

    fn describe(&self) -> Building {
        let generation = &self.generation;
        let positions = generation.positions();
        let partitions = generation.source.as_ref().map(|it| it.topic.partitions());
        let (mut read, mut of) = (0, 0);
        for partition in partitions.iter().flat_map(|it| it.iter()) {
            let first = generation.firsts.get(&partition.index);
            let next = positions.get(&partition.index);
            if let (Some(first), Some(next)) = (first, next) {
                read += (next - first).max(0) as u64;
                of += (partition.last_stable_offset() - first).max(0) as u64;
            }
        }
        Building {
            generation: generation.number,
            read,
            of,
            ready: self.ready,
        }
    }
}

/// What the new generation's verdicts mean for the dead letters.
struct Judge<'a> {
    sender: Sender,
    letters: &'a mut Batches,
    rejected: &'a mut Vec<(Spot, Reason)>,
    known: &'a HashMap<Spot, Reason>,
    settled: &'a Settled,
    changes: &'a mut Vec<Change>,
}

impl Judge<'_> {
    fn was_redriven(&self, spot: Spot) -> bool {
        let settled = self.settled.get(spot);
        settled.is_some_and(|it| it.how == How::Redriven)
    }

    /// Notes what became of a record; true if it is a dead letter that was none before.
    fn note(
        &mut self,
        input: &projection::Input<'_>,
        record: &protocol::record::Record<'_>,
        outcome: &Outcome,
    ) -> bool {
        let spot = (input.partition, input.offset);
        let was_settled = self.settled.get(spot).is_some();
        let known = self.known.get(&spot);
        match (outcome, known) {
            (Outcome::Rejected(rejection), _) => {
                if was_settled {
                    self.changes.push((spot, None));
                }
                if known.is_some() {
                    return false;
                }
                letters::push(self.letters, &self.sender, input, record, rejection);
                self.rejected.push((spot, rejection.reason));
                true
            }
            (_, Some(reason)) if !was_settled => {
                let accepted = Settlement {
                    reason: reason.as_str().to_owned(),
                    how: How::Accepted,
                    generation: self.sender.generation,
                };
                self.changes.push((spot, Some(accepted)));
                false
            }
            _ => false,
        }
    }
}
