//! Events as text (HTML Living Standard, 9.2 Server-sent events).
use std::io::Write;

use serde_json::json;

use super::event_id::EventId;
use crate::http::problem::Problem;
use crate::http::routes::row_text;

/// How long a client waits before it comes back, ms; it goes first.
pub(super) const GREETING: &str = "retry: 1000\n\n";
/// Says nothing, but keeps what stands between the two from closing the connection.
pub(super) const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// A row, written or gone.
pub(super) fn row(
    out: &mut Vec<u8>,
    id: Option<&EventId>,
    key: &[u8],
    value: Option<&[u8]>,
    timestamp: i64,
) {
    if let Some(id) = id {
        writeln!(out, "id: {id}").expect("writing to memory does not fail");
    }
    out.extend_from_slice(b"event: row\ndata: ");
    let start = out.len();
    row_text::write(out, key, value, timestamp);
    // In JSON a line can only end between two words, where a space says the same.
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
}

/// All rows of the snapshot have come.
pub(super) fn snapshot_end(out: &mut Vec<u8>, id: &EventId) {
    write!(out, "id: {id}\nevent: snapshot_end\ndata: {{}}\n\n")
        .expect("writing to memory does not fail");
}

/// What came before is void: a snapshot follows.
pub(super) fn restart(out: &mut Vec<u8>, reason: &str) {
    let data = json!({ "reason": reason });
    write!(out, "event: restart\ndata: {data}\n\n").expect("writing to memory does not fail");
}

/// The stream ends here.
pub(super) fn error(out: &mut Vec<u8>, problem: &Problem) {
    let data = json!({"error_code": problem.status.as_u16(), "message": problem.message});
    write!(out, "event: error\ndata: {data}\n\n").expect("writing to memory does not fail");
}
