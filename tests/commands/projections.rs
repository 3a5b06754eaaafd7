//! `klamm projection`.
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, eventually};
use serde_json::Value;

use crate::klamm::{self, Run, done};

/// Runs `klamm projection` against the broker's HTTP listener.
fn projection(broker: &Broker, args: &[&str]) -> Result<Run> {
    let command = klamm::command(broker.bootstrap(), &[&["projection"], args].concat())?;
    finish(command, &broker.http())
}

fn finish(mut command: Command, http: &str) -> Result<Run> {
    let output = command.env("KLAMM_HTTP", http).output()?;
    Ok(Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

/// The lines of JSON of a run that must succeed.
fn lines(broker: &Broker, args: &[&str]) -> Result<Vec<Value>> {
    let run = projection(broker, &[args, &["--json"]].concat())?;
    ensure!(run.code == Some(0), "{args:?}: {run:?}");
    run.json()
}

/// A broker with sample events, a few of which are none, in a topic of two partitions; and their
/// number.
fn with_events() -> Result<(Broker, u64)> {
    let broker = Broker::start(Options::default())?;
    let at = broker.bootstrap();
    done(at, &["topic", "create", "events", "-p", "2"], "")?;
    let count = sample(&broker, "1")?;
    await_events(&broker, count)?;
    Ok((broker, count))
}

fn sample(broker: &Broker, seed: &str) -> Result<u64> {
    let shape = ["sample", "-t", "events", "--seed", seed, "--count", "3000"];
    let odd = ["--duplicates", "3", "--malformed", "4"];
    done(broker.bootstrap(), &[&shape[..], &odd].concat(), "")?;
    Ok(3000)
}

fn await_events(broker: &Broker, count: u64) -> Result<()> {
    for view in ["user_activity", "daily_revenue"] {
        eventually(&format!("{view} with all events"), || {
            let found = lines(broker, &["describe", view]).ok()?;
            (found[0]["counts"]["in"] == count).then_some(())
        })?;
    }
    Ok(())
}

fn digest(broker: &Broker, view: &str) -> Result<(String, u64)> {
    let found = lines(broker, &["digest", view])?;
    let digest = found[0]["digest"].as_str().context("a digest")?;
    let generation = found[0]["generation"].as_u64().context("a generation")?;
    Ok((digest.to_owned(), generation))
}

#[test]
fn views_are_listed_described_and_digested() -> Result<()> {
    let (broker, count) = with_events()?;
    let listed = lines(&broker, &["list"])?;
    let names: Vec<&Value> = listed.iter().map(|row| &row["view"]).collect();
    assert!(names.contains(&&"user_activity".into()), "{names:?}");
    let table = projection(&broker, &["list"])?.out;
    assert!(
        table.starts_with("VIEW") && table.contains("daily_revenue"),
        "{table}"
    );

    let described = lines(&broker, &["describe", "user_activity"])?.remove(0);
    let counts = &described["counts"];
    let number = |name: &str| counts[name].as_u64().unwrap_or_default();
    let all = number("applied") + number("duplicate") + number("late") + number("dead");
    assert_eq!((number("in"), all), (count, count));
    assert!(number("duplicate") > 0 && number("dead") > 0, "{counts}");
    let text = projection(&broker, &["describe", "user_activity"])?.out;
    for part in [
        "state:      RUNNING",
        "source:     events",
        "DUPLICATE",
        "STREAM-TIME",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }

    let (first, generation) = digest(&broker, "user_activity")?;
    assert_eq!((first.len(), generation), (64, 1));
    assert_eq!(digest(&broker, "user_activity")?.0, first);
    assert_ne!(digest(&broker, "daily_revenue")?.0, first);

    for (args, code) in [
        (&["describe", "nothing"][..], 1),
        (&["digest", "no/such view"], 1),
        (&["describe"], 2),
        (&["pause", "nothing"], 1),
    ] {
        let run = projection(&broker, args)?;
        assert_eq!(run.code, Some(code), "{args:?}: {run:?}");
    }
    Ok(())
}

#[test]
fn a_paused_view_stands_still_until_it_is_resumed() -> Result<()> {
    let (broker, count) = with_events()?;
    let paused = projection(&broker, &["pause", "user_activity"])?;
    assert_eq!(paused.out, "user_activity PAUSED\n", "{paused:?}");
    let before = digest(&broker, "user_activity")?;
    let more = sample(&broker, "2")?;
    eventually("the other view", || {
        let found = lines(&broker, &["describe", "daily_revenue"]).ok()?;
        (found[0]["counts"]["in"] == count + more).then_some(())
    })?;
    assert_eq!(digest(&broker, "user_activity")?, before);
    let described = lines(&broker, &["describe", "user_activity"])?.remove(0);
    assert_eq!(described["state"], "PAUSED");
    assert!(described["reason"].is_string(), "{described}");
    let resumed = projection(&broker, &["resume", "user_activity"])?;
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    await_events(&broker, count + more)?;
    assert_ne!(digest(&broker, "user_activity")?, before);
    Ok(())
}

#[test]
fn a_rebuild_gives_the_same_and_may_be_held() -> Result<()> {
    let (broker, _) = with_events()?;
    let (first, _) = digest(&broker, "user_activity")?;
    let rebuilt = projection(&broker, &["rebuild", "user_activity"])?;
    assert_eq!(
        rebuilt.out, "user_activity generation 2 is promoted\n",
        "{rebuilt:?}"
    );
    assert_eq!(digest(&broker, "user_activity")?, (first.clone(), 2));

    let held = projection(&broker, &["rebuild", "user_activity", "--hold"])?;
    assert_eq!(held.out, "user_activity generation 3 is held\n", "{held:?}");
    assert_eq!(digest(&broker, "user_activity")?.1, 2);
    let promoted = projection(&broker, &["promote", "user_activity"])?;
    assert_eq!(promoted.code, Some(0), "{promoted:?}");
    eventually("the promotion", || {
        (digest(&broker, "user_activity").ok()? == (first.clone(), 3)).then_some(())
    })?;
    let again = projection(&broker, &["promote", "user_activity"])?;
    assert_eq!(again.code, Some(1), "{again:?}");

    let quick = projection(&broker, &["rebuild", "user_activity", "--no-wait"])?;
    assert_eq!((quick.code, quick.out.as_str()), (Some(0), ""), "{quick:?}");
    eventually("the rebuild", || {
        (digest(&broker, "user_activity").ok()? == (first.clone(), 4)).then_some(())
    })
}

#[test]
fn dead_letters_are_shown_and_redriven() -> Result<()> {
    let (broker, _) = with_events()?;
    let described = lines(&broker, &["describe", "user_activity"])?.remove(0);
    let dead = described["counts"]["dead"].as_u64().context("a count")? as usize;
    let letters = lines(&broker, &["dlq", "user_activity", "--limit", "100000"])?;
    assert_eq!(letters.len(), dead);
    let offsets: Vec<_> = letters.iter().map(|it| it["dlq_offset"].as_i64()).collect();
    assert!(offsets.is_sorted_by(|a, b| a > b), "the newest comes first");
    let reason = letters[0]["reason"].as_str().context("a reason")?;
    let of_reason = letters.iter().filter(|it| it["reason"] == reason).count();
    let chosen = [
        "dlq",
        "user_activity",
        "--limit",
        "5000",
        "--reason",
        reason,
    ];
    assert_eq!(lines(&broker, &chosen)?.len(), of_reason);
    let few = projection(
        &broker,
        &["dlq", "user_activity", "--limit", "2", "--oldest"],
    )?
    .out;
    let heads: Vec<_> = few.lines().collect();
    assert!(heads.len() == 3 && heads[0].starts_with("REASON"), "{few}");

    // What was no event stays none.
    let id = letters[0]["id"].as_str().context("an id")?;
    let one = lines(&broker, &["redrive", "user_activity", "--id", id])?;
    assert_eq!(
        (&one[0]["redriven"], &one[0]["rejected"]),
        (&0.into(), &1.into())
    );
    let none = lines(
        &broker,
        &["redrive", "user_activity", "--to", "1970-01-02T00:00:00Z"],
    )?;
    assert_eq!(
        (&none[0]["redriven"], &none[0]["rejected"]),
        (&0.into(), &0.into())
    );
    let all = lines(&broker, &["redrive", "user_activity", "--all"])?;
    assert_eq!(all[0]["rejected"], dead, "{all:?}");
    for (args, code) in [
        (&["redrive", "user_activity"][..], 2),
        (&["redrive", "user_activity", "--from", "yesterday"], 2),
        (&["redrive", "user_activity", "--reason", "BAD"], 1),
        (&["dlq", "user_activity", "--reason", "BAD"], 1),
    ] {
        let run = projection(&broker, args)?;
        assert_eq!(run.code, Some(code), "{args:?}: {run:?}");
    }
    Ok(())
}

#[test]
fn where_nothing_listens_the_error_says_how_to_start_it() -> Result<()> {
    let command = klamm::command("127.0.0.1:1", &["projection", "list"])?;
    let run = finish(command, "127.0.0.1:1")?;
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(
        run.err.contains("klamm serve --http 127.0.0.1:1"),
        "{run:?}"
    );
    Ok(())
}
