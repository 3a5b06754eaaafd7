//! Clients that ask for much and read nothing: the broker's own memory stays small, because replies
//! are slices of the files, and others are served.
use anyhow::{Result, ensure};
use harness::{Batch, Broker, Options, ask};

use crate::frames::check_alive;
use crate::memory::Peak;

const READERS: usize = 200;
const ASKED_EACH: usize = 20;
/// What each of them may cost: its buffers and the replies that are lists of slices.
const BYTES_EACH: u64 = 256 << 10;

#[test]
fn readers_that_never_read_cost_little() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let mut wire = broker.wire()?;
    wire.create_topic("large", 1, &[("segment.bytes", "8388608")])?;
    let batch = Batch::of(&[&"x".repeat(900_000)]).bytes();
    for _ in 0..40 {
        ensure!(wire.produce("large", batch.clone())?.error_code == 0);
    }
    let before = broker.anonymous_bytes()?;
    let peak = Peak::watch(broker.process()?.id());
    let mut readers = Vec::new();
    for nth in 0..READERS {
        let mut reader = broker.wire()?;
        for again in 0..ASKED_EACH {
            let offset = ((nth + again) % 40) as i64;
            let mut request = ask::fetch("large", offset);
            request.topics[0].partitions[0].partition_max_bytes = 50 << 20;
            reader.send(12, &request)?;
        }
        readers.push(reader);
        ensure!(wire.fetch(&ask::fetch("large", 0))?.error_code == 0);
    }
    let grown = peak.bytes()?.saturating_sub(before);
    let allowed = READERS as u64 * BYTES_EACH;
    ensure!(grown <= allowed, "{grown} bytes for {READERS} readers");
    drop(readers);
    check_alive(&mut broker)
}
