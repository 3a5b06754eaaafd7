//! Rows by key, bounds and limits, over a table in memory.
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use projection::{Row, Table};

use super::*;

/// A table whose rows can be moved from outside.
#[derive(Debug, Default)]
pub(crate) struct Rows(Mutex<BTreeMap<Vec<u8>, Row>>);

impl Rows {
    /// Rows of these keys; the value is the key in quotes, the offset its place.
    pub(crate) fn of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let rows = Self::default();
        for (key, offset) in keys.into_iter().zip(0..) {
            rows.put(key, offset);
        }
        rows
    }

    /// Writes a row.
    pub(crate) fn put(&self, key: &str, offset: i64) {
        let row = Row {
            key: key.as_bytes().into(),
            value: offset.to_string().into_bytes(),
            timestamp: offset * 10,
            offset,
        };
        self.0.lock().unwrap().insert(key.as_bytes().to_vec(), row);
    }

    /// Removes a row.
    pub(crate) fn remove(&self, key: &str) {
        self.0.lock().unwrap().remove(key.as_bytes());
    }
}

impl Table for Rows {
    fn get(&self, key: &[u8]) -> Option<Row> {
        self.0.lock().unwrap().get(key).cloned()
    }

    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, limit: usize) -> Vec<Row> {
        let rows = self.0.lock().unwrap();
        let found = rows.range::<[u8], _>((from, to)).take(limit);
        found.map(|(_, row)| row.clone()).collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn digest(&self) -> [u8; 32] {
        [0; 32]
    }
}

fn serving(rows: Rows) -> Serving {
    Serving {
        table: Arc::new(rows),
        generation: 3,
        position: vec![(0, 12), (1, 0)],
        rows_next: 5,
        lag: 7,
    }
}

fn asked(query: &str) -> Result<Asked, Problem> {
    let uri = format!("http://x/?{query}").parse().unwrap();
    Ok(Query::<Asked>::try_from_uri(&uri)?.0)
}

#[test]
fn a_row_is_found_by_its_key_with_any_spacing() {
    let serving = serving(Rows::of([r#"{"a":"x","b":1}"#]));
    for key in [r#"{"a":"x","b":1}"#, r#" { "a" : "\u0078", "b" : 1 }"#] {
        let page = one(&serving, key);
        let text = row_text::page(&page.rows, page.cursor.as_deref());
        assert_eq!(
            String::from_utf8(text).unwrap(),
            r#"{"rows":[{"key":{"a":"x","b":1},"value":0,"timestamp":0}],"cursor":null}"#
        );
    }
    for key in [r#"{"b":1,"a":"x"}"#, "", "{"] {
        assert_eq!(one(&serving, key).rows, [], "{key}");
    }
}

#[test]
fn the_head_says_where_the_view_stands() {
    let headers = rooms::headers(&serving(Rows::default()));
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let expected = [
        ("klamm-position", "0:12,1:0"),
        ("klamm-generation", "3"),
        ("klamm-lag", "7"),
    ];
    assert_eq!(headers, expected);
}

#[test]
fn parameters_are_read_or_refused_by_name() {
    let rows = Rows::of([r#"{"u":"1"}"#, r#"{"u":"2"}"#, r#"{"u":"22"}"#]);
    let found = |query: &str| {
        asked(query)
            .unwrap()
            .range()
            .unwrap()
            .page(&rows, 9)
            .rows
            .len()
    };
    assert_eq!(found("prefix=%7B%22u%22%3A%222"), 2);
    assert_eq!(found("prefix=%7B%22u%22:%222%22%7D"), 1);
    assert_eq!(found("from=%7B%22u%22%3A%222&to=%7B%22u%22%3A%2222"), 1);
    for (query, word) in [
        ("prefx=a", "prefx"),
        ("limit=x", "limit"),
        ("limit=-1", "limit"),
        ("timeout_ms=1.5", "timeout_ms"),
    ] {
        let problem = asked(query).unwrap_err();
        assert!(problem.message.contains(word), "{query}: {problem:?}");
    }
    for query in [
        "key=a&prefix=b",
        "key=a&cursor=kQQ",
        "cursor=zzz",
        "cursor=",
    ] {
        assert!(asked(query).unwrap().range().is_err(), "{query}");
    }
    assert_eq!(asked("").unwrap().patience(), Ok(Duration::from_secs(5)));
    assert!(asked("timeout_ms=60001").unwrap().patience().is_err());
    assert_eq!(limit(None, 100, 1000), Ok(100));
    assert!(limit(Some(0), 100, 1000).is_err() && limit(Some(1001), 100, 1000).is_err());
}
