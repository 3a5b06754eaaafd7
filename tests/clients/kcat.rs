//! kcat (librdkafka 2.0.2 on Debian 12): -L, -P, -C, -G and -Q.
use std::collections::BTreeSet;

use anyhow::Result;
use harness::foreign::kcat;
use harness::{Broker, Options, rd, unique};

use crate::subject::{CODECS, SUBJECTS, expected};

#[test]
fn l_lists_brokers_topics_and_partitions() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("listed");
    rd::create_topic(broker.bootstrap(), &topic, 3, &[])?;
    let listing = kcat(broker.bootstrap(), ["-L"], "")?;
    let node = format!("broker 1 at {}", broker.bootstrap());
    assert!(listing.contains(&node), "{listing}");
    assert!(
        listing.contains(&format!("topic \"{topic}\" with 3 partitions:")),
        "{listing}"
    );
    assert!(
        listing.contains("partition 2, leader 1, replicas: 1, isrs: 1"),
        "{listing}"
    );
    let one = kcat(broker.bootstrap(), ["-L", "-J", "-t", &topic], "")?;
    let json: serde_json::Value = serde_json::from_str(&one)?;
    assert_eq!(json["topics"][0]["topic"], topic.as_str());
    assert_eq!(
        json["topics"][0]["partitions"].as_array().map(Vec::len),
        Some(3)
    );
    Ok(())
}

#[test]
fn p_makes_the_topic_by_naming_it() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("made");
    kcat(broker.bootstrap(), ["-P", "-t", &topic], "first\nsecond\n")?;
    let read = kcat(broker.bootstrap(), ["-C", "-e", "-q", "-t", &topic], "")?;
    assert_eq!(read, "first\nsecond\n");
    Ok(())
}

#[test]
fn every_codec_comes_back_with_keys_headers_and_nulls() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    for codec in CODECS {
        let topic = unique(codec);
        let arguments = [
            "-P", "-t", &topic, "-z", codec, "-K", ":", "-Z", "-H", "a=1", "-H", "a=2",
        ];
        // -Z makes empty keys and values null ones.
        let lines: Vec<String> = (0..200).map(|i| format!("k{i}:value {i}\n")).collect();
        let lines = lines.concat();
        kcat(
            broker.bootstrap(),
            arguments,
            &format!("{lines}gone:\n:keyless\n"),
        )?;
        let format = [
            "-C",
            "-e",
            "-q",
            "-Z",
            "-t",
            &topic,
            "-f",
            "%o|%k|%s|%S|%h\n",
        ];
        let read = kcat(broker.bootstrap(), format, "")?;
        let read: Vec<&str> = read.lines().collect();
        assert_eq!(read.len(), 202, "{codec}");
        assert_eq!(read[7], "7|k7|value 7|7|a=1,a=2", "{codec}");
        assert_eq!(read[200], "200|gone|NULL|-1|a=1,a=2", "{codec}");
        assert_eq!(read[201], "201|NULL|keyless|7|a=1,a=2", "{codec}");
    }
    Ok(())
}

#[test]
fn acks_0_1_and_all_arrive() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("acks");
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    for acks in ["0", "1", "-1"] {
        let setting = format!("acks={acks}");
        let line = format!("with {acks}\n");
        kcat(
            broker.bootstrap(),
            ["-P", "-t", &topic, "-p", "0", "-X", &setting],
            &line,
        )?;
    }
    let read = harness::eventually("the record with acks=0", || {
        let read = kcat(broker.bootstrap(), ["-C", "-e", "-q", "-t", &topic], "").ok()?;
        (read.lines().count() == 3).then_some(read)
    })?;
    let lines: BTreeSet<&str> = read.lines().collect();
    assert_eq!(lines, BTreeSet::from(["with 0", "with 1", "with -1"]));
    Ok(())
}

