//! Checkpoint files, in the text format of Apache Kafka's `CheckpointFile`:
//!
//! ```text
//! 0              version
//! 2              how many entries follow
//! events 0 17    OffsetCheckpointFile: topic, partition, offset
//! events 1 4     (leader-epoch-checkpoint: leader epoch, start offset)
//! ```
use std::collections::HashMap;
use std::fmt::Write;
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

/// Reads the lines after the two of the head.
pub(crate) fn read_lines(
    files: &Files,
    path: &Path,
) -> Result<Checkpoint<Vec<String>>, StorageError> {
    let Some(bytes) = files.read(path)? else {
        return Ok(Checkpoint::Absent);
    };
    let lines = String::from_utf8(bytes).ok().and_then(|text| {
        let mut lines = text.lines();
        let version = lines.next()?;
        let count: usize = lines.next()?.parse().ok()?;
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        (version == "0" && lines.len() == count).then_some(lines)
    });
    Ok(lines.map_or(Checkpoint::Damaged, Checkpoint::Entries))
}

/// Replaces a checkpoint file, durably.
pub(crate) fn write_lines(
    files: &Files,
    path: &Path,
    lines: impl ExactSizeIterator<Item = String>,
) -> Result<(), StorageError> {
    let mut text = String::from("0\n");
    writeln!(text, "{}", lines.len()).expect("a String takes everything");
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    files.replace(path, text.as_bytes())
}

/// Reads an offset per partition.
pub(crate) fn read_offsets(
    files: &Files,
    path: &Path,
) -> Result<Checkpoint<HashMap<PartitionKey, i64>>, StorageError> {
    Ok(match read_lines(files, path)? {
        Checkpoint::Absent => Checkpoint::Absent,
        Checkpoint::Damaged => Checkpoint::Damaged,
        Checkpoint::Entries(lines) => lines
            .iter()
            .map(|line| parse_offset(line))
            .collect::<Option<HashMap<_, _>>>()
            .map_or(Checkpoint::Damaged, Checkpoint::Entries),
    })
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
    write_lines(
        files,
        path,
        offsets
            .iter()
            .map(|((topic, partition), offset)| format!("{topic} {partition} {offset}")),
    )
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
        assert_eq!(text, "0\n2\na.b 0 17\nc 3 1099511627776\n");
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
}
