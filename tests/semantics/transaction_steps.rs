//! Transactions step by step on the wire: what comes late, what comes twice, and what a kill between
//! two steps leaves.
use anyhow::Result;
use harness::talk::settled;
use harness::{Broker, Options, PATIENCE, ask, eventually, unique};
use kafka_protocol::messages::{ApiVersionsRequest, ListTransactionsRequest};

use crate::stepper::{Stepper, committed_offset, look, topic};

const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const PRODUCER_FENCED: i16 = 90;
const TRANSACTION_ABORTABLE: i16 = 120;
const INVALID_REGULAR_EXPRESSION: i16 = 128;

#[test]
fn what_comes_after_the_end_is_refused() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = topic(&broker)?;
    let mut stepper = Stepper::new(&broker, &topic)?;
    assert_eq!(stepper.produce(9, &topic, "before")?, INVALID_TXN_STATE);
    assert_eq!(
        stepper.produce(11, &topic, "before")?,
        TRANSACTION_ABORTABLE
    );
    assert_eq!(stepper.end(3, true)?.0, INVALID_TXN_STATE);
    assert_eq!(stepper.add(&topic)?, 0);
    assert_eq!(stepper.produce(9, &topic, "in time")?, 0);
    assert_eq!(look(&broker, &topic)?, (1, 0, vec![]));
    for _ in 0..2 {
        // The second one is a retry.
        assert_eq!(stepper.end(3, true)?.0, 0);
        assert_eq!(look(&broker, &topic)?, (2, 2, vec![]));
    }
    assert_eq!(stepper.end(3, false)?.0, INVALID_TXN_STATE);
    assert_eq!(stepper.produce(9, &topic, "late")?, INVALID_TXN_STATE);
    assert_eq!(stepper.state()?, "CompleteCommit");
    // The next transaction of the same epoch goes on with its sequence.
    assert_eq!(stepper.add(&topic)?, 0);
    assert_eq!(stepper.produce(9, &topic, "of the next")?, 0);
    assert_eq!(look(&broker, &topic)?, (3, 2, vec![]));
    assert_eq!(stepper.end(3, false)?.0, 0);
    assert_eq!(look(&broker, &topic)?, (4, 4, vec![2]));
    Ok(())
}

#[test]
fn a_zombie_is_told_so() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = topic(&broker)?;
    let mut zombie = Stepper::new(&broker, &topic)?;
    assert_eq!(zombie.add(&topic)?, 0);
    assert_eq!(zombie.produce(9, &topic, "of the zombie")?, 0);
    let mut heir = Stepper::new(&broker, &topic)?;
    assert_eq!(heir.producer.0, zombie.producer.0);
    assert!(heir.producer.1 > zombie.producer.1);
    assert_eq!(look(&broker, &topic)?, (2, 2, vec![0]));
    assert_eq!(zombie.produce(9, &topic, "late")?, INVALID_PRODUCER_EPOCH);
    assert_eq!(zombie.add(&topic)?, PRODUCER_FENCED);
    assert_eq!(zombie.end(1, true)?.0, INVALID_PRODUCER_EPOCH);
    assert_eq!(zombie.end(3, true)?.0, PRODUCER_FENCED);
    assert_eq!(zombie.add_offsets(&topic)?, PRODUCER_FENCED);
    let late = zombie.commit_offset(3, &topic, &topic, 1)?;
    assert_eq!(late, INVALID_PRODUCER_EPOCH);
    let (id, epoch) = heir.producer;
    heir.producer = (id + 1, epoch);
    assert_eq!(heir.add(&topic)?, INVALID_PRODUCER_ID_MAPPING);
    assert_eq!(heir.end(3, true)?.0, INVALID_PRODUCER_ID_MAPPING);
    assert_eq!(look(&broker, &topic)?, (2, 2, vec![0]));
    Ok(())
}

#[test]
fn with_an_epoch_per_transaction_partitions_join_by_themselves() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = topic(&broker)?;
    let mut stepper = Stepper::new(&broker, &topic)?;
    let features = stepper.wire.call(
        4,
        &ApiVersionsRequest::default()
            .with_client_software_name(ask::text("test"))
            .with_client_software_version(ask::text("1")),
    )?;
    let finalized = &features.finalized_features;
    assert_eq!(finalized[0].name.as_str(), "transaction.version");
    assert_eq!(finalized[0].max_version_level, 2);
    let group = unique("joins");
    for nth in 0i16..4 {
        let before = stepper.producer;
        assert_eq!(stepper.produce(12, &topic, "one")?, 0);
        assert_eq!(stepper.produce(12, &topic, "two")?, 0);
        assert_eq!(stepper.commit_offset(5, &group, &topic, i64::from(nth))?, 0);
        let (code, after) = stepper.end(5, nth % 2 == 0)?;
        assert_eq!((code, after), (0, (before.0, before.1 + 1)));
        // The answer was lost: the same again.
        assert_eq!(stepper.end(5, nth % 2 == 0)?, (0, after));
        // What comes late of the old epoch is refused by the coordinator and by the log.
        assert_eq!(stepper.produce(12, &topic, "late")?, INVALID_PRODUCER_EPOCH);
        stepper.producer = after;
        stepper.sequences.clear();
    }
    assert_eq!(look(&broker, &topic)?, (12, 12, vec![3, 9]));
    let offset = committed_offset(&mut stepper.wire, &group, &topic)?;
    assert_eq!(offset, (0, 2));
    Ok(())
}