#[test]
fn c_reads_from_offsets_and_times() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("placed");
    let values: Vec<String> = (0..10).map(|i| format!("v{i}")).collect();
    rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
    rd::produce(broker.bootstrap(), &topic, 0, &values)?;
    let from = |start: &str| {
        let arguments = ["-C", "-e", "-q", "-t", &topic, "-p", "0", "-o", start];
        kcat(broker.bootstrap(), arguments, "")
    };
    assert_eq!(from("beginning")?.lines().count(), 10);
    assert_eq!(from("7")?, "v7\nv8\nv9\n");
    assert_eq!(from("-2")?, "v8\nv9\n");
    assert_eq!(from("end")?, "");
    assert_eq!(from("s@1")?.lines().count(), 10, "from a time on");
    let limited = [
        "-C",
        "-q",
        "-c",
        "3",
        "-t",
        &topic,
        "-p",
        "0",
        "-o",
        "beginning",
    ];
    assert_eq!(kcat(broker.bootstrap(), limited, "")?, "v0\nv1\nv2\n");
    Ok(())
}

#[test]
fn q_finds_offsets_for_times() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("asked");
    let mut wire = broker.wire()?;
    wire.create_topic(&topic, 1, &[("retention.ms", "-1")])?;
    let batch = harness::Batch::of(&["a", "b", "c"]).at(&[1_000, 2_000, 3_000]);
    wire.produce(&topic, batch.bytes())?;
    let ask = |time: &str| {
        kcat(
            broker.bootstrap(),
            ["-Q", "-t", &format!("{topic}:0:{time}")],
            "",
        )
    };
    assert_eq!(ask("2000")?.trim(), format!("{topic} [0] offset 1"));
    assert_eq!(ask("2001")?.trim(), format!("{topic} [0] offset 2"));
    assert_eq!(ask("-1")?.trim(), format!("{topic} [0] offset 3"));
    assert_eq!(ask("-2")?.trim(), format!("{topic} [0] offset 0"));
    Ok(())
}

#[test]
fn g_reads_as_a_group_and_goes_on_after_the_commit() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = unique("grouped");
    let group = unique("grouped");
    rd::create_topic(broker.bootstrap(), &topic, 2, &[])?;
    let earliest = "auto.offset.reset=earliest";
    for round in 0..2 {
        let values: Vec<String> = (0..20).map(|i| format!("{round}/{i}")).collect();
        rd::produce(broker.bootstrap(), &topic, round, &values)?;
        let arguments = ["-G", &group, "-q", "-c", "20", "-X", earliest, &topic];
        let read = kcat(broker.bootstrap(), arguments, "")?;
        let read: BTreeSet<&str> = read.lines().collect();
        assert_eq!(
            read,
            values.iter().map(String::as_str).collect(),
            "round {round}"
        );
    }
    Ok(())
}

#[test]
fn kcat_and_the_other_clients_read_each_other() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    for codec in CODECS {
        let topic = unique(codec);
        rd::create_topic(broker.bootstrap(), &topic, 1, &[])?;
        let input: String = expected("kcat", codec, 9)
            .iter()
            .map(|line| kcat_line(line))
            .collect();
        let headers = ["-H", "client=kcat", "-H", "n=1", "-H", "n=2"];
        let arguments = ["-P", "-t", &topic, "-z", codec, "-K", "\t"];
        kcat(broker.bootstrap(), arguments.iter().chain(&headers), &input)?;
        for reader in SUBJECTS {
            let lines = reader.consume(broker.bootstrap(), &topic, &unique("kcat"), 9)?;
            let read: BTreeSet<String> = lines.into_iter().collect();
            assert_eq!(
                read,
                expected("kcat", codec, 9),
                "{} reads {codec}",
                reader.name
            );
        }
    }
    Ok(())
}

/// The key and the value of an expected line, as kcat takes them.
fn kcat_line(line: &str) -> String {
    let mut parts = line.split('\t');
    let key = parts.next().unwrap_or_default();
    let value = parts.next().unwrap_or_default();
    format!("{key}\t{value}\n")
}
