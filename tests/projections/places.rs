//! Streams and waits over HTTP: many at once, none in the way of others, and how they end.
use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use harness::http::{self, Events};
use harness::{Broker, Options, PATIENCE, eventually, rd};
use serde_json::json;

use crate::shop::{self, Shop};
use crate::{event, view};

const VIEW: &str = "user_activity";
const STREAM: &str = "/v1/views/user_activity/stream";

fn started() -> Result<Broker> {
    let broker = Broker::start(Options::default())?;
    event::create_topic(broker.bootstrap(), "events", 1)?;
    let events: Vec<_> = Shop::new(shop::Options::new(31, 1)).take(500).collect();
    event::produce(broker.bootstrap(), "events", &events)?;
    view::await_all(&broker, VIEW, "events")?;
    Ok(broker)
}

fn is_alive(broker: &Broker) -> Result<bool> {
    Ok(http::get(&broker.http(), "/healthz")?.status == 200)
}

/// Reads up to the end of the snapshot; how many rows it has.
fn snapshot(stream: &mut Events) -> Result<usize> {
    let mut rows = 0;
    loop {
        let event = stream.read()?.context("the stream ended")?;
        match event.event.as_str() {
            "row" => rows += 1,
            "snapshot_end" => return Ok(rows),
            _ => {}
        }
    }
}

#[test]
fn streams_do_not_keep_others_out_and_end_with_the_broker() -> Result<()> {
    let mut broker = started()?;
    // More than there are places for ordinary connections.
    let mut streams = Vec::new();
    for _ in 0..100 {
        let mut stream = Events::open(&broker.http(), STREAM, None)?;
        ensure!(snapshot(&mut stream)? > 10);
        streams.push(stream);
    }
    ensure!(is_alive(&broker)?);
    let status = broker.terminate(PATIENCE)?;
    ensure!(status.success(), "{status}");
    for stream in &mut streams {
        ensure!(stream.read()?.is_none(), "the stream goes on");
    }
    Ok(())
}

#[test]
fn waits_are_bounded_and_end_when_nobody_listens() -> Result<()> {
    let broker = started()?;
    let path = |ms: u32| format!("/v1/views/{VIEW}/rows?min_position=0:1000000&timeout_ms={ms}");
    let wait = || -> Result<TcpStream> {
        let mut stream = TcpStream::connect(broker.http())?;
        write!(stream, "GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path(60_000))?;
        Ok(stream)
    };
    let mut waiting = (0..32).map(|_| wait()).collect::<Result<Vec<_>>>()?;
    let answers = |status: u16| {
        let answer = http::get(&broker.http(), &path(1)).ok()?;
        (answer.status == status).then_some(())
    };
    eventually("all places to be taken", || {
        // One that came while the look itself had a place was turned away: another fills it.
        answers(503).or_else(|| {
            waiting.extend(wait().ok());
            None
        })
    })?;
    ensure!(is_alive(&broker)?);
    drop(waiting);
    eventually("a place to be free", || answers(504))
}

#[test]
fn a_stream_begins_anew_where_the_topic_does_not_reach_and_survives_a_promotion() -> Result<()> {
    let broker = started()?;
    let mut stream = Events::open(&broker.http(), STREAM, Some("1000000"))?;
    let first = stream.read()?.context("the stream ended")?;
    ensure!(
        first.event == "restart" && first.data.contains("reason"),
        "{first:?}"
    );
    let rows = snapshot(&mut stream)?;
    let listed = http::get(&broker.http(), &format!("/v1/views/{VIEW}/rows?limit=1000"))?;
    let listed = listed.success()?["rows"].as_array().map_or(0, Vec::len);
    ensure!(rows == listed, "{rows} of {listed} rows");

    view::order(&broker, VIEW, "rebuild", &json!({}))?;
    view::await_generation(&broker, VIEW, 2)?;
    let one =
        "{\"event_id\":\"after\",\"user_id\":\"after\",\"type\":\"login\",\"ts\":1700000000000}";
    harness::rd::produce(broker.bootstrap(), "events", 0, &[one.to_owned()])?;
    // The new generation has the same rows: nothing comes before the new event's.
    let next = stream.read()?.context("the stream ended")?;
    ensure!(next.data.contains("\"user_id\":\"after\""), "{next:?}");
    for wrong in ["x", "-2", "s1"] {
        let answer = http::get(&broker.http(), &format!("{STREAM}?from={wrong}"))?;
        ensure!(answer.status == 400, "{wrong}: {}", answer.text());
    }
    Ok(())
}

#[test]
fn a_browser_cannot_send_orders_from_another_site() -> Result<()> {
    let broker = started()?;
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let mut stream = TcpStream::connect(broker.http())?;
        let path = format!("/v1/projections/{VIEW}/pause");
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: 2\r\n\r\n{{}}"
        )?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 415"), "{answer}");
    }
    ensure!(view::state(&broker, VIEW)? == "RUNNING");
    Ok(())
}

/// Streams that there are places for.
const STREAMS: usize = 256;
/// Users whose rows are more than sockets hold.
const USERS: usize = 4_000;

#[test]
fn a_reader_that_is_stuck_loses_its_place() -> Result<()> {
    let broker = Broker::start(Options::default().set("http.write.timeout.ms", "5000"))?;
    event::create_topic(broker.bootstrap(), "events", 1)?;
    let name = "u".repeat(4_000);
    let events = (0..USERS).map(|user| {
        format!(
            "{{\"event_id\":\"e{user}\",\"user_id\":\"{name}{user}\",\"type\":\"login\",\
             \"ts\":1700000000000}}"
        )
    });
    let events: Vec<_> = events.collect();
    rd::produce(broker.bootstrap(), "events", 0, &events)?;
    view::await_all(&broker, VIEW, "events")?;
    // One that is told everything, and others that have seen it all.
    let mut first = Events::open(&broker.http(), STREAM, None)?;
    let mut last_id = None;
    loop {
        let event = first.read()?.context("the stream ended")?;
        last_id = event.id.or(last_id);
        if event.event == "snapshot_end" {
            break;
        }
    }
    let mut streams = vec![first];
    while streams.len() < STREAMS - 1 {
        streams.push(Events::open(&broker.http(), STREAM, last_id.as_deref())?);
    }
    let mut stuck = TcpStream::connect(broker.http())?;
    write!(stuck, "GET {STREAM} HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut status = [0; 12];
    stuck.read_exact(&mut status)?;
    ensure!(status == *b"HTTP/1.1 200", "{status:?}");
    let another = || Events::open(&broker.http(), STREAM, last_id.as_deref());
    ensure!(another().is_err(), "there is a place left");
    eventually("the place of the one that is stuck", || another().ok())?;
    // The others read nothing either, and had nothing to read: they are there and go on.
    let event = events[0].replace("e0", "another");
    rd::produce(broker.bootstrap(), "events", 0, &[event])?;
    for stream in &mut streams {
        let event = stream.read()?.context("the stream ended")?;
        ensure!(event.event == "row", "{event:?}");
    }
    Ok(())
}
