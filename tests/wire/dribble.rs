//! Clients that are slow or stop half-way take no memory for what they only promised, and do not
//! hold up others.
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{Broker, Options, Wire};
use kafka_protocol::messages::ApiVersionsRequest;

use crate::frames::check_alive;

#[test]
fn promised_bytes_cost_nothing_until_they_come() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let before = broker.anonymous_bytes()?;
    let mut clients = Vec::new();
    for _ in 0..64 {
        let mut wire = broker.wire()?;
        // A Produce of 64 MiB, of which a hundred bytes come, in pieces.
        wire.send_raw(&(64i32 << 20).to_be_bytes())?;
        wire.send_raw(&[0, 0, 0, 9, 0, 0, 0, 1])?;
        clients.push(wire);
    }
    for round in 0..10 {
        for wire in &mut clients {
            wire.send_raw(&[round; 10])?;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let grown = broker.anonymous_bytes()?.saturating_sub(before);
    ensure!(grown < 8 << 20, "memory grew by {grown} bytes for 64 × 108");
    answered(&broker)?;
    drop(clients);
    check_alive(&mut broker)
}

#[test]
fn a_header_that_dribbles_in_holds_up_nobody() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let mut slow = broker.wire()?;
    let frame = [0, 0, 0, 11, 0, 18, 0, 0, 0, 0, 0, 7, 0, 1, b'w'];
    for byte in frame {
        slow.send_raw(&[byte])?;
        answered(&broker)?;
    }
    let reply = slow.read_frame()?;
    ensure!(reply[..4] == [0, 0, 0, 7], "{reply:?}");
    check_alive(&mut broker)
}

#[test]
fn half_closed_clients_are_let_go() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    for sent in [&[][..], &[0, 0], &[0, 0, 0, 11, 0, 18, 0]] {
        let mut wire = broker.wire()?;
        wire.send_raw(sent)?;
        wire.stream().shutdown(std::net::Shutdown::Write)?;
        ensure!(wire.closes()?, "open after {sent:?} and the end of input");
    }
    check_alive(&mut broker)
}

#[test]
fn a_client_that_reads_nothing_is_not_buffered_for() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let before = broker.anonymous_bytes()?;
    let mut wire = broker.wire()?;
    wire.stream()
        .set_write_timeout(Some(Duration::from_millis(500)))?;
    // ApiVersions v0: 15 bytes in, some hundred out.
    let request = [0, 0, 0, 11, 0, 18, 0, 0, 0, 0, 0, 7, 0, 1, b'w'].repeat(1000);
    let deadline = Instant::now() + Duration::from_secs(60);
    // The broker stops reading, so at some point nothing more can be sent.
    while wire.send_raw(&request).is_ok() {
        ensure!(Instant::now() < deadline, "the broker reads without end");
    }
    let grown = broker.anonymous_bytes()?.saturating_sub(before);
    ensure!(grown < 32 << 20, "memory grew by {grown} bytes");
    answered(&broker)?;
    drop(wire);
    check_alive(&mut broker)
}

fn answered(broker: &Broker) -> Result<()> {
    let mut wire: Wire = broker.wire()?;
    wire.call(0, &ApiVersionsRequest::default())?;
    Ok(())
}
