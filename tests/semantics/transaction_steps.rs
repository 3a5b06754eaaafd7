//! Transactions step by step on the wire: what comes late, what comes twice, and what a kill between
//! two steps leaves.
use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use harness::talk::settled;
use harness::{Batch, Broker, Options, PATIENCE, Wire, ask, eventually, unique};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiVersionsRequest,
    DescribeTransactionsRequest, EndTxnRequest, InitProducerIdRequest, ListTransactionsRequest,
    OffsetFetchRequest, TransactionalId, TxnOffsetCommitRequest,
};

const TRANSACTIONAL: i16 = 1 << 4;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_TXN_STATE: i16 = 48;
const INVALID_PRODUCER_ID_MAPPING: i16 = 49;
const PRODUCER_FENCED: i16 = 90;
const TRANSACTION_ABORTABLE: i16 = 120;
const INVALID_REGULAR_EXPRESSION: i16 = 128;

/// A producer that does each step when it is told.
#[derive(Debug)]
struct Stepper {
    wire: Wire,
    id: TransactionalId,
    producer: (i64, i16),
    /// The next sequence by topic.
    sequences: BTreeMap<String, i32>,
}

impl Stepper {
    fn new(broker: &Broker, id: &str) -> Result<Self> {
        let mut stepper = Self {
            wire: broker.wire()?,
            id: TransactionalId(ask::text(id)),
            producer: (-1, -1),
            sequences: BTreeMap::new(),
        };
        stepper.init(60_000)?;
        Ok(stepper)
    }

    /// InitProducerId until it is answered with an epoch.
    fn init(&mut self, timeout_ms: i32) -> Result<()> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.id.clone()))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        self.producer = eventually("a producer id", || {
            let answer = self.wire.call(4, &request).ok()?;
            (answer.error_code == 0).then_some((answer.producer_id.0, answer.producer_epoch))
        })?;
        self.sequences.clear();
        Ok(())
    }

    fn add(&mut self, topic: &str) -> Result<i16> {
        let topics = AddPartitionsToTxnTopic::default()
            .with_name(ask::topic(topic))
            .with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.id.clone())
            .with_v3_and_below_producer_id(self.producer.0.into())
            .with_v3_and_below_producer_epoch(self.producer.1)
            .with_v3_and_below_topics(vec![topics]);
        let answer = self.wire.call(3, &request)?;
        let topics = answer.results_by_topic_v3_and_below;
        let topic = topics.first().context("no topic")?;
        let partition = topic.results_by_partition.first().context("none")?;
        Ok(partition.partition_error_code)
    }

    /// Produces one record; gives the error code.
    fn produce(&mut self, version: i16, topic: &str, value: &str) -> Result<i16> {
        let (id, epoch) = self.producer;
        let sequence = self.sequences.entry(topic.to_owned()).or_default();
        let mut batch = Batch::of(&[value]).producer(id, epoch, *sequence);
        batch.attributes = TRANSACTIONAL;
        let request =
            ask::produce(topic, batch.bytes()).with_transactional_id(Some(self.id.clone()));
        let answer = self.wire.call(version, &request)?;
        let code = answer.responses[0].partition_responses[0].error_code;
        *sequence += i32::from(code == 0);
        Ok(code)
    }

    fn end_request(&self, commits: bool) -> EndTxnRequest {
        EndTxnRequest::default()
            .with_transactional_id(self.id.clone())
            .with_producer_id(self.producer.0.into())
            .with_producer_epoch(self.producer.1)
            .with_committed(commits)
    }

    fn end(&mut self, version: i16, commits: bool) -> Result<(i16, (i64, i16))> {
        let request = self.end_request(commits);
        let answer = self.wire.call(version, &request)?;
        let producer = (answer.producer_id.0, answer.producer_epoch);
        Ok((answer.error_code, producer))
    }

    fn commit_offset(
        &mut self,
        version: i16,
        group: &str,
        topic: &str,
        offset: i64,
    ) -> Result<i16> {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_partition_index(0)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(ask::text("")));
        let topics = TxnOffsetCommitRequestTopic::default()
            .with_name(ask::topic(topic))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.id.clone())
            .with_group_id(ask::group(group))
            .with_producer_id(self.producer.0.into())
            .with_producer_epoch(self.producer.1)
            .with_generation_id(-1)
            .with_topics(vec![topics]);
        let answer = self.wire.call(version, &request)?;
        Ok(answer.topics[0].partitions[0].error_code)
    }

    fn add_offsets(&mut self, group: &str) -> Result<i16> {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.id.clone())
            .with_producer_id(self.producer.0.into())
            .with_producer_epoch(self.producer.1)
            .with_group_id(ask::group(group));
        Ok(self.wire.call(3, &request)?.error_code)
    }

    fn state(&mut self) -> Result<String> {
        let request =
            DescribeTransactionsRequest::default().with_transactional_ids(vec![self.id.clone()]);
        let answer = self.wire.call(0, &request)?;
        Ok(answer.transaction_states[0].transaction_state.to_string())
    }
}

fn topic(broker: &Broker) -> Result<String> {
    let topic = unique("steps");
    broker.wire()?.create_topic(&topic, 1, &[])?;
    Ok(topic)
}

/// High watermark, last stable offset, and the aborted transactions' first offsets.
fn look(broker: &Broker, topic: &str) -> Result<(i64, i64, Vec<i64>)> {
    let request = ask::fetch(topic, 0).with_isolation_level(1);
    let answer = broker.wire()?.fetch(&request)?;
    ensure!(answer.error_code == 0, "{answer:?}");
    let aborted = answer.aborted_transactions.context("null")?;
    let aborted = aborted.iter().map(|it| it.first_offset).collect();
    Ok((answer.high_watermark, answer.last_stable_offset, aborted))
}

fn committed_offset(wire: &mut Wire, group: &str, topic: &str) -> Result<(i16, i64)> {
    let topics = OffsetFetchRequestTopics::default()
        .with_name(ask::topic(topic))
        .with_partition_indexes(vec![0]);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(ask::group(group))
        .with_topics(Some(vec![topics]));
    let request = OffsetFetchRequest::default()
        .with_groups(vec![group])
        .with_require_stable(true);
    let answer = wire.call(8, &request)?;
    let found = &answer.groups[0].topics[0].partitions[0];
    Ok((found.error_code, found.committed_offset))
}

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

/// As after a loss of power that took what the coordinator knew, and kept what was produced.
#[test]
fn what_nobody_knows_of_is_aborted_at_the_start() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = topic(&broker)?;
    let mut stepper = Stepper::new(&broker, &topic)?;
    assert_eq!(stepper.produce(12, &topic, "v")?, 0);
    let mut known = Stepper::new(&broker, &format!("{topic}-known"))?;
    broker.kill9()?;
    std::fs::remove_dir_all(broker.data_dir().join("__transaction_state-0"))?;
    broker.restart()?;
    assert_eq!(look(&broker, &topic)?, (2, 2, vec![0]));
    known.wire = broker.wire()?;
    known.init(60_000)?;
    assert_eq!(known.produce(12, &topic, "w")?, 0);
    // This one is known, and goes on.
    broker.kill9()?;
    broker.restart()?;
    assert_eq!(look(&broker, &topic)?, (3, 2, vec![0]));
    known.wire = broker.wire()?;
    assert_eq!(known.end(5, true)?.0, 0);
    assert_eq!(look(&broker, &topic)?, (4, 4, vec![0]));
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
