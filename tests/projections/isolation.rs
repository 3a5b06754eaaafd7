//! What goes wrong in one view stays there.
use anyhow::{Result, ensure};
use harness::{Broker, Options, PATIENCE, rd};
use serde_json::json;

use crate::event::{self, Event};
use crate::truth::{Rules, Truth};
use crate::view;

const TIME: i64 = 1_700_000_000_000;

fn event(number: usize, user: &str, kind: &str, data: &str) -> Event {
    let time = TIME + number as i64 * 10;
    Event::of(
        0,
        time,
        format!(
            "{{\"event_id\":\"e{number}\",\"aggregate_id\":\"{user}\",\"event_type\":\"{kind}\",\
             \"timestamp\":{time},\"data\":{data}}}"
        ),
    )
}

/// Produce and fetch go on as ever.
fn clients_are_served(broker: &Broker) -> Result<()> {
    let topic = harness::unique("beside");
    let offsets = rd::produce(broker.bootstrap(), &topic, 0, &["a", "b"])?;
    ensure!(offsets == [0, 1]);
    let read = rd::read_all(broker.bootstrap(), &topic, 0, 0)?;
    ensure!(read.len() == 2, "{read:?}");
    Ok(())
}

#[test]
fn poison_for_one_view_is_no_harm_to_the_other() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 1)?;
    let purchase = |number| event(number, "u", "purchase", "{\"amount\":\"much\"}");
    let poison: Vec<Event> = (0..3000).map(purchase).collect();
    event::produce(broker.bootstrap(), "events", &poison)?;
    view::await_state(&broker, "daily_revenue", "PAUSED")?;
    clients_are_served(&broker)?;
    let login = |number| event(number, "u", "login", "{}");
    let logins: Vec<Event> = (3000..4000).map(login).collect();
    event::produce(broker.bootstrap(), "events", &logins)?;
    let records = event::read(broker.bootstrap(), "events")?;
    let truth = Truth::of(&records, &Rules::default())?.user_activity()?;
    view::await_all(&broker, "user_activity", "events")?;
    view::check(&broker, "user_activity", &truth)
}

#[test]
fn at_its_limit_of_memory_it_pauses_and_loses_nothing() -> Result<()> {
    let options = Options::default().set("projection.memory.max.bytes", "6000000");
    let mut broker = Broker::start(options)?;
    event::create_topic(broker.bootstrap(), "events", 1)?;
    let name = "n".repeat(1000);
    let stranger = |number| {
        event(
            number,
            &format!("{name}{number}"),
            "purchase",
            "{\"amount\":1}",
        )
    };
    let strangers: Vec<Event> = (0..10_000).map(stranger).collect();
    event::produce(broker.bootstrap(), "events", &strangers)?;
    let paused = view::await_state(&broker, "user_activity", "PAUSED")?;
    let reason = paused["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("STATE_LIMIT"), "{paused}");
    clients_are_served(&broker)?;
    let records = event::read(broker.bootstrap(), "events")?;
    let truth = Truth::of(&records, &Rules::default())?;
    view::await_all(&broker, "daily_revenue", "events")?;
    view::check(&broker, "daily_revenue", &truth.daily_revenue()?)?;
    broker.terminate(PATIENCE)?;
    broker.set("projection.memory.max.bytes", None);
    broker.restart()?;
    if view::state(&broker, "user_activity")? == "PAUSED" {
        view::order(&broker, "user_activity", "resume", &json!({}))?;
    }
    view::await_all(&broker, "user_activity", "events")?;
    view::check(&broker, "user_activity", &truth.user_activity()?)
}
