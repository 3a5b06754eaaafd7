//! Apache Kafka and klamm side by side: the same request to both, the answers field by field.
use std::fmt::Debug;
use std::ops::RangeInclusive;

use anyhow::Result;
use harness::fields::{differences, flatten};
use harness::{Broker, Options, Program, eventually};
use kafka_protocol::protocol::Request;

/// Both brokers, and how their answers differed so far.
#[derive(Debug)]
pub struct Both {
    kafka: Broker,
    klamm: Broker,
    differences: Vec<String>,
    questions: usize,
}

/// Fields that are each broker's own: ids that it makes up, where it listens, how it words things.
const OWN: &[&str] = &[
    "throttle_time_ms",
    "topic_id",
    "cluster_id",
    "port",
    "error_message",
];

impl Both {
    /// Starts both with the same settings.
    pub fn start(options: &Options) -> Result<Self> {
        Ok(Self {
            kafka: Broker::launch(Program::Kafka, options.clone())?,
            klamm: Broker::launch(Program::Klamm, options.clone())?,
            differences: Vec::new(),
            questions: 0,
        })
    }

    /// Waits until Kafka's answer is `ready`: its coordinators load a while after the start.
    pub fn await_kafka<R: Request>(
        &self,
        version: i16,
        request: &R,
        ready: impl Fn(&R::Response) -> bool,
    ) -> Result<()> {
        eventually("Kafka to be ready", || {
            let answer = self.kafka.wire().ok()?.call(version, request).ok()?;
            ready(&answer).then_some(())
        })
    }

    /// Asks both the same in each of the versions, and notes how the answers differ apart from
    /// those at or below fields named in `own` or [`OWN`].
    pub fn ask<R: Request>(
        &mut self,
        question: &str,
        versions: RangeInclusive<i16>,
        own: &[&str],
        request: impl Fn(i16) -> R,
    ) -> Result<()>
    where
        R::Response: Debug,
    {
        for version in versions {
            let request = request(version);
            let kafka = self.kafka.wire()?.call(version, &request);
            let klamm = self.klamm.wire()?.call(version, &request);
            let found = match (kafka, klamm) {
                (Ok(kafka), Ok(klamm)) => {
                    let excused = |path: &str| {
                        let mut names = path.split(['.', '[']);
                        names.any(|name| OWN.contains(&name) || own.contains(&name))
                    };
                    differences(&flatten(&kafka), &flatten(&klamm), excused)
                }
                (kafka, klamm) => vec![format!(
                    "{:?} | {:?}",
                    kafka.map(|_| "answered"),
                    klamm.map(|_| "answered")
                )],
            };
            let lines = found.into_iter();
            self.differences
                .extend(lines.map(|line| format!("{question} v{version}: {line}")));
            self.questions += 1;
        }
        Ok(())
    }

    /// Fails with all differences (Kafka's side first) if there were any.
    pub fn agreed(self) -> Result<()> {
        anyhow::ensure!(
            self.differences.is_empty(),
            "{} differences in {} questions, Kafka | klamm:\n{}",
            self.differences.len(),
            self.questions,
            self.differences.join("\n")
        );
        Ok(())
    }
}
