//! `klamm log check`: reads everything of one or many partitions and says what is wrong.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use protocol::record::{RecordError, decompress, records};
use serde_json::json;

use super::dump::base_offset;
use super::entries;
use super::segment::{Batch, Batches};
use crate::cli::table::Table;

/// Most bytes that one batch may have once it is decompressed.
const MAX_BATCH_BYTES: usize = 1 << 28;
/// Most problems that are told of one partition.
const MAX_PROBLEMS: usize = 100;

/// What was found in a partition.
#[derive(Debug, Default)]
struct Report {
    segments: u64,
    batches: u64,
    records: u64,
    bytes: u64,
    first_offset: Option<i64>,
    next_offset: i64,
    problems: Vec<String>,
}

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

/// The segment files of a directory in order.
fn segments(directory: &Path) -> Result<BTreeMap<i64, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "log")
            && let Ok(base_offset) = base_offset(&path)
        {
            found.insert(base_offset, path);
        }
    }
    Ok(found)
}

fn check(partition: &Path) -> Result<Report> {
    let mut report = Report::default();
    for (base_offset, path) in segments(partition)? {
        report.segments += 1;
        let first_problem = report.problems.len();
        check_segment(base_offset, &path, &mut report)
            .with_context(|| path.display().to_string())?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        for problem in &mut report.problems[first_problem..] {
            problem.insert_str(0, &format!("{file}: "));
        }
    }
    report.problems.truncate(MAX_PROBLEMS);
    Ok(report)
}

/// What the indexes of a segment are compared with.
#[derive(Debug)]
struct Extent {
    base_offset: i64,
    /// Base offset of the batch at each position.
    positions: BTreeMap<u64, i64>,
    last_offset: i64,
    max_timestamp_ms: i64,
}

fn check_segment(base_offset: i64, path: &Path, report: &mut Report) -> Result<()> {
    let mut extent = Extent {
        base_offset,
        positions: BTreeMap::new(),
        last_offset: base_offset - 1,
        max_timestamp_ms: -1,
    };
    let mut lowest = base_offset.max(report.next_offset);
    if base_offset < report.next_offset {
        let next = report.next_offset;
        report.problems.push(format!(
            "begins before offset {next}, where the last one ends"
        ));
    }
    let mut batches = Batches::open(path)?;
    for batch in &mut batches {
        let batch = match batch {
            Ok(batch) => batch,
            Err(damage) => {
                report.problems.push(damage.to_string());
                continue;
            }
        };
        let header = &batch.header;
        if header.base_offset < lowest {
            let (position, offset) = (batch.position, header.base_offset);
            report.problems.push(format!(
                "position {position}: offset {offset} after {lowest} was due"
            ));
        }
        match check_records(&batch) {
            Ok(count) => report.records += count,
            Err(error) => report
                .problems
                .push(format!("position {}: {error}", batch.position)),
        }
        lowest = header.last_offset() + 1;
        report.batches += 1;
        report.bytes += batch.bytes.len() as u64;
        report.first_offset.get_or_insert(header.base_offset);
        extent.positions.insert(batch.position, header.base_offset);
        extent.last_offset = header.last_offset();
        extent.max_timestamp_ms = extent.max_timestamp_ms.max(header.max_timestamp);
    }
    report.next_offset = report.next_offset.max(lowest);
    check_indexes(path, &extent, report)
}

/// Walks the records of a batch and counts them. Offsets may have gaps: compaction leaves them.
fn check_records(batch: &Batch) -> Result<u64, RecordError> {
    let header = &batch.header;
    let body = decompress(header, &batch.bytes, MAX_BATCH_BYTES)?;
    let (mut count, mut last) = (0, -1);
    for record in records(header, &body) {
        let delta = record?.offset_delta;
        if delta <= last || delta > header.last_offset_delta {
            return Err(RecordError::BadHeader(
                "the records' offsets do not rise within the batch",
            ));
        }
        last = delta;
        count += 1;
    }
    Ok(count)
}

/// An index may lack entries, and may be missing: it is made again from the batches. What it has
/// must be true.
fn check_indexes(path: &Path, extent: &Extent, report: &mut Report) -> Result<()> {
    let range = extent.base_offset..=extent.last_offset;
    if let Some(bytes) = read(&path.with_extension("index"))? {
        let index = entries::offset_index(&bytes, extent.base_offset);
        let rises = index.is_sorted_by(|a, b| a.offset < b.offset && a.position < b.position);
        let wrong = index.iter().find(|entry| {
            let batch = extent.positions.get(&entry.position);
            !range.contains(&entry.offset) || batch.is_none_or(|base| *base > entry.offset)
        });
        if let Some(entry) = wrong {
            report.problems.push(format!(
                "offset index: no batch with offset {} at position {}",
                entry.offset, entry.position
            ));
        } else if !rises {
            report
                .problems
                .push("offset index: entries do not rise".to_owned());
        }
    }
    if let Some(bytes) = read(&path.with_extension("timeindex"))? {
        let index = entries::time_index(&bytes, extent.base_offset);
        let rises =
            index.is_sorted_by(|a, b| a.timestamp_ms <= b.timestamp_ms && a.offset <= b.offset);
        let wrong = index.iter().find(|entry| {
            !range.contains(&entry.offset) || entry.timestamp_ms > extent.max_timestamp_ms
        });
        if let Some(entry) = wrong {
            report.problems.push(format!(
                "time index: timestamp {} at offset {} is not of this segment",
                entry.timestamp_ms, entry.offset
            ));
        } else if !rises {
            report
                .problems
                .push("time index: entries do not rise".to_owned());
        }
    }
    Ok(())
}

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
