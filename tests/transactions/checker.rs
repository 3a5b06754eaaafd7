//! Finds in a history what transactions must never show.
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::history::{
    Feed, History, Id, Isolation, Outcome, Place, Reading, Source, Told, Transaction,
};
use crate::offsets::check_offsets;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anomaly {
    /// A `read_committed` reader was given a record whose commit was never asked for.
    AbortedRead { reader: String, id: Id },
    /// A `read_committed` reader was given a record before its commit was asked for, or one that
    /// another `read_committed` reader, who read as far, was not given.
    DirtyRead { reader: String, id: Id },
    /// A reader was not given a record whose commit, or which itself, was acknowledged; or which
    /// others were given.
    LostWrite { reader: String, id: Id },
    /// A record is in more than one place.
    Duplicate { id: Id, places: Vec<Place> },
    /// A `read_committed` reader was given a part of a transaction.
    Torn {
        reader: String,
        shown: Id,
        hidden: Id,
    },
    /// A producer wrote `first` before `then` to a partition, where `then` comes first.
    Reordered { reader: String, first: Id, then: Id },
    /// An offset had one record and later another.
    Changed { place: Place, one: Id, other: Id },
    /// A record that nobody wrote, at least not to that partition.
    Unwritten { reader: String, place: Place },
    /// A reader was given an offset that was behind it.
    Backwards { reader: String, place: Place },
    /// A record was acknowledged with an offset at which it is not.
    Misplaced { id: Id, told: i64, found: i64 },
    /// A producer committed after another one had shut it out.
    Unfenced { producer: u32, id: Id },
    /// A group's offset was told that no transaction had committed by then.
    AbortedOffset { told: Told },
    /// A group's offset was told as a stable one while a transaction had it in doubt.
    NotInDoubt { told: Told },
    /// A group's offset was told to be lower than what had been committed by then.
    LostOffset { told: Told, committed: i64 },
    /// A group's offset was told to be lower than it had been told before.
    OffsetBackwards { told: Told, before: i64 },
    /// Two visible records are copies of one that a group consumed.
    CopiedTwice { source: Source, ids: Vec<Id> },
    /// A group has come further than to this record, of which no copy is visible.
    NeverCopied { source: Source },
    /// Nobody was told how far a group came in the end.
    NotTold { feed: Feed },
}

/// What is known of a record from those who wrote.
struct Known {
    partition: i32,
    outcome: Option<Outcome>,
    acknowledged: bool,
}

/// All anomalies of a history.
pub(crate) fn check(history: &History) -> Vec<Anomaly> {
    let known = known(history);
    let mut found = Vec::new();
    for reading in &history.readings {
        let shown: HashSet<Id> = reading.seen.iter().map(|seen| seen.id).collect();
        each_record(reading, &known, &mut found);
        order(reading, &mut found);
        lost(reading, &shown, &known, &mut found);
        if reading.isolation == Isolation::Committed {
            torn(reading, &shown, &history.transactions, &mut found);
        }
    }
    for isolation in [Isolation::Committed, Isolation::Uncommitted] {
        disagreements(history, isolation, &known, &mut found);
    }
    places(history, &mut found);
    unfenced(history, &mut found);
    check_offsets(history, &mut found);
    found
}

fn known(history: &History) -> HashMap<Id, Known> {
    let transactional = history.transactions.iter().flat_map(|transaction| {
        transaction.writes.iter().map(|write| {
            let known = Known {
                partition: write.partition,
                outcome: Some(transaction.outcome),
                acknowledged: matches!(transaction.outcome, Outcome::Committed { .. }),
            };
            (write.id, known)
        })
    });
    let plain = history.plain.iter().map(|plain| {
        let known = Known {
            partition: plain.write.partition,
            outcome: None,
            acknowledged: plain.offset.is_some(),
        };
        (plain.write.id, known)
    });
    transactional.chain(plain).collect()
}

fn each_record(reading: &Reading, known: &HashMap<Id, Known>, found: &mut Vec<Anomaly>) {
    for seen in &reading.seen {
        let (reader, id, place) = (reading.reader.clone(), seen.id, seen.place);
        let outcome = match known.get(&id) {
            Some(known) if known.partition == place.partition => known.outcome,
            _ => {
                found.push(Anomaly::Unwritten { reader, place });
                continue;
            }
        };
        if reading.isolation == Isolation::Uncommitted {
            continue;
        }
        match outcome {
            Some(Outcome::Aborted) => found.push(Anomaly::AbortedRead { reader, id }),
            Some(Outcome::Committed { asked, .. } | Outcome::Unknown { asked })
                if seen.at < asked =>
            {
                found.push(Anomaly::DirtyRead { reader, id });
            }
            _ => {}
        }
    }
}

