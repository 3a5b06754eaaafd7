//! The event in a record: the envelope that every view relies on, and the data of some.
use std::borrow::Cow;
use std::ops::Range;

use crate::leaf::{Leaf, bad_json, scan};
use crate::{Reason, Rejection, event_time};

/// The fields that are read, each with its aliases; the index of each is the constant below it.
const ENVELOPE: [(&str, &[&str]); 5] = [
    ("event_id", &[]),
    ("aggregate_id", &["user_id"]),
    ("event_type", &["type"]),
    ("timestamp", &["ts", "event_timestamp"]),
    ("data", &["payload"]),
];
const EVENT_ID: usize = 0;
const AGGREGATE_ID: usize = 1;
const EVENT_TYPE: usize = 2;
const TIMESTAMP: usize = 3;
const DATA: usize = 4;

/// Longest event id, bytes.
const MAX_EVENT_ID_BYTES: usize = 255;

/// An event, read from a record's value.
#[derive(Debug)]
pub struct Event<'a> {
    /// Identifies the event: two records with the same id are the same event.
    pub event_id: Cow<'a, str>,
    /// What it is about.
    pub aggregate_id: Cow<'a, str>,
    /// What happened.
    pub event_type: Cow<'a, str>,
    /// When, epoch ms, within the years 0 to 9999.
    pub timestamp: i64,
    data: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// The values of some fields of the event's data, in the order of `names`; `MISSING_FIELD`
    /// without data, `BAD_TYPE` when they are no object.
    pub fn data<const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<[Leaf<'static, 'a>; N], Rejection> {
        Leaf::new("data", self.data).members(names)
    }
}

/// The names under which a topic's events have their fields.
#[derive(Debug)]
pub(crate) struct Names {
    /// Field by field, the canonical name first: earlier ones win over later ones.
    all: Vec<String>,
    fields: [Range<usize>; ENVELOPE.len()],
    /// Indexes into `all` by the length of the name.
    by_length: Vec<Vec<usize>>,
}

impl Names {
    /// With further aliases, (field, alias). An alias of a field that is not there, or one that is
    /// a name already, has no effect.
    pub(crate) fn new(aliases: &[(String, String)]) -> Self {
        let mut names: Vec<String> = Vec::new();
        let reserved: Vec<&str> = ENVELOPE.iter().map(|(field, _)| *field).collect();
        let fields = ENVELOPE.map(|(field, built_in)| {
            let start = names.len();
            names.push(field.to_owned());
            let further = aliases.iter().filter(|(of, _)| of == field);
            let further = further.map(|(_, alias)| alias.as_str());
            for alias in built_in.iter().copied().chain(further) {
                if !reserved.contains(&alias) && !names.iter().any(|name| name == alias) {
                    names.push(alias.to_owned());
                }
            }
            start..names.len()
        });
        let longest = names.iter().map(String::len).max().unwrap_or(0);
        let mut by_length = vec![Vec::new(); longest + 1];
        for (index, name) in names.iter().enumerate() {
            by_length[name.len()].push(index);
        }
        Self {
            all: names,
            fields,
            by_length,
        }
    }

    fn slot(&self, name: &str) -> Option<usize> {
        let mut candidates = self.by_length.get(name.len())?.iter().copied();
        candidates.find(|index| self.all[*index] == name)
    }

    /// The event in a record's value.
    pub(crate) fn decode<'a>(&self, value: Option<&'a [u8]>) -> Result<Event<'a>, Rejection> {
        let no_object = |what| Rejection::new(Reason::NotObject, format_args!("{what}"));
        let value = value.ok_or_else(|| no_object("no value"))?;
        let text = std::str::from_utf8(value).map_err(|error| bad_json(&error))?;
        let text = text.trim_start_matches([' ', '\t', '\n', '\r']);
        if !text.starts_with('{') {
            serde_json::from_str::<serde::de::IgnoredAny>(text)
                .map_err(|error| bad_json(&error))?;
            return Err(no_object("JSON, but no object"));
        }
        let mut found = vec![None; self.all.len()];
        scan(text, &|name| self.slot(name), &mut found).map_err(|error| bad_json(&error))?;
        let pick = |field: usize| self.pick(field, &found);
        Ok(Event {
            event_id: event_id(pick(EVENT_ID))?,
            aggregate_id: pick(AGGREGATE_ID).string()?,
            event_type: pick(EVENT_TYPE).string()?,
            timestamp: timestamp(pick(TIMESTAMP))?,
            data: pick(DATA).json().ok(),
        })
    }

    /// The value under the first name of a field that has one.
    fn pick<'n, 'a>(&'n self, field: usize, found: &[Option<&'a str>]) -> Leaf<'n, 'a> {
        let names = self.fields[field].clone();
        let mut leaves = names.map(|index| Leaf::new(&self.all[index], found[index]));
        let canonical = Leaf::new(ENVELOPE[field].0, None);
        leaves.find(|leaf| !leaf.is_absent()).unwrap_or(canonical)
    }
}

