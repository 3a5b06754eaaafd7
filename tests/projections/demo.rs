//! What the README shows: sample events in, views out, with the tools that it names.
use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::http::Events;
use harness::{Broker, Options, foreign, program};

use crate::event;
use crate::truth::{Rules, Truth};
use crate::view;

fn sample(broker: &Broker, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program::klamm()?);
    command.arg("sample").args(arguments);
    command.args(["--topic", "events"]);
    command.env("KLAMM_BOOTSTRAP", broker.bootstrap());
    foreign::run(&mut command, b"")?;
    Ok(())
}

#[test]
fn sample_events_become_views_that_kcat_shows_and_a_stream_follows() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let wrong = ["--duplicates", "5", "--malformed", "2"];
    sample(&broker, &[&["--count", "1000"], &wrong[..]].concat())?;
    view::await_all(&broker, "daily_revenue", "events")?;
    let path = "/v1/views/daily_revenue/stream";
    let mut stream = Events::open(&broker.http(), path, None)?;
    sample(&broker, &["--seed", "2", "--count", "200", "--rate", "500"])?;
    let (mut ended, mut moved) = (false, 0);
    while !ended || moved < 10 {
        let event = stream.read()?.context("the stream ended")?;
        moved += usize::from(ended && event.event == "row");
        ended |= event.event == "snapshot_end";
    }
    let truth = Truth::of(
        &event::read(broker.bootstrap(), "events")?,
        &Rules::default(),
    )?;
    let views = [
        ("user_activity", truth.user_activity()?),
        ("daily_revenue", truth.daily_revenue()?),
    ];
    for (name, truth) in views {
        view::await_all(&broker, name, "events")?;
        let arguments = ["-C", "-t", name, "-o", "beginning", "-e", "-q", "-K", "\t"];
        let shown = foreign::kcat(broker.bootstrap(), arguments, "")?;
        let lines = shown
            .lines()
            .map(|line| line.split_once('\t').context("a key"));
        let rows: BTreeMap<&str, &str> = lines.collect::<Result<_>>()?;
        let must = truth.rows.iter();
        let must = must.map(|(key, (value, _))| (key.as_str(), value.as_str()));
        ensure!(must.eq(rows), "{name}: {shown}");
        view::check(&broker, name, &truth)?;
    }
    Ok(())
}
