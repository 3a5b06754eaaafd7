//! A view built again is the view that was there; a changed one differs by what changed.
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Broker, Options, PATIENCE, Random, rd};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use crate::event::{self, Event, Record};
use crate::shop::{self, Shop};
use crate::truth::{Rows, Rules, Truth, View};
use crate::watch::Watch;
use crate::{turn, view};

const VIEWS: [&str; 2] = ["user_activity", "daily_revenue"];

/// A further name of `aggregate_id` in some of the events.
const ALIAS: &str = "customer";

/// Events, some of which name their user as only [`ALIAS`] tells.
fn events(seed: u64, partitions: i32, count: usize) -> Vec<Event> {
    let shop = Shop::new(shop::Options::new(seed, partitions));
    let mut events: Vec<Event> = shop.take(count).collect();
    for event in events.iter_mut().step_by(7) {
        if let Some(text) = event
            .value
            .as_deref()
            .and_then(|it| std::str::from_utf8(it).ok())
        {
            let to = format!("\"{ALIAS}\":\"customer-");
            event.value = Some(text.replace("\"aggregate_id\":\"user-", &to).into_bytes());
        }
    }
    events
}

/// A broker with these events in its views.
fn filled(options: Options, partitions: i32, events: &[Event]) -> Result<(Broker, Vec<Record>)> {
    let broker = Broker::start(options)?;
    event::create_topic(broker.bootstrap(), "events", partitions)?;
    event::produce(broker.bootstrap(), "events", events)?;
    for name in VIEWS {
        view::await_all(&broker, name, "events")?;
    }
    let records = event::read(broker.bootstrap(), "events")?;
    Ok((broker, records))
}

fn truths(records: &[Record], rules: &Rules) -> Result<[View; 2]> {
    let truth = Truth::of(records, rules)?;
    Ok([truth.user_activity()?, truth.daily_revenue()?])
}

fn end(broker: &Broker, topic: &str) -> Result<i64> {
    Ok(event::ends(broker.bootstrap(), topic)?[&0].1)
}

/// Stops the broker and starts it with other settings.
fn restart_with(broker: &mut Broker, settings: &[(&str, Option<&str>)]) -> Result<()> {
    broker.terminate(PATIENCE)?;
    for (name, value) in settings {
        broker.set(name, *value);
    }
    broker.restart()
}

fn equal_at_any_size_of_commit(partitions: i32) -> Result<()> {
    let _turn = turn();
    let options = Options::default().set("flush", "os");
    let events = events(partitions as u64, partitions, 2000);
    let (mut broker, records) = filled(options, partitions, &events)?;
    let truths = truths(&records, &Rules::default())?;
    let mut ends = [0; 2];
    for (index, name) in VIEWS.into_iter().enumerate() {
        view::check(&broker, name, &truths[index])?;
        ends[index] = end(&broker, name)?;
    }
    for (size, generation) in [("10000", 2), ("7", 3), ("1", 4)] {
        restart_with(
            &mut broker,
            &[("projection.commit.max.records", Some(size))],
        )?;
        for (index, name) in VIEWS.into_iter().enumerate() {
            view::await_state(&broker, name, "RUNNING")?;
            view::order(&broker, name, "rebuild", &json!({}))?;
            view::await_generation(&broker, name, generation)?;
            view::check(&broker, name, &truths[index])?;
            ensure!(
                end(&broker, name)? == ends[index],
                "an equal rebuild of {name} wrote something"
            );
        }
    }
    Ok(())
}

#[test]
fn equal_at_any_size_of_commit_over_one_partition() -> Result<()> {
    equal_at_any_size_of_commit(1)
}

#[test]
fn equal_at_any_size_of_commit_over_three_partitions() -> Result<()> {
    equal_at_any_size_of_commit(3)
}

#[test]
fn equal_at_any_size_of_commit_over_eight_partitions() -> Result<()> {
    equal_at_any_size_of_commit(8)
}

