//! Reading views over HTTP: one's own writes, and the stream of changes.
use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use harness::http::{self, Events};
use harness::{Broker, Options, rd};
use serde_json::Value;

use crate::event::{self, Event};
use crate::shop::{self, Shop};
use crate::truth::{Rows, Rules, Truth};
use crate::view;

const VIEW: &str = "user_activity";

fn events(seed: u64, count: usize) -> Vec<Event> {
    Shop::new(shop::Options::new(seed, 2)).take(count).collect()
}

fn started() -> Result<Broker> {
    let broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 2)?;
    Ok(broker)
}

#[test]
fn what_was_written_is_read() -> Result<()> {
    let broker = started()?;
    let mut counts = [0; 2];
    for number in 0..60 {
        let partition = number % 2;
        let event = format!(
            "{{\"event_id\":\"e{number}\",\"user_id\":\"me-{partition}\",\"type\":\"login\",\
             \"ts\":{}}}",
            1_700_000_000_000_i64 + i64::from(number)
        );
        let offset = rd::produce(broker.bootstrap(), "events", partition, &[event])?[0];
        counts[partition as usize] += 1;
        let key = format!("{{\"user_id\":\"me-{partition}\",\"event_type\":\"login\"}}");
        let path = format!(
            "/v1/views/{VIEW}/rows?key={}&min_position={partition}:{}&timeout_ms=30000",
            http::quoted(&key),
            offset + 1
        );
        let answer = harness::eventually("the view", || {
            let answer = http::get(&broker.http(), &path).ok()?;
            (answer.status != 404 && answer.status != 503).then_some(answer)
        })?;
        let position = answer
            .header("klamm-position")
            .context("a position")?
            .to_owned();
        ensure!(answer.header("klamm-generation") == Some("1"));
        ensure!(answer.header("klamm-lag").is_some());
        let rows = answer.success()?;
        let count = &rows["rows"][0]["value"]["count"];
        ensure!(*count == counts[partition as usize], "{rows} at {position}");
    }
    let answer = http::get(
        &broker.http(),
        &format!("/v1/views/{VIEW}/rows?min_position=0:1000&timeout_ms=50"),
    )?;
    ensure!(answer.status == 504, "{}", answer.text());
    for wrong in ["min_position=x", "limit=-1", "limit=x", "cursor=%00"] {
        let path = format!("/v1/views/{VIEW}/rows?{wrong}");
        let answer = http::get(&broker.http(), &path)?;
        ensure!(answer.status == 400, "{wrong}: {}", answer.text());
    }
    ensure!(http::get(&broker.http(), "/v1/views/no/rows")?.status == 404);
    Ok(())
}

/// A reader of the stream that keeps what it has.
#[derive(Default)]
struct Reader {
    rows: BTreeMap<String, (Value, i64)>,
    /// Events after the snapshot: offset → times seen.
    changes: BTreeMap<i64, u32>,
    snapshot_ended: u32,
    last_id: Option<String>,
}

impl Reader {
    fn take(&mut self, event: &http::Event) -> Result<()> {
        if event.id.is_some() {
            self.last_id.clone_from(&event.id);
        }
        if event.event == "snapshot_end" {
            self.snapshot_ended += 1;
            return Ok(());
        }
        ensure!(event.event == "row", "{event:?}");
        let data: Value = serde_json::from_str(&event.data)?;
        let id = event.id.as_deref().context("a row has an id")?;
        if let Ok(offset) = id.parse() {
            *self.changes.entry(offset).or_default() += 1;
        }
        let count = data["value"]["count"].as_i64().context("a count")?;
        let key = data["key"].to_string();
        let before = self
            .rows
            .insert(key.clone(), (data["value"].clone(), count));
        let before = before.map_or(0, |(_, count)| count);
        ensure!(before <= count, "{key} went from {before} to {count}");
        Ok(())
    }

    /// Reads up to the next event that meets the condition.
    fn read_until(
        &mut self,
        stream: &mut Events,
        mut condition: impl FnMut(&Self) -> bool,
    ) -> Result<()> {
        while !condition(self) {
            let event = stream.read()?.context("the stream ended")?;
            self.take(&event)?;
        }
        Ok(())
    }

    fn has(&self, rows: &Rows) -> Result<bool> {
        let parsed = rows.iter().map(|(key, (value, _))| {
            let key: Value = serde_json::from_str(key)?;
            Ok((key.to_string(), serde_json::from_str(value)?))
        });
        let parsed: BTreeMap<String, Value> = parsed.collect::<Result<_>>()?;
        let values = self.rows.iter().map(|(key, (value, _))| (key, value));
        Ok(values.eq(parsed.iter()))
    }
}

