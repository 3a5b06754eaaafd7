//! Streams that break off anywhere and go on by id, against a view that moves all the time.
use std::collections::BTreeMap;

use projection::Table;

use super::*;
use crate::http::routes::key_range::KeyRange;
use crate::http::routes::views::tests::Rows;

/// A view: its rows and its topic, which keeps every record.
#[derive(Default)]
struct Moving {
    rows: Rows,
    log: Vec<(String, bool)>,
    seed: u64,
}

impl Moving {
    fn random(&mut self, below: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.seed >> 33) % below
    }

    /// A commit of some changes.
    fn commit(&mut self) {
        for _ in 0..self.random(4) {
            let key = format!("\"k{:02}\"", self.random(30));
            let deleted = self.random(4) == 0;
            if deleted {
                self.rows.remove(&key);
            } else {
                self.rows.put(&key, self.log.len() as i64);
            }
            self.log.push((key, deleted));
        }
    }

    fn end(&self) -> i64 {
        self.log.len() as i64
    }
}

/// What a client keeps: the offset of the value that it has of each key, and its last id.
#[derive(Default)]
struct Client {
    has: BTreeMap<String, Option<i64>>,
    last: Option<EventId>,
    got: Vec<i64>,
    restarts: usize,
}

impl Client {
    /// Reads up to `most` events of a text; whether it read them all.
    fn read(&mut self, text: &[u8], most: usize) -> bool {
        let text = String::from_utf8(text.to_vec()).unwrap();
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        for event in events.iter().take(most) {
            self.event(event);
        }
        events.len() <= most
    }

    fn event(&mut self, event: &str) {
        let field = |name: &str| {
            let mut lines = event.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        match field("event").unwrap() {
            "restart" => {
                self.has.clear();
                self.restarts += 1;
            }
            "row" => {
                let data: serde_json::Value = serde_json::from_str(field("data").unwrap()).unwrap();
                let key = data["key"].to_string();
                let value = data["value"].as_i64();
                let before = self.has.get(&key).copied().flatten();
                assert!(
                    value.is_none() || value >= before,
                    "{key}: {before:?} then {value:?}"
                );
                if let EventId::Record(offset) = field("id").unwrap().parse().unwrap() {
                    self.got.push(offset);
                }
                self.has.insert(key, value);
            }
            "snapshot_end" => {}
            other => panic!("{other}"),
        }
        if let Some(id) = field("id") {
            self.last = Some(id.parse().unwrap());
        }
    }
}

/// One piece of text, as [`Stream`] makes it.
fn step(progress: Progress, view: &Moving) -> (Progress, Vec<u8>) {
    let mut out = Vec::new();
    let progress = match progress {
        Progress::Snapshot { ref after, .. } => {
            let rows = Progress::rest(after.as_deref()).look(&view.rows, 3);
            let ended = rows.len() < 3;
            progress.take_rows(&rows, ended, &mut out)
        }
        Progress::Records { next } => {
            for (offset, (key, deleted)) in view.log.iter().enumerate().skip(next as usize) {
                let id = EventId::Record(offset as i64);
                let value = (!deleted).then(|| offset.to_string());
                let value = value.as_ref().map(String::as_bytes);
                text::row(&mut out, Some(&id), key.as_bytes(), value, 0);
            }
            Progress::Records { next: view.end() }
        }
    };
    (progress, out)
}

#[test]
fn every_change_comes_once_and_no_value_goes_back() {
    for seed in 0..300 {
        let mut view = Moving {
            seed,
            ..Moving::default()
        };
        (0..20).for_each(|_| view.commit());
        let mut client = Client::default();
        let boundary = view.end();
        let (mut progress, _) = Progress::after(None, 0, boundary);
        for _ in 0..40 {
            view.commit();
            let (further, text) = step(progress, &view);
            let most = view.random(6) as usize;
            progress = if client.read(&text, most) {
                further
            } else {
                // The connection broke before all of it came through.
                let (again, restart) = Progress::after(client.last.clone(), 0, view.end());
                assert_eq!(restart, None);
                match client.last {
                    Some(_) => again,
                    None => Progress::snapshot(boundary),
                }
            };
        }
        for _ in 0..40 {
            let (further, text) = step(progress, &view);
            assert!(client.read(&text, usize::MAX));
            progress = further;
        }
        assert_eq!(
            client.got,
            (boundary..view.end()).collect::<Vec<_>>(),
            "seed {seed}"
        );
        let has = client
            .has
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), (*value)?)));
        let rows = KeyRange::all().look(&view.rows, usize::MAX);
        let rows = rows
            .iter()
            .map(|row| (String::from_utf8(row.key.to_vec()).unwrap(), row.offset));
        assert!(has.eq(rows), "seed {seed}");
        assert_eq!(view.rows.len(), client.has.values().flatten().count());
    }
}