#[test]
fn held_until_it_is_promoted_and_follows_meanwhile() -> Result<()> {
    let events = events(3, 2, 2000);
    let (broker, _) = filled(Options::default(), 2, &events[..1000])?;
    let name = "user_activity";
    view::order(&broker, name, "rebuild", &json!({"hold": true}))?;
    view::await_that(&broker, name, "ready", |it| it["building"]["ready"] == true)?;
    event::produce(broker.bootstrap(), "events", &events[1000..])?;
    view::await_all(&broker, name, "events")?;
    let description = view::describe(&broker, name)?;
    ensure!(description["generation"] == 1, "{description}");
    view::order(&broker, name, "promote", &json!({}))?;
    view::await_generation(&broker, name, 2)?;
    let records = event::read(broker.bootstrap(), "events")?;
    view::check(&broker, name, &truths(&records, &Rules::default())?[0])
}

/// What must be written to turn rows into others: key → value, none if the row is gone.
fn difference(from: &Rows, to: &Rows) -> Vec<(String, Option<(String, i64)>)> {
    let mut keys: Vec<&String> = from.keys().chain(to.keys()).collect();
    keys.sort();
    keys.dedup();
    let changed = keys
        .into_iter()
        .filter(|key| from.get(*key) != to.get(*key));
    changed
        .map(|key| (key.clone(), to.get(key).cloned()))
        .collect()
}

#[test]
fn a_changed_definition_is_promoted_by_its_differences() -> Result<()> {
    let _turn = turn();
    let alias = format!("events.aggregate_id={ALIAS}");
    let options = Options::default().set("projection.aliases", &alias);
    let (mut broker, records) = filled(options, 3, &events(5, 3, 5000))?;
    let with_alias = Rules {
        user_alias: Some(ALIAS),
        ..Rules::default()
    };
    let for_ever = Rules {
        dedup_window_ms: None,
        ..with_alias.clone()
    };
    let mut before = truths(&records, &with_alias)?;
    for (name, truth) in VIEWS.into_iter().zip(&before) {
        view::check(&broker, name, truth)?;
    }
    let steps = [
        (2, Rules::default(), None, None),
        (3, for_ever, Some(alias.as_str()), Some("-1")),
    ];
    for (generation, rules, alias, window) in steps {
        let ends = [end(&broker, VIEWS[0])?, end(&broker, VIEWS[1])?];
        let settings = [
            ("projection.aliases", alias),
            ("projection.dedup.window.ms", window),
        ];
        restart_with(&mut broker, &settings)?;
        let after = truths(&records, &rules)?;
        for (index, name) in VIEWS.into_iter().enumerate() {
            view::await_generation(&broker, name, generation)?;
            view::check_rows(&broker, name, &after[index])?;
            let written = event::read(broker.bootstrap(), name)?;
            let written = written.iter().filter(|record| record.offset >= ends[index]);
            let written: Vec<_> = written
                .map(|record| {
                    let key = record.event.key.clone().unwrap_or_default();
                    (
                        key,
                        record.text().map(|text| (text, record.event.timestamp)),
                    )
                })
                .collect();
            let must = difference(&before[index].rows, &after[index].rows);
            ensure!(written == must, "{name}: {written:?}, must be {must:?}");
        }
        let gone = difference(&before[0].rows, &after[0].rows);
        let gone = gone.iter().filter(|(_, row)| row.is_none()).count();
        ensure!(generation == 3 || gone > 100, "{gone} rows are gone");
        before = after;
    }
    // Generation 2 made letters of events that generation 3 accepts: never applied twice.
    let answer = view::order(&broker, VIEWS[0], "redrive", &json!({"all": true}))?;
    ensure!(answer["redriven"] == 0, "{answer}");
    ensure!(answer["settled"].as_u64() > Some(100), "{answer}");
    view::check_rows(&broker, VIEWS[0], &before[0])
}

