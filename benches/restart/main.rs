//! How long a start takes on a large data directory: after a stop in order, and after kill -9 while
//! all partitions are written to.
//!
//! ```text
//! cargo build --release -p klamm
//! cargo run --release -p klamm-benches --bin restart            # 10 GiB in 1 000 partitions
//! cargo run --release -p klamm-benches --bin restart -- --quick # 1 GiB
//! ```
//!
//! The data lies below `TMPDIR`. The page cache is as the runs before left it; as root, `--cold`
//! drops it before each start.
mod load;

use std::process::Command;

use load::PARTITIONS;
use workload::process::{Broker, Error, Stop};

/// Starts of each kind.
const RUNS: usize = 5;
/// The quickest acknowledgement that survives a crash of the process.
const ARGUMENTS: [&str; 2] = ["--flush", "commit"];

fn main() -> Result<(), Error> {
    let (mut mib, mut cold) = (10 * 1024, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => mib = 1024,
            "--cold" => cold = true,
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    say(&format!("{mib} MiB into {PARTITIONS} partitions"));
    let mut broker = Broker::start(&ARGUMENTS)?;
    load::topics(&broker)?;
    load::fill(&broker, mib, |done| say(&format!("{done} MiB")))?;
    let mut lines = vec![format!(
        "{mib} MiB in {PARTITIONS} partitions; start of the process to the first Metadata answer, ms"
    )];
    for (stop, writes, name) in [
        (Stop::Term, false, "after a stop in order"),
        (Stop::Kill, false, "after kill -9 at rest"),
        (
            Stop::Kill,
            true,
            "after kill -9 under writes to all partitions",
        ),
    ] {
        let mut millis = Vec::new();
        for run in 0..RUNS {
            if writes {
                load::beside(&broker)?;
            }
            broker =
                broker.restart_after(
                    stop,
                    &ARGUMENTS,
                    || if cold { drop_cache() } else { Ok(()) },
                )?;
            load::every_partition_answers(&broker)?;
            let took = broker.started_in.as_secs_f64() * 1e3;
            say(&format!("{name}, run {}: {took:.0} ms", run + 1));
            millis.push(format!("{took:.0}"));
        }
        lines.push(format!("{name}: {}", millis.join(", ")));
    }
    lines.push(format!(
        "then {:.1} MiB resident, {:.1} of them its own, {} descriptors, {} mappings",
        broker.memory_mib("VmRSS"),
        broker.memory_mib("RssAnon"),
        broker.descriptors()?,
        broker.mappings()?,
    ));
    println!("\n{}", lines.join("\n"));
    Ok(())
}

fn drop_cache() -> Result<(), Error> {
    if !Command::new("sync").status()?.success() {
        return Err("sync failed".into());
    }
    std::fs::write("/proc/sys/vm/drop_caches", "3")?;
    Ok(())
}

fn say(text: &str) {
    eprintln!("restart: {text}");
}
