//! What a log was found to hold.
use bytes::Bytes;
use protocol::record::{BatchHeader, HEADER_LEN, records, verify};
use storage::Log;

use crate::check::{Broken, told};

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// A batch that was found.
#[derive(Debug, Clone)]
pub struct FoundBatch {
    pub header: BatchHeader,
    pub records: Vec<FoundRecord>,
}

/// Reads a log from its start to `end`, and verifies every checksum.
pub fn read_all(log: &Log, end: i64) -> Result<Vec<FoundBatch>, Broken> {
    let mut found = Vec::new();
    let mut next = log.start_offset();
    while next < end {
        let read = told("read", log.read(next, end, 1 << 20, true))?;
        if read.records.is_empty() {
            return Err(format!("nothing at {next} of {end}"));
        }
        let mut rest = read.records;
        while !rest.is_empty() {
            let header = told("batch", verify(&rest))?;
            let batch = rest.split_to(header.size());
            if header.last_offset() < next {
                return Err(format!("offsets fall at {next}"));
            }
            next = header.last_offset() + 1;
            let records = read_batch(&header, &batch)?;
            found.push(FoundBatch { header, records });
        }
    }
    Ok(found)
}

fn read_batch(header: &BatchHeader, batch: &Bytes) -> Result<Vec<FoundRecord>, Broken> {
    let mut found = Vec::new();
    for record in records(header, &batch[HEADER_LEN..]) {
        let record = told("record", record)?;
        found.push(FoundRecord {
            offset: header.base_offset + i64::from(record.offset_delta),
            timestamp: header.base_timestamp + record.timestamp_delta,
            key: batch.slice_ref(record.key.unwrap_or_default()),
            value: record.value.map(|value| batch.slice_ref(value)),
        });
    }
    if found.len() as i64 != i64::from(header.records_count) {
        return Err(format!("{} records in {header:?}", found.len()));
    }
    Ok(found)
}
