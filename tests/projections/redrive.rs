//! Dead letters that are applied after all: once, never twice.
use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, PATIENCE};
use serde_json::{Value, json};

use crate::event::{self, Event};
use crate::shop::{self, Shop};
use crate::truth::{Rules, Truth, View};
use crate::{turn, view};

const VIEW: &str = "order_revenue_minute";
const SOURCE: &str = "orders.enriched";

/// A broker with late orders among its dead letters, and the view as it is with and without them.
fn with_late_orders() -> Result<(Broker, View, View)> {
    let broker = Broker::start(Options::default().set("projections", VIEW))?;
    event::create_topic(broker.bootstrap(), SOURCE, 2)?;
    let shop = shop::Options {
        interval_ms: 1000,
        ..shop::Options::new(13, 2)
    };
    let events: Vec<Event> = Shop::new(shop).take(6000).collect();
    event::produce(broker.bootstrap(), SOURCE, &events)?;
    let records = event::read(broker.bootstrap(), SOURCE)?;
    let live = Truth::of(&records, &Rules::default())?.order_revenue_minute()?;
    let rules = Rules {
        late_applied: true,
        ..Rules::default()
    };
    let all = Truth::of(&records, &rules)?.order_revenue_minute()?;
    ensure!(live.counts.late > 30 && all.counts.late < live.counts.late / 4);
    view::await_all(&broker, VIEW, SOURCE)?;
    view::check(&broker, VIEW, &live)?;
    Ok((broker, live, all))
}

/// The letters that can be redriven, as a redrive names them.
fn cured(live: &View, all: &View) -> Vec<String> {
    let places = live.letters.keys();
    let cured = places.filter(|place| !all.letters.contains_key(*place));
    cured
        .map(|(partition, offset)| format!("{SOURCE}-{partition}@{offset}"))
        .collect()
}

fn number(answer: &Value, name: &str) -> Result<u64> {
    answer[name].as_u64().with_context(|| answer.to_string())
}

#[test]
fn late_letters_are_applied_once_also_after_a_rebuild() -> Result<()> {
    let _turn = turn();
    let (mut broker, live, all) = with_late_orders()?;
    let late = json!({"reason": "LATE"});
    // One by its place first.
    let cured = cured(&live, &all);
    let one = json!({"ids": cured[..1]});
    let answer = view::order(&broker, VIEW, "redrive", &one)?;
    ensure!(number(&answer, "redriven")? == 1, "{answer}");
    let answer = view::order(&broker, VIEW, "redrive", &late)?;
    let done = cured.len() as u64;
    ensure!(number(&answer, "redriven")? == done - 1, "{answer}");
    ensure!(number(&answer, "settled")? == 1, "{answer}");
    // Late ones with something else wrong.
    ensure!(number(&answer, "rejected")? == all.counts.late, "{answer}");
    view::check_rows(&broker, VIEW, &all)?;
    for generation in [2, 3] {
        let answer = view::order(&broker, VIEW, "redrive", &late)?;
        ensure!(number(&answer, "redriven")? == 0, "{answer}");
        ensure!(number(&answer, "settled")? == done, "{answer}");
        broker.kill9()?;
        broker.restart()?;
        view::await_state(&broker, VIEW, "RUNNING")?;
        view::check_rows(&broker, VIEW, &all)?;
        view::order(&broker, VIEW, "rebuild", &json!({}))?;
        view::await_generation(&broker, VIEW, generation)?;
        view::check_rows(&broker, VIEW, &all)?;
    }
    // What is wrong in itself stays where it is.
    let answer = view::order(&broker, VIEW, "redrive", &json!({"all": true}))?;
    ensure!(number(&answer, "redriven")? == 0, "{answer}");
    let wrong = live.counts.dead + all.counts.late;
    ensure!(number(&answer, "rejected")? == wrong, "{answer}");
    view::check_rows(&broker, VIEW, &all)?;
    ensure!(view::letters(&broker, VIEW)?.len() == live.letters.len());
    Ok(())
}

#[test]
fn letters_are_chosen_by_time() -> Result<()> {
    let (broker, _, all) = with_late_orders()?;
    let letters = view::letters(&broker, VIEW)?;
    let mut times = Vec::new();
    for (place, letter) in &letters {
        if !all.letters.contains_key(place) {
            times.push(letter.header("dlq.timestamp")?.parse::<i64>()?);
        }
    }
    times.sort_unstable();
    let middle = times[times.len() / 2];
    let early = times.iter().filter(|time| **time < middle).count() as u64;
    let answer = view::order(&broker, VIEW, "redrive", &json!({"to_ms": middle}))?;
    ensure!(number(&answer, "redriven")? == early, "{answer}");
    let answer = view::order(&broker, VIEW, "redrive", &json!({"from_ms": middle}))?;
    ensure!(
        number(&answer, "redriven")? == times.len() as u64 - early,
        "{answer}"
    );
    view::check_rows(&broker, VIEW, &all)
}

#[test]
fn killed_while_letters_are_redriven() -> Result<()> {
    let _turn = turn();
    let (mut broker, live, all) = with_late_orders()?;
    let late = json!({"reason": "LATE"});
    let cured = cured(&live, &all);
    for step in 1..=7 {
        broker.kill9()?;
        broker.set("test.projection.crash", Some(&format!("{step}:1")));
        broker.restart()?;
        view::await_state(&broker, VIEW, "RUNNING")?;
        let few = &cured[step * 3..step * 3 + 3];
        let path = format!("/v1/projections/{VIEW}/redrive");
        // No answer comes.
        let _ = harness::http::post(&broker.http(), &path, &json!({"ids": few}));
        broker.process()?.wait(PATIENCE)?;
        broker.set("test.projection.crash", None);
        broker.restart()?;
        view::await_state(&broker, VIEW, "RUNNING")?;
        let answer = view::order(&broker, VIEW, "redrive", &json!({"ids": few}))?;
        let done = number(&answer, "redriven")? + number(&answer, "settled")?;
        ensure!(done == 3, "step {step}: {answer}");
    }
    view::order(&broker, VIEW, "redrive", &late)?;
    view::check_rows(&broker, VIEW, &all)
}

#[test]
fn a_redrive_must_say_what() -> Result<()> {
    let (broker, live, _) = with_late_orders()?;
    for wrong in [
        json!({}),
        json!({"reason": "NO_SUCH"}),
        json!({"ids": ["nothing"]}),
        json!({"from_ms": "yesterday"}),
        json!([]),
    ] {
        view::refusal(&broker, VIEW, "redrive", &wrong, 400).with_context(|| wrong.to_string())?;
    }
    view::check(&broker, VIEW, &live)
}
