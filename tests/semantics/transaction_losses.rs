//! What a loss of power can leave of transactions: the journal of the coordinator is shorter than the
//! logs that its transactions wrote to. Nothing that was answered is lost in these; what was not is
//! neither kept by half nor given to another transaction.
use anyhow::{Context, Result};
use harness::{Broker, Options, unique};

use crate::stepper::{Stepper, committed_offset, look, topic};

const INVALID_PRODUCER_EPOCH: i16 = 47;

/// Cuts the journal of transactions after so many batches.
fn keep(broker: &Broker, batches: usize) -> Result<()> {
    let folder = broker.data_dir().join("__transaction_state-0");
    let path = folder.join("00000000000000000000.log");
    let journal = std::fs::read(&path)?;
    let mut end = 0;
    for _ in 0..batches {
        let length = journal[end..].get(8..12).context("a batch less")?;
        end += 12 + u32::from_be_bytes(length.try_into()?) as usize;
    }
    let file = std::fs::File::options().write(true).open(&path)?;
    Ok(file.set_len(end as u64)?)
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

/// The entry by which a partition joined is gone, the batch is not, and its answer never came.
#[test]
fn a_batch_that_was_aborted_at_the_start_is_not_taken_for_a_duplicate() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topic = topic(&broker)?;
    let mut stepper = Stepper::new(&broker, &topic)?;
    let before = stepper.producer;
    assert_eq!(stepper.produce(12, &topic, "v")?, 0);
    broker.kill9()?;
    keep(&broker, 1)?;
    broker.restart()?;
    assert_eq!(look(&broker, &topic)?, (2, 2, vec![0]));
    stepper.wire = broker.wire()?;
    stepper.sequences.clear();
    assert_eq!(stepper.produce(12, &topic, "v")?, INVALID_PRODUCER_EPOCH);
    // What a client does about that: it aborts, and goes on.
    let (code, after) = stepper.end(5, false)?;
    assert_eq!((code, after), (0, (before.0, before.1 + 1)));
    stepper.producer = after;
    assert_eq!(stepper.produce(12, &topic, "again")?, 0);
    assert_eq!(stepper.end(5, true)?.0, 0);
    let (high, stable, aborted) = look(&broker, &topic)?;
    assert_eq!((high, aborted), (stable, vec![0]));
    Ok(())
}

/// The markers of a transaction are written again because the entry that says that they are there is
/// gone; the producer had begun its next transaction.
#[test]
fn markers_that_are_written_again_do_not_end_the_next_transaction() -> Result<()> {
    for commits in [true, false] {
        let mut broker = Broker::start(Options::default())?;
        let topic = topic(&broker)?;
        let group = unique("losses");
        let mut stepper = Stepper::new(&broker, &topic)?;
        assert_eq!(stepper.produce(12, &topic, "of the first")?, 0);
        assert_eq!(stepper.commit_offset(5, &group, &topic, 5)?, 0);
        let (code, next) = stepper.end(5, commits)?;
        assert_eq!(code, 0);
        stepper.producer = next;
        stepper.sequences.clear();
        assert_eq!(stepper.produce(12, &topic, "of the next")?, 0);
        assert_eq!(stepper.commit_offset(5, &group, &topic, 7)?, 0);
        let first = if commits { vec![] } else { vec![0] };
        assert_eq!(look(&broker, &topic)?, (3, 2, first.clone()));
        broker.kill9()?;
        // The id, two that join, the decision.
        keep(&broker, 4)?;
        broker.restart()?;
        stepper.wire = broker.wire()?;
        let aborted = [&first[..], &[2]].concat();
        assert_eq!(look(&broker, &topic)?, (4, 4, aborted.clone()));
        let offset = committed_offset(&mut stepper.wire, &group, &topic)?;
        assert_eq!(offset, (0, if commits { 5 } else { -1 }));
        stepper.sequences.clear();
        let again = stepper.produce(12, &topic, "of the next")?;
        assert_eq!(again, INVALID_PRODUCER_EPOCH);
        let (code, after) = stepper.end(5, false)?;
        assert_eq!((code, after), (0, (next.0, next.1 + 1)));
        stepper.producer = after;
        assert_eq!(stepper.produce(12, &topic, "of the third")?, 0);
        assert_eq!(stepper.end(5, true)?.0, 0);
        let (high, stable, all_aborted) = look(&broker, &topic)?;
        assert_eq!((high, all_aborted), (stable, aborted));
    }
    Ok(())
}

/// A partition in which the marker is missing gets it, whatever the others have.
#[test]
fn markers_that_are_missing_are_written() -> Result<()> {
    let mut broker = Broker::start(Options::default())?;
    let topics = [topic(&broker)?, topic(&broker)?];
    let mut stepper = Stepper::new(&broker, &topics[0])?;
    for topic in &topics {
        assert_eq!(stepper.produce(12, topic, "v")?, 0);
    }
    assert_eq!(stepper.end(5, true)?.0, 0);
    broker.kill9()?;
    keep(&broker, 4)?;
    let log = broker.data_dir().join(format!("{}-0", topics[1]));
    let log = log.join("00000000000000000000.log");
    let bytes = std::fs::read(&log)?;
    let length = u32::from_be_bytes(bytes[8..12].try_into()?);
    let log = std::fs::File::options().write(true).open(&log)?;
    log.set_len(u64::from(length) + 12)?;
    broker.restart()?;
    for topic in &topics {
        assert_eq!(look(&broker, topic)?, (2, 2, vec![]));
    }
    Ok(())
}

/// A marker that was on disk is damaged: what the coordinator knows to be committed stays so.
#[test]
fn a_damaged_marker_of_a_commit_is_written_again() -> Result<()> {
    for commits in [true, false] {
        let mut broker = Broker::start(Options::default())?;
        let topic = topic(&broker)?;
        let mut stepper = Stepper::new(&broker, &topic)?;
        assert_eq!(stepper.produce(12, &topic, "v")?, 0);
        let (code, next) = stepper.end(5, commits)?;
        assert_eq!(code, 0);
        broker.kill9()?;
        let log = broker.data_dir().join(format!("{topic}-0"));
        let log = log.join("00000000000000000000.log");
        let mut bytes = std::fs::read(&log)?;
        let marker = 12 + u32::from_be_bytes(bytes[8..12].try_into()?) as usize;
        // The last byte of its attributes.
        bytes[marker + 22] ^= 1;
        std::fs::write(&log, bytes)?;
        broker.restart()?;
        let aborted = if commits { vec![] } else { vec![0] };
        assert_eq!(look(&broker, &topic)?, (2, 2, aborted.clone()));
        stepper.wire = broker.wire()?;
        stepper.producer = next;
        stepper.sequences.clear();
        assert_eq!(stepper.produce(12, &topic, "of the next")?, 0);
        assert_eq!(stepper.end(5, true)?.0, 0);
        assert_eq!(look(&broker, &topic)?, (4, 4, aborted));
    }
    Ok(())
}
