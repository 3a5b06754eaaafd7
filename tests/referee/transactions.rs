//! Transactions: who is refused, and with what.
use anyhow::{Context, Result};
use harness::talk::settled;
use harness::{Batch, Wire, ask, eventually};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    FindCoordinatorRequest, InitProducerIdRequest, ListTransactionsRequest, ProduceRequest,
    TransactionalId, TxnOffsetCommitRequest,
};

use crate::pair::Pair;

const TRANSACTIONAL: i16 = 1 << 4;

fn id(name: &str) -> TransactionalId {
    TransactionalId(ask::text(name))
}

fn init(name: &str) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(id(name)))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1)
}

fn add(name: &str, producer: i64, epoch: i16, topic: &str) -> AddPartitionsToTxnRequest {
    let topics = AddPartitionsToTxnTopic::default()
        .with_name(ask::topic(topic))
        .with_partitions(vec![0]);
    AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id(name))
        .with_v3_and_below_producer_id(producer.into())
        .with_v3_and_below_producer_epoch(epoch)
        .with_v3_and_below_topics(vec![topics])
}

fn end(name: &str, producer: i64, epoch: i16, commits: bool) -> EndTxnRequest {
    EndTxnRequest::default()
        .with_transactional_id(id(name))
        .with_producer_id(producer.into())
        .with_producer_epoch(epoch)
        .with_committed(commits)
}

fn offsets(name: &str, producer: i64, epoch: i16, topic: &str) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(1)
        .with_committed_metadata(Some(ask::text("")));
    let topics = TxnOffsetCommitRequestTopic::default()
        .with_name(ask::topic(topic))
        .with_partitions(vec![partition]);
    TxnOffsetCommitRequest::default()
        .with_transactional_id(id(name))
        .with_group_id(ask::group("transactions"))
        .with_producer_id(producer.into())
        .with_producer_epoch(epoch)
        .with_generation_id(-1)
        .with_topics(vec![topics])
}

fn produce(name: &str, producer: i64, epoch: i16, sequence: i32, topic: &str) -> ProduceRequest {
    let mut batch = Batch::of(&["v"]).producer(producer, epoch, sequence);
    batch.attributes = TRANSACTIONAL;
    ask::produce(topic, batch.bytes()).with_transactional_id(Some(id(name)))
}

/// Both brokers, ready for transactions: Kafka makes its topic when a coordinator is looked for.
fn start() -> Result<Pair> {
    let mut pair = Pair::start()?;
    pair.both(|wire| {
        let find = FindCoordinatorRequest::default()
            .with_key(ask::text("warm"))
            .with_key_type(1);
        settled(|| Ok((wire.call(3, &find)?.error_code, ())))?;
        settled(|| Ok((wire.call(4, &init("warm"))?.error_code, ())))?;
        wire.create_topic("t", 1, &[])
    })?;
    Ok(pair)
}

/// A producer id and epoch, which both give alike as long as both are asked for the same.
fn same_producer(pair: &mut Pair, name: &str) -> Result<(i64, i16)> {
    let ask = |wire: &mut Wire| {
        let answered = eventually("a producer id", || {
            let answer = wire.call(4, &init(name)).ok()?;
            (answer.error_code == 0).then_some((answer.producer_id.0, answer.producer_epoch))
        });
        answered.context("InitProducerId")
    };
    let (kafka, klamm) = pair.both(ask)?;
    anyhow::ensure!(kafka.1 == klamm.1, "epochs {} and {}", kafka.1, klamm.1);
    anyhow::ensure!(kafka.0 == klamm.0, "ids {} and {}", kafka.0, klamm.0);
    Ok(kafka)
}

#[test]
fn requests_of_each_state_are_answered_alike() -> Result<()> {
    let mut pair = start()?;
    let name = "steps";
    pair.ask("no timeout", 4, &init(name).with_transaction_timeout_ms(0))?;
    let long = init(name).with_transaction_timeout_ms(1_000_000_000);
    pair.ask("too long a timeout", 4, &long)?;
    for version in 0..=5 {
        pair.ask("end of an unknown id", version, &end("nobody", 1, 0, true))?;
    }
    pair.ask("add to an unknown id", 3, &add("nobody", 1, 0, "t"))?;
    let unknown = DescribeTransactionsRequest::default().with_transactional_ids(vec![id("nobody")]);
    pair.ask("describe an unknown id", 0, &unknown)?;
    let (p, e) = same_producer(&mut pair, name)?;
    pair.ask("end without begin", 3, &end(name, p, e, true))?;
    pair.ask("abort without begin", 3, &end(name, p, e, false))?;
    for version in [9, 11] {
        pair.ask("produce outside", version, &produce(name, p, e, 0, "t"))?;
    }
    pair.ask("add with a later epoch", 3, &add(name, p, e + 1, "t"))?;
    pair.ask(
        "add with a later epoch, before v2",
        1,
        &add(name, p, e + 1, "t"),
    )?;
    pair.ask("add of another id", 3, &add(name, p + 1, e, "t"))?;
    pair.ask("add of an unknown topic", 3, &add(name, p, e, "missing"))?;
    for version in [3, 4] {
        pair.ask("offsets outside", version, &offsets(name, p, e, "t"))?;
    }
    for commits in [true, false] {
        pair.ask("add", 3, &add(name, p, e, "t"))?;
        let sequence = i32::from(!commits);
        pair.ask_except(
            "produce",
            9,
            &produce(name, p, e, sequence, "t"),
            &["base_offset"],
        )?;
        pair.ask("end with a later epoch", 3, &end(name, p, e + 1, commits))?;
        pair.ask(
            "end with a later epoch, before v2",
            1,
            &end(name, p, e + 1, commits),
        )?;
        pair.ask("end", 3, &end(name, p, e, commits))?;
        pair.both(|wire| {
            eventually("the end", || {
                let described =
                    DescribeTransactionsRequest::default().with_transactional_ids(vec![id(name)]);
                let answer = wire.call(0, &described).ok()?;
                let state = &answer.transaction_states[0].transaction_state;
                state.starts_with("Complete").then_some(())
            })
        })?;
        pair.ask("end again", 3, &end(name, p, e, commits))?;
        pair.ask("end the other way", 3, &end(name, p, e, !commits))?;
        pair.ask("produce after the end", 9, &produce(name, p, e, 1, "t"))?;
        pair.ask("produce after the end", 11, &produce(name, p, e, 1, "t"))?;
    }
    pair.verdict()
}

