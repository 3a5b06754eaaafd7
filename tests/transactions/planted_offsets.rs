//! The checker is checked for the offsets of groups: it finds nothing in a clean history, and each
//! anomaly that is planted.
use crate::checker::{Anomaly, check};
use crate::history::{
    Feed, History, Id, Isolation, Outcome, Place, Reading, Seen, Source, Told, Transaction, Write,
};

const FEED: Feed = Feed {
    group: 4,
    partition: 0,
};

fn source(offset: i64) -> Source {
    Source { feed: FEED, offset }
}

/// The copies of these, of which the first one is the producer's record of this number.
fn copies(number: u32, sources: std::ops::Range<i64>, outcome: Outcome) -> Transaction {
    let end = sources.end;
    let writes = (number..).zip(sources).map(|(number, offset)| Write {
        id: Id {
            producer: 1,
            number,
        },
        partition: 0,
        source: Some(source(offset)),
    });
    Transaction {
        writes: writes.collect(),
        offsets: vec![(FEED, end)],
        offsets_taken: None,
        outcome,
    }
}

fn told(asked: u64, offset: i64, stable: bool) -> Told {
    Told {
        feed: FEED,
        asked,
        answered: asked + 2,
        offset,
        stable,
    }
}

/// Commits up to 2, aborts up to 3, never learns that it committed up to 4 or that it did not up to
/// 6, commits up to 5.
fn clean() -> History {
    let committed = |asked| Outcome::Committed {
        asked,
        answered: asked + 5,
    };
    let transactions = vec![
        copies(0, 0..2, committed(10)),
        copies(2, 2..3, Outcome::Aborted),
        copies(3, 2..4, Outcome::Unknown { asked: 30 }),
        copies(5, 4..6, Outcome::Unknown { asked: 40 }),
        copies(7, 4..5, committed(50)),
    ];
    let shown = [(0, 12), (1, 12), (3, 32), (4, 33), (7, 52)];
    let seen = shown.map(|(number, at)| Seen {
        at,
        place: Place {
            partition: 0,
            offset: i64::from(number) * 2,
        },
        id: Id {
            producer: 1,
            number,
        },
    });
    History {
        transactions,
        readings: vec![Reading {
            reader: "one".to_owned(),
            isolation: Isolation::Committed,
            seen: seen.to_vec(),
        }],
        told: vec![
            told(1, -1, true),
            // The marker is not written yet.
            told(16, -1, false),
            told(20, 2, true),
            told(34, 4, true),
            told(60, 5, true),
        ],
        ..History::default()
    }
}

/// What the checker says after `plant` changed the clean history.
fn after(plant: impl FnOnce(&mut History)) -> Vec<Anomaly> {
    let mut history = clean();
    plant(&mut history);
    check(&history)
}

#[test]
fn clean_offsets_pass() {
    assert_eq!(check(&clean()), []);
    // It may be told as soon as it was asked for.
    let early = told(9, 2, true);
    assert_eq!(after(|history| history.told[1] = early), []);
}

#[test]
fn an_offset_of_an_aborted_transaction_is_found() {
    for stable in [true, false] {
        let aborted = told(22, 3, stable);
        let found = after(|history| history.told.insert(3, aborted));
        assert_eq!(found, [Anomaly::AbortedOffset { told: aborted }]);
    }
    // Of one whose records tell that it did not take place.
    let aborted = told(62, 6, true);
    let found = after(|history| history.told.push(aborted));
    let expected = [
        Anomaly::AbortedOffset { told: aborted },
        Anomaly::NeverCopied { source: source(5) },
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_offset_in_doubt_that_is_told_is_found() {
    for stable in [true, false] {
        let early = told(7, 2, stable);
        let found = after(|history| history.told[1] = early);
        assert_eq!(found, [Anomaly::AbortedOffset { told: early }]);
    }
}

#[test]
fn an_answer_in_spite_of_a_doubt_is_found() {
    let doubt = |from| after(|history| history.transactions[4].offsets_taken = Some(from));
    assert_eq!(doubt(40), []);
    let stable = told(34, 4, true);
    let found = after(|history| {
        history.told.insert(4, told(42, 4, false));
        history.transactions[4].offsets_taken = Some(34);
    });
    assert_eq!(found, [Anomaly::NotInDoubt { told: stable }]);
}

#[test]
fn a_lost_offset_is_found() {
    let found = after(|history| history.told[4].offset = 4);
    let lost = Anomaly::LostOffset {
        told: told(60, 4, true),
        committed: 5,
    };
    assert_eq!(found, [lost]);
    // Nobody told its producer, but its records were shown.
    let found = after(|history| history.told[3].offset = 2);
    let lost = Anomaly::LostOffset {
        told: told(34, 2, true),
        committed: 4,
    };
    assert_eq!(found, [lost]);
}

#[test]
fn an_offset_that_goes_backwards_is_found() {
    let back = told(37, 2, false);
    let found = after(|history| history.told.push(back));
    let expected = Anomaly::OffsetBackwards {
        told: back,
        before: 4,
    };
    assert_eq!(found, [expected]);
    let gone = told(37, -1, false);
    let found = after(|history| history.told.push(gone));
    let expected = Anomaly::OffsetBackwards {
        told: gone,
        before: 4,
    };
    assert_eq!(found, [expected]);
}

#[test]
fn two_copies_are_found() {
    // The one of unknown outcome did take place, and another one began where it had begun.
    let found = after(|history| history.transactions[4].writes[0].source = Some(source(3)));
    let ids = [4, 7].map(|number| Id {
        producer: 1,
        number,
    });
    let twice = Anomaly::CopiedTwice {
        source: source(3),
        ids: ids.to_vec(),
    };
    let never = Anomaly::NeverCopied { source: source(4) };
    assert_eq!(found, [never, twice]);
}

#[test]
fn a_missing_copy_is_found() {
    let found = after(|history| history.transactions[0].writes[1].source = None);
    assert_eq!(found, [Anomaly::NeverCopied { source: source(1) }]);
}

#[test]
fn a_group_of_which_nothing_was_told_is_found() {
    let found = after(|history| history.told.clear());
    assert_eq!(found, [Anomaly::NotTold { feed: FEED }]);
}
