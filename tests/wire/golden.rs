//! One golden frame for each API and version that the broker serves, and what it answers.
//!
//! `golden/frames.txt` has a line for each: key, name, version, the request's frame and the
//! response's, both in hex without the size. Responses are decoded by the `kafka-protocol` crate,
//! encoded again (the same bytes must come out) and compared field by field, except for what a
//! broker makes up (`GENERATED`). `KLAMM_GOLDEN=write` writes the file anew: look at the difference
//! before it is committed.
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use harness::fields::{differences, last_name};
use harness::{Broker, Options, Wire, ask};
use kafka_protocol::messages::ApiKey;

use crate::frames::{Served, check_alive, frame, served};

mod plain;
mod responses;

/// Fields that differ from broker to broker and from run to run.
const GENERATED: [&str; 14] = [
    "api_keys",
    "cluster_id",
    "groups",
    "host",
    "leader",
    "log_dir",
    "member_id",
    "members",
    "port",
    "producer_id",
    "session_id",
    "topic_id",
    "total_bytes",
    "usable_bytes",
];
/// Stands for the id of the topic in the file.
const TOPIC_ID: [u8; 16] = [0xaa; 16];

#[derive(Debug)]
struct Golden {
    request: Vec<u8>,
    response: Vec<u8>,
}

type Frames = BTreeMap<(i16, i16), Golden>;

#[test]
fn every_served_version_answers_its_golden_frame() -> Result<()> {
    let mut broker = Broker::start(
        Options::default()
            .set("auto.create.topics.enable", "false")
            .set("group.initial.rebalance.delay.ms", "0"),
    )?;
    let mut wire = broker.wire()?;
    wire.create_topic("golden", 1, &[])?;
    let topic = wire.call(12, &ask::metadata("golden"))?.topics;
    let topic_id = topic.first().context("no topic")?.topic_id.into_bytes();
    let served = served(&mut wire)?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire/golden/frames.txt");
    if std::env::var("KLAMM_GOLDEN").as_deref() == Ok("write") {
        let text = write(&mut wire, &served, topic_id);
        let text =
            text.with_context(|| broker.process().map_or_else(|e| e.to_string(), |p| p.log()))?;
        return std::fs::write(path, text).context("not written");
    }
    let golden = read(&std::fs::read_to_string(path)?)?;
    let keys = |one: &Served| (one.request.key as i16, one.version);
    let expected: Vec<_> = golden.keys().copied().collect();
    let found: Vec<_> = served.iter().map(keys).collect();
    ensure!(expected == found, "golden {expected:?}\nserved {found:?}");
    let mut wrong = Vec::new();
    for one in served {
        let golden = &golden[&keys(&one)];
        for line in compare(&mut wire, one, golden, topic_id)? {
            wrong.push(format!("{:?} v{} {line}", one.request.key, one.version));
        }
    }
    ensure!(wrong.is_empty(), "golden | answered:\n{}", wrong.join("\n"));
    check_alive(&mut broker)
}

/// Sends the golden request and gives the fields that differ from the golden response.
fn compare(wire: &mut Wire, one: Served, golden: &Golden, id: [u8; 16]) -> Result<Vec<String>> {
    let made = request(one);
    ensure!(
        made[4..] == golden.request,
        "{:?} v{}: the shape makes other bytes now: {}",
        one.request.key,
        one.version,
        hex(&made[4..])
    );
    wire.send_frame(&replace(&golden.request, TOPIC_ID, id))?;
    let answer = wire
        .read_frame()
        .with_context(|| format!("{:?} v{}", one.request.key, one.version))?;
    let (key, version) = (one.request.key, one.version);
    let expected = responses::fields(key, version, &golden.response.clone().into())?;
    let found = responses::fields(key, version, &answer)?;
    Ok(differences(&expected, &found, generated))
}

fn generated(path: &str) -> bool {
    let names = path.split('.').map(last_name);
    names.into_iter().any(|name| GENERATED.contains(&name))
}

fn request(one: Served) -> Vec<u8> {
    frame(one, 1, &plain::body(one.request, one.version, TOPIC_ID))
}

fn write(wire: &mut Wire, served: &[Served], topic_id: [u8; 16]) -> Result<String> {
    let mut text = String::new();
    for one in served {
        let request = request(*one);
        wire.send_frame(&replace(&request[4..], TOPIC_ID, topic_id))?;
        let answer = wire
            .read_frame()
            .with_context(|| format!("{:?} v{}", one.request.key, one.version))?;
        let answer = replace(&answer, topic_id, TOPIC_ID);
        let (key, version) = (one.request.key, one.version);
        responses::fields(key, version, &Bytes::copy_from_slice(&answer))?;
        let (request, answer) = (hex(&request[4..]), hex(&answer));
        writeln!(text, "{} {key:?} {version} {request} {answer}", key as i16)?;
    }
    Ok(text)
}

fn read(text: &str) -> Result<Frames> {
    let mut frames = Frames::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [key, _, version, request, response] = fields[..] else {
            anyhow::bail!("not a line of five fields: {line}");
        };
        let golden = Golden {
            request: unhex(request)?,
            response: unhex(response)?,
        };
        ensure!(ApiKey::try_from(key.parse::<i16>()?).is_ok(), "{line}");
        frames.insert((key.parse()?, version.parse()?), golden);
    }
    Ok(frames)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    ensure!(text.len().is_multiple_of(2), "half a byte: {text}");
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| Ok(u8::from_str_radix(&text[at..at + 2], 16)?))
        .collect()
}

fn replace(bytes: &[u8], from: [u8; 16], to: [u8; 16]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(15) {
        if bytes[at..at + 16] == from {
            bytes[at..at + 16].copy_from_slice(&to);
        }
    }
    bytes
}
