//! Bytes as JSON.
use serde_json::{Map, Value};

/// Puts bytes under `name` as text. Bytes that are no UTF-8 go under `name_hex`, in hexadecimal.
pub(super) fn put(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), text.into()),
        Some(Err(_)) => object.insert(format!("{name}_hex"), hex(bytes.unwrap_or_default()).into()),
    };
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_readable_and_nothing_is_lost() {
        let mut object = Map::new();
        put(&mut object, "key", None);
        put(&mut object, "value", Some(b"a\"b"));
        put(&mut object, "raw", Some(&[0xff, 0x01]));
        let text = Value::Object(object).to_string();
        assert_eq!(text, r#"{"key":null,"raw_hex":"ff01","value":"a\"b"}"#);
    }
}
