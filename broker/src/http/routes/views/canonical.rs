//! JSON as views write it: no spaces, the order of the columns as given, numbers as given.
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The canonical text; `None` if it is no JSON.
pub(super) fn text(json: &str) -> Option<String> {
    let mut out = String::with_capacity(json.len());
    write(serde_json::from_str(json).ok()?, &mut out).ok()?;
    Some(out)
}

/// Depth is bounded by the reader of `json`, which refuses what is nested too deep.
fn write(json: &RawValue, out: &mut String) -> serde_json::Result<()> {
    let text = json.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let Columns(columns) = serde_json::from_str(text)?;
            out.push('{');
            for (index, (name, value)) in columns.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(name)?);
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let Items(items) = serde_json::from_str(text)?;
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Some(b'"') => {
            let value: String = serde_json::from_str(text)?;
            out.push_str(&serde_json::to_string(&value)?);
        }
        _ => out.push_str(text),
    }
    Ok(())
}

/// An object in the order of its text.
struct Columns<'a>(Vec<(String, &'a RawValue)>);

/// An array.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Columns<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Columns<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_go_and_order_stays() {
        let given = " { \"user_id\" : \"\\u0061\\n\" , \"n\": 1.50 ,\"b\" : [ 1 , null ] } ";
        let canonical = r#"{"user_id":"a\n","n":1.50,"b":[1,null]}"#;
        assert_eq!(text(given).as_deref(), Some(canonical));
        assert_eq!(text(canonical).as_deref(), Some(canonical));
        for bad in ["", "{", "u1", "{} {}", &"[".repeat(100_000)] {
            assert_eq!(text(bad), None);
        }
    }
}
