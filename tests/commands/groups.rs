//! `klamm group`, and `klamm consume --group`.
use std::collections::BTreeMap;

use anyhow::Result;
use harness::{Broker, Options, ask, eventually, unique};
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};

use crate::klamm::{command, done, run};

/// Committed offset and lag of each partition.
fn standing(at: &str, group: &str) -> Result<BTreeMap<i64, (i64, i64)>> {
    let rows = done(at, &["group", "describe", group, "--json"], "")?.json()?;
    let standing = rows.iter().filter_map(|row| {
        let number = |name: &str| row[name].as_i64();
        Some((number("partition")?, (number("committed")?, number("lag")?)))
    });
    Ok(standing.collect())
}

#[test]
fn a_group_goes_on_where_it_stopped_and_can_be_moved() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic, group) = (broker.bootstrap(), unique("moved"), unique("movers"));
    done(at, &["topic", "create", &topic, "-p", "1"], "")?;
    done(
        at,
        &["produce", &topic, "--timestamp", "1000"],
        "a\nb\nc\nd\n",
    )?;
    let read = |count: &str| {
        anyhow::Ok(done(at, &["consume", &topic, "-g", &group, "-c", count], "")?.out)
    };
    assert_eq!(read("1")?, "a\n");
    assert_eq!(standing(at, &group)?, BTreeMap::from([(0, (1, 3))]));
    assert_eq!(read("9")?, "b\nc\nd\n");
    assert_eq!(read("9")?, "");

    done(
        at,
        &["group", "reset", &group, "--to-offset", "2", "--dry-run"],
        "",
    )?;
    assert_eq!(standing(at, &group)?, BTreeMap::from([(0, (4, 0))]));
    done(at, &["group", "reset", &group, "--to-offset", "2"], "")?;
    assert_eq!(read("9")?, "c\nd\n");
    done(
        at,
        &[
            "group",
            "reset",
            &group,
            "--to-earliest",
            "-t",
            &topic,
            "-p",
            "0",
        ],
        "",
    )?;
    assert_eq!(standing(at, &group)?, BTreeMap::from([(0, (0, 4))]));
    done(
        at,
        &["group", "reset", &group, "--to-timestamp", "2000"],
        "",
    )?;
    assert_eq!(standing(at, &group)?, BTreeMap::from([(0, (4, 0))]));
    assert_eq!(
        run(at, &["group", "reset", &group], "")?.code,
        Some(2),
        "no place"
    );

    let listed = done(at, &["group", "list", "--json"], "")?.json()?;
    let row = listed.iter().find(|row| row["group"] == group.as_str());
    assert_eq!(row.map(|row| &row["state"]), Some(&"Empty".into()));
    done(at, &["group", "delete", &group], "")?;
    assert_eq!(run(at, &["group", "describe", &group], "")?.code, Some(1));
    Ok(())
}

#[test]
fn members_share_a_topic_and_a_group_in_use_is_left_alone() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic, group) = (broker.bootstrap(), unique("shared"), unique("sharers"));
    done(at, &["topic", "create", &topic, "-p", "4"], "")?;
    let args = [
        "consume",
        &topic,
        "-g",
        &group,
        "--follow",
        "--from-beginning",
        "--json",
    ];
    let mut members = [command(at, &args)?.spawn()?, command(at, &args)?.spawn()?];
    // Each has two of the four partitions.
    let shared = eventually("both members have their share", || {
        let run = run(at, &["group", "describe", &group, "--json"], "").ok()?;
        let mut readers: BTreeMap<String, usize> = BTreeMap::new();
        for row in run.json().ok()? {
            if let Some(member) = row["member"].as_str() {
                *readers.entry(member.to_owned()).or_default() += 1;
            }
        }
        (readers.into_values().collect::<Vec<_>>() == [2, 2]).then_some(())
    });
    for args in [
        ["group", "delete", &group].as_slice(),
        &["group", "reset", &group, "--to-latest"],
    ] {
        assert_eq!(run(at, args, "")?.code, Some(1), "{args:?}");
    }
    for member in &mut members {
        member.kill()?;
        member.wait()?;
    }
    shared
}

#[test]
fn a_member_whose_output_is_closed_leaves_and_commits_nothing() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic, group) = (broker.bootstrap(), unique("closed"), unique("closers"));
    let lines = format!("{}\n", "x".repeat(999)).repeat(3000);
    done(at, &["produce", &topic], &lines)?;
    let mut child = command(at, &["consume", &topic, "-g", &group])?.spawn()?;
    // More than a pipe holds is still to come.
    drop(child.stdout.take());
    assert!(child.wait()?.success());
    let rows = done(at, &["group", "describe", &group, "--json"], "")?.json()?;
    assert_eq!(rows[0]["members"], 0, "{rows:?}");
    assert_eq!(standing(at, &group)?, BTreeMap::new());
    Ok(())
}

#[test]
fn a_group_whose_next_record_was_deleted_goes_on_with_the_first_that_is_there() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let (at, topic, group) = (broker.bootstrap(), unique("gone"), unique("late"));
    done(at, &["topic", "create", &topic, "-p", "1"], "")?;
    done(at, &["produce", &topic], "a\nb\nc\nd\n")?;
    let args = ["consume", &topic, "-g", &group];
    done(at, &[&args[..], &["-c", "1"]].concat(), "")?;
    let partition = DeleteRecordsPartition::default().with_offset(3);
    let deleted = DeleteRecordsTopic::default()
        .with_name(ask::topic(&topic))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![deleted]);
    broker.wire()?.call(2, &request)?;
    let read = done(at, &args, "")?;
    assert_eq!(read.out, "d\n");
    assert!(read.err.contains("no offset 1"), "{}", read.err);
    assert_eq!(standing(at, &group)?, BTreeMap::from([(0, (4, 0))]));
    Ok(())
}
