//! Records whose acknowledgements are remembered, to be looked for after a fault.
use anyhow::{Result, ensure};
use harness::{Batch, Broker, Wire, rd, unique};

pub(crate) const KAFKA_STORAGE_ERROR: i16 = 56;

/// A topic with one partition and what was acknowledged in it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) topic: String,
    acknowledged: Vec<(i64, String)>,
    sent: u32,
}

impl Kept {
    pub(crate) fn create(wire: &mut Wire) -> Result<Self> {
        let topic = unique("kept");
        wire.create_topic(&topic, 1, &[("segment.bytes", "1048576")])?;
        Ok(Self {
            topic,
            acknowledged: Vec::new(),
            sent: 0,
        })
    }

    /// Produces one record; the error code of the answer.
    pub(crate) fn produce(&mut self, wire: &mut Wire) -> Result<i16> {
        let value = format!("record {}", self.sent);
        self.sent += 1;
        let answer = wire.produce(&self.topic, Batch::of(&[&value]).bytes())?;
        if answer.error_code == 0 {
            self.acknowledged.push((answer.base_offset, value));
        }
        Ok(answer.error_code)
    }

    /// Everything acknowledged is there, at its offset.
    pub(crate) fn check(&self, broker: &Broker) -> Result<()> {
        let read = rd::read_all(broker.bootstrap(), &self.topic, 0, 0)?;
        ensure!(!self.acknowledged.is_empty());
        for record in &self.acknowledged {
            ensure!(
                read.contains(record),
                "{record:?} is not among {} records",
                read.len()
            );
        }
        Ok(())
    }
}

/// Produces large batches until one is refused: its error code.
pub(crate) fn fill(wire: &mut Wire, topic: &str) -> Result<i16> {
    let batch = Batch::of(&[&"x".repeat(900_000)]).bytes();
    for _ in 0..200 {
        let answer = wire.produce(topic, batch.clone())?;
        if answer.error_code != 0 {
            return Ok(answer.error_code);
        }
    }
    anyhow::bail!("180 MB fit")
}