#[test]
fn the_stream_gives_a_snapshot_and_then_every_change_once() -> Result<()> {
    let broker = started()?;
    let all = events(21, 6000);
    event::produce(broker.bootstrap(), "events", &all[..2000])?;
    view::await_all(&broker, VIEW, "events")?;
    let path = format!("/v1/views/{VIEW}/stream");
    let mut reader = Reader::default();
    let mut stream = Events::open(&broker.http(), &path, None)?;
    reader.read_until(&mut stream, |it| it.snapshot_ended == 1)?;
    let first = event::ends(broker.bootstrap(), VIEW)?[&0].1;
    // Cut off again and again while changes come in.
    for chunk in all[2000..].chunks(500) {
        event::produce(broker.bootstrap(), "events", chunk)?;
        let some = reader.changes.len() + 50;
        reader.read_until(&mut stream, |it| it.changes.len() >= some)?;
        drop(stream);
        stream = Events::open(&broker.http(), &path, reader.last_id.as_deref())?;
    }
    view::await_all(&broker, VIEW, "events")?;
    let written = event::read(broker.bootstrap(), VIEW)?;
    let last = written.last().context("no rows")?.offset;
    reader.read_until(&mut stream, |it| it.changes.contains_key(&last))?;
    ensure!(
        reader.snapshot_ended == 1,
        "a snapshot again after a resume"
    );
    let must = written.iter().map(|record| record.offset);
    let must = must.filter(|offset| *offset >= first);
    ensure!(
        reader.changes.keys().copied().eq(must),
        "changes are missing"
    );
    ensure!(
        reader.changes.values().all(|times| *times == 1),
        "changes came twice"
    );
    let records = event::read(broker.bootstrap(), "events")?;
    let truth = Truth::of(&records, &Rules::default())?.user_activity()?;
    ensure!(reader.has(&truth.rows)?);
    Ok(())
}

#[test]
fn a_snapshot_that_was_cut_off_goes_on() -> Result<()> {
    let broker = started()?;
    event::produce(broker.bootstrap(), "events", &events(22, 3000))?;
    view::await_all(&broker, VIEW, "events")?;
    let path = format!("/v1/views/{VIEW}/stream");
    let mut reader = Reader::default();
    for cut in [10, 100] {
        let mut stream = Events::open(&broker.http(), &path, reader.last_id.as_deref())?;
        reader.read_until(&mut stream, |it| it.rows.len() >= cut)?;
    }
    let last = reader.last_id.clone();
    event::produce(broker.bootstrap(), "events", &events(23, 300))?;
    view::await_all(&broker, VIEW, "events")?;
    let mut stream = Events::open(&broker.http(), &path, last.as_deref())?;
    reader.read_until(&mut stream, |it| it.snapshot_ended > 0)?;
    let records = event::read(broker.bootstrap(), "events")?;
    let truth = Truth::of(&records, &Rules::default())?.user_activity()?;
    let mut failure = None;
    reader.read_until(&mut stream, |it| match it.has(&truth.rows) {
        Ok(same) => same,
        Err(error) => failure.replace(error).is_none(),
    })?;
    failure.map_or(Ok(()), Err)
}

#[test]
fn rows_by_key_prefix_and_range() -> Result<()> {
    let broker = started()?;
    event::produce(broker.bootstrap(), "events", &events(24, 2000))?;
    view::await_all(&broker, VIEW, "events")?;
    let records = event::read(broker.bootstrap(), "events")?;
    let truth = Truth::of(&records, &Rules::default())?
        .user_activity()?
        .rows;
    let ask = |query: &str| -> Result<Vec<Value>> {
        let path = format!("/v1/views/{VIEW}/rows?{query}");
        let answer = http::get(&broker.http(), &path)?.success()?;
        let rows = answer["rows"].as_array().context("rows")?;
        Ok(rows.iter().map(|row| row["key"].clone()).collect())
    };
    let keys = |chosen: &dyn Fn(&str) -> bool| -> Result<Vec<Value>> {
        let keys = truth.keys().filter(|key| chosen(key));
        keys.map(|key| Ok(serde_json::from_str(key)?)).collect()
    };
    let prefix = "{\"user_id\":\"user-1";
    let by_prefix = ask(&format!("limit=1000&prefix={}", http::quoted(prefix)))?;
    ensure!(by_prefix.len() > 10 && by_prefix == keys(&|key| key.starts_with(prefix))?);
    let (from, to) = ("{\"user_id\":\"user-12", "{\"user_id\":\"user-20");
    let query = format!(
        "limit=1000&from={}&to={}",
        http::quoted(from),
        http::quoted(to)
    );
    ensure!(ask(&query)? == keys(&|key| key >= from && key < to)?);
    let key = truth.keys().nth(7).context("rows")?;
    ensure!(ask(&format!("key={}", http::quoted(key)))? == keys(&|one| one == key)?);
    ensure!(ask("key=nobody")?.is_empty());
    ensure!(ask("limit=3")?.len() == 3);
    Ok(())
}
