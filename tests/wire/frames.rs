//! Frames around bodies of any kind, and which APIs a broker serves.
use anyhow::{Context, Result, ensure};
use harness::{Broker, Wire};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, MetadataRequest};
use protocol::shape::{self, Request};

/// One API and version that the broker serves, with the shape of its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    pub(crate) request: &'static Request,
    pub(crate) version: i16,
}

/// Produce v0 to 2 are advertised and not served (KAFKA-18659).
const OLDEST_PRODUCE: i16 = 3;

/// Every API and version that the broker says it serves. One without a shape is an error: its bodies
/// would reach a decoder unchecked.
pub(crate) fn served(wire: &mut Wire) -> Result<Vec<Served>> {
    let answer = wire.call(0, &ApiVersionsRequest::default())?;
    let mut served = Vec::new();
    for range in answer.api_keys {
        let key = ApiKey::try_from(range.api_key)
            .ok()
            .context("unknown key")?;
        let request = shape::of(key).with_context(|| format!("{key:?} has no shape"))?;
        let oldest = if key == ApiKey::Produce {
            OLDEST_PRODUCE
        } else {
            range.min_version
        };
        let versions = oldest..=range.max_version;
        served.extend(versions.map(|version| Served { request, version }));
    }
    ensure!(served.len() > 10, "only {} are served", served.len());
    Ok(served)
}

/// A frame with its size, a header with the client id "w", and this body.
pub(crate) fn frame(served: Served, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 4];
    frame.extend((served.request.key as i16).to_be_bytes());
    frame.extend(served.version.to_be_bytes());
    frame.extend(correlation_id.to_be_bytes());
    frame.extend([0, 1, b'w']);
    if served.request.is_flexible(served.version) {
        frame.push(0);
    }
    frame.extend(body);
    sized(frame)
}

/// Puts the size into the first four bytes.
pub(crate) fn sized(mut frame: Vec<u8>) -> Vec<u8> {
    let size = (frame.len() - 4) as i32;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame
}

/// The broker lives, still answers, and no part of it panicked.
pub(crate) fn check_alive(broker: &mut Broker) -> Result<()> {
    let request = MetadataRequest::default().with_topics(Some(Vec::new()));
    let answer = broker.wire()?.call(1, &request)?;
    ensure!(answer.brokers.len() == 1, "{answer:?}");
    let process = broker.process()?;
    ensure!(process.ended()?.is_none(), "the broker ended");
    let log = process.log();
    for mistake in ["panicked", "cannot be encoded"] {
        let line = log.lines().find(|line| line.contains(mistake));
        ensure!(line.is_none(), "in the log: {line:?}");
    }
    Ok(())
}
