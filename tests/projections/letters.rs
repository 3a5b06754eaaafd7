//! Dead letters: each rejected record once, whole, with where it came from and why.
use anyhow::{Result, ensure};
use harness::{Broker, Options, http};

use crate::event::{self, Event, Record};
use crate::shop::{self, Shop};
use crate::truth::{Rules, Truth};
use crate::view;

/// Events with headers of every kind, some without a key.
fn events() -> Vec<Event> {
    let mut events: Vec<Event> = Shop::new(shop::Options::new(11, 3)).take(4000).collect();
    for (number, event) in events.iter_mut().enumerate() {
        let pair = |name: &str, value: Option<&str>| {
            (
                name.to_owned(),
                value.map(|value| value.as_bytes().to_vec()),
            )
        };
        if number % 3 == 0 {
            event.headers = vec![
                pair("trace", Some(&number.to_string())),
                pair("trace", None),
                pair("", Some("")),
                pair("trace", Some("again")),
            ];
        }
        if number % 5 == 0 {
            event.key = None;
        }
    }
    events
}

#[test]
fn each_rejected_record_once_as_it_was() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 3)?;
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for (chunk, codec) in events().chunks(800).zip(codecs) {
        event::produce_with(broker.bootstrap(), "events", chunk, codec)?;
    }
    let records = event::read(broker.bootstrap(), "events")?;
    ensure!(records.len() == 4000);
    let truth = Truth::of(&records, &Rules::default())?;
    for (name, truth) in [
        ("user_activity", truth.user_activity()?),
        ("daily_revenue", truth.daily_revenue()?),
    ] {
        view::await_all(&broker, name, "events")?;
        view::check(&broker, name, &truth)?;
        let letters = view::letters(&broker, name)?;
        for record in &records {
            let place = (record.event.partition, record.offset);
            if let Some(letter) = letters.get(&place) {
                is_letter_of(letter, record, name)?;
            }
        }
        browse(&broker, name, letters.len())?;
    }
    Ok(())
}

fn is_letter_of(letter: &Record, record: &Record, name: &str) -> Result<()> {
    let (letter_event, event) = (&letter.event, &record.event);
    ensure!(letter_event.key == event.key, "key of {letter:?}");
    ensure!(letter_event.value == event.value, "value of {letter:?}");
    ensure!(
        letter_event.headers.starts_with(&event.headers),
        "headers of {letter:?}, of {record:?}"
    );
    ensure!(letter.header("dlq.topic")? == "events");
    ensure!(letter.header("dlq.timestamp")? == event.timestamp.to_string());
    ensure!(letter.header("dlq.projection")? == name);
    ensure!(!letter.header("dlq.message")?.is_empty());
    for (name, value) in [
        ("__streams.errors.topic", "events".to_owned()),
        ("__streams.errors.partition", event.partition.to_string()),
        ("__streams.errors.offset", record.offset.to_string()),
    ] {
        ensure!(letter.header(name)? == value, "{name} of {letter:?}");
    }
    Ok(())
}

/// The letters over HTTP, page by page.
fn browse(broker: &Broker, name: &str, count: usize) -> Result<()> {
    let mut cursor = String::new();
    let mut found = 0;
    loop {
        let path = format!("/v1/dlq/{name}?limit=100{cursor}");
        let page = http::get(&broker.http(), &path)?.success()?;
        found += page["letters"].as_array().map_or(0, Vec::len);
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", http::quoted(next)),
            None => break,
        }
    }
    ensure!(found == count, "{found} letters of {name}, must be {count}");
    Ok(())
}
