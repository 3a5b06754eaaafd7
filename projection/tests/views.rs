//! The views that come with klamm: the bytes that they write, and what becomes of each record.
use projection::{Engine, Input, Options, Outcome, Reason, Row, find};

const TIME: i64 = 1_680_000_000_000;

fn options() -> Options {
    Options {
        source: "events".to_owned(),
        aliases: Vec::new(),
        dedup_window_ms: Some(600_000),
        max_future_skew_ms: 3_600_000,
    }
}

fn engine(view: &str) -> Box<dyn Engine> {
    (find(view).expect("a view of klamm's").engine)(options())
}

fn event(id: &str, kind: &str, time: i64, data: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","user_id":"u1","type":"{kind}","ts":{time},"payload":{{{data}}}}}"#
    )
}

fn input(offset: i64, value: &str) -> Input<'_> {
    Input {
        partition: 0,
        offset,
        timestamp: -1,
        value: Some(value.as_bytes()),
    }
}

fn changes(engine: &dyn Engine) -> Vec<String> {
    let mut all = Vec::new();
    engine.changes(&mut |key, value, timestamp| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8");
        let value = value.map_or_else(|| "gone".to_owned(), text);
        all.push(format!("{} {value} {timestamp}", text(key)));
    });
    all
}

/// Steps through the values, one offset after the other, from 0.
fn steps(engine: &mut dyn Engine, values: &[String]) -> Vec<Outcome> {
    let steps = (0..).zip(values);
    steps
        .map(|(offset, value)| engine.step(&input(offset, value)))
        .collect()
}

fn reason(outcome: &Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Rejected(rejection) => Some(rejection.reason),
        _ => None,
    }
}

#[test]
fn user_activity_counts_every_kind() {
    let mut engine = engine("user_activity");
    let outcomes = steps(
        &mut *engine,
        &[
            event("1", "login", TIME + 5, ""),
            event("2", "vi\\\"ew\\u0001é", TIME, ""),
            event("3", "login", TIME, ""),
        ],
    );
    assert_eq!(outcomes, vec![Outcome::Applied; 3]);
    assert_eq!(
        changes(&*engine),
        [
            r#"{"user_id":"u1","event_type":"login"} {"user_id":"u1","event_type":"login","count":2,"last_seen":1680000000005} 1680000000005"#,
            r#"{"user_id":"u1","event_type":"vi\"ew\u0001é"} {"user_id":"u1","event_type":"vi\"ew\u0001é","count":1,"last_seen":1680000000000} 1680000000000"#,
        ]
    );
}

