//! The records of `__transaction_state`, in Apache Kafka's own formats, so that its tools read them.
//!
//! ```text
//! key     version:i16 = 0, transactional id:string
//! value   version:i16, then
//!   0     producer id:i64  epoch:i16  timeout:i32  state:i8  partitions:[topic]?
//!         last update:i64  start:i64
//!   1     as 0, flexible, with the tagged fields 0 previous producer id:i64,
//!         1 next producer id:i64, 2 version of transactions that the client used:i16
//! topic   name:string  partitions:[i32]
//! ```
//!
//! Partitions are null in the state Empty; a record without value deletes its key. Version 1 is
//! written, as Apache Kafka does with transactions of version 2. Source: the JSON files in Kafka's
//! `transaction-coordinator/src/main/resources/common/message`, and `TransactionLog`.
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::state::{Identity, NONE, Partitions, State, Transaction};
use crate::coordinator::Entry;
use crate::coordinator::fields::{FormatError, Reader, Writer};

const PREVIOUS_ID: u32 = 0;
const NEXT_ID: u32 = 1;
const CLIENT_VERSION: u32 = 2;

/// The entry that says what a transactional id is like now, or that it is gone.
pub fn entry(id: &str, transaction: Option<&Transaction>) -> Entry {
    let mut key = Writer::new(0);
    key.string(id);
    Entry {
        key: key.finish(),
        value: transaction.map(write),
    }
}

/// The transactional id of a key.
pub fn read_key(key: &[u8]) -> Result<String, FormatError> {
    let mut reader = Reader::new(key, false);
    match reader.i16()? {
        0 => reader.string(),
        version => Err(FormatError::Version(version)),
    }
}

fn write(transaction: &Transaction) -> Bytes {
    let mut out = Writer::flexible(1);
    out.i64(transaction.producer.id);
    out.i16(transaction.producer.epoch);
    out.i32(transaction.timeout_ms);
    out.i8(transaction.state as i8);
    if transaction.state == State::Empty {
        out.null();
    } else {
        out.count(transaction.partitions.len());
        for (topic, partitions) in &transaction.partitions {
            out.string(topic);
            out.count(partitions.len());
            for index in partitions {
                out.i32(*index);
            }
            out.tagged(&[]);
        }
    }
    out.i64(transaction.updated_ms);
    out.i64(transaction.started_ms);
    let previous = transaction.previous_id.to_be_bytes();
    let next = transaction.next_id.to_be_bytes();
    let version = transaction.version.to_be_bytes();
    let mut tagged: Vec<(u32, &[u8])> = Vec::new();
    if transaction.previous_id != NONE {
        tagged.push((PREVIOUS_ID, &previous));
    }
    if transaction.next_id != NONE {
        tagged.push((NEXT_ID, &next));
    }
    if transaction.version != 0 {
        tagged.push((CLIENT_VERSION, &version));
    }
    out.tagged(&tagged);
    out.finish()
}

/// Reads a value.
pub fn read(value: &[u8]) -> Result<Transaction, FormatError> {
    let mut reader = Reader::new(value, false);
    let version = reader.i16()?;
    if !(0..=1).contains(&version) {
        return Err(FormatError::Version(version));
    }
    reader.set_flexible(version >= 1);
    let mut transaction = Transaction::new(reader.i64()?, 0, 0);
    let epoch = reader.i16()?;
    transaction.producer = Identity {
        epoch,
        ..transaction.producer
    };
    transaction.timeout_ms = reader.i32()?;
    let state = reader.i8()?;
    let known = usize::try_from(state)
        .ok()
        .and_then(|at| State::ALL.get(at));
    transaction.state = *known.ok_or(FormatError::State(state))?;
    transaction.partitions = read_partitions(&mut reader)?;
    transaction.updated_ms = reader.i64()?;
    transaction.started_ms = reader.i64()?;
    reader.tagged(|tag, field| {
        match tag {
            PREVIOUS_ID => transaction.previous_id = field.i64()?,
            NEXT_ID => transaction.next_id = field.i64()?,
            CLIENT_VERSION => transaction.version = field.i16()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(transaction)
}

fn read_partitions(reader: &mut Reader<'_>) -> Result<Partitions, FormatError> {
    let mut topics = Partitions::new();
    for _ in 0..reader.nullable_count()?.unwrap_or(0) {
        let topic: Arc<str> = reader.string()?.into();
        let mut partitions = BTreeSet::new();
        for _ in 0..reader.count()? {
            partitions.insert(reader.i32()?);
        }
        reader.tags()?;
        topics.insert(topic, partitions);
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Transaction {
        Transaction {
            producer: Identity { id: 5, epoch: 3 },
            previous_id: 5,
            next_id: NONE,
            last_epoch: -1,
            timeout_ms: 60_000,
            state: State::Ongoing,
            partitions: Partitions::from([("t".into(), BTreeSet::from([0, 2]))]),
            updated_ms: 7,
            started_ms: 6,
            version: 2,
        }
    }

    const GOLDEN: &[u8] = b"\0\x01\0\0\0\0\0\0\0\x05\0\x03\0\0\xea\x60\x01\
        \x02\x02t\x03\0\0\0\0\0\0\0\x02\0\
        \0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x06\
        \x02\0\x08\0\0\0\0\0\0\0\x05\x02\x02\0\x02";

    #[test]
    fn values_are_written_in_version_1() {
        let entry = entry("id", Some(&sample()));
        assert_eq!(&entry.key[..], b"\0\0\0\x02id");
        assert_eq!(read_key(&entry.key), Ok("id".to_owned()));
        assert_eq!(&entry.value.unwrap()[..], GOLDEN);
        assert_eq!(read(GOLDEN), Ok(sample()));
    }

    #[test]
    fn empty_has_null_partitions() {
        let empty = Transaction {
            state: State::Empty,
            partitions: Partitions::new(),
            started_ms: -1,
            ..sample()
        };
        let value = write(&empty);
        assert_eq!(value[2 + 8 + 2 + 4 + 1], 0);
        assert_eq!(read(&value), Ok(empty));
    }

    #[test]
    fn values_of_version_0_are_read() {
        let old = b"\0\0\0\0\0\0\0\0\0\x05\0\x03\0\0\xea\x60\x01\
            \0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x02\
            \0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x06";
        let expected = Transaction {
            previous_id: NONE,
            version: 0,
            ..sample()
        };
        assert_eq!(read(old), Ok(expected));
        let null = b"\0\0\0\0\0\0\0\0\0\x05\0\x03\0\0\xea\x60\0\xff\xff\xff\xff\
            \0\0\0\0\0\0\0\x07\xff\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(read(null).unwrap().state, State::Empty);
    }

    #[test]
    fn what_is_none_is_refused() {
        for cut in 0..GOLDEN.len() {
            assert!(read(&GOLDEN[..cut]).is_err(), "{cut}");
        }
        let mut dead = GOLDEN.to_vec();
        dead[16] = 6;
        assert_eq!(read(&dead), Err(FormatError::State(6)));
        assert_eq!(read(b"\0\x02"), Err(FormatError::Version(2)));
        assert_eq!(read_key(b"\0\x01\0\0"), Err(FormatError::Version(1)));
    }
}
