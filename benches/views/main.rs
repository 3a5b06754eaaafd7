//! The two built-in views under load: events per second and core, with producers at work and
//! without; a view of many keys: memory and restart.
//!
//! ```text
//! cargo build --release -p klamm
//! cargo run --release -p klamm-benches --bin views            # all, about two minutes
//! cargo run --release -p klamm-benches --bin views -- --quick # a fifth of the events
//! ```
//!
//! CPU seconds are those of the whole broker process: reading, decoding, appending rows, flushing.
//! "Without producers" reads events that lie there already; "with producers" produces them while the
//! views follow, and the same without views says what producing alone costs.
mod events;
mod progress;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use workload::process::{Broker, Error};

/// Turns the views off.
const NO_VIEWS: [&str; 2] = ["--projections", ""];
/// At 1 000 events a second.
const LATENCY_SECONDS: u64 = 10;

fn main() -> Result<(), Error> {
    let divisor = match std::env::args().nth(1).as_deref() {
        None => 1,
        Some("--quick") => 5,
        Some(other) => return Err(format!("unknown argument {other}").into()),
    };
    let events = 1_000_000 / divisor;
    let mut lines = Vec::new();
    for partitions in [1, 8] {
        lines.push(from_the_log(events, partitions)?);
    }
    lines.push(beside_producers(events)?);
    lines.push(latency()?);
    lines.push(many_keys(events)?);
    println!("\n{}", lines.join("\n"));
    Ok(())
}

/// Events that lie there already.
fn from_the_log(events: u64, partitions: i32) -> Result<String, Error> {
    say(&format!(
        "{events} events in {partitions} partitions, then the views"
    ));
    let broker = Broker::start(&NO_VIEWS)?;
    events::topic(&broker, partitions)?;
    events::produce(&broker, events::shop(events))?;
    let broker = broker.restart(&[])?;
    let started = Instant::now();
    progress::caught_up(&broker, events)?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), broker.cpu_seconds());
    Ok(format!(
        "without producers, {partitions} partitions: {:.0} events/s, {:.0} events/s per core \
         ({cpu:.2} CPU s), {:.1} MiB resident, {:.1} of them its own",
        events as f64 / seconds,
        events as f64 / cpu,
        broker.memory_mib("VmRSS"),
        broker.memory_mib("RssAnon"),
    ))
}

/// Events that are produced while the views follow.
fn beside_producers(events: u64) -> Result<String, Error> {
    let mut runs = Vec::new();
    for arguments in [&NO_VIEWS[..], &[]] {
        say(&format!("producing {events} events with {arguments:?}"));
        let broker = Broker::start(arguments)?;
        events::topic(&broker, 1)?;
        let (started, cpu) = (Instant::now(), broker.cpu_seconds());
        events::produce(&broker, events::shop(events))?;
        let produced = started.elapsed().as_secs_f64();
        if arguments.is_empty() {
            progress::caught_up(&broker, events)?;
        }
        let done = started.elapsed().as_secs_f64();
        runs.push((produced, done, broker.cpu_seconds() - cpu));
    }
    let [(alone, _, cpu_alone), (produced, done, cpu)] = runs[..] else {
        return Err("two runs".into());
    };
    Ok(format!(
        "with producers: {:.0} events/s produced ({:.0} without views), views done {:.2} s after the \
         last; views cost {:.2} CPU s, {:.0} events/s per core",
        events as f64 / produced,
        events as f64 / alone,
        done - produced,
        cpu - cpu_alone,
        events as f64 / (cpu - cpu_alone),
    ))
}

/// From the append of an event to its row.
fn latency() -> Result<String, Error> {
    say("1 000 events a second");
    let broker = Broker::start(&[])?;
    events::topic(&broker, 1)?;
    let events = LATENCY_SECONDS * 1000;
    events::produce_at(&broker, events::shop(events), Duration::from_millis(1))?;
    progress::caught_up(&broker, events)?;
    let metrics = broker.get("/metrics")?;
    let quantile = |share| progress::quantile_millis(&metrics, "read_model_latency_seconds", share);
    Ok(format!(
        "at 1 000 events/s, acks=all: event to row p50 ≤ {:.1} ms, p99 ≤ {:.1} ms (buckets of the \
         histogram)",
        quantile(0.5),
        quantile(0.99),
    ))
}

/// As many rows as events.
fn many_keys(events: u64) -> Result<String, Error> {
    say(&format!("{events} keys"));
    let broker = Broker::start(&["--projections", "user_activity"])?;
    events::topic(&broker, 1)?;
    events::produce(&broker, events::distinct(events))?;
    progress::caught_up(&broker, events)?;
    let mut line = format!(
        "{events} keys: {:.1} MiB resident, {:.1} of them its own",
        broker.memory_mib("VmRSS"),
        broker.memory_mib("RssAnon"),
    );
    say("restart");
    let started = Instant::now();
    let broker = broker.restart(&["--projections", "user_activity"])?;
    let serving = Instant::now();
    progress::caught_up(&broker, events)?;
    write!(
        line,
        "; stop and start {:.2} s, first Metadata after {:.1} ms, rows back {:.2} s after that; \
         then {:.1} MiB, {:.1} of them its own",
        (serving - started).as_secs_f64(),
        broker.started_in.as_secs_f64() * 1e3,
        serving.elapsed().as_secs_f64(),
        broker.memory_mib("VmRSS"),
        broker.memory_mib("RssAnon"),
    )?;
    Ok(line)
}

fn say(what: &str) {
    eprintln!("… {what}");
    let _ = std::io::stderr().flush();
}