/// Offsets and the numbers of each producer only grow within a partition.
fn order(reading: &Reading, found: &mut Vec<Anomaly>) {
    let mut offsets: BTreeMap<i32, i64> = BTreeMap::new();
    let mut latest: HashMap<(i32, u32), Id> = HashMap::new();
    for seen in &reading.seen {
        let (reader, place) = (reading.reader.clone(), seen.place);
        let before = offsets.insert(place.partition, place.offset);
        if before.is_some_and(|before| before >= place.offset) {
            found.push(Anomaly::Backwards { reader, place });
            continue;
        }
        let before = latest.insert((place.partition, seen.id.producer), seen.id);
        // The same one again is a duplicate, which is told elsewhere.
        if let Some(then) = before.filter(|then| *then > seen.id) {
            let first = seen.id;
            found.push(Anomaly::Reordered {
                reader,
                first,
                then,
            });
        }
    }
}

fn lost(
    reading: &Reading,
    shown: &HashSet<Id>,
    known: &HashMap<Id, Known>,
    found: &mut Vec<Anomaly>,
) {
    let due = known.iter().filter(|(_, known)| known.acknowledged);
    let missing = due.map(|(id, _)| *id).filter(|id| !shown.contains(id));
    // In the order of their names: a report should not depend on a map's order.
    let missing: BTreeSet<Id> = missing.collect();
    found.extend(missing.into_iter().map(|id| Anomaly::LostWrite {
        reader: reading.reader.clone(),
        id,
    }));
}

fn torn(
    reading: &Reading,
    shown: &HashSet<Id>,
    transactions: &[Transaction],
    found: &mut Vec<Anomaly>,
) {
    for transaction in transactions {
        let mut ids = transaction.writes.iter().map(|write| write.id);
        let visible = ids.clone().find(|id| shown.contains(id));
        let hidden = ids.find(|id| !shown.contains(id));
        if let (Some(shown), Some(hidden)) = (visible, hidden) {
            found.push(Anomaly::Torn {
                reader: reading.reader.clone(),
                shown,
                hidden,
            });
        }
    }
}

/// Readers of one isolation who read everything were given the same. What was acknowledged is
/// looked for elsewhere.
fn disagreements(
    history: &History,
    isolation: Isolation,
    known: &HashMap<Id, Known>,
    found: &mut Vec<Anomaly>,
) {
    let of_isolation = |reading: &&Reading| reading.isolation == isolation;
    let readings: Vec<&Reading> = history.readings.iter().filter(of_isolation).collect();
    let mut readers: BTreeMap<Id, BTreeSet<&str>> = BTreeMap::new();
    for reading in &readings {
        for seen in &reading.seen {
            if !known.get(&seen.id).is_some_and(|known| known.acknowledged) {
                readers.entry(seen.id).or_default().insert(&reading.reader);
            }
        }
    }
    for (id, given) in readers {
        if given.len() == readings.len() {
            continue;
        }
        let (mut given_to, mut others) = (given.iter(), readings.iter());
        let other = others.find(|reading| !given.contains(reading.reader.as_str()));
        match (isolation, given_to.next(), other) {
            (Isolation::Committed, Some(reader), _) => found.push(Anomaly::DirtyRead {
                reader: (*reader).to_owned(),
                id,
            }),
            (_, _, Some(reading)) => found.push(Anomaly::LostWrite {
                reader: reading.reader.clone(),
                id,
            }),
            _ => {}
        }
    }
}

/// One record at each offset, one offset for each record, and the one that was acknowledged.
fn places(history: &History, found: &mut Vec<Anomaly>) {
    let mut records: BTreeMap<Place, Id> = BTreeMap::new();
    for seen in history.readings.iter().flat_map(|reading| &reading.seen) {
        let (place, other) = (seen.place, seen.id);
        let one = *records.entry(place).or_insert(other);
        if one != other {
            found.push(Anomaly::Changed { place, one, other });
        }
    }
    let mut by_id: BTreeMap<Id, Vec<Place>> = BTreeMap::new();
    for (place, id) in records {
        by_id.entry(id).or_default().push(place);
    }
    for plain in &history.plain {
        let id = plain.write.id;
        let place = by_id.get(&id).and_then(|places| places.first());
        if let (Some(told), Some(place)) = (plain.offset, place) {
            let found_at = place.offset;
            if told != found_at {
                found.push(Anomaly::Misplaced {
                    id,
                    told,
                    found: found_at,
                });
            }
        }
    }
    let twice = by_id.into_iter().filter(|(_, places)| places.len() > 1);
    found.extend(twice.map(|(id, places)| Anomaly::Duplicate { id, places }));
}

fn unfenced(history: &History, found: &mut Vec<Anomaly>) {
    for transaction in &history.transactions {
        let Some(id) = transaction.writes.first().map(|write| write.id) else {
            continue;
        };
        let fenced = history.fenced.get(&id.producer);
        if let (Outcome::Committed { asked, .. }, Some(fenced)) = (transaction.outcome, fenced)
            && asked > *fenced
        {
            let producer = id.producer;
            found.push(Anomaly::Unfenced { producer, id });
        }
    }
}
