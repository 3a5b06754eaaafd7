//! A view from outside: its topic through a stock consumer, its state over HTTP.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use harness::{Broker, PATIENCE, http};
use serde_json::Value;

use crate::event::{self, Record};
use crate::truth::{self, Counts, Rows};

/// The rows that a compacted topic holds: the last value of each key.
pub(crate) fn latest(records: &[Record]) -> Rows {
    let mut rows = Rows::new();
    for record in records {
        let key = record.event.key.clone().unwrap_or_default();
        match record.text() {
            Some(value) => rows.insert(key, (value, record.event.timestamp)),
            None => rows.remove(&key),
        };
    }
    rows
}

/// Everything about a view, as `/v1/projections` tells it; null if there is no such view.
pub(crate) fn describe(broker: &Broker, view: &str) -> Result<Value> {
    let all = http::get(&broker.http(), "/v1/projections")?.success()?;
    let all = all["projections"].as_array().context("a list of views")?;
    let found = all.iter().find(|one| one["name"] == view);
    Ok(found.cloned().unwrap_or_default())
}

/// The view's state, without what follows in parentheses.
pub(crate) fn state(broker: &Broker, view: &str) -> Result<String> {
    let description = describe(broker, view)?;
    let state = description["state"].as_str().unwrap_or_default();
    let name = state.split('(').next().unwrap_or_default();
    Ok(name.to_owned())
}

