//! The two brokers side by side, and the list of what may differ between them.
use std::collections::BTreeMap;
use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use harness::fields::{differences, flatten, last_name};
use harness::talk::settled;
use harness::wire::{decode, encode};
use harness::{Broker, Options, Program, Wire, ask};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{FindCoordinatorRequest, InitProducerIdRequest, OffsetFetchRequest};
use kafka_protocol::protocol::Request;

/// Fields that are each broker's own affair, by their last name.
const MAY_DIFFER: &[(&str, &str)] = &[
    ("throttle_time_ms", "quotas are a policy"),
    ("error_message", "the words; the code is compared"),
    ("topic_id", "random"),
    ("cluster_id", "random"),
    ("session_id", "random"),
    ("producer_id", "handed out in blocks"),
    ("port", "each has its own"),
    ("last_timestamp", "a clock"),
    (
        "batch_index_error_message",
        "the words; the index is compared",
    ),
];

/// Asks for a group and for a producer id until both coordinators are there.
fn warm_up(wire: &mut Wire) -> Result<()> {
    // Apache Kafka makes the offsets topic when the first coordinator is looked for.
    let find = FindCoordinatorRequest::default().with_key(ask::text("warm"));
    settled(|| Ok((wire.call(3, &find)?.error_code, ())))?;
    let group = OffsetFetchRequestGroup::default().with_group_id(ask::group("warm"));
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    settled(|| Ok((wire.call(8, &request)?.groups[0].error_code, ())))?;
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000);
    settled(|| Ok((wire.call(1, &request)?.error_code, ())))
}

/// Apache Kafka and klamm with the same settings, and what they disagreed about.
pub(crate) struct Pair {
    _brokers: [Broker; 2],
    pub(crate) kafka: Wire,
    pub(crate) klamm: Wire,
    asked: usize,
    troubles: Vec<String>,
}

impl Pair {
    pub(crate) fn start() -> Result<Self> {
        let settings = || {
            Options::default()
                .set("group.min.session.timeout.ms", "1000")
                .set("offsets.topic.num.partitions", "1")
        };
        let kafka = Broker::launch(Program::Kafka, settings())?;
        let klamm = Broker::launch(Program::Klamm, settings())?;
        let mut pair = Self {
            kafka: kafka.wire()?,
            klamm: klamm.wire()?,
            _brokers: [kafka, klamm],
            asked: 0,
            troubles: Vec::new(),
        };
        pair.both(warm_up)?;
        Ok(pair)
    }

    /// Does the same with both, e.g. creates a topic.
    pub(crate) fn both<T>(
        &mut self,
        mut act: impl FnMut(&mut Wire) -> Result<T>,
    ) -> Result<(T, T)> {
        Ok((act(&mut self.kafka)?, act(&mut self.klamm)?))
    }

    /// Asks both the same question and notes the fields that differ.
    pub(crate) fn ask<R: Request<Response: Debug>>(
        &mut self,
        question: &str,
        version: i16,
        request: &R,
    ) -> Result<(R::Response, R::Response)> {
        self.ask_except(question, version, request, &[])
    }

    /// The same, with both answers put in order first: Apache Kafka's lists come in hash order.
    pub(crate) fn ask_ordered<R: Request<Response: Debug>>(
        &mut self,
        question: &str,
        version: i16,
        request: &R,
        order: impl Fn(&mut R::Response),
        except: &[&str],
    ) -> Result<()> {
        self.asked += 1;
        let (mut kafka, mut klamm) = self.both(|wire| wire.call(version, request))?;
        order(&mut kafka);
        order(&mut klamm);
        let found = differences(&flatten(&kafka), &flatten(&klamm), |path| {
            excused(path, except)
        });
        self.note(question, version, &found);
        Ok(())
    }

    /// The same, where further fields (by their last name) may differ, for a reason that stands
    /// beside the call.
    pub(crate) fn ask_except<R: Request<Response: Debug>>(
        &mut self,
        question: &str,
        version: i16,
        request: &R,
        except: &[&str],
    ) -> Result<(R::Response, R::Response)> {
        self.asked += 1;
        let bytes = encode(version, 7, request)?;
        let context = |who| format!("{who} answers '{question}' (v{version})");
        let (kafka, right) =
            answer::<R>(&mut self.kafka, version, &bytes).with_context(|| context("Kafka"))?;
        let (klamm, left) =
            answer::<R>(&mut self.klamm, version, &bytes).with_context(|| context("klamm"))?;
        let found = differences(&right, &left, |path| excused(path, except));
        self.note(question, version, &found);
        Ok((kafka, klamm))
    }

    /// Notes differences that a test found on its own.
    pub(crate) fn note(&mut self, question: &str, version: i16, found: &[String]) {
        if !found.is_empty() {
            self.troubles.push(format!(
                "{question} (v{version})\n    {}",
                found.join("\n    ")
            ));
        }
    }

    /// The verdict: an error with all differences, if there are any.
    pub(crate) fn verdict(self) -> Result<()> {
        println!("{} questions", self.asked);
        ensure!(
            self.troubles.is_empty(),
            "{} of {} answers differ, as Kafka | klamm:\n{}",
            self.troubles.len(),
            self.asked,
            self.troubles.join("\n")
        );
        Ok(())
    }
}

/// Whether a field may differ.
fn excused(path: &str, except: &[&str]) -> bool {
    let name = last_name(path);
    except.contains(&name) || MAY_DIFFER.iter().any(|(may, _)| *may == name)
}

/// Sends the bytes and gives the answer and its fields.
fn answer<R: Request<Response: Debug>>(
    wire: &mut Wire,
    version: i16,
    bytes: &Bytes,
) -> Result<(R::Response, BTreeMap<String, String>)> {
    wire.send_frame(bytes)?;
    let (_, response) = decode::<R>(version, wire.read_frame()?)?;
    let fields = flatten(&response);
    Ok((response, fields))
}
