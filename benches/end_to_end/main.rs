//! One broker process under librdkafka: records per second, broker CPU, latency, memory, start.
//!
//! ```text
//! cargo build --release -p klamm
//! cargo run --release -p klamm-benches --bin end_to_end            # all, about two minutes
//! cargo run --release -p klamm-benches --bin end_to_end -- --quick # a fifth of the records
//! … -- --bootstrap host:port --pid N                               # another broker
//! ```
//!
//! The client's own ceiling is the same producer on librdkafka's mock cluster, in its own process:
//! where both come close, only the broker's CPU seconds tell brokers apart. Every row of the table
//! runs on a topic of its own after a warm-up; the broker's CPU time is that of the whole process
//! between the first record and the last report, so it includes flushing.
mod consume;
mod latency;
mod produce;

use std::fmt::Write as _;
use std::io::Write as _;

use produce::Load;
use workload::process::{Broker, Error};

/// What all rows together write, about.
const MEMORY_BYTES: usize = 6 << 30;

/// What to run.
struct Options {
    /// Records are divided by this.
    divisor: u64,
    /// Another broker: its address and process id.
    other: Option<(String, u32)>,
}

fn main() -> Result<(), Error> {
    let options = options()?;
    progress("touching memory");
    touch(MEMORY_BYTES / options.divisor as usize);
    let mut rows = vec![ceiling(&options)?];
    match &options.other {
        Some((bootstrap, pid)) => {
            rows.push(broker(&Broker::running(bootstrap, *pid), "-", &options)?);
        }
        None => {
            for flush in ["commit", "os"] {
                rows.push(broker(
                    &Broker::start(&["--flush", flush])?,
                    flush,
                    &options,
                )?);
            }
        }
    }
    println!("\n{}", rows.concat());
    Ok(())
}

fn options() -> Result<Options, Error> {
    let mut options = Options {
        divisor: 1,
        other: None,
    };
    let mut bootstrap = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => options.divisor = 5,
            "--bootstrap" => bootstrap = Some(value()?),
            "--pid" => {
                let pid = value()?.parse()?;
                let bootstrap = bootstrap.take().ok_or("--bootstrap comes first")?;
                options.other = Some((bootstrap, pid));
            }
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok(options)
}

fn loads(options: &Options) -> [Load; 2] {
    [
        Load::new(100, 4_000_000 / options.divisor),
        Load::new(1024, 1_000_000 / options.divisor),
    ]
}

fn ceiling(options: &Options) -> Result<String, Error> {
    let mut lines = String::from("The client alone, on librdkafka's mock cluster:\n");
    for load in loads(options) {
        progress(&format!("mock cluster, {} B", load.record_bytes));
        let rate = produce::on_mock_cluster(&load)?;
        writeln!(
            lines,
            "  {:>5} B  {:>10.0} records/s",
            load.record_bytes, rate
        )?;
    }
    Ok(lines)
}

fn broker(broker: &Broker, flush: &str, options: &Options) -> Result<String, Error> {
    let idle = (broker.memory_mib("VmRSS"), broker.memory_mib("RssAnon"));
    let mut lines = format!(
        "Broker with flush={flush}: first Metadata after {:.1} ms; idle {:.1} MiB resident, {:.1} of \
         them its own\n",
        broker.started_in.as_secs_f64() * 1e3,
        idle.0,
        idle.1,
    );
    // Before the heavy loads: what they leave to be written back makes every flush wait.
    for acks in ["1", "all"] {
        progress(&format!("flush={flush} one record at a time, acks={acks}"));
        let times = latency::at_1000_per_second(broker, acks, 10_000 / options.divisor)?;
        writeln!(
            lines,
            "  1 000 records/s of 100 B, acks={acks}: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
            times.millis(0.5),
            times.millis(0.99),
            times.millis(0.999),
        )?;
    }
    lines.push_str("  record  acks   produced/s  CPU s per 1 M   consumed/s  CPU s per 1 M\n");
    for load in loads(options) {
        for acks in ["1", "all"] {
            let topic = format!("bench-{}-{acks}", load.record_bytes);
            progress(&format!(
                "flush={flush} {} B acks={acks}",
                load.record_bytes
            ));
            let produced = produce::on_broker(broker, &topic, acks, &load)?;
            let consumed = consume::all(broker, &topic, &load)?;
            writeln!(
                lines,
                "  {:>4} B  {acks:>4}  {:>11.0}  {:>13.3}  {:>11.0}  {:>13.3}",
                load.record_bytes,
                produced.records_per_second,
                produced.cpu_seconds_per_million,
                consumed.records_per_second,
                consumed.cpu_seconds_per_million,
            )?;
        }
    }
    write!(
        lines,
        "  loaded {:.1} MiB resident, {:.1} of them its own\n\n",
        broker.memory_mib("VmRSS"),
        broker.memory_mib("RssAnon"),
    )?;
    Ok(lines)
}

/// Writes to so much memory and gives it back. On a virtual machine the first touch of a page costs
/// more than anything that is measured here, and it would be the page cache that touches it.
fn touch(bytes: usize) {
    let mut memory = vec![0u8; bytes];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}

fn progress(what: &str) {
    eprintln!("… {what}");
    let _ = std::io::stderr().flush();
}