fn event_id<'a>(leaf: Leaf<'_, 'a>) -> Result<Cow<'a, str>, Rejection> {
    let id = leaf.string()?;
    if id.len() > MAX_EVENT_ID_BYTES {
        return Err(leaf.rejected(Reason::BadType, "a string of at most 255 bytes"));
    }
    Ok(id)
}

fn timestamp(leaf: Leaf<'_, '_>) -> Result<i64, Rejection> {
    let text = leaf.json()?;
    let time = if text.starts_with('"') {
        event_time::from_text(&leaf.string()?)
    } else {
        event_time::from_number(text)
    };
    time.ok_or_else(|| leaf.rejected(Reason::BadTimestamp, "epoch milliseconds or RFC 3339"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"{"event_id":"e1","aggregate_id":"u1","event_type":"login","timestamp":5}"#;

    fn decode(value: &str) -> Result<Event<'_>, Rejection> {
        Names::new(&[]).decode(Some(value.as_bytes()))
    }

    fn reason(value: &[u8]) -> Reason {
        Names::new(&[]).decode(Some(value)).unwrap_err().reason
    }

    #[test]
    fn canonical_names_win_over_aliases_and_null_is_absent() {
        let event = decode(
            r#" {"user_id":"b","ts":1,"type":"x","event_timestamp":2,"event_id":"e\u0031",
                 "aggregate_id":"a","event_type":null,"extra":{"event_id":[]},
                 "payload":{"a":1},"aggregate_id":"c"} "#,
        );
        let event = event.unwrap();
        assert_eq!((&*event.event_id, &*event.aggregate_id), ("e1", "c"));
        assert_eq!((&*event.event_type, event.timestamp), ("x", 1));
        let [a, b] = event.data(["a", "b"]).unwrap();
        assert_eq!(a.amount().unwrap().to_string(), "1");
        assert!(b.is_absent());
        let twice = r#"{"aggregate_id":"a","aggregate_id":null,"user_id":"b","event_id":7,
                        "event_id":"e","type":"t","ts":"2023-03-28T10:40:00Z"}"#;
        let event = decode(twice).unwrap();
        assert_eq!(
            (&*event.aggregate_id, event.timestamp),
            ("b", 1_680_000_000_000)
        );
    }

    #[test]
    fn a_topic_may_have_aliases_of_its_own() {
        let alias = |field: &str, alias: &str| (field.to_owned(), alias.to_owned());
        let aliases = [
            alias("event_id", "uuid"),
            alias("timestamp", "event_type"),
            alias("nothing", "at_all"),
        ];
        let value = r#"{"uuid":"1","user_id":"u","event_type":"t","ts":1}"#;
        let event = Names::new(&aliases);
        let event = event.decode(Some(value.as_bytes())).unwrap();
        assert_eq!((&*event.event_id, &*event.event_type), ("1", "t"));
    }

    #[test]
    fn each_way_to_be_no_event_has_its_reason() {
        let with = |from: &str, to: &str| reason(GOOD.replace(from, to).as_bytes());
        assert!(decode(GOOD).is_ok());
        assert_eq!(reason(b"not json"), Reason::BadJson);
        assert_eq!(reason(b""), Reason::BadJson);
        assert_eq!(reason(b"\xff{}"), Reason::BadJson);
        assert_eq!(reason(b"[1,2"), Reason::BadJson);
        assert_eq!(reason(b"{} x"), Reason::BadJson);
        assert_eq!(reason(b"[{}]"), Reason::NotObject);
        assert_eq!(reason(b"null"), Reason::NotObject);
        assert_eq!(
            Names::new(&[]).decode(None).unwrap_err().reason,
            Reason::NotObject
        );
        assert_eq!(reason(b"{}"), Reason::MissingField);
        assert_eq!(with("\"u1\"", "null"), Reason::MissingField);
        assert_eq!(with("\"u1\"", "5"), Reason::BadType);
        assert_eq!(with("\"u1\"", r#""\ud800""#), Reason::BadJson);
        assert_eq!(with("e1", &"e".repeat(256)), Reason::BadType);
        for time in [
            "5.0",
            "true",
            "\"5\"",
            "9223372036854775808",
            "{}",
            "\"yesterday\"",
        ] {
            assert_eq!(with("5", time), Reason::BadTimestamp, "{time}");
        }
        let event = decode(GOOD).unwrap();
        assert_eq!(
            event.data(["amount"]).unwrap_err().reason,
            Reason::MissingField
        );
        let value = GOOD.replace("5}", "5,\"data\":[]}");
        let event = decode(&value).unwrap();
        assert_eq!(event.data(["amount"]).unwrap_err().reason, Reason::BadType);
    }

    #[test]
    fn depth_costs_no_stack_and_messages_stay_short() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(500_000), close.repeat(500_000));
            let value = GOOD.replace("5}", &format!("5,\"data\":{deep},\"more\":{deep}}}"));
            assert!(decode(&value).is_ok());
            reason(deep.as_bytes());
        }
        let value = GOOD.replace("5}", &format!("\"{}\"}}", "é".repeat(100_000)));
        let message = decode(&value).unwrap_err().message;
        assert!(message.len() < 200, "{message}");
    }
}