/// Waits until the view's description meets a condition, and gives it.
pub(crate) fn await_that(
    broker: &Broker,
    view: &str,
    what: &str,
    condition: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let last = describe(broker, view);
        match last {
            Ok(description) if condition(&description) => return Ok(description),
            last if Instant::now() > deadline => bail!("{view} is not {what}: {last:?}"),
            _ => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
}

/// Waits until the view is in a state.
pub(crate) fn await_state(broker: &Broker, view: &str, wanted: &str) -> Result<Value> {
    await_that(broker, view, wanted, |description| {
        let state = description["state"].as_str().unwrap_or_default();
        state.split('(').next() == Some(wanted)
    })
}

/// Waits until a generation serves, with none beside it.
pub(crate) fn await_generation(broker: &Broker, view: &str, wanted: u64) -> Result<Value> {
    await_that(broker, view, &format!("at generation {wanted}"), |it| {
        it["generation"] == wanted && it["building"].is_null() && it["state"] == "RUNNING"
    })
}

/// Waits until the view has taken in all that is in its source now.
pub(crate) fn await_all(broker: &Broker, view: &str, source: &str) -> Result<()> {
    let ends = event::ends(broker.bootstrap(), source)?;
    let position: Vec<String> = ends
        .iter()
        .filter(|(_, (first, end))| end > first)
        .map(|(partition, (_, end))| format!("{partition}:{end}"))
        .collect();
    let path = format!(
        "/v1/views/{view}/rows?limit=1&min_position={}&timeout_ms=5000",
        position.join(",")
    );
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = http::get(&broker.http(), &path);
        match answer {
            Ok(answer) if answer.status == 200 => return Ok(()),
            last if Instant::now() > deadline => {
                let description = describe(broker, view);
                bail!("{view} does not catch up with {position:?}: {last:?} {description:?}")
            }
            _ => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    }
}

/// The counts of a description.
pub(crate) fn counts(description: &Value) -> Result<Counts> {
    let counts = &description["counts"];
    let count = |name: &str| {
        counts[name]
            .as_u64()
            .with_context(|| description.to_string())
    };
    Ok(Counts {
        input: count("in")?,
        applied: count("applied")?,
        duplicate: count("duplicate")?,
        late: count("late")?,
        dead: count("dead")?,
    })
}

/// The digest that the broker computes.
pub(crate) fn digest(broker: &Broker, view: &str) -> Result<String> {
    let path = format!("/v1/views/{view}/digest");
    let answer = http::get(&broker.http(), &path)?.success()?;
    let digest = answer["digest"]
        .as_str()
        .with_context(|| answer.to_string())?;
    Ok(digest.to_owned())
}

/// Gives an order, which must be accepted.
pub(crate) fn order(broker: &Broker, view: &str, order: &str, body: &Value) -> Result<Value> {
    let path = format!("/v1/projections/{view}/{order}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = http::post(&broker.http(), &path, body)?;
        // Just started: the rows are being read back.
        if answer.status != 503 || Instant::now() > deadline {
            return answer.success().with_context(|| format!("{order} {view}"));
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Gives an order, which must be refused with this status.
pub(crate) fn refusal(
    broker: &Broker,
    view: &str,
    order: &str,
    body: &Value,
    status: u16,
) -> Result<String> {
    let path = format!("/v1/projections/{view}/{order}");
    let answer = http::post(&broker.http(), &path, body)?;
    ensure!(
        answer.status == status,
        "{order} {view}: {} {}",
        answer.status,
        answer.text()
    );
    let answer = answer.json()?;
    ensure!(answer["error_code"] == status, "{answer}");
    Ok(answer["message"].as_str().unwrap_or_default().to_owned())
}

/// Names of the topics that there are.
pub(crate) fn topics(broker: &Broker) -> Result<BTreeSet<String>> {
    use rdkafka::consumer::Consumer;
    let consumer = harness::rd::consumer(broker.bootstrap(), "topics", &[])?;
    let metadata = consumer.fetch_metadata(None, PATIENCE)?;
    Ok(metadata
        .topics()
        .iter()
        .map(|topic| topic.name().to_owned())
        .collect())
}

/// The dead letters of a view: coordinates → letter; a second one of the same record is an error.
pub(crate) fn letters(broker: &Broker, view: &str) -> Result<BTreeMap<(i32, i64), Record>> {
    let topic = format!("{view}.dlq");
    if event::partitions(broker.bootstrap(), &topic)? == 0 {
        return Ok(BTreeMap::new());
    }
    let mut letters = BTreeMap::new();
    for letter in event::read(broker.bootstrap(), &topic)? {
        let place = (
            letter.header("dlq.partition")?.parse()?,
            letter.header("dlq.offset")?.parse()?,
        );
        let second = letters.insert(place, letter);
        ensure!(second.is_none(), "two letters of {place:?}: {second:?}");
    }
    Ok(letters)
}

/// Checks rows, counts, digest and dead letters of a view that has caught up.
pub(crate) fn check(broker: &Broker, view: &str, truth: &truth::View) -> Result<()> {
    check_rows(broker, view, truth)?;
    let letters = letters(broker, view)?;
    let reasons: Result<BTreeMap<_, _>> = letters
        .iter()
        .map(|(place, letter)| Ok((*place, letter.header("dlq.reason")?)))
        .collect();
    same_letters(view, &reasons?, &truth.letters)
}

/// Checks rows, counts and digest of a view that has caught up.
pub(crate) fn check_rows(broker: &Broker, view: &str, truth: &truth::View) -> Result<()> {
    let rows = latest(&event::read(broker.bootstrap(), view)?);
    same_rows(view, &rows, &truth.rows)?;
    let description = describe(broker, view)?;
    ensure!(
        counts(&description)? == truth.counts,
        "{view}: {description}, but {:?}",
        truth.counts
    );
    ensure!(
        description["rows"] == truth.rows.len() as u64,
        "{description}, but {} rows",
        truth.rows.len()
    );
    let digest = digest(broker, view)?;
    ensure!(digest == truth::digest(&rows), "{view}: digest {digest}");
    Ok(())
}

/// Whether rows are the same; says which are not.
pub(crate) fn same_rows(view: &str, rows: &Rows, truth: &Rows) -> Result<()> {
    let wrong = rows.iter().find(|(key, row)| truth.get(*key) != Some(row));
    if let Some((key, row)) = wrong {
        bail!("{view}: {key} is {row:?}, must be {:?}", truth.get(key));
    }
    let missing = truth.keys().find(|key| !rows.contains_key(*key));
    ensure!(missing.is_none(), "{view}: no {missing:?}");
    Ok(())
}

pub(crate) fn same_letters(
    view: &str,
    reasons: &BTreeMap<(i32, i64), String>,
    truth: &BTreeMap<(i32, i64), String>,
) -> Result<()> {
    for (place, reason) in reasons {
        let must = truth.get(place);
        ensure!(
            must == Some(reason),
            "{view}: {place:?} is {reason}, must be {must:?}"
        );
    }
    let missing = truth
        .iter()
        .find(|(place, _)| !reasons.contains_key(*place));
    ensure!(missing.is_none(), "{view}: no letter for {missing:?}");
    Ok(())
}
