//! The source of a view: another topic, more partitions, and records that are lost.
use anyhow::{Result, ensure};
use harness::{Broker, Options, PATIENCE, rd};
use rdkafka::admin::NewPartitions;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use crate::event;
use crate::life::{VIEWS, check_both, events, made};
use crate::truth::{Rules, Truth};
use crate::view;

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
fn records_deleted_before_they_were_read_are_lost_input() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 2)?;
    let all = events(11, 2, 2000);
    event::produce(broker.bootstrap(), "events", &all[..1000])?;
    check_both(&broker, "events")?;
    view::order(&broker, "user_activity", "pause", &json!({}))?;
    view::await_state(&broker, "user_activity", "PAUSED")?;
    event::produce(broker.bootstrap(), "events", &all[1000..])?;
    view::await_all(&broker, "daily_revenue", "events")?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("events", 0, Offset::End)?;
    let admin = rd::admin(broker.bootstrap())?;
    rd::block_on(admin.delete_records(&list, &rd::admin_options()))??;
    let digest = view::digest(&broker, "user_activity")?;
    view::order(&broker, "user_activity", "resume", &json!({}))?;
    for _ in 0..2 {
        view::await_state(&broker, "user_activity", "LOST_INPUT")?;
        view::await_all(&broker, "daily_revenue", "events")?;
        ensure!(view::digest(&broker, "user_activity")? == digest);
        broker.kill9()?;
        broker.restart()?;
    }
    view::await_state(&broker, "user_activity", "LOST_INPUT")?;
    view::refusal(&broker, "user_activity", "rebuild", &json!({}), 409)?;
    let accept = json!({"accept_loss": true});
    view::order(&broker, "user_activity", "rebuild", &accept)?;
    view::await_generation(&broker, "user_activity", 2)?;
    let left = event::read(broker.bootstrap(), "events")?;
    let truth = Truth::of(&left, &Rules::default())?.user_activity()?;
    view::check_rows(&broker, "user_activity", &truth)
}

#[test]
fn partitions_that_are_added_are_read_from_their_start() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 2)?;
    event::produce(broker.bootstrap(), "events", &events(12, 2, 1000))?;
    check_both(&broker, "events")?;
    let admin = rd::admin(broker.bootstrap())?;
    let more = NewPartitions::new("events", 5);
    let made = rd::block_on(admin.create_partitions([&more], &rd::admin_options()))??;
    ensure!(made.iter().all(Result::is_ok), "{made:?}");
    event::produce(broker.bootstrap(), "events", &events(13, 5, 1000))?;
    check_both(&broker, "events")?;
    view::order(&broker, "user_activity", "rebuild", &json!({}))?;
    view::await_generation(&broker, "user_activity", 2)?;
    check_both(&broker, "events")
}
