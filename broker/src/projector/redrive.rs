//! Dead letters taken after all: each once, whatever happens.
use std::collections::HashSet;

use projection::{Input, Outcome};

use super::batches::Batches;
use super::letters::{self, Letter, Spot};
use super::order::{Done, OrderError, Redriven, Selection};
use super::orders::unavailable;
use super::runner::Runner;
use super::settled::{How, Settlement};

/// Letters that are looked at between two commits.
const CHUNK: i64 = 10_000;

impl Runner {
    /// Takes the letters chosen; what is settled in the same commit is never taken again.
    pub(super) fn redrive(&mut self, selection: &Selection) -> Result<Done, OrderError> {
        self.check_redrive()?;
        let mut redriven = Redriven::default();
        let end = self.outputs.letters.next();
        let mut from = 0;
        while from < end {
            let to = end.min(from + CHUNK);
            self.redrive_some(from..to, selection, &mut redriven)?;
            from = to;
        }
        Ok(Done::Redriven(redriven))
    }

    fn check_redrive(&self) -> Result<(), OrderError> {
        let refused = |reason: &str| Err(OrderError::Conflict(reason.to_owned()));
        if let Some(reason) = self.failed.as_ref().or(self.lost.as_ref()) {
            return refused(reason);
        }
        if self.pending.is_some() {
            return Err(OrderError::Unavailable("a commit is under way".to_owned()));
        }
        if self.building.is_some() {
            return refused("a new generation is being built, which will judge all records again");
        }
        match &self.serving {
            None => refused("the view has no rows yet"),
            Some(serving) => match &serving.frozen {
                Some(reason) => refused(reason),
                None => Ok(()),
            },
        }
    }

    fn redrive_some(
        &mut self,
        offsets: std::ops::Range<i64>,
        selection: &Selection,
        redriven: &mut Redriven,
    ) -> Result<(), OrderError> {
        let (Some(partition), Some(serving)) =
            (self.outputs.letters.partition(), &mut self.serving)
        else {
            return Ok(());
        };
        let (engine, topic_id) = (&mut serving.engine, &serving.topic_id);
        let (settled, number) = (&self.settled, serving.number);
        let mut now = Redriven::default();
        let mut changes = Vec::new();
        let mut taken: HashSet<Spot> = HashSet::new();
        let scanned = letters::each(partition, offsets.start, offsets.end, |letter| {
            if *letter.topic_id != **topic_id || !chosen(selection, letter) {
                return;
            }
            if settled.get(letter.spot).is_some() || taken.contains(&letter.spot) {
                now.settled += 1;
                return;
            }
            let input = Input {
                partition: letter.spot.0,
                offset: letter.spot.1,
                timestamp: letter.timestamp,
                value: letter.value,
            };
            if engine.redrive(&input, letter.reason) != Outcome::Applied {
                now.rejected += 1;
                return;
            }
            now.redriven += 1;
            taken.insert(letter.spot);
            let settlement = Settlement {
                reason: letter.reason.as_str().to_owned(),
                how: How::Redriven,
                generation: number,
            };
            changes.push((letter.spot, Some(settlement)));
        });
        if let Err(error) = scanned {
            serving.rollback();
            let reason = format!("the dead letters cannot be read: {error}");
            return Err(OrderError::Unavailable(reason));
        }
        if !changes.is_empty() {
            let committed = self.commit(Batches::default(), Vec::new(), changes);
            committed.map_err(unavailable)?;
        }
        redriven.redriven += now.redriven;
        redriven.rejected += now.rejected;
        redriven.settled += now.settled;
        Ok(())
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
            topic == letter.topic && (*partition, *offset) == letter.spot
        })
    };
    reason.is_none_or(|reason| reason == letter.reason)
        && from_ms.is_none_or(|from| letter.timestamp >= from)
        && to_ms.is_none_or(|to| letter.timestamp < to)
        && places.as_ref().is_none_or(of_place)
}