#[test]
fn killed_while_it_is_built_again() -> Result<()> {
    let _turn = turn();
    let mut random = Random::announced("killed_while_it_is_built_again");
    let options = Options::default()
        .set("projection.commit.max.records", "100")
        .set("flush", "os");
    let events = events(random.next_number(), 3, 6000);
    let (mut broker, records) = filled(options, 3, &events)?;
    let truths = truths(&records, &Rules::default())?;
    let ends = [end(&broker, VIEWS[0])?, end(&broker, VIEWS[1])?];
    let mut generation = 1;
    for round in 0..12 {
        for name in VIEWS {
            view::order(&broker, name, "rebuild", &json!({}))?;
        }
        thread::sleep(Duration::from_millis(random.below(400)));
        broker.kill9()?;
        if round % 2 == 0 {
            // A commit of the building, somewhere; the last ones are the promotion's.
            let point = format!("{}:{}", 1 + random.below(7), 1 + random.below(130));
            broker.set("test.projection.crash", Some(&point));
            broker.begin_restart()?;
            // It may be built before it gets there.
            thread::sleep(Duration::from_millis(1500));
            broker.kill9()?;
            broker.set("test.projection.crash", None);
        }
        broker.restart()?;
        generation += 1;
        for (index, name) in VIEWS.into_iter().enumerate() {
            view::await_generation(&broker, name, generation)
                .with_context(|| format!("round {round}"))?;
            ensure!(end(&broker, name)? == ends[index], "{name} was written");
        }
    }
    for (name, truth) in VIEWS.into_iter().zip(&truths) {
        view::check(&broker, name, truth)?;
    }
    Ok(())
}

#[test]
fn killed_while_differences_are_promoted() -> Result<()> {
    let _turn = turn();
    let mut random = Random::announced("killed_while_differences_are_promoted");
    let alias = format!("events.aggregate_id={ALIAS}");
    let options = Options::default().set("projection.commit.max.records", "500");
    let events = events(random.next_number(), 3, 4000);
    let (mut broker, records) = filled(options, 3, &events)?;
    let watches = [
        Watch::start(broker.bootstrap(), VIEWS[0], false)?,
        Watch::start(broker.bootstrap(), VIEWS[1], false)?,
    ];
    for round in 0..12 {
        let named = (round % 2 == 0).then_some(alias.as_str());
        broker.kill9()?;
        broker.set("projection.aliases", named);
        let point = format!("{}:{}", 1 + random.below(7), 1 + random.below(30));
        broker.set("test.projection.crash", Some(&point));
        broker.begin_restart()?;
        thread::sleep(Duration::from_millis(100 + random.below(700)));
        broker.kill9()?;
        broker.set("test.projection.crash", None);
        broker.restart()?;
        let rules = Rules {
            user_alias: named.map(|_| ALIAS),
            ..Rules::default()
        };
        for (name, truth) in VIEWS.into_iter().zip(&truths(&records, &rules)?) {
            view::await_that(&broker, name, "built", |it| {
                it["building"].is_null()
                    && it["state"] == "RUNNING"
                    && view::counts(it).ok() == Some(truth.counts)
            })
            .with_context(|| format!("round {round}, {point}, alias {named:?}"))?;
            view::check_rows(&broker, name, truth)?;
            view::letters(&broker, name)?;
        }
    }
    for watch in watches {
        watch.finish(broker.bootstrap())?;
    }
    Ok(())
}

#[test]
fn refused_when_history_is_gone_unless_the_loss_is_accepted() -> Result<()> {
    let (broker, _) = filled(Options::default(), 2, &events(9, 2, 3000))?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("events", 1, Offset::Offset(500))?;
    let admin = rd::admin(broker.bootstrap())?;
    rd::block_on(admin.delete_records(&list, &rd::admin_options()))??;
    let left = event::read(broker.bootstrap(), "events")?;
    let truths = truths(&left, &Rules::default())?;
    for (name, truth) in VIEWS.into_iter().zip(&truths) {
        let before = view::digest(&broker, name)?;
        let message = view::refusal(&broker, name, "rebuild", &json!({}), 409)?;
        ensure!(message.contains("accept"), "{message}");
        ensure!(view::digest(&broker, name)? == before);
        ensure!(view::describe(&broker, name)?["generation"] == 1);
        view::order(&broker, name, "rebuild", &json!({"accept_loss": true}))?;
        view::await_generation(&broker, name, 2)?;
        view::check_rows(&broker, name, truth)?;
    }
    Ok(())
}
