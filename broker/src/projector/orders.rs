//! What a view's thread does when it is told to, between two commits.
use super::definitions::Rebuild;
use super::order::{Done, Order, OrderError};
use super::runner::{Runner, Trouble};

impl Runner {
    pub(super) fn follow_orders(&mut self) {
        while let Ok(ask) = self.orders.try_recv() {
            let done = self.follow(ask.order);
            // Whoever was answered finds what follows from it.
            self.show_state();
            // Whoever asked may have gone away.
            let _ = ask.answer.send(done);
        }
    }

    fn follow(&mut self, order: Order) -> Result<Done, OrderError> {
        match order {
            Order::Pause => {
                if self.definition.paused.is_none() {
                    self.pause("by the user".to_owned()).map_err(unavailable)?;
                }
                Ok(Done::Accepted)
            }
            Order::Resume => self.resume(),
            Order::Digest => self.digest(),
            Order::Rebuild { accept_loss, hold } => self.rebuild(Rebuild { accept_loss, hold }),
            Order::Promote => self.promote_when_ready(),
            Order::Redrive(selection) => self.redrive(&selection),
        }
    }

    fn rebuild(&mut self, rebuild: Rebuild) -> Result<Done, OrderError> {
        let refused = |reason: String| Err(OrderError::Conflict(reason));
        if let Some(reason) = self.failed.as_ref().or(self.definition.paused.as_ref()) {
            return refused(format!("the view stands still ({reason}): resume it first"));
        }
        let Some(serving) = &self.serving else {
            return refused("the view has no rows yet".to_owned());
        };
        if self.building.is_some() {
            return refused("a new generation is being built already".to_owned());
        }
        let missing = self.lost.clone().or_else(|| serving.missing_history());
        if let Some(missing) = missing
            && !rebuild.accept_loss
        {
            return refused(format!(
                "{missing}: only a rebuild that accepts the loss is possible"
            ));
        }
        if self.room.topics.get(&self.wanted.options.source).is_none() {
            let source = &self.wanted.options.source;
            return refused(format!("there is no topic {source} to build from"));
        }
        let mut definition = self.definition.clone();
        definition.rebuild = Some(rebuild);
        self.redefine(definition).map_err(unavailable)?;
        self.build_refused = None;
        Ok(Done::Accepted)
    }

    fn promote_when_ready(&mut self) -> Result<Done, OrderError> {
        let Some(build) = &mut self.building else {
            return Err(OrderError::Conflict(
                "no generation is being built".to_owned(),
            ));
        };
        build.hold = false;
        if let Some(rebuild) = self.definition.rebuild {
            let mut definition = self.definition.clone();
            definition.rebuild = Some(Rebuild {
                hold: false,
                ..rebuild
            });
            self.redefine(definition).map_err(unavailable)?;
        }
        Ok(Done::Accepted)
    }

    /// Stands still from now on, also after a restart.
    pub(super) fn pause(&mut self, reason: String) -> Result<(), Trouble> {
        let mut definition = self.definition.clone();
        definition.paused = Some(reason);
        self.redefine(definition)
    }

    fn resume(&mut self) -> Result<Done, OrderError> {
        if self.unknown {
            let reason = self.failed.clone().unwrap_or_default();
            return Err(OrderError::Conflict(reason));
        }
        // What stopped it besides may be taken back: a rebuild needs that.
        let stands = self.failed.is_some() || self.definition.paused.is_some();
        if let Some(reason) = self.lost.as_ref().filter(|_| !stands) {
            return Err(OrderError::Conflict(format!(
                "{reason}: only a rebuild that accepts the loss can go on"
            )));
        }
        let mut definition = self.definition.clone();
        definition.paused = None;
        self.redefine(definition).map_err(unavailable)?;
        self.storm.calm();
        self.failed = None;
        Ok(Done::Accepted)
    }

    fn digest(&self) -> Result<Done, OrderError> {
        let (Some(serving), Some(commit)) = (&self.serving, &self.commit) else {
            let state = self.handle.describe().state;
            return Err(OrderError::Conflict(format!("there are no rows: {state}")));
        };
        let table = serving.engine.table();
        let position = commit.sources.iter();
        Ok(Done::Digest {
            digest: hex(&table.digest()),
            rows: table.len() as u64,
            position: position.map(|it| (it.partition, it.next)).collect(),
            generation: commit.generation,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// An order that could not be done, and may be later.
pub(super) fn unavailable(trouble: Trouble) -> OrderError {
    OrderError::Unavailable(match trouble {
        Trouble::Again(reason) | Trouble::Failed(reason) | Trouble::Lost(reason) => reason,
        Trouble::Stopping => "the broker stops".to_owned(),
    })
}
