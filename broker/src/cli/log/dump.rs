//! `klamm log dump`: prints what is in one file of a log.
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use protocol::record::{BatchHeader, TimestampType, decompress, records};
use serde_json::{Map, Value, json};

use super::entries;
use super::segment::{Batch, Batches};
use crate::cli::exit::Usage;
use crate::cli::json;
use crate::cli::table::Table;

/// Most bytes that one batch may have once it is decompressed.
const MAX_BATCH_BYTES: usize = 1 << 28;

/// Prints the file.
pub(super) fn run(file: &Path, with_records: bool, json: bool) -> Result<()> {
    let read = || std::fs::read(file).with_context(|| file.display().to_string());
    let table = match file.extension().and_then(|kind| kind.to_str()) {
        Some("log") => return log(file, with_records, json),
        Some("index") => offset_index(&read()?, base_offset(file)?),
        Some("timeindex") => time_index(&read()?, base_offset(file)?),
        Some("txnindex") => transaction_index(&read()?),
        Some("snapshot") => {
            snapshot(&read()?).with_context(|| format!("{} is damaged", file.display()))?
        }
        _ => {
            let hint = format!(
                "{}: expected a .log, .index, .timeindex, .txnindex or .snapshot file",
                file.display()
            );
            return Err(Usage(hint).into());
        }
    };
    Ok(table.print(json)?)
}

/// The offset that the file's name says.
pub(super) fn base_offset(file: &Path) -> Result<i64> {
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let offset = stem.parse().ok().filter(|offset| *offset >= 0);
    offset.with_context(|| format!("{} is not named after an offset", file.display()))
}

fn log(file: &Path, with_records: bool, json: bool) -> Result<()> {
    let mut batches = Batches::open(file).with_context(|| file.display().to_string())?;
    let mut out = BufWriter::new(std::io::stdout());
    let mut damaged = 0;
    for batch in &mut batches {
        match batch {
            Ok(batch) => {
                print_batch(&mut out, &batch, json)?;
                if with_records {
                    print_records(&mut out, &batch, json)?;
                }
            }
            Err(damage) if json => {
                damaged += 1;
                let line = json!({"position": damage.position, "damage": damage.what});
                writeln!(out, "{line}")?;
            }
            Err(damage) => {
                damaged += 1;
                writeln!(out, "DAMAGED {damage}")?;
            }
        }
    }
    let reserved = batches.reserved();
    if reserved > 0 && !json {
        writeln!(out, "{reserved} bytes reserved at the end")?;
    }
    out.flush()?;
    if damaged > 0 {
        bail!("{}: {damaged} damaged batches", file.display());
    }
    Ok(())
}

fn print_batch(out: &mut impl Write, batch: &Batch, json: bool) -> std::io::Result<()> {
    let Batch {
        position,
        header,
        bytes,
    } = batch;
    let compression = header.attributes.compression().map_or_else(
        |error| error.to_string(),
        |codec| format!("{codec:?}").to_lowercase(),
    );
    let append_time = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    if json {
        let line = json!({
            "position": position,
            "size": bytes.len(),
            "base_offset": header.base_offset,
            "last_offset": header.last_offset(),
            "records": header.records_count,
            "leader_epoch": header.leader_epoch,
            "base_timestamp": header.base_timestamp,
            "max_timestamp": header.max_timestamp,
            "append_time": append_time,
            "compression": compression,
            "producer_id": header.producer_id,
            "producer_epoch": header.producer_epoch,
            "base_sequence": header.base_sequence,
            "transactional": header.attributes.is_transactional(),
            "control": header.attributes.is_control(),
            "crc": header.crc,
        });
        return writeln!(out, "{line}");
    }
    write!(
        out,
        "offsets {}..{} position {position} size {} records {} leader-epoch {} timestamps {}..{} \
         compression {compression}",
        header.base_offset,
        header.last_offset(),
        bytes.len(),
        header.records_count,
        header.leader_epoch,
        header.base_timestamp,
        header.max_timestamp,
    )?;
    if header.producer_id >= 0 {
        let BatchHeader {
            producer_id,
            producer_epoch,
            base_sequence,
            ..
        } = header;
        write!(
            out,
            " producer {producer_id} epoch {producer_epoch} sequence {base_sequence}"
        )?;
    }
    for (holds, word) in [
        (append_time, " append-time"),
        (header.attributes.is_transactional(), " transactional"),
        (header.attributes.is_control(), " control"),
    ] {
        if holds {
            out.write_all(word.as_bytes())?;
        }
    }
    writeln!(out)
}

fn print_records(out: &mut impl Write, batch: &Batch, json: bool) -> Result<()> {
    let header = &batch.header;
    let body = decompress(header, &batch.bytes, MAX_BATCH_BYTES)?;
    for record in records(header, &body) {
        let record = record?;
        let mut object = Map::new();
        let offset = header.base_offset + i64::from(record.offset_delta);
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        object.insert("offset".to_owned(), offset.into());
        object.insert("timestamp".to_owned(), timestamp.into());
        json::put(&mut object, "key", record.key);
        json::put(&mut object, "value", record.value);
        let headers = record.headers().map(|header| {
            let mut object = Map::new();
            json::put(&mut object, "key", Some(header.key));
            json::put(&mut object, "value", header.value);
            Value::Object(object)
        });
        object.insert("headers".to_owned(), headers.collect());
        let indent = if json { "" } else { "  " };
        writeln!(out, "{indent}{}", Value::Object(object))?;
    }
    Ok(())
}

fn offset_index(bytes: &[u8], base_offset: i64) -> Table {
    let mut table = Table::new(&["offset", "position"]);
    for entry in entries::offset_index(bytes, base_offset) {
        table.row(vec![entry.offset.into(), entry.position.into()]);
    }
    table
}

fn time_index(bytes: &[u8], base_offset: i64) -> Table {
    let mut table = Table::new(&["timestamp", "offset"]);
    for entry in entries::time_index(bytes, base_offset) {
        table.row(vec![entry.timestamp_ms.into(), entry.offset.into()]);
    }
    table
}

fn transaction_index(bytes: &[u8]) -> Table {
    let columns = &[
        "producer_id",
        "first_offset",
        "last_offset",
        "last_stable_offset",
    ];
    let mut table = Table::new(columns);
    for entry in entries::transaction_index(bytes) {
        let cells = [
            entry.producer_id,
            entry.first_offset,
            entry.last_offset,
            entry.last_stable_offset,
        ];
        table.row(cells.map(Value::from).into());
    }
    table
}

fn snapshot(bytes: &[u8]) -> Option<Table> {
    let mut table = Table::new(&[
        "producer_id",
        "epoch",
        "last_sequence",
        "last_offset",
        "timestamp",
        "transaction_first_offset",
    ]);
    for entry in entries::snapshot(bytes)? {
        table.row(vec![
            entry.producer_id.into(),
            entry.epoch.into(),
            entry.last_sequence.into(),
            entry.last_offset.into(),
            entry.timestamp_ms.into(),
            entry.transaction_first_offset.into(),
        ]);
    }
    Some(table)
}
