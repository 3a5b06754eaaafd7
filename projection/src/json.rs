//! The bytes of keys and values: canonical JSON, columns in the order of their declaration.
use serde::Serialize;

/// Writes an object of columns.
pub(crate) fn write(columns: &impl Serialize, to: &mut Vec<u8>) {
    serde_json::to_writer(to, columns).expect("columns are plain values, and memory does not fail");
}

/// A row's value: the columns of its key, then its own.
pub(crate) fn value(key: &[u8], row: &impl Serialize) -> Vec<u8> {
    let mut value = Vec::with_capacity(key.len() + 64);
    value.extend_from_slice(key.strip_suffix(b"}").unwrap_or(key));
    let at = value.len();
    write(row, &mut value);
    if at > 1 {
        value[at] = b',';
    } else {
        value.remove(at);
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_columns_of_the_key_come_first() {
        let row = json!({"count": 1});
        assert_eq!(
            super::value(br#"{"a":"b"}"#, &row),
            br#"{"a":"b","count":1}"#
        );
        assert_eq!(super::value(b"{}", &row), br#"{"count":1}"#);
    }
}
