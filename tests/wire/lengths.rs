//! Lengths that lie: frames too short for a header, sizes out of bounds, counts that promise more
//! than there is, and frames that are as dense as the limits let through.
use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, PATIENCE};

use crate::frames::{Served, check_alive, frame, served};
use crate::generate::{Generator, Style};
use crate::memory::Peak;

/// Largest frame of a key other than Produce that the broker takes by default.
const FRAME_LIMIT: usize = 1 << 20;
/// What the broker may have in memory of its own while it works on the densest frame: half a million
/// keys of two bytes are a hundred bytes each when decoded, and again when answered.
const MEMORY_BYTES: u64 = 320 << 20;

/// Sends bytes on a connection of their own and insists that the broker ends it.
fn ends(broker: &Broker, bytes: &[u8]) -> Result<()> {
    let mut wire = broker.wire()?;
    wire.send_raw(bytes)?;
    ensure!(wire.closes()?, "the connection lives on after {bytes:02x?}");
    Ok(())
}

#[test]
fn sizes_out_of_bounds_end_the_connection() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    for size in [-1, i32::MIN, i32::MAX, 0, 1, 7, 101 << 20] {
        let mut bytes = size.to_be_bytes().to_vec();
        bytes.extend([0; 8]);
        ends(&broker, &bytes).with_context(|| format!("size {size}"))?;
    }
    // Produce may be larger than the others: Metadata may not claim 2 MiB.
    let metadata = [&(2i32 << 20).to_be_bytes()[..], &[0, 3, 0, 1]].concat();
    ends(&broker, &metadata)?;
    check_alive(&mut broker)
}

#[test]
fn frames_without_a_whole_header_end_the_connection() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    // Produce v3 and Metadata v12, cut anywhere in the header; a client id that claims too much.
    for header in [
        &[0u8, 0, 0, 3, 0, 0, 0, 1, 0x7f, 0xff, b'w', 0, 0][..],
        &[0, 3, 0, 12, 0, 0, 0, 1, 0, 4, b'w', b'w', 0xff][..],
    ] {
        for len in 0..=header.len() {
            let bytes = [&(len as i32).to_be_bytes()[..], &header[..len]].concat();
            ends(&broker, &bytes).with_context(|| format!("{len} bytes"))?;
        }
    }
    check_alive(&mut broker)
}

#[test]
fn a_count_that_promises_too_much_ends_the_connection() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let before = broker.anonymous_bytes()?;
    // Metadata v1 with 2^31 - 1 topics in 19 bytes: it aborts decoders that reserve first.
    let bomb = [
        0, 0, 0, 15, 0, 3, 0, 1, 0, 0, 0, 1, 0, 1, b'w', 0x7f, 0xff, 0xff, 0xff,
    ];
    assert_eq!(bomb.len(), 19);
    ends(&broker, &bomb)?;
    for version in [9i8, 12] {
        let bomb = [
            &[
                0,
                0,
                0,
                17,
                0,
                3,
                0,
                version as u8,
                0,
                0,
                0,
                1,
                0,
                1,
                b'w',
                0,
            ][..],
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
        ];
        ends(&broker, &bomb.concat())?;
    }
    let grown = broker.anonymous_bytes()?.saturating_sub(before);
    ensure!(grown < 16 << 20, "memory grew by {grown} bytes");
    check_alive(&mut broker)
}

#[test]
fn the_densest_frames_of_every_api_stay_in_bounds() -> Result<()> {
    let start = || Broker::start(Options::default().set("auto.create.topics.enable", "false"));
    let mut broker = start()?;
    let served = served(&mut broker.wire()?)?;
    let mut peak = (0, String::new());
    for versions in served.chunk_by(|one, next| one.request.key == next.request.key) {
        check_alive(&mut broker)?;
        // Each API finds a broker that has not yet worked for another.
        broker = start()?;
        let pid = broker.process()?.id();
        for (one, depth) in versions
            .iter()
            .flat_map(|one| (0..4).map(move |at| (one, at)))
        {
            let Some(frame) = dense(*one, depth) else {
                continue;
            };
            let mut wire = broker.wire()?;
            wire.stream().set_read_timeout(Some(PATIENCE))?;
            let watch = Peak::watch(pid);
            wire.send_raw(&frame)?;
            // Whether it is answered or refused does not matter here.
            let _ = wire.read_frame();
            let name = format!("{:?} v{} depth {depth}", one.request.key, one.version);
            peak = peak.max((watch.bytes()?, name));
            ensure!(peak.0 <= MEMORY_BYTES, "{} bytes for {}", peak.0, peak.1);
        }
    }
    println!("at most {} KiB of memory, for {}", peak.0 >> 10, peak.1);
    check_alive(&mut broker)
}

/// The largest frame under the limit with as many elements as fit at `depth`; none if the body has
/// no arrays there.
fn dense(served: Served, depth: usize) -> Option<Vec<u8>> {
    let body = |count| {
        let style = Style::Dense {
            depth,
            count,
            outer_tags: 0,
            inner_tags: 0,
            all: false,
        };
        Generator::new(1, style).body(served.request, served.version)
    };
    let (few, many) = (body(100).len(), body(1100).len());
    let per_element = (many - few).div_ceil(1000);
    if per_element == 0 {
        return None;
    }
    let count = (FRAME_LIMIT - few - 100) / per_element;
    Some(frame(served, 1, &body(count)))
}
