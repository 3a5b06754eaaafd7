//! Ten thousand connections that do nothing cost at most 2 KiB of the broker's memory each.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, eventually};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::frames::check_alive;

const CONNECTIONS: u64 = 10_000;
const BYTES_EACH: u64 = 2048;

#[test]
fn ten_thousand_idle_connections_cost_two_kibibytes_each() -> Result<()> {
    allow_open_files(CONNECTIONS + 500)?;
    let mut broker = Broker::start(Options::default())?;
    // Warm up: what the first connections cost once is not theirs.
    let clients: Result<Vec<_>> = (0..100).map(|_| spoken(&broker)).collect();
    drop(clients?);
    std::thread::sleep(Duration::from_millis(600));
    let before = broker.anonymous_bytes()?;
    let mut clients = Vec::new();
    for number in 0..CONNECTIONS {
        // Half of them asked something before they fell silent.
        clients.push(if number >= CONNECTIONS / 2 {
            spoken(&broker)?
        } else {
            TcpStream::connect(broker.bootstrap())?
        });
        if number == CONNECTIONS / 2 {
            let each = (broker.anonymous_bytes()? - before) / number;
            println!("{each} bytes for each that never spoke");
        }
    }
    let mut each = 0;
    // A connection gives its buffers back after a moment without work.
    let fell = eventually("idle connections to become small", || {
        each = broker.anonymous_bytes().ok()?.saturating_sub(before) / CONNECTIONS;
        (each <= BYTES_EACH).then_some(())
    });
    println!("{each} bytes for each idle connection");
    fell.with_context(|| format!("{each} bytes for each idle connection"))?;
    // They are all still served.
    for client in clients.iter_mut().step_by(997) {
        ask(client)?;
    }
    check_alive(&mut broker)
}

#[test]
fn connections_are_probed_when_they_are_silent() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let client = spoken(&broker)?;
    // The broker's side: its remote port is the client's. The first figure of the sixth field tells
    // which timer runs (Linux, proc_net_tcp.txt): 2 is that of keep-alive.
    let port = format!(":{:04X}", client.local_addr()?.port());
    eventually("the timer of keep-alive", || {
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        let of_broker = |line: &&str| {
            let remote = line.split_whitespace().nth(2);
            remote.is_some_and(|remote| remote.ends_with(&port))
        };
        let line = table.lines().find(of_broker)?;
        let timer = line.split_whitespace().nth(5)?;
        timer.starts_with("02:").then_some(())
    })
}

fn spoken(broker: &Broker) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(broker.bootstrap())?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    ask(&mut stream)?;
    Ok(stream)
}

/// ApiVersions v0 and its reply.
fn ask(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(&[0, 0, 0, 11, 0, 18, 0, 0, 0, 0, 0, 7, 0, 1, b'w'])?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut reply = vec![0; i32::from_be_bytes(size) as usize];
    stream.read_exact(&mut reply)?;
    ensure!(reply[..4] == [0, 0, 0, 7], "{reply:?}");
    Ok(())
}

/// This process needs a descriptor for each connection, and so does the broker.
fn allow_open_files(count: u64) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    ensure!(
        limit.maximum.is_none_or(|most| most >= count),
        "this test needs `ulimit -Hn {count}` or more"
    );
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
