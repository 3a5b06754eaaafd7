//! The life of a view: nothing before the first record, pause and resume, lost input, storms; and
//! its topic, which belongs to it.
use anyhow::{Result, ensure};
use harness::{Broker, Options, PATIENCE, rd};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use crate::event::{self, Event};
use crate::shop::{self, Shop};
use crate::truth::{Rules, Truth};
use crate::view;

const VIEWS: [&str; 2] = ["user_activity", "daily_revenue"];

fn events(seed: u64, partitions: i32, count: usize) -> Vec<Event> {
    Shop::new(shop::Options::new(seed, partitions))
        .take(count)
        .collect()
}

fn check_both(broker: &Broker, source: &str) -> Result<()> {
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
fn made(broker: &Broker) -> Result<Vec<String>> {
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
fn made_from_another_topic_or_not_at_all() -> Result<()> {
    let mut broker = Broker::start(Options::default().set("projections", ""))?;
    event::create_topic(broker.bootstrap(), "events", 2)?;
    event::create_topic(broker.bootstrap(), "clicks", 2)?;
    event::produce(broker.bootstrap(), "events", &events(2, 2, 300))?;
    event::produce(broker.bootstrap(), "clicks", &events(3, 2, 300))?;
    ensure!(view::describe(&broker, "user_activity")?.is_null());
    ensure!(made(&broker)?.is_empty(), "{:?}", made(&broker)?);
    broker.terminate(PATIENCE)?;
    broker.set(
        "projections",
        Some("user_activity:clicks,daily_revenue:clicks"),
    );
    broker.restart()?;
    check_both(&broker, "clicks")?;
    // Turned off again: what is there stays as it is.
    broker.terminate(PATIENCE)?;
    let rows = |broker: &Broker| event::read(broker.bootstrap(), "user_activity");
    broker.set("projections", Some("daily_revenue:clicks"));
    broker.restart()?;
    let before = rows(&broker)?;
    event::produce(broker.bootstrap(), "clicks", &events(4, 2, 300))?;
    view::await_all(&broker, "daily_revenue", "clicks")?;
    ensure!(rows(&broker)? == before);
    broker.terminate(PATIENCE)?;
    broker.set(
        "projections",
        Some("user_activity:clicks,daily_revenue:clicks"),
    );
    broker.restart()?;
    check_both(&broker, "clicks")
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
fn a_source_that_was_made_again_is_lost_input() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 1)?;
    event::produce(broker.bootstrap(), "events", &events(6, 1, 1500))?;
    check_both(&broker, "events")?;
    let before = view::digest(&broker, "user_activity")?;
    let admin = rd::admin(broker.bootstrap())?;
    rd::block_on(admin.delete_topics(&["events"], &rd::admin_options()))??;
    event::create_topic(broker.bootstrap(), "events", 1)?;
    event::produce(broker.bootstrap(), "events", &events(7, 1, 2000))?;
    for name in VIEWS {
        view::await_state(&broker, name, "LOST_INPUT")?;
    }
    broker.kill9()?;
    broker.restart()?;
    for name in VIEWS {
        view::await_state(&broker, name, "LOST_INPUT")?;
        view::refusal(&broker, name, "rebuild", &json!({}), 409)?;
    }
    ensure!(view::digest(&broker, "user_activity")? == before);
    let records = event::read(broker.bootstrap(), "events")?;
    let truth = Truth::of(&records, &Rules::default())?;
    for (name, truth) in VIEWS
        .into_iter()
        .zip([truth.user_activity()?, truth.daily_revenue()?])
    {
        view::order(&broker, name, "rebuild", &json!({"accept_loss": true}))?;
        view::await_generation(&broker, name, 2)?;
        view::await_all(&broker, name, "events")?;
        view::check_rows(&broker, name, &truth)?;
    }
    Ok(())
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

#[test]
fn the_topic_of_a_view_is_closed_to_clients() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 1)?;
    event::produce(broker.bootstrap(), "events", &events(9, 1, 500))?;
    check_both(&broker, "events")?;
    let refused = RDKafkaErrorCode::TopicAuthorizationFailed;
    let owned = ["user_activity", "user_activity.dlq", "__projection_commits"];
    for name in owned {
        let producer = rd::producer(broker.bootstrap(), &[])?;
        rd::send(&producer, name, 0, "key", "value")?;
        producer.flush(PATIENCE)?;
        let reports = producer.context().all();
        let error = reports.first().and_then(|report| report.error.clone());
        // Internal topics are refused to everyone, as in Kafka.
        let expected = if name.starts_with("__") {
            RDKafkaErrorCode::InvalidTopic
        } else {
            refused
        };
        ensure!(
            error == Some(KafkaError::MessageProduction(expected)),
            "{name}: {error:?}"
        );
        let admin = rd::admin(broker.bootstrap())?;
        let results = rd::block_on(admin.delete_topics(&[name], &rd::admin_options()))??;
        let result = results.into_iter().next();
        ensure!(
            result == Some(Err((name.to_owned(), expected))),
            "{name}: {result:?}"
        );
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(name, 0, Offset::Offset(1))?;
        let result = rd::block_on(admin.delete_records(&list, &rd::admin_options()))?;
        let done = result.is_ok_and(|list| list.elements().iter().all(|it| it.error().is_ok()));
        ensure!(!done, "records of {name} were deleted");
    }
    check_both(&broker, "events")
}

#[test]
fn its_place_in_the_source_shows_as_a_group() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 3)?;
    event::produce(broker.bootstrap(), "events", &events(10, 3, 1000))?;
    check_both(&broker, "events")?;
    let ends = event::ends(broker.bootstrap(), "events")?;
    let shown = |broker: &Broker, name: &str| -> Result<()> {
        let group = format!("__projection.{name}");
        let consumer = rd::consumer(broker.bootstrap(), &group, &[])?;
        let mut list = TopicPartitionList::new();
        for partition in 0..3 {
            list.add_partition("events", partition);
        }
        harness::eventually("the group's offsets", || {
            let found = consumer.committed_offsets(list.clone(), PATIENCE).ok()?;
            let same = found
                .elements()
                .iter()
                .all(|it| it.offset() == Offset::Offset(ends[&it.partition()].1));
            same.then_some(())
        })?;
        let groups = consumer.fetch_group_list(None, PATIENCE)?;
        ensure!(groups.groups().iter().any(|known| known.name() == group));
        Ok(())
    };
    for name in VIEWS {
        shown(&broker, name)?;
    }
    broker.kill9()?;
    broker.restart()?;
    for name in VIEWS {
        shown(&broker, name)?;
    }
    Ok(())
}