#[test]
fn an_id_that_the_topic_does_not_reach_begins_anew_and_says_so() {
    let row = |below| EventId::Row {
        below,
        key: b"k".to_vec(),
    };
    for (last, start, end, goes_on) in [
        (EventId::Record(9), 10, 20, true),
        (EventId::Record(19), 10, 20, true),
        (EventId::Record(8), 10, 20, false),
        (EventId::Record(20), 10, 20, false),
        (EventId::Record(i64::MAX), 0, i64::MAX - 1, false),
        (EventId::Record(-1), 0, 0, true),
        (row(10), 10, 20, true),
        (row(20), 10, 20, true),
        (row(9), 10, 20, false),
        (row(21), 10, 20, false),
    ] {
        let (progress, restart) = Progress::after(Some(last.clone()), start, end);
        assert_eq!(restart.is_none(), goes_on, "{last}");
        if !goes_on {
            assert_eq!(progress, Progress::snapshot(end), "{last}");
        }
    }
}

#[test]
fn rows_written_since_the_boundary_are_left_to_the_records() {
    let rows = Rows::of(["\"a\"", "\"b\"", "\"c\""]);
    let mut out = Vec::new();
    let found = KeyRange::all().look(&rows, 9);
    let progress = Progress::snapshot(2).take_rows(&found, true, &mut out);
    assert_eq!(progress, Progress::Records { next: 2 });
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text,
        "id: s2-ImEi\nevent: row\ndata: {\"key\":\"a\",\"value\":0,\"timestamp\":0}\n\n\
         id: s2-ImIi\nevent: row\ndata: {\"key\":\"b\",\"value\":1,\"timestamp\":10}\n\n\
         id: 1\nevent: snapshot_end\ndata: {}\n\n"
    );
}

#[test]
fn an_event_stays_on_one_line_and_a_long_key_has_no_id() {
    let mut out = Vec::new();
    text::row(&mut out, None, b"{\n}", Some(b"[1,\r\n2]"), 3);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text,
        "event: row\ndata: {\"key\":{ },\"value\":[1,  2],\"timestamp\":3}\n\n"
    );

    let long = format!("\"{}\"", "x".repeat(10_000));
    let rows = Rows::of([long.as_str()]);
    let mut out = Vec::new();
    Progress::snapshot(9).take_rows(&KeyRange::all().look(&rows, 9), false, &mut out);
    assert!(out.starts_with(b"event: row\n"));
}

#[test]
fn the_header_wins_over_the_parameter() {
    let mut head = HeaderMap::new();
    assert_eq!(last_event(&head, None), Ok(None));
    assert_eq!(last_event(&head, Some("")), Ok(None));
    assert_eq!(last_event(&head, Some("4")), Ok(Some(EventId::Record(4))));
    head.insert("Last-Event-ID", "7".parse().unwrap());
    assert_eq!(last_event(&head, Some("4")), Ok(Some(EventId::Record(7))));
    head.insert("Last-Event-ID", "x".parse().unwrap());
    assert!(last_event(&head, None).is_err());
}
