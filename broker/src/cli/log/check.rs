//! `klamm log check`: reads everything of one or many partitions and says what is wrong.
//!
//! | what | must hold |
//! |---|---|
//! | batches | checksums are right; offsets and leader epochs rise; records are whole |
//! | `.index`, `.timeindex` | what an entry says is true of the batches |
//! | `.snapshot` | its checksum is right; no producer is further in the log below it |
//! | `leader-epoch-checkpoint` | epochs and offsets rise, and batches carry the epoch of their place |
//! | the checkpoints of the data directory | lie within the logs; after a clean stop, at their ends |
//! | names | after a clean stop, no file is left half-way |
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::cli::table::Table;
use partition::{check, segments};

mod checkpoints;
mod indexes;
mod partition;
mod producers;

/// Checks the directory and fails when anything is damaged.
pub(super) fn run(directory: &Path, json: bool) -> Result<()> {
    let columns = &[
        "partition",
        "segments",
        "batches",
        "records",
        "bytes",
        "start_offset",
        "end_offset",
    ];
    let mut table = Table::new(columns);
    let mut damaged = 0;
    let partitions = partitions(directory)?;
    for partition in &partitions {
        let report = check(partition)?;
        let name = partition
            .file_name()
            .unwrap_or(partition.as_os_str())
            .to_string_lossy();
        table.row(vec![
            name.as_ref().into(),
            report.segments.into(),
            report.batches.into(),
            report.records.into(),
            report.bytes.into(),
            json!(report.first_offset),
            report.next_offset.into(),
        ]);
        damaged += usize::from(!report.problems.is_empty());
        for problem in &report.problems {
            eprintln!("{name}: {problem}");
        }
    }
    table.print(json)?;
    if damaged > 0 {
        bail!("{damaged} of {} partitions are damaged", partitions.len());
    }
    Ok(())
}

/// The directories to check: this one if it holds segments, else those in it that do.
fn partitions(directory: &Path) -> Result<Vec<PathBuf>> {
    if !segments(directory)?.is_empty() {
        return Ok(vec![directory.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() && !segments(&path)?.is_empty() {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        bail!("{} holds no logs", directory.display());
    }
    Ok(found)
}

/// The content of a file, if it is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

#[cfg(test)]
#[path = "check_test.rs"]
mod tests;
