//! Checkpoint files, in the text format of Apache Kafka's `CheckpointFile`:
//!
//! ```text
//! 0              version
//! 2              how many entries follow
//! events 0 17    OffsetCheckpointFile: topic, partition, offset
//! events 1 4     (leader-epoch-checkpoint: leader epoch, start offset)
//! ```
//!
//! What one wrong digit in an offset checkpoint says would be done: segments deleted. So the last line
//! of one ends with a checksum, where Apache Kafka sees nothing but white space: the bits of the CRC-32C
//! of all before it, the highest first, a tab for each that is set and a space for each other one.
//! Files without it, as Kafka writes them, are believed.
use std::collections::HashMap;
use std::path::Path;

use crate::StorageError;
use crate::files::Files;

/// Topic and partition.
pub(crate) type PartitionKey = (String, i32);

/// What a checkpoint file told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checkpoint<T> {
    /// There is none.
    Absent,
    /// It is there and cannot be read.
    Damaged,
    /// Its entries.
    Entries(T),
}

impl<T: Default> Checkpoint<T> {
    /// Its entries, none if there are none to be read.
    pub(crate) fn entries(self) -> T {
        match self {
            Self::Entries(entries) => entries,
            Self::Absent | Self::Damaged => T::default(),
        }
    }
}

/// Reads the lines after the two of the head.
pub(crate) fn read_lines(
    files: &Files,
    path: &Path,
) -> Result<Checkpoint<Vec<String>>, StorageError> {
    let Some(bytes) = files.read(path)? else {
        return Ok(Checkpoint::Absent);
    };
    let text = std::str::from_utf8(&bytes).ok();
    let lines = text.and_then(|text| {
        let lines = lines_of(text)?;
        Some(lines.map(str::to_owned).collect())
    });
    Ok(lines.map_or(Checkpoint::Damaged, Checkpoint::Entries))
}

/// The lines after the two of the head; `None` if there are not as many as that tells.
fn lines_of(text: &str) -> Option<std::str::Lines<'_>> {
    let mut lines = text.lines();
    let version = lines.next()?;
    let count: usize = lines.next()?.parse().ok()?;
    (version == "0" && lines.clone().count() == count).then_some(lines)
}

/// Replaces a checkpoint file, durably.
pub(crate) fn write_lines(
    files: &Files,
    path: &Path,
    lines: impl ExactSizeIterator<Item = String>,
) -> Result<(), StorageError> {
    let mut text = text_of(lines);
    text.push('\n');
    files.replace(path, text.as_bytes())
}

/// The content of a file, but for the end of the last line.
fn text_of(lines: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = format!("0\n{}", lines.len());
    for line in lines {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

/// Reads an offset per partition.
pub(crate) fn read_offsets(
    files: &Files,
    path: &Path,
) -> Result<Checkpoint<HashMap<PartitionKey, i64>>, StorageError> {
    let Some(bytes) = files.read(path)? else {
        return Ok(Checkpoint::Absent);
    };
    let offsets = unsealed(&bytes).and_then(|text| lines_of(text)?.map(parse_offset).collect());
    Ok(offsets.map_or(Checkpoint::Damaged, Checkpoint::Entries))
}

/// The text of an offset checkpoint without its checksum; `None` if that does not hold.
fn unsealed(content: &[u8]) -> Option<&str> {
    let sealed = std::str::from_utf8(content).ok()?.strip_suffix('\n')?;
    let text = sealed.trim_end_matches([' ', '\t']);
    let found = &sealed[text.len()..];
    let is_kafkas = found.is_empty() && !text.ends_with(char::is_whitespace);
    (is_kafkas || found == seal(text)).then_some(text)
}

fn seal(text: &str) -> String {
    let crc = crc32c::crc32c(text.as_bytes());
    let is_set = |bit: u32| crc >> bit & 1 == 1;
    (0..u32::BITS)
        .rev()
        .map(|bit| if is_set(bit) { '\t' } else { ' ' })
        .collect()
}

fn parse_offset(line: &str) -> Option<(PartitionKey, i64)> {
    let mut words = line.split_whitespace();
    let topic = words.next()?.to_owned();
    let partition = words.next()?.parse().ok()?;
    let offset = words.next()?.parse().ok()?;
    words
        .next()
        .is_none()
        .then_some(((topic, partition), offset))
}

/// Replaces the file with an offset per partition, durably.
pub(crate) fn write_offsets(
    files: &Files,
    path: &Path,
    offsets: &[(PartitionKey, i64)],
) -> Result<(), StorageError> {
    let line = |((topic, partition), offset): &(PartitionKey, i64)| {
        format!("{topic} {partition} {offset}")
    };
    let mut text = text_of(offsets.iter().map(line));
    if !offsets.is_empty() {
        text.push_str(&seal(&text));
    }
    text.push('\n');
    files.replace(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_come_back_and_damage_is_told_from_absence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recovery-point-offset-checkpoint");
        assert_eq!(
            read_offsets(&Files::real(), &path).unwrap(),
            Checkpoint::Absent
        );
        let offsets = [(("a.b".to_owned(), 0), 17), (("c".to_owned(), 3), 1 << 40)];
        write_offsets(&Files::real(), &path, &offsets).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = "0\n2\na.b 0 17\nc 3 1099511627776";
        assert_eq!(text.trim_end(), expected);
        let words = text.split_whitespace();
        assert!(words.eq(expected.split_whitespace()), "as Kafka reads it");
        let expected = Checkpoint::Entries(offsets.into_iter().collect());
        assert_eq!(read_offsets(&Files::real(), &path).unwrap(), expected);
        for bad in [
            "",
            "1\n0\n",
            "0\n2\na 0 1\n",
            "0\n1\na 0 x\n",
            "0\n1\na 0 1 2\n",
        ] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(
                read_offsets(&Files::real(), &path).unwrap(),
                Checkpoint::Damaged,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_kafkas_files_are_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log-start-offset-checkpoint");
        let read = || read_offsets(&Files::real(), &path).unwrap();
        let offsets = [(("a".to_owned(), 0), 16), (("b".to_owned(), 3), 11)];
        write_offsets(&Files::real(), &path, &offsets).unwrap();
        let expected = Checkpoint::Entries(offsets.into_iter().collect());
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bad = whole.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bad).unwrap();
            assert_eq!(read(), Checkpoint::Damaged, "bit {bit}");
        }
        std::fs::write(&path, "0\n2\na 0 16\nb 3 11\n").unwrap();
        assert_eq!(read(), expected);
    }
}
