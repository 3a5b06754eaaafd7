//! `klamm produce` and `klamm consume`.
use std::io::{BufRead, BufReader, Write};

use anyhow::{Context, Result};
use harness::{Broker, Options, PATIENCE, Program, unique};
use serde_json::json;

use crate::klamm::{command, done, run};

#[test]
fn keys_headers_nulls_and_coordinates_come_back() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic) = (broker.bootstrap(), unique("whole"));
    done(at, &["topic", "create", &topic, "-p", "1"], "")?;
    let args = ["produce", &topic, "-k", ":", "-H", "h=1", "-H", "h=2"];
    let more = ["--null-value", "NULL", "--timestamp", "1234", "--json"];
    let sent = done(
        at,
        &[&args[..], &more[..]].concat(),
        "a:1\nb:x:y\nc:\na:NULL\n",
    )?;
    let records: i64 = sent
        .json()?
        .iter()
        .filter_map(|row| row["records"].as_i64())
        .sum();
    assert_eq!(records, 4);
    let rows = done(at, &["consume", &topic, "--json"], "")?.json()?;
    let headers = json!([{"key": "h", "value": "1"}, {"key": "h", "value": "2"}]);
    let expected = [
        ("a", json!("1")),
        ("b", json!("x:y")),
        ("c", json!("")),
        ("a", json!(null)),
    ];
    for (offset, (key, value)) in expected.into_iter().enumerate() {
        let record = json!({
            "topic": topic, "partition": 0, "offset": offset, "timestamp": 1234,
            "key": key, "value": value, "headers": headers,
        });
        assert_eq!(rows.get(offset), Some(&record));
    }
    assert_eq!(rows.len(), 4);
    Ok(())
}

#[test]
fn every_codec_and_every_acks_arrives() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic) = (broker.bootstrap(), unique("codecs"));
    done(at, &["topic", "create", &topic, "-p", "1"], "")?;
    let mut expected = String::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for acks in ["all", "1", "0"] {
            let line = format!("{codec} {acks} {}\n", "x".repeat(200));
            done(at, &["produce", &topic, "-z", codec, "--acks", acks], &line)?;
            expected.push_str(&line);
        }
    }
    // With acks=0 nobody says when the last one is there.
    let read = done(
        at,
        &[
            "consume",
            &topic,
            "--follow",
            "--from-beginning",
            "-c",
            "15",
        ],
        "",
    )?;
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&read.out), sorted(&expected));
    Ok(())
}

#[test]
fn reading_starts_and_stops_where_it_is_told() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic) = (broker.bootstrap(), unique("places"));
    done(at, &["topic", "create", &topic, "-p", "1"], "")?;
    for (time, line) in [("1000", "a"), ("2000", "b"), ("3000", "c")] {
        done(at, &["produce", &topic, "--timestamp", time], line)?;
    }
    let read = |args: &[&str]| {
        let args = [&["consume", topic.as_str()], args].concat();
        anyhow::Ok(done(at, &args, "")?.out.replace('\n', ""))
    };
    assert_eq!(read(&[])?, "abc");
    assert_eq!(read(&["--offset", "1"])?, "bc");
    assert_eq!(read(&["--offset", "-1"])?, "c");
    assert_eq!(read(&["--offset", "99"])?, "");
    assert_eq!(read(&["--timestamp", "1500"])?, "bc");
    assert_eq!(read(&["--timestamp", "9000"])?, "");
    assert_eq!(read(&["-c", "2"])?, "ab");
    assert_eq!(read(&["-c", "0"])?, "");
    Ok(())
}

#[test]
fn following_shows_what_comes_later() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic) = (broker.bootstrap(), unique("later"));
    let args = ["consume", &topic, "--follow", "--from-beginning", "-c", "3"];
    let mut reader = command(at, &args)?.spawn()?;
    let mut lines = BufReader::new(reader.stdout.take().context("piped")?).lines();
    // Each is sent only when the one before it was read.
    for line in ["one", "two", "three"] {
        done(at, &["produce", &topic], line)?;
        assert_eq!(lines.next().transpose()?.as_deref(), Some(line));
    }
    assert!(reader.wait()?.success());
    Ok(())
}

#[test]
fn lines_that_cannot_be_records_are_refused() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic) = (broker.bootstrap(), unique("refused"));
    done(
        at,
        &["topic", "create", &topic, "-c", "max.message.bytes=1000"],
        "",
    )?;
    let no_separator = run(at, &["produce", &topic, "-k", ":"], "no key here\n")?;
    assert_eq!(no_separator.code, Some(2));
    let too_large = run(at, &["produce", &topic], &"x".repeat(2000))?;
    assert_eq!(too_large.code, Some(1));
    assert!(
        too_large.err.contains("MessageTooLarge"),
        "{}",
        too_large.err
    );
    assert_eq!(done(at, &["consume", &topic], "")?.out, "");
    Ok(())
}

#[test]
fn following_outlives_a_restart_and_a_sleepy_producer_reconnects() -> Result<()> {
    // The broker closes connections that say nothing for half a second.
    let options = Options::default().set("connections.max.idle.ms", "500");
    let mut broker = Broker::launch(Program::Klamm, options)?;
    let (at, topic) = (broker.bootstrap().to_owned(), unique("restart"));
    done(&at, &["topic", "create", &topic], "")?;
    let args = ["consume", &topic, "--follow", "--from-beginning", "-c", "2"];
    let mut reader = command(&at, &args)?.spawn()?;
    let mut lines = BufReader::new(reader.stdout.take().context("piped")?).lines();
    let mut producer = command(&at, &["produce", &topic])?.spawn()?;
    let mut input = producer.stdin.take().context("piped")?;
    writeln!(input, "before")?;
    assert_eq!(lines.next().transpose()?.as_deref(), Some("before"));
    broker.terminate(PATIENCE)?;
    broker.restart()?;
    writeln!(input, "after")?;
    assert_eq!(lines.next().transpose()?.as_deref(), Some("after"));
    drop(input);
    assert!(producer.wait()?.success() && reader.wait()?.success());
    Ok(())
}

#[test]
fn a_record_is_not_refused_for_its_neighbours() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic) = (broker.bootstrap(), unique("large"));
    // Each is below max.message.bytes, the two together are not.
    let lines = format!("{}\n{}\n", "a".repeat(400_000), "b".repeat(900_000));
    done(at, &["produce", &topic], &lines)?;
    assert!(done(at, &["consume", &topic], "")?.out == lines);
    Ok(())
}

#[test]
fn lines_before_one_that_cannot_be_sent_are_delivered() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic) = (broker.bootstrap(), unique("before"));
    let refused = run(at, &["produce", &topic, "-k", ":"], "a:1\nnone\nb:2\n")?;
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.err.contains("in line 2: \"none\""),
        "{}",
        refused.err
    );
    let lines = format!("c:3\nd:{}\n", "x".repeat(1_100_000));
    let refused = run(at, &["produce", &topic, "-k", ":"], &lines)?;
    assert_eq!(refused.code, Some(1));
    assert_eq!(done(at, &["consume", &topic], "")?.out, "1\n3\n");
    Ok(())
}