#[test]
fn offsets_count_when_the_transaction_commits() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = topic(&broker)?;
    let group = unique("offsets");
    let mut stepper = Stepper::new(&broker, &topic)?;
    let unready = stepper.commit_offset(3, &group, &topic, 1)?;
    assert_eq!(unready, INVALID_TXN_STATE);
    let mut expected = (0, -1);
    for (offset, commits) in [(5, false), (7, true), (9, false), (11, true)] {
        assert_eq!(stepper.add_offsets(&group)?, 0);
        assert_eq!(stepper.commit_offset(3, &group, &topic, offset)?, 0);
        let unstable = committed_offset(&mut stepper.wire, &group, &topic)?;
        assert_eq!(unstable, (UNSTABLE_OFFSET_COMMIT, -1));
        broker.kill9()?;
        broker.restart()?;
        stepper.wire = broker.wire()?;
        let unstable = committed_offset(&mut stepper.wire, &group, &topic)?;
        assert_eq!(unstable, (UNSTABLE_OFFSET_COMMIT, -1));
        assert_eq!(stepper.end(3, commits)?.0, 0);
        if commits {
            expected.1 = offset;
        }
        let found = committed_offset(&mut stepper.wire, &group, &topic)?;
        assert_eq!(found, expected);
        broker.kill9()?;
        broker.restart()?;
        stepper.wire = broker.wire()?;
        let found = committed_offset(&mut stepper.wire, &group, &topic)?;
        assert_eq!(found, expected);
    }
    Ok(())
}

/// The broker is killed or stopped at any moment after the end was asked for. Either nothing was decided, and
/// the transaction goes on, or all of it is done.
#[test]
fn a_kill_leaves_a_transaction_whole() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topics = [topic(&broker)?, topic(&broker)?, topic(&broker)?];
    let mut stepper = Stepper::new(&broker, &topics[0])?;
    let mut written = 0;
    let mut decided = 0;
    for round in 0u64..24 {
        let commits = round % 3 != 0;
        for topic in &topics {
            assert_eq!(stepper.add(topic)?, 0, "round {round}");
            assert_eq!(stepper.produce(9, topic, "v")?, 0, "round {round}");
        }
        written += 1;
        let request = stepper.end_request(commits);
        stepper.wire.send(3, &request)?;
        std::thread::sleep(std::time::Duration::from_micros(round * 150));
        if round % 2 == 0 {
            broker.kill9()?;
        } else {
            broker.terminate(PATIENCE)?;
        }
        broker.restart()?;
        stepper.wire = broker.wire()?;
        if stepper.state()? == "Ongoing" {
            for topic in &topics {
                let (high, stable, _) = look(&broker, topic)?;
                assert_eq!(stable, high - 1, "round {round}");
            }
            assert_eq!(stepper.end(3, commits)?.0, 0);
        } else {
            decided += 1;
        }
        let wanted = if commits {
            "CompleteCommit"
        } else {
            "CompleteAbort"
        };
        assert_eq!(stepper.state()?, wanted, "round {round}");
        for topic in &topics {
            let (high, stable, aborted) = look(&broker, topic)?;
            assert_eq!(stable, high, "round {round}");
            assert_eq!(aborted.len(), (round / 3 + 1) as usize, "round {round}");
            assert!(high >= 2 * written);
        }
    }
    println!("{decided} of 24 were decided before the kill");
    Ok(())
}

#[test]
fn time_runs_out_over_a_restart() -> Result<()> {
    let interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    let mut broker = Broker::start(Options::default().set(interval, "20"))?;
    let topic = topic(&broker)?;
    let mut stepper = Stepper::new(&broker, &topic)?;
    stepper.init(1_500)?;
    assert_eq!(stepper.add(&topic)?, 0);
    assert_eq!(stepper.produce(9, &topic, "v")?, 0);
    broker.kill9()?;
    broker.restart()?;
    eventually("the abort", || {
        let looked = look(&broker, &topic).ok()?;
        (looked == (2, 2, vec![0])).then_some(())
    })?;
    stepper.wire = broker.wire()?;
    assert_eq!(stepper.end(3, true)?.0, PRODUCER_FENCED);
    assert_eq!(stepper.produce(9, &topic, "late")?, INVALID_PRODUCER_EPOCH);
    Ok(())
}

