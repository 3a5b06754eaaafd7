//! `klamm log`: on the files that a broker left.
use std::fs;

use anyhow::{Context, Result};
use harness::{Broker, Options, PATIENCE, Program};

use crate::klamm::{done, run};

#[test]
fn the_files_of_a_stopped_broker_are_sound_until_a_bit_flips() -> Result<()> {
    let options = Options::default().set("log.segment.bytes", "20000");
    let mut broker = Broker::launch(Program::Klamm, options)?;
    let at = broker.bootstrap().to_owned();
    done(&at, &["topic", "create", "events", "-p", "1"], "")?;
    for seed in 0..10 {
        let seed = seed.to_string();
        done(
            &at,
            &["sample", "--count", "50", "--seed", &seed, "-t", "events"],
            "",
        )?;
    }
    broker.terminate(PATIENCE)?;

    let data_dir = broker
        .data_dir()
        .to_str()
        .context("the path is text")?
        .to_owned();
    let rows = done(&at, &["log", "check", &data_dir, "--json"], "")?.json()?;
    let events = rows
        .iter()
        .find(|row| row["partition"] == "events-0")
        .context("checked")?;
    assert_eq!(
        (&events["records"], &events["end_offset"]),
        (&500.into(), &500.into())
    );
    assert!(events["segments"].as_i64() > Some(1), "{events}");

    let first = format!("{data_dir}/events-0/00000000000000000000.log");
    let dumped = done(&at, &["log", "dump", &first, "--records", "--json"], "")?.json()?;
    let records: Vec<_> = dumped
        .iter()
        .filter_map(|row| row["offset"].as_i64())
        .collect();
    assert!(records.len() > 10 && records.iter().copied().eq(0..records.len() as i64));
    let sampled = done(
        &at,
        &["sample", "--count", "1", "--seed", "0", "-k", ""],
        "",
    )?
    .out;
    assert!(dumped.iter().any(|row| row["value"] == sampled.trim_end()));

    let mut bytes = fs::read(&first)?;
    bytes[100] ^= 1;
    fs::write(&first, bytes)?;
    for target in [&data_dir, &format!("{data_dir}/events-0")] {
        let check = run(&at, &["log", "check", target], "")?;
        assert_eq!(check.code, Some(1));
        assert!(check.err.contains("checksum"), "{}", check.err);
    }
    assert_eq!(run(&at, &["log", "dump", &first], "")?.code, Some(1));
    assert_eq!(
        run(&at, &["log", "dump", &data_dir], "")?.code,
        Some(2),
        "a directory is no file"
    );
    Ok(())
}

#[test]
fn a_port_in_use_is_told_and_leaves_the_logs_closed_in_order() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let dir = tempfile::tempdir()?;
    let data = dir.path().to_str().context("a path of letters")?;
    let args = ["serve", "--data-dir", data, "--listen", broker.bootstrap()];
    let refused = run(broker.bootstrap(), &args, "")?;
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("cannot listen on"), "{}", refused.err);
    assert!(dir.path().join(".kafka_cleanshutdown").exists());
    Ok(())
}
