//! The life of a view: nothing before the first record, pause and resume, storms.
use anyhow::{Result, ensure};
use harness::{Broker, Options, PATIENCE, rd};
use serde_json::json;

use crate::event::{self, Event};
use crate::shop::{self, Shop};
use crate::truth::{Rules, Truth};
use crate::view;

pub(crate) const VIEWS: [&str; 2] = ["user_activity", "daily_revenue"];

pub(crate) fn events(seed: u64, partitions: i32, count: usize) -> Vec<Event> {
    Shop::new(shop::Options::new(seed, partitions))
        .take(count)
        .collect()
}

pub(crate) fn check_both(broker: &Broker, source: &str) -> Result<()> {
    let records = event::read(broker.bootstrap(), source)?;
    let truth = Truth::of(&records, &Rules::default())?;
    for (name, truth) in VIEWS
        .into_iter()
        .zip([truth.user_activity()?, truth.daily_revenue()?])
    {
        view::await_all(broker, name, source)?;
        view::check(broker, name, &truth)?;
    }
    Ok(())
}

/// Topics that projections made.
pub(crate) fn made(broker: &Broker) -> Result<Vec<String>> {
    let topics = view::topics(broker)?.into_iter();
    let own =
        |name: &String| VIEWS.iter().any(|view| name.contains(view)) || name.contains("projection");
    Ok(topics.filter(own).collect())
}

#[test]
fn nothing_is_made_before_the_first_record() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    ensure!(made(&broker)?.is_empty(), "{:?}", made(&broker)?);
    event::create_topic(broker.bootstrap(), "events", 2)?;
    view::await_state(&broker, "user_activity", "CREATED")?;
    rd::produce(broker.bootstrap(), "other", 0, &["{}"])?;
    broker.terminate(PATIENCE)?;
    broker.restart()?;
    view::await_state(&broker, "user_activity", "CREATED")?;
    ensure!(made(&broker)?.is_empty(), "{:?}", made(&broker)?);
    let log = broker.process()?.log();
    ensure!(
        log.contains("user_activity") && log.contains("events"),
        "{log}"
    );
    event::produce(broker.bootstrap(), "events", &events(1, 2, 300))?;
    check_both(&broker, "events")
}

#[test]
fn paused_it_keeps_its_place_also_over_a_restart() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 3)?;
    let all = events(5, 3, 2000);
    event::produce(broker.bootstrap(), "events", &all[..1000])?;
    check_both(&broker, "events")?;
    view::order(&broker, "user_activity", "pause", &json!({}))?;
    let paused = view::await_state(&broker, "user_activity", "PAUSED")?;
    let digest = view::digest(&broker, "user_activity")?;
    event::produce(broker.bootstrap(), "events", &all[1000..])?;
    for killed in [false, true] {
        view::await_all(&broker, "daily_revenue", "events")?;
        let description = view::await_state(&broker, "user_activity", "PAUSED")?;
        ensure!(description["counts"] == paused["counts"], "{description}");
        ensure!(view::digest(&broker, "user_activity")? == digest);
        let lag = description["sources"].as_array().into_iter().flatten();
        let lag: i64 = lag.filter_map(|source| source["records"].as_i64()).sum();
        ensure!(lag == 1000, "{description}");
        if killed {
            broker.kill9()?;
        } else {
            broker.terminate(PATIENCE)?;
        }
        broker.restart()?;
    }
    view::await_state(&broker, "user_activity", "PAUSED")?;
    view::order(&broker, "user_activity", "resume", &json!({}))?;
    check_both(&broker, "events")
}

#[test]
fn a_storm_of_rejected_records_pauses_the_view() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 1)?;
    let good = events(8, 1, 1000);
    event::produce(broker.bootstrap(), "events", &good)?;
    check_both(&broker, "events")?;
    let bad = vec![Event::of(0, 1_700_000_000_000, "not json"); 2000];
    event::produce(broker.bootstrap(), "events", &bad)?;
    for killed in [true, false] {
        for name in VIEWS {
            let description = view::await_state(&broker, name, "PAUSED")?;
            let reason = description["reason"].as_str().unwrap_or_default();
            ensure!(!reason.is_empty(), "{description}");
            let read = view::counts(&description)?.input;
            ensure!((1400..=2000).contains(&read), "{description}");
            let letters = view::letters(&broker, name)?;
            ensure!(letters.len() < 1200, "{} letters", letters.len());
        }
        if killed {
            broker.kill9()?;
            broker.restart()?;
        }
    }
    for name in VIEWS {
        resume_through_the_storm(&broker, name, 3000)?;
    }
    check_both(&broker, "events")
}

/// Resumed, it tries again, and stops again while the storm lasts.
fn resume_through_the_storm(broker: &Broker, name: &str, end: u64) -> Result<()> {
    let mut read = view::counts(&view::describe(broker, name)?)?.input;
    let mut stops = 0;
    while read < end {
        view::order(broker, name, "resume", &json!({}))?;
        let description = view::await_that(broker, name, "further", |it| {
            let input = it["counts"]["in"].as_u64();
            input == Some(end) || it["state"] == "PAUSED" && input > Some(read)
        })?;
        let before = std::mem::replace(&mut read, view::counts(&description)?.input);
        ensure!(read <= before + 1000, "{before}, then {description}");
        stops += 1;
    }
    ensure!(stops > 2, "paused {stops} times");
    Ok(())
}
