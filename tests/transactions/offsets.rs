//! Finds in a history what the offsets that transactions commit must never show.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::checker::Anomaly;
use crate::history::{Feed, History, Id, Isolation, Outcome, Source, Told};

/// An offset of a transaction that took place.
struct Committed {
    offset: i64,
    /// Nobody can have been told of it before.
    asked: u64,
    /// Everybody who asks afterwards is to be told of it or of a later one.
    known: u64,
}

/// Anomalies of the groups' offsets, and of the copies that were to be made along with them.
pub(crate) fn check_offsets(history: &History, found: &mut Vec<Anomaly>) {
    let shown = first_shown(history);
    let committed = committed(history, &shown);
    let mut told: BTreeMap<Feed, Vec<Told>> = BTreeMap::new();
    for one in &history.told {
        told.entry(one.feed).or_default().push(*one);
    }
    for (feed, told) in &mut told {
        told.sort_by_key(|told| told.asked);
        let committed = committed.get(feed).map_or(&[][..], Vec::as_slice);
        each_told(told, committed, found);
        backwards(told, found);
    }
    in_doubt(history, &told, found);
    copies(history, &shown, &told, found);
}

/// When each record was first given to a `read_committed` reader.
fn first_shown(history: &History) -> HashMap<Id, u64> {
    let mut shown = HashMap::new();
    let readings = history.readings.iter();
    for reading in readings.filter(|reading| reading.isolation == Isolation::Committed) {
        for seen in &reading.seen {
            let first = shown.entry(seen.id).or_insert(seen.at);
            *first = seen.at.min(*first);
        }
    }
    shown
}

/// A transaction took place if that was acknowledged or if its records are visible. Those whose
/// outcome is unknown are told by their records: each that consumes produces.
fn committed(history: &History, shown: &HashMap<Id, u64>) -> HashMap<Feed, Vec<Committed>> {
    let mut all: HashMap<Feed, Vec<Committed>> = HashMap::new();
    for transaction in &history.transactions {
        let seen = transaction.writes.iter().filter_map(|it| shown.get(&it.id));
        let seen = seen.min().copied();
        let (asked, known) = match (transaction.outcome, seen) {
            (Outcome::Committed { asked, answered }, _) => {
                (asked, seen.map_or(answered, |seen| seen.min(answered)))
            }
            (Outcome::Unknown { asked }, Some(seen)) => (asked, seen),
            _ => continue,
        };
        for &(feed, offset) in &transaction.offsets {
            let committed = Committed {
                offset,
                asked,
                known,
            };
            all.entry(feed).or_default().push(committed);
        }
    }
    all
}

/// Everything that was told had been committed, and what had been committed was told.
fn each_told(told: &[Told], committed: &[Committed], found: &mut Vec<Anomaly>) {
    let mut asked_first: HashMap<i64, u64> = HashMap::new();
    for it in committed {
        let asked = asked_first.entry(it.offset).or_insert(it.asked);
        *asked = it.asked.min(*asked);
    }
    let mut by_time: Vec<&Committed> = committed.iter().collect();
    by_time.sort_by_key(|it| it.known);
    let mut by_time = by_time.into_iter().peekable();
    let mut reached = -1;
    for &told in told {
        let asked = asked_first.get(&told.offset);
        if told.offset >= 0 && asked.is_none_or(|asked| *asked > told.answered) {
            found.push(Anomaly::AbortedOffset { told });
        }
        while let Some(it) = by_time.next_if(|it| it.known <= told.asked) {
            reached = reached.max(it.offset);
        }
        // Without `require_stable` the one before is told until the markers are written.
        if told.stable && told.offset < reached {
            found.push(Anomaly::LostOffset {
                told,
                committed: reached,
            });
        }
    }
}

/// From when a transaction has taken an offset until its commit is asked for it is in doubt. Others
/// than those that took place may end by themselves.
fn in_doubt(history: &History, told: &BTreeMap<Feed, Vec<Told>>, found: &mut Vec<Anomaly>) {
    for transaction in &history.transactions {
        let (Outcome::Committed { asked, .. }, Some(taken)) =
            (transaction.outcome, transaction.offsets_taken)
        else {
            continue;
        };
        for (feed, _) in &transaction.offsets {
            let told = told.get(feed).map_or(&[][..], Vec::as_slice);
            let first = told.partition_point(|told| told.asked < taken);
            let meanwhile = told[first..].iter().take_while(|told| told.asked < asked);
            let wrong = meanwhile.filter(|told| told.stable && told.answered < asked);
            found.extend(wrong.map(|&told| Anomaly::NotInDoubt { told }));
        }
    }
}

fn backwards(told: &[Told], found: &mut Vec<Anomaly>) {
    let mut by_answer: Vec<Told> = told.to_vec();
    by_answer.sort_by_key(|told| told.answered);
    let mut by_answer = by_answer.into_iter().peekable();
    let mut before = -1;
    for &told in told {
        while let Some(it) = by_answer.next_if(|it| it.answered <= told.asked) {
            before = before.max(it.offset);
        }
        if told.offset < before {
            found.push(Anomaly::OffsetBackwards { told, before });
        }
    }
}

/// Up to where a group has come, each record has one visible copy.
fn copies(
    history: &History,
    shown: &HashMap<Id, u64>,
    told: &BTreeMap<Feed, Vec<Told>>,
    found: &mut Vec<Anomaly>,
) {
    let mut copies: BTreeMap<Source, BTreeSet<Id>> = BTreeMap::new();
    let mut feeds: BTreeSet<Feed> = told.keys().copied().collect();
    for transaction in &history.transactions {
        feeds.extend(transaction.offsets.iter().map(|(feed, _)| *feed));
        for write in &transaction.writes {
            if let Some(source) = write.source.filter(|_| shown.contains_key(&write.id)) {
                copies.entry(source).or_default().insert(write.id);
            }
        }
    }
    for feed in feeds {
        let told = told.get(&feed).into_iter().flatten();
        let Some(end) = told.rev().find(|told| told.stable) else {
            found.push(Anomaly::NotTold { feed });
            continue;
        };
        let sources = (0..end.offset).map(|offset| Source { feed, offset });
        let missing = sources.filter(|source| !copies.contains_key(source));
        found.extend(missing.map(|source| Anomaly::NeverCopied { source }));
    }
    for (source, ids) in copies {
        if ids.len() > 1 {
            let ids = ids.into_iter().collect();
            found.push(Anomaly::CopiedTwice { source, ids });
        }
    }
}
