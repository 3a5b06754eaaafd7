//! Dead letters taken after all: each once, whatever happens. A few in each commit, between those of
//! the records that come in, so that nobody waits for a long redrive.
use std::collections::{BTreeMap, HashSet};
use std::ops::{ControlFlow, Range};

use projection::{Engine, Input, Outcome};
use tokio::sync::oneshot;

use super::batches::Batches;
use super::build::Build;
use super::handle::{Answer, ORDERS};
use super::letters::{self, Letter, Spot};
use super::order::{Done, OrderError, Redriven, Selection};
use super::runner::{Runner, Trouble};
use super::serving::budget;
use super::settled::{Change, How, Settled, Settlement};

/// An order to take letters, as far as it was followed.
pub(super) struct Redrive {
    selection: Selection,
    /// Letters that are left to look at.
    left: Range<i64>,
    redriven: Redriven,
    answer: oneshot::Sender<Answer>,
}

impl Runner {
    /// Notes the order; it is answered when all letters that stand there now were looked at.
    pub(super) fn begin_redrive(&mut self, selection: Selection, answer: oneshot::Sender<Answer>) {
        let refusal = self.redrive_refusal().or_else(|| {
            let reason = "too many redrives are under way".to_owned();
            (self.redrives.len() >= ORDERS).then_some(OrderError::Unavailable(reason))
        });
        if let Some(refusal) = refusal {
            let _ = answer.send(Err(refusal));
            return;
        }
        self.redrives.push_back(Redrive {
            selection,
            left: 0..self.outputs.letters.next(),
            redriven: Redriven::default(),
            answer,
        });
    }

    /// Why no letters can be taken, if they cannot.
    fn redrive_refusal(&self) -> Option<OrderError> {
        let conflict = |reason: &str| Some(OrderError::Conflict(reason.to_owned()));
        if let Some(reason) = self.failed.as_ref().or(self.lost.as_ref()) {
            return conflict(reason);
        }
        let Some(serving) = &self.serving else {
            return conflict("the view has no rows yet");
        };
        let frozen = serving.frozen.as_deref().and_then(conflict);
        frozen.or_else(|| self.over_limit().as_deref().and_then(conflict))
    }

    /// Answers those who wait for letters, if none can be taken any more.
    pub(super) fn refuse_redrives(&mut self) {
        if self.redrives.is_empty() {
            return;
        }
        if let Some(refusal) = self.redrive_refusal() {
            for redrive in self.redrives.drain(..) {
                let _ = redrive.answer.send(Err(refusal.clone()));
            }
        }
    }

    /// Takes some of the letters that were asked for; whether there was anything to do.
    pub(super) fn redrive(&mut self) -> Result<bool, Trouble> {
        if self.redrives.is_empty() {
            return Ok(false);
        }
        self.finish_commit()?;
        let ended = |redrive: &Redrive| redrive.left.is_empty();
        if self.redrives.front().is_some_and(|it| !ended(it)) {
            let changes = match self.take_letters() {
                Ok(changes) => changes,
                Err(error) => {
                    self.answer_redrive(Err(error));
                    return Ok(true);
                }
            };
            if !changes.is_empty() {
                self.commit(Batches::default(), Vec::new(), changes)?;
            }
        }
        if let Some(redrive) = self.redrives.front().filter(|it| ended(it)) {
            let done = Done::Redriven(redrive.redriven);
            self.answer_redrive(Ok(done));
        }
        Ok(true)
    }

    fn answer_redrive(&mut self, answer: Answer) {
        if let Some(redrive) = self.redrives.pop_front() {
            // Whoever asked may have gone away.
            let _ = redrive.answer.send(answer);
        }
    }

    /// Takes as many letters as fit into one commit; what they settle.
    fn take_letters(&mut self) -> Result<Vec<Change>, OrderError> {
        let mut budget = budget(&self.room.settings);
        let (Some(partition), Some(serving), Some(redrive)) = (
            self.outputs.letters.partition(),
            &mut self.serving,
            self.redrives.front_mut(),
        ) else {
            return Ok(Vec::new());
        };
        let building = self.building.as_mut();
        let mut building = building.filter(|it| it.generation.topic_id == serving.topic_id);
        let mut taking = Taking {
            engine: &mut *serving.engine,
            building: building.as_mut().map(|build| {
                let positions = build.generation.positions();
                (&mut **build, positions)
            }),
            settled: &self.settled,
            generation: serving.number,
            taken: HashSet::new(),
            changes: Vec::new(),
            redriven: redrive.redriven,
        };
        let (topic_id, Range { start, end }) = (&serving.topic_id, redrive.left.clone());
        let mut next = end;
        let scanned = letters::each(partition, start, end, |letter| {
            if *letter.topic_id == **topic_id && chosen(&redrive.selection, letter) {
                taking.take(letter);
            }
            budget.take(letter.bytes);
            if budget.is_spent() {
                next = letter.offset + 1;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        let Taking {
            changes, redriven, ..
        } = taking;
        if let Err(error) = scanned {
            serving.rollback();
            if let Some(build) = building {
                build.generation.rollback();
            }
            let reason = format!("the dead letters cannot be read: {error}");
            return Err(OrderError::Unavailable(reason));
        }
        redrive.left.start = next;
        redrive.redriven = redriven;
        Ok(changes)
    }
}

/// Letters on their way into one commit.
struct Taking<'a> {
    engine: &'a mut dyn Engine,
    /// The generation that is being built, and how far it is.
    building: Option<(&'a mut Build, BTreeMap<i32, i64>)>,
    settled: &'a Settled,
    generation: u64,
    taken: HashSet<Spot>,
    changes: Vec<Change>,
    redriven: Redriven,
}

impl Taking<'_> {
    fn take(&mut self, letter: &Letter<'_>) {
        if self.settled.how(letter.spot).is_some() || self.taken.contains(&letter.spot) {
            self.redriven.settled += 1;
            return;
        }
        let input = Input {
            partition: letter.spot.0,
            offset: letter.spot.1,
            timestamp: letter.timestamp,
            value: letter.value,
        };
        if self.engine.redrive(&input, letter.reason) != Outcome::Applied {
            self.redriven.rejected += 1;
            return;
        }
        self.redriven.redriven += 1;
        self.taken.insert(letter.spot);
        if let Some((build, positions)) = &mut self.building {
            build.redrive(&input, letter.reason, positions);
        }
        let settlement = Settlement {
            reason: letter.reason.as_str().to_owned(),
            how: How::Redriven,
            generation: self.generation,
            letter: Some(letter.offset),
        };
        self.changes.push((letter.spot, Some(settlement)));
    }
}

fn chosen(selection: &Selection, letter: &Letter<'_>) -> bool {
    let Selection {
        reason,
        from_ms,
        to_ms,
        places,
    } = selection;
    let of_place = |places: &Vec<(String, i32, i64)>| {
        places.iter().any(|(topic, partition, offset)| {
            (*partition, *offset) == letter.spot && topic == letter.topic
        })
    };
    reason.is_none_or(|reason| reason == letter.reason)
        && from_ms.is_none_or(|from| letter.timestamp >= from)
        && to_ms.is_none_or(|to| letter.timestamp < to)
        && places.as_ref().is_none_or(of_place)
}
