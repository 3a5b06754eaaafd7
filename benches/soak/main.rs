//! Steady load for a given time, with rebalances, compaction and restarts: a table of what the broker
//! holds over that time. What leaks shows itself as a column that rises from start to start.
//!
//! ```text
//! cargo build --release -p klamm
//! cargo run --release -p klamm-benches --bin soak                       # ten minutes
//! cargo run --release -p klamm-benches --bin soak -- --minutes 600 --every 60 --restart 900
//! ```
//!
//! `--every` and `--restart` are seconds between two lines and between two restarts.
mod clients;

use std::time::{Duration, Instant};

use clients::Clients;
use workload::process::{Broker, Error};

struct Options {
    lasts: Duration,
    every: Duration,
    restart: Duration,
}

fn main() -> Result<(), Error> {
    let options = options()?;
    println!(
        "| s | starts | produced | consumed | rebalances | RSS, MiB | own, MiB | descriptors | mappings |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let began = Instant::now();
    let mut broker = Broker::start(&[])?;
    clients::make_topics(&broker.bootstrap)?;
    let (mut starts, mut before) = (1, clients::Counts::default());
    loop {
        let clients = Clients::start(&broker.bootstrap);
        let started = Instant::now();
        while started.elapsed() < options.restart && began.elapsed() < options.lasts {
            std::thread::sleep(options.every);
            let now = before.plus(clients.counts());
            line(began.elapsed(), starts, now, &broker)?;
        }
        before = before.plus(clients.finish()?);
        if began.elapsed() >= options.lasts {
            return Ok(());
        }
        broker = broker.restart(&[])?;
        starts += 1;
    }
}

fn line(
    passed: Duration,
    starts: u32,
    counts: clients::Counts,
    broker: &Broker,
) -> Result<(), Error> {
    println!(
        "| {} | {starts} | {} | {} | {} | {:.1} | {:.1} | {} | {} |",
        passed.as_secs(),
        counts.produced,
        counts.consumed,
        counts.rebalances,
        broker.memory_mib("VmRSS"),
        broker.memory_mib("RssAnon"),
        broker.descriptors()?,
        broker.mappings()?,
    );
    Ok(())
}

fn options() -> Result<Options, Error> {
    let (mut minutes, mut every, mut restart) = (10, 10, 60);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || -> Result<u64, Error> {
            let text = arguments
                .next()
                .ok_or(format!("{argument} needs a value"))?;
            Ok(text.parse()?)
        };
        match argument.as_str() {
            "--minutes" => minutes = value()?,
            "--every" => every = value()?,
            "--restart" => restart = value()?,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok(Options {
        lasts: Duration::from_secs(minutes * 60),
        every: Duration::from_secs(every.max(1)),
        restart: Duration::from_secs(restart),
    })
}
