//! The checker is checked: it finds nothing in clean histories, and each anomaly that is planted.
use harness::Random;

use crate::checker::{Anomaly, check};
use crate::history::{
    History, Id, Isolation, Outcome, Place, Plain, Reading, Seen, Transaction, Write,
};

fn id(producer: u32, number: u32) -> Id {
    Id { producer, number }
}

fn write(producer: u32, number: u32, partition: i32) -> Write {
    Write {
        id: id(producer, number),
        partition,
        source: None,
    }
}

fn committed(asked: u64) -> Outcome {
    let answered = asked + 1;
    Outcome::Committed { asked, answered }
}

fn place(partition: i32, offset: i64) -> Place {
    Place { partition, offset }
}

fn reading(reader: &str, isolation: Isolation, seen: &[(i32, i64, Id)]) -> Reading {
    let seen = seen.iter().map(|&(partition, offset, id)| Seen {
        at: 100,
        place: place(partition, offset),
        id,
    });
    Reading {
        reader: reader.to_owned(),
        isolation,
        seen: seen.collect(),
    }
}

/// Producer 1 commits, aborts and commits, producer 2 never learns whether its commit took place,
/// producer 9 writes outside of transactions. Offsets 2 and 3 and the like are markers.
fn clean() -> History {
    let transaction = |writes: &[Write], outcome| Transaction {
        writes: writes.to_vec(),
        offsets: Vec::new(),
        offsets_taken: None,
        outcome,
    };
    let visible = [
        (0, 0, id(1, 0)),
        (1, 0, id(1, 1)),
        (0, 1, id(9, 0)),
        (0, 5, id(2, 0)),
        (1, 5, id(2, 1)),
        (0, 7, id(1, 3)),
    ];
    let mut all = visible.to_vec();
    all.insert(3, (0, 3, id(1, 2)));
    History {
        transactions: vec![
            transaction(&[write(1, 0, 0), write(1, 1, 1)], committed(10)),
            transaction(&[write(1, 2, 0)], Outcome::Aborted),
            transaction(
                &[write(2, 0, 0), write(2, 1, 1)],
                Outcome::Unknown { asked: 20 },
            ),
            transaction(&[write(1, 3, 0)], committed(30)),
        ],
        plain: vec![Plain {
            write: write(9, 0, 0),
            offset: Some(1),
        }],
        readings: vec![
            reading("early", Isolation::Committed, &visible),
            reading("late", Isolation::Committed, &visible),
            reading("all", Isolation::Uncommitted, &all),
        ],
        fenced: [(1, 35)].into(),
        told: Vec::new(),
    }
}

/// What the checker says after `plant` changed the clean history.
fn after(plant: impl FnOnce(&mut History)) -> Vec<Anomaly> {
    let mut history = clean();
    plant(&mut history);
    check(&history)
}

/// Lets all readers of an isolation see, or not, what `change` makes of what they saw.
fn every(history: &mut History, change: impl Fn(&mut Vec<Seen>)) {
    for reading in &mut history.readings {
        change(&mut reading.seen);
    }
}

#[test]
fn a_clean_history_passes() {
    assert_eq!(check(&clean()), []);
    // Nor is it wrong if the commit without an answer did not take place.
    let hidden = after(|history| {
        for reading in &mut history.readings[..2] {
            reading.seen.retain(|seen| seen.id.producer != 2);
        }
    });
    assert_eq!(hidden, []);
}

#[test]
fn an_aborted_read_is_found() {
    let found = after(|history| {
        let aborted = history.readings[2].seen[3];
        for reading in &mut history.readings[..2] {
            reading.seen.insert(3, aborted);
        }
    });
    let aborted = |reader: &str| Anomaly::AbortedRead {
        reader: reader.to_owned(),
        id: id(1, 2),
    };
    assert_eq!(found, [aborted("early"), aborted("late")]);
}

#[test]
fn a_read_before_the_commit_is_found() {
    let found = after(|history| history.readings[0].seen[0].at = 9);
    let dirty = Anomaly::DirtyRead {
        reader: "early".to_owned(),
        id: id(1, 0),
    };
    assert_eq!(found, [dirty]);
}

#[test]
fn what_was_shown_and_is_gone_is_found() {
    let found = after(|history| {
        history.readings[1]
            .seen
            .retain(|seen| seen.id.producer != 2);
    });
    let dirty = |number| Anomaly::DirtyRead {
        reader: "early".to_owned(),
        id: id(2, number),
    };
    assert_eq!(found, [dirty(0), dirty(1)]);
}

#[test]
fn a_lost_write_is_found() {
    let lost = |reader: &str, id| Anomaly::LostWrite {
        reader: reader.to_owned(),
        id,
    };
    for gone in [id(1, 3), id(9, 0)] {
        let found = after(|history| every(history, |seen| seen.retain(|seen| seen.id != gone)));
        let expected = ["early", "late", "all"].map(|reader| lost(reader, gone));
        assert_eq!(found, expected);
    }
    // One reader alone passed over it.
    let found = after(|history| history.readings[1].seen.retain(|seen| seen.id != id(1, 3)));
    assert_eq!(found, [lost("late", id(1, 3))]);
}

#[test]
fn a_duplicate_is_found() {
    let found = after(|history| {
        every(history, |seen| {
            let mut again = seen[0];
            again.place.offset = 9;
            seen.insert(1, again);
            // Behind everything else of its partition.
            let moved = seen.remove(1);
            seen.push(moved);
        });
    });
    let duplicate = Anomaly::Duplicate {
        id: id(1, 0),
        places: vec![place(0, 0), place(0, 9)],
    };
    assert!(found.contains(&duplicate), "{found:?}");
}

