//! A row as JSON text: key and value with the bytes that they have in the topic.
use std::io::Write;

use projection::Row;

/// Appends `{"key":…,"value":…,"timestamp":…}`; without a value the row is gone.
pub(super) fn write(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>, timestamp: i64) {
    out.extend_from_slice(b"{\"key\":");
    out.extend_from_slice(key);
    out.extend_from_slice(b",\"value\":");
    out.extend_from_slice(value.unwrap_or(b"null"));
    write!(out, ",\"timestamp\":{timestamp}}}").expect("writing to memory does not fail");
}

/// The text of a page of rows.
pub(super) fn page(rows: &[Row], cursor: Option<&str>) -> Vec<u8> {
    let mut out = b"{\"rows\":[".to_vec();
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(&mut out, &row.key, Some(&row.value), row.timestamp);
    }
    out.extend_from_slice(b"],\"cursor\":");
    // A cursor has characters of base64 only.
    match cursor {
        Some(cursor) => write!(out, "\"{cursor}\"").expect("writing to memory does not fail"),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    out
}