/// With an epoch per transaction an EndTxn that comes a second time is answered as the first was. That
/// somebody else ended the transaction is another matter.
#[test]
fn a_transaction_that_was_ended_by_others_is_not_ended_again() -> Result<()> {
    let interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    let broker = Broker::start(Options::default().set(interval, "20"))?;
    for times_out in [true, false] {
        let topic = topic(&broker)?;
        let mut stepper = Stepper::new(&broker, &topic)?;
        stepper.init(if times_out { 300 } else { 60_000 })?;
        assert_eq!(stepper.produce(12, &topic, "v")?, 0);
        let _heir = if times_out {
            None
        } else {
            Some(Stepper::new(&broker, &topic)?)
        };
        eventually("the abort", || {
            let looked = look(&broker, &topic).ok()?;
            (looked == (2, 2, vec![0])).then_some(())
        })?;
        for commits in [true, false] {
            assert_eq!(stepper.end(5, commits)?, (PRODUCER_FENCED, (-1, -1)));
        }
        assert_eq!(stepper.produce(12, &topic, "late")?, INVALID_PRODUCER_EPOCH);
    }
    Ok(())
}

/// One partition takes no marker: its folder is gone, and the marker needs a new file.
#[test]
fn a_bad_partition_keeps_no_other_open() -> Result<()> {
    let interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    let broker = Broker::start(Options::default().set(interval, "20"))?;
    let bad = unique("bad");
    broker
        .wire()?
        .create_topic(&bad, 1, &[("segment.bytes", "1000")])?;
    let good = topic(&broker)?;
    assert!(bad < good, "markers are written in this order");
    let mut stepper = Stepper::new(&broker, &good)?;
    assert_eq!(stepper.produce(12, &bad, &"v".repeat(900))?, 0);
    assert_eq!(stepper.produce(12, &good, "v")?, 0);
    let folder = broker.data_dir().join(format!("{bad}-0"));
    let aside = broker.data_dir().with_extension("aside");
    std::fs::rename(&folder, &aside)?;
    let request = stepper.end_request(true);
    stepper.wire.send(5, &request)?;
    eventually("the marker of the good one", || {
        (look(&broker, &good).ok()? == (2, 2, vec![])).then_some(())
    })?;
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(look(&broker, &good)?, (2, 2, vec![]), "once is enough");
    assert_eq!(look(&broker, &bad)?, (1, 0, vec![]));
    std::fs::rename(&aside, &folder)?;
    eventually("the other marker", || {
        (look(&broker, &bad).ok()? == (2, 2, vec![])).then_some(())
    })?;
    assert_eq!(look(&broker, &good)?, (2, 2, vec![]));
    stepper.wire = broker.wire()?;
    eventually("the end", || {
        (stepper.state().ok()? == "CompleteCommit").then_some(())
    })
}

#[test]
fn transactions_are_listed() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let topic = topic(&broker)?;
    let mut open = Stepper::new(&broker, &format!("{topic}-open"))?;
    let mut empty = Stepper::new(&broker, &format!("{topic}-empty"))?;
    assert_eq!(open.add(&topic)?, 0);
    assert_eq!(
        (open.state()?.as_str(), empty.state()?.as_str()),
        ("Ongoing", "Empty")
    );
    let mut list = |request: ListTransactionsRequest, version| -> Result<Vec<String>> {
        let answer = settled(|| {
            let answer = open.wire.call(version, &request)?;
            Ok((answer.error_code, answer))
        })?;
        let states = answer.transaction_states.iter();
        let own = states.filter(|it| it.transactional_id.starts_with(topic.as_str()));
        Ok(own
            .map(|it| it.transactional_id[topic.len()..].to_string())
            .collect())
    };
    let any = || ListTransactionsRequest::default().with_duration_filter(-1);
    assert_eq!(list(any(), 1)?, ["-empty", "-open"]);
    let ongoing = any().with_state_filters(vec![ask::text("Ongoing"), ask::text("Odd")]);
    assert_eq!(list(ongoing, 0)?, ["-open"]);
    let odd = any().with_state_filters(vec![ask::text("Odd")]);
    assert_eq!(list(odd, 0)?, [""; 0]);
    let of_producer = any().with_producer_id_filters(vec![empty.producer.0.into()]);
    assert_eq!(list(of_producer, 0)?, ["-empty"]);
    let long = any().with_duration_filter(3_600_000);
    assert!(!list(long, 1)?.contains(&"-open".to_owned()));
    let like = |pattern: &str| any().with_transactional_id_pattern(Some(ask::text(pattern)));
    assert_eq!(list(like(""), 2)?, ["-empty", "-open"]);
    assert_eq!(list(any(), 2)?, ["-empty", "-open"]);
    assert_eq!(list(like(".*-op[e-n]+"), 2)?, ["-open"]);
    // All of the id.
    assert_eq!(list(like(".*-op"), 2)?, [""; 0]);
    for bad in ["(", "a)(b", "((a{100}){100}){100}"] {
        let answer = open.wire.call(2, &like(bad))?;
        assert_eq!(answer.error_code, INVALID_REGULAR_EXPRESSION, "{bad}");
        assert!(answer.transaction_states.is_empty());
    }
    assert_eq!(empty.end(3, true)?.0, INVALID_TXN_STATE);
    Ok(())
}
