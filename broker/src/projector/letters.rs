//! Dead letters: records that a view rejected, with why and where they come from.
use std::sync::Arc;

use projection::{Input, Outcome, Reason, Rejection, dead_letter_headers};
use protocol::record::{Record, RecordError};

use super::batches::Batches;
use super::scan::{ScanError, scan};
use crate::partition::{Partition, now_ms};

/// Headers beyond those that every reader knows: which topic of that name it was, and which
/// generation of the view rejected the record.
const TOPIC_ID: &str = "dlq.topic.id";
const GENERATION: &str = "dlq.generation";

/// Partition and offset of a record in a view's source.
pub type Spot = (i32, i64);

/// Who rejects, and of which topic.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The view.
    pub view: &'static str,
    /// Its source.
    pub topic: Arc<str>,
    /// The source's id.
    pub topic_id: Box<str>,
    /// The generation.
    pub generation: u64,
}

/// A letter as it stands in the log.
#[derive(Debug)]
pub struct Letter<'a> {
    /// Where the record came from.
    pub spot: Spot,
    /// Its topic.
    pub topic: &'a str,
    /// Id of that topic.
    pub topic_id: &'a str,
    /// Why it was rejected.
    pub reason: Reason,
    /// The record's own timestamp, epoch ms.
    pub timestamp: i64,
    /// The record's value.
    pub value: Option<&'a [u8]>,
}

/// Adds a letter: key, value and headers of the record, and where and why. It has the time of now:
/// retention counts from the rejection.
pub fn push(
    letters: &mut Batches,
    sender: &Sender,
    input: &Input<'_>,
    record: &Record<'_>,
    rejection: &Rejection,
) {
    let added = dead_letter_headers(
        sender.view,
        &sender.topic,
        input.partition,
        input.offset,
        input.timestamp,
        rejection,
    );
    let generation = sender.generation.to_string();
    let own = [
        (TOPIC_ID, &*sender.topic_id),
        (GENERATION, generation.as_str()),
    ];
    let added = added.iter().map(|(key, value)| (*key, value.as_str()));
    let added = added.chain(own);
    let added = added.map(|(key, value)| (key.as_bytes(), Some(value.as_bytes())));
    let kept = record.headers().map(|header| (header.key, header.value));
    let headers: Vec<_> = kept.chain(added).collect();
    letters.push(now_ms(), record.key, record.value, &headers);
}

/// The record of a letter about the rest of a batch, of which nothing can be read.
pub const NOTHING: Record<'static> = Record {
    offset_delta: 0,
    timestamp_delta: 0,
    key: None,
    value: None,
    raw_headers: &[],
};

/// The rejection of what cannot be read, with the reason why.
pub fn because(outcome: Outcome, error: &RecordError) -> Outcome {
    match outcome {
        Outcome::Rejected(rejection) => Outcome::Rejected(Rejection::new(
            rejection.reason,
            format_args!("the rest of its batch cannot be read: {error}"),
        )),
        other => other,
    }
}

/// Hands every letter from `from` on and below `to` on. What is no letter is left out: only a view writes its dead
/// letters.
pub fn each(
    partition: &Partition,
    from: i64,
    to: i64,
    mut each: impl FnMut(&Letter<'_>),
) -> Result<(), ScanError> {
    scan(partition, from, to, |_, record, _| {
        if let Some(letter) = read(record) {
            each(&letter);
        }
    })
}

fn read<'a>(record: &Record<'a>) -> Option<Letter<'a>> {
    let headers: Vec<_> = record.headers().collect();
    // The original may have headers of the same names; ours come after them.
    let text = |name: &str| {
        let of_name = |header: &&protocol::record::Header<'a>| header.key == name.as_bytes();
        let header = headers.iter().rev().find(of_name)?;
        std::str::from_utf8(header.value?).ok()
    };
    Some(Letter {
        spot: (
            text("dlq.partition")?.parse().ok()?,
            text("dlq.offset")?.parse().ok()?,
        ),
        topic: text("dlq.topic")?,
        topic_id: text(TOPIC_ID)?,
        reason: text("dlq.reason")?.parse().ok()?,
        timestamp: text("dlq.timestamp")?.parse().ok()?,
        value: record.value,
    })
}
