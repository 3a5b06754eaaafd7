//! `klamm sample`.
use anyhow::Result;
use harness::{Broker, Options, Program, eventually, unique};

use crate::klamm::{command, done, run};

#[test]
fn what_is_sent_is_what_is_printed() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic) = (broker.bootstrap(), unique("samples"));
    done(at, &["topic", "create", &topic, "-p", "1"], "")?;
    let shape = [
        "--count",
        "2000",
        "--seed",
        "42",
        "--duplicates",
        "5",
        "--late",
        "5",
    ];
    let sample = |args: &[&str]| {
        let args = [&["sample"], &shape[..], args].concat();
        anyhow::Ok(done(at, &args, "")?.out)
    };
    let printed = sample(&[])?;
    assert_eq!(
        sample(&["-t", &topic])?,
        "",
        "what is sent is not printed too"
    );
    assert_eq!(
        done(at, &["consume", &topic, "-k", r"\t"], "")?.out,
        printed
    );
    let rows = done(at, &["consume", &topic, "--json"], "")?.json()?;
    let ids: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["value"].as_str())
        .filter_map(|value| value.split("\"event_id\":\"").nth(1)?.split('"').next())
        .collect();
    let mut different = ids.clone();
    different.sort_unstable();
    different.dedup();
    let repeated = ids.len() - different.len();
    assert!(
        (50..200).contains(&repeated),
        "{repeated} of 2000 repeat an earlier one"
    );
    Ok(())
}

#[test]
fn the_seed_decides() -> Result<()> {
    let print = |seed: &str, count: &str| {
        anyhow::Ok(
            done(
                "127.0.0.1:1",
                &["sample", "--seed", seed, "--count", count],
                "",
            )?
            .out,
        )
    };
    let ten = print("7", "10")?;
    assert_eq!(ten.lines().count(), 10);
    assert!(ten.lines().all(|line| line.split_once('\t').is_some()));
    assert!(
        print("7", "20")?.starts_with(&ten),
        "a longer run begins with the shorter one"
    );
    assert_ne!(print("8", "10")?, ten);
    assert_eq!(
        run("127.0.0.1:1", &["sample", "--late", "101"], "")?.code,
        Some(2)
    );
    Ok(())
}

#[test]
fn sending_goes_on_over_a_crash_of_the_broker_without_a_gap_or_a_repeat() -> Result<()> {
    let mut broker = Broker::launch(Program::Klamm, Options::default())?;
    let at = broker.bootstrap().to_owned();
    done(&at, &["topic", "create", "crash", "-p", "1"], "")?;
    let shape = ["sample", "--count", "3000"];
    let paced = [&shape[..], &["--rate", "2000", "-t", "crash"]].concat();
    let mut sender = command(&at, &paced)?.spawn()?;
    let read = |least: usize| {
        let read = run(&at, &["consume", "crash", "-k", r"\t"], "").ok()?;
        (read.out.lines().count() >= least).then_some(read.out)
    };
    eventually("some are there", || read(300))?;
    broker.kill9()?;
    broker.restart()?;
    assert!(sender.wait()?.success());
    let all = eventually("all are there", || read(3000))?;
    assert_eq!(all, done("127.0.0.1:1", &shape, "")?.out);
    Ok(())
}
