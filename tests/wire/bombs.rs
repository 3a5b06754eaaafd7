//! Batches that are small on the wire and huge when decompressed, to topics where the broker has to
//! look inside.
use anyhow::{Result, ensure};
use harness::{Broker, Options, ask, unique};
use protocol::record::{BatchBuilder, Compression};

use crate::frames::check_alive;
use crate::memory::Peak;

/// What the broker may use more than before, in memory of its own: 64 times the largest message,
/// twice while the buffer grows.
const MEMORY_BYTES: u64 = 160 << 20;

/// Produces a batch of so many zeros to topics of every kind that opens batches.
fn explode(codec: Compression, zeros: usize, taken: bool) -> Result<()> {
    let mut builder = BatchBuilder::new().compression(codec);
    builder.push(1_000, Some(b"key"), Some(&vec![0; zeros]));
    let bomb = builder.build();
    ensure!(
        bomb.len() < zeros / 15,
        "{codec:?} is no bomb: {}",
        bomb.len()
    );
    let mut broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    for (stem, config) in [
        ("compacted", ("cleanup.policy", "compact")),
        ("plain", ("compression.type", "uncompressed")),
        ("snappy", ("compression.type", "snappy")),
    ] {
        let topic = unique(stem);
        wire.create_topic(&topic, 1, &[config])?;
        let before = broker.anonymous_bytes()?;
        let peak = Peak::watch(broker.process()?.id());
        let answer = broker
            .wire()?
            .call(9, &ask::produce(&topic, bomb.clone()))?;
        let code = answer.responses[0].partition_responses[0].error_code;
        let used = peak.bytes()?.saturating_sub(before);
        println!("{codec:?} to {stem}: {} KiB, code {code}", used >> 10);
        ensure!(
            taken || code != 0,
            "a bomb was taken by a topic with {config:?}"
        );
        ensure!(used < MEMORY_BYTES, "{config:?}: {used} bytes of memory");
    }
    check_alive(&mut broker)
}

#[test]
fn gzip() -> Result<()> {
    explode(Compression::Gzip, 256 << 20, false)
}

#[test]
fn snappy() -> Result<()> {
    // It packs 20 to 1 at most: what fits into a message stays below the limit.
    explode(Compression::Snappy, 20 << 20, true)
}

#[test]
fn lz4() -> Result<()> {
    explode(Compression::Lz4, 220 << 20, false)
}

#[test]
fn zstd() -> Result<()> {
    explode(Compression::Zstd, 256 << 20, false)
}