#[test]
fn a_zombie_is_refused_alike() -> Result<()> {
    let mut pair = start()?;
    let name = "zombie";
    let (p, e) = same_producer(&mut pair, name)?;
    pair.ask("add", 3, &add(name, p, e, "t"))?;
    pair.ask("produce", 9, &produce(name, p, e, 0, "t"))?;
    // The open transaction is aborted first.
    pair.ask("the heir comes", 4, &init(name))?;
    let (_, heir) = same_producer(&mut pair, name)?;
    assert!(heir > e);
    pair.ask("produce late", 9, &produce(name, p, e, 1, "t"))?;
    pair.ask("add late", 3, &add(name, p, e, "t"))?;
    for version in [1, 3, 5] {
        pair.ask("commit late", version, &end(name, p, e, true))?;
        pair.ask("abort late", version, &end(name, p, e, false))?;
    }
    pair.ask("offsets late", 3, &offsets(name, p, e, "t"))?;
    let late = AddOffsetsToTxnRequest::default()
        .with_transactional_id(id(name))
        .with_producer_id(p.into())
        .with_producer_epoch(e)
        .with_group_id(ask::group("transactions"));
    pair.ask("add offsets late", 3, &late)?;
    for version in [3, 4] {
        let expected = init(name).with_producer_id(p.into()).with_producer_epoch(e);
        pair.ask("init as who it was", version, &expected)?;
    }
    pair.verdict()
}

#[test]
fn epochs_rise_alike() -> Result<()> {
    let mut pair = start()?;
    let name = "epochs";
    let (p, mut e) = same_producer(&mut pair, name)?;
    pair.ask("commit of nothing", 5, &end(name, p, e, true))?;
    for commits in [true, false, true] {
        pair.ask_except("join", 12, &produce(name, p, e, 0, "t"), &["base_offset"])?;
        let (kafka, klamm) = pair.ask("end", 5, &end(name, p, e, commits))?;
        assert_eq!(kafka.producer_epoch, klamm.producer_epoch);
        pair.both(|wire| {
            eventually("the same again", || {
                let answer = wire.call(5, &end(name, p, e, commits)).ok()?;
                (answer.error_code == 0).then_some(())
            })
        })?;
        pair.ask("the other way", 5, &end(name, p, e, !commits))?;
        pair.ask("late", 12, &produce(name, p, e, 1, "t"))?;
        e = kafka.producer_epoch;
        pair.ask("commit of nothing", 5, &end(name, p, e, true))?;
    }
    let (kafka, klamm) = pair.ask("abort of nothing", 5, &end(name, p, e, false))?;
    assert_eq!(kafka.producer_epoch, klamm.producer_epoch);
    pair.verdict()
}

/// What another producer ended is no retry to the one that it was taken from.
#[test]
fn a_zombie_of_an_epoch_per_transaction_is_refused_alike() -> Result<()> {
    let mut pair = start()?;
    let name = "raised";
    let (p, e) = same_producer(&mut pair, name)?;
    pair.ask("join", 12, &produce(name, p, e, 0, "t"))?;
    pair.ask("end", 5, &end(name, p, e, true))?;
    let e = e + 1;
    pair.both(|wire| {
        let joined = eventually("the next transaction", || {
            let answer = wire.call(12, &produce(name, p, e, 0, "t")).ok()?;
            (answer.responses[0].partition_responses[0].error_code == 0).then_some(())
        });
        joined.context("join")
    })?;
    // Until the heir has its epoch Apache Kafka takes the zombie's EndTxn for a retry, and an abort
    // gives it the heir's place; klamm does not (`docs/decisions/0014`).
    pair.ask("the heir comes", 4, &init(name))?;
    pair.both(|wire| {
        let settled = eventually("the heir", || {
            let answer = wire.call(4, &init(name)).ok()?;
            (answer.error_code == 0).then_some(())
        });
        settled.context("InitProducerId")
    })?;
    for commits in [true, false] {
        pair.ask("end by the zombie", 5, &end(name, p, e, commits))?;
    }
    pair.verdict()
}

#[test]
fn patterns_of_ids_are_taken_alike() -> Result<()> {
    let mut pair = start()?;
    for name in ["app-1", "app-2", "other"] {
        same_producer(&mut pair, name)?;
    }
    for pattern in [
        "app-.",
        "app",
        ".*r",
        "(app-1|other)",
        "",
        "(",
        "a)(b",
        "[z-a]",
        "*",
    ] {
        let request = ListTransactionsRequest::default()
            .with_duration_filter(-1)
            .with_transactional_id_pattern(Some(ask::text(pattern)));
        let list = |wire: &mut Wire| {
            let answer = wire.call(2, &request)?;
            let states = answer.transaction_states.into_iter();
            let mut ids: Vec<_> = states.map(|it| it.transactional_id.to_string()).collect();
            ids.sort_unstable();
            Ok((answer.error_code, ids))
        };
        let (kafka, klamm) = pair.both(list)?;
        assert_eq!(kafka, klamm, "{pattern}");
    }
    pair.verdict()
}
