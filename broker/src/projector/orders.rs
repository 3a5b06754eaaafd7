//! What a view's thread does when it is told to, between two commits.
use super::order::{Done, Order, OrderError};
use super::runner::{Runner, Trouble};

impl Runner {
    pub(super) fn follow_orders(&mut self) {
        while let Ok(ask) = self.orders.try_recv() {
            let done = self.follow(ask.order);
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
            other => Err(OrderError::Unavailable(format!("{other:?}"))),
        }
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
        if let Some(reason) = &self.lost {
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