#[test]
fn a_torn_transaction_is_found() {
    let found = after(|history| {
        for reading in &mut history.readings[..2] {
            reading.seen.retain(|seen| seen.id != id(2, 1));
        }
    });
    let torn = |reader: &str| Anomaly::Torn {
        reader: reader.to_owned(),
        shown: id(2, 0),
        hidden: id(2, 1),
    };
    assert_eq!(found, [torn("early"), torn("late")]);
}

#[test]
fn reordering_is_found() {
    let found = after(|history| {
        every(history, |seen| {
            for seen in seen.iter_mut() {
                // What producer 1 wrote first to partition 0 changes places with the last.
                seen.id = match seen.id {
                    first if first == id(1, 0) => id(1, 3),
                    last if last == id(1, 3) => id(1, 0),
                    other => other,
                };
            }
        });
    });
    let reordered = |reader: &str, first, then| Anomaly::Reordered {
        reader: reader.to_owned(),
        first,
        then,
    };
    let expected = [
        reordered("early", id(1, 0), id(1, 3)),
        reordered("late", id(1, 0), id(1, 3)),
        reordered("all", id(1, 2), id(1, 3)),
        reordered("all", id(1, 0), id(1, 2)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn other_bytes_at_an_offset_are_found() {
    let found = after(|history| history.readings[1].seen[0].place.offset = 1);
    let changed = Anomaly::Changed {
        place: place(0, 1),
        one: id(9, 0),
        other: id(1, 0),
    };
    assert!(found.contains(&changed), "{found:?}");
}

#[test]
fn what_nobody_wrote_is_found() {
    let found = after(|history| {
        every(history, |seen| {
            let mut foreign = seen[0];
            foreign.id = id(77, 0);
            foreign.place.offset = 50;
            seen.push(foreign);
        });
    });
    let foreign = |reader: &str| Anomaly::Unwritten {
        reader: reader.to_owned(),
        place: place(0, 50),
    };
    assert_eq!(found, ["early", "late", "all"].map(foreign));
}

#[test]
fn a_reader_thrown_back_is_found() {
    let found = after(|history| {
        let first = history.readings[0].seen[0];
        history.readings[0].seen.push(first);
    });
    let backwards = Anomaly::Backwards {
        reader: "early".to_owned(),
        place: place(0, 0),
    };
    assert_eq!(found, [backwards]);
}

#[test]
fn an_acknowledgement_with_another_offset_is_found() {
    let found = after(|history| history.plain[0].offset = Some(4));
    let misplaced = Anomaly::Misplaced {
        id: id(9, 0),
        told: 4,
        found: 1,
    };
    assert_eq!(found, [misplaced]);
}

#[test]
fn a_commit_of_one_who_was_shut_out_is_found() {
    let found = after(|history| {
        history.fenced.insert(1, 25);
    });
    let unfenced = Anomaly::Unfenced {
        producer: 1,
        id: id(1, 3),
    };
    assert_eq!(found, [unfenced]);
}

/// A log of random transactions with what it shows to readers, as a right broker would.
fn random(chance: &mut Random) -> History {
    let mut history = History::default();
    let mut next = [0; 3];
    let (mut numbers, mut shown, mut all) = ([0; 4], Vec::new(), Vec::new());
    for time in 1..40 {
        let producer = chance.below(4) as u32;
        let outcome = match chance.below(3) {
            0 => Outcome::Aborted,
            1 => Outcome::Unknown { asked: time },
            _ => committed(time),
        };
        let visible = match outcome {
            Outcome::Aborted => false,
            Outcome::Unknown { .. } => chance.below(2) == 0,
            Outcome::Committed { .. } => true,
        };
        let mut writes = Vec::new();
        for _ in 0..=chance.below(4) {
            let partition = chance.below(3) as usize;
            let id = id(producer, numbers[producer as usize]);
            numbers[producer as usize] += 1;
            writes.push(write(producer, id.number, partition as i32));
            let seen = (partition as i32, next[partition], id);
            next[partition] += 1 + chance.below(2) as i64;
            all.push(seen);
            if visible {
                shown.push(seen);
            }
        }
        history.transactions.push(Transaction {
            writes,
            offsets: Vec::new(),
            offsets_taken: None,
            outcome,
        });
    }
    history.readings = vec![
        reading("one", Isolation::Committed, &shown),
        reading("two", Isolation::Committed, &shown),
        reading("all", Isolation::Uncommitted, &all),
    ];
    history
}

#[test]
fn in_random_histories_only_what_is_planted_is_found() {
    let mut chance = Random::announced("planted");
    for _ in 0..200 {
        let history = random(&mut chance);
        assert_eq!(check(&history), []);
        let seen = &history.readings[1].seen;
        let gone = chance.below(seen.len() as u64) as usize;
        let mut lacking = history.clone();
        lacking.readings[1].seen.remove(gone);
        assert!(!check(&lacking).is_empty(), "{history:?} without {gone}");
        let mut doubled = history.clone();
        let mut again = seen[gone];
        again.place.offset = 1000;
        doubled.readings[1].seen.push(again);
        assert!(!check(&doubled).is_empty(), "{history:?} with {gone} twice");
    }
}