#[test]
fn daily_revenue_keeps_currencies_apart_and_cents_exact() {
    let mut engine = engine("daily_revenue");
    let bought = |id: &str, data: &str| event(id, "purchase", TIME, data);
    let outcomes = steps(
        &mut *engine,
        &[
            bought("1", r#""amount":19.99"#),
            event("2", "view", TIME, ""),
            bought("3", r#""amount":"49.99","currency":null"#),
            bought("4", r#""amount":0.1,"currency":"EUR""#),
            bought("5", r#""amount":"0.20","currency":"EUR""#),
        ],
    );
    assert_eq!(outcomes, vec![Outcome::Applied; 5]);
    assert_eq!(
        changes(&*engine),
        [
            r#"{"day":"2023-03-28"} {"day":"2023-03-28","revenue":"69.98","orders":2} 1680000000000"#,
            r#"{"day":"2023-03-28","currency":"EUR"} {"day":"2023-03-28","currency":"EUR","revenue":"0.30","orders":2} 1680000000000"#,
        ]
    );
    let bad = [
        (r#""amount":"much""#, Reason::BadNumber),
        (r#""amount":true"#, Reason::BadType),
        (r#""amount":null"#, Reason::MissingField),
        (r#""amount":1,"currency":1"#, Reason::BadType),
    ];
    for (offset, (data, expected)) in (5..).zip(bad) {
        let outcome = engine.step(&input(offset, &bought(&format!("b{offset}"), data)));
        assert_eq!(reason(&outcome), Some(expected), "{data}");
    }
    let without = r#"{"event_id":"x","user_id":"u","type":"purchase","ts":0}"#;
    let outcome = engine.step(&input(9, without));
    assert_eq!(reason(&outcome), Some(Reason::MissingField));
    assert_eq!(changes(&*engine).len(), 2);
}

#[test]
fn order_revenue_minute_takes_events_until_grace_is_over() {
    let mut engine = engine("order_revenue_minute");
    let bought = |id, time| event(id, "purchase", time, r#""amount":"1.00","currency":"EUR""#);
    let outcomes = steps(
        &mut *engine,
        &[
            bought("1", TIME + 1),
            event("2", "view", TIME + 179_999, ""),
            bought("3", TIME + 59_999),
            event("4", "view", TIME + 180_000, ""),
            bought("5", TIME + 59_999),
            bought("6", TIME + 60_000),
            event("7", "purchase", TIME + 180_001, r#""amount":"2""#),
        ],
    );
    let late: Vec<usize> = (0..7)
        .filter(|at| reason(&outcomes[*at]) == Some(Reason::Late))
        .collect();
    assert_eq!(late, [4]);
    assert_eq!(
        changes(&*engine),
        [
            r#"{"minute_bucket":1680000000000,"currency":"EUR"} {"minute_bucket":1680000000000,"currency":"EUR","revenue":"2.00","order_count":2} 1680000059999"#,
            r#"{"minute_bucket":1680000060000,"currency":"EUR"} {"minute_bucket":1680000060000,"currency":"EUR","revenue":"1.00","order_count":1} 1680000060000"#,
            r#"{"minute_bucket":1680000180000,"currency":null} {"minute_bucket":1680000180000,"currency":null,"revenue":"2","order_count":1} 1680000180001"#,
        ]
    );
    let outcome = engine.redrive(&input(4, &bought("5", TIME + 59_999)), Reason::Late);
    assert_eq!(outcome, Outcome::Applied);
    assert!(changes(&*engine)[0].contains(r#""revenue":"3.00","order_count":3"#));
    let counts = engine.counts();
    assert_eq!((counts.input, counts.applied, counts.late), (7, 7, 0));
    let outcome = engine.step_redriven(&input(7, &bought("8", TIME)));
    assert_eq!(outcome, Outcome::Applied);
    assert_eq!(engine.counts().late, 0);
}

#[test]
fn every_sighting_refreshes_the_window_of_deduplication() {
    let mut engine = engine("user_activity");
    let view = |id, minutes: i64| event(id, "view", TIME + minutes * 60_000, "");
    let outcomes = steps(
        &mut *engine,
        &[
            view("a", 0),
            view("a", 9),
            view("a", 19),
            view("b", 40),
            view("a", 0),
            view("a", 51),
            view("b", 52),
        ],
    );
    let seen: Vec<bool> = outcomes
        .iter()
        .map(|outcome| *outcome == Outcome::Duplicate)
        .collect();
    assert_eq!(seen, [false, true, true, false, false, true, false]);
    let progress = engine.progress()[&0];
    assert_eq!(progress.dedup_from, 5);
    assert_eq!(progress.dedup_stream_time, Some(TIME + 40 * 60_000));
}

#[test]
fn an_event_from_the_future_moves_nothing() {
    let mut engine = engine("user_activity");
    let value = event("a", "view", TIME + 3_600_001, "");
    let record = Input {
        timestamp: TIME,
        ..input(0, &value)
    };
    let outcome = engine.step(&record);
    assert_eq!(reason(&outcome), Some(Reason::TimestampOutOfRange));
    assert_eq!(engine.progress()[&0].stream_time, None);
    let record = Input {
        timestamp: TIME + 1,
        offset: 1,
        ..record
    };
    assert_eq!(engine.step(&record), Outcome::Applied);
}

#[test]
fn a_sum_past_its_limits_and_a_key_past_its_own_change_nothing() {
    let mut engine = engine("daily_revenue");
    let value = format!(
        r#"{{"day":"2023-03-28","revenue":"{}","orders":1}}"#,
        i128::MAX
    );
    let row = Row {
        key: br#"{"day":"2023-03-28"}"#[..].into(),
        value: value.into_bytes(),
        timestamp: TIME,
        offset: 0,
    };
    engine.restore_row(&row, false).unwrap();
    let outcome = engine.step(&input(0, &event("1", "purchase", TIME, r#""amount":1"#)));
    assert_eq!(reason(&outcome), Some(Reason::Overflow));
    let long = format!(r#""amount":1,"currency":"{}""#, "x".repeat(65_536));
    let outcome = engine.step(&input(1, &event("2", "purchase", TIME, &long)));
    assert_eq!(reason(&outcome), Some(Reason::TooLarge));
    assert!(changes(&*engine).is_empty());
    assert_eq!(engine.table().get(&row.key), Some(row));
}

#[test]
fn only_rows_of_the_view_come_back() {
    let mut engine = engine("user_activity");
    let row = |key: &str, value: &str| Row {
        key: key.as_bytes().into(),
        value: value.into(),
        timestamp: TIME,
        offset: 0,
    };
    let key = r#"{"user_id":"u","event_type":"t"}"#;
    let value = r#"{"user_id":"u","event_type":"t","count":1,"last_seen":5}"#;
    engine.restore_row(&row(key, value), false).unwrap();
    assert_eq!(engine.table().len(), 1);
    for bad in [
        "",
        "{}",
        &value.replace(':', ": "),
        &value.replace('1', "-1"),
    ] {
        assert!(engine.restore_row(&row(key, bad), false).is_err(), "{bad}");
    }
    engine.restore_row(&row(key, ""), true).unwrap();
    assert!(engine.table().is_empty());
}
