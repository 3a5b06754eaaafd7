//! Random logs: few users, few ids and close times, so that everything that can happen to an event
//! happens often.
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// 2023-03-28T00:00:00Z.
pub const DAY_MS: i64 = 1_679_961_600_000;

/// One record of a log.
#[derive(Debug, Clone)]
pub struct Record {
    /// The record's own timestamp.
    pub timestamp: i64,
    /// Its value.
    pub value: Option<String>,
}

/// The records of each partition, at offsets from 0 on.
pub type Logs = Vec<Vec<Record>>;

/// Logs of up to three partitions.
pub fn logs() -> impl Strategy<Value = Logs> {
    vec(vec(record(), 0..60), 1..4)
}

fn record() -> impl Strategy<Value = Record> {
    let value = prop_oneof![
        24 => event(),
        2 => select(BAD).prop_map(|text| Some(text.to_owned())),
        1 => Just(None),
    ];
    // Some records are so old that their events come from the future.
    let timestamp = prop_oneof![8 => Just(-1), 4 => Just(DAY_MS + 86_400_000), 1 => Just(DAY_MS)];
    (timestamp, value).prop_map(|(timestamp, value)| Record { timestamp, value })
}

const BAD: &[&str] = &[
    "",
    "not json",
    "[1,2]",
    "\"text\"",
    "{}",
    "{\"event_id\":\"e1\"",
    r#"{"event_id":7,"user_id":"u","type":"login","ts":1}"#,
    r#"{"event_id":"e1","user_id":null,"type":"login","ts":1}"#,
    r#"{"event_id":"e1","user_id":"u","type":["login"],"ts":1}"#,
    r#"{"event_id":"e1","user_id":"u","type":"login"}"#,
    r#"{"event_id":"e1","user_id":"u","type":"login","ts":1.5}"#,
    r#"{"event_id":"e1","user_id":"u","type":"login","ts":"soon"}"#,
    r#"{"event_id":"e1","user_id":"u","type":"login","ts":false}"#,
];

fn event() -> impl Strategy<Value = Option<String>> {
    let names = (
        select(&["aggregate_id", "user_id"][..]),
        select(&["event_type", "type"][..]),
        select(&["timestamp", "ts", "event_timestamp"][..]),
        select(&["data", "payload"][..]),
    );
    let kind = select(
        &[
            "purchase",
            "purchase",
            "purchase",
            "login",
            "add \\\"to\\\" cärt",
        ][..],
    );
    // Two hours, mostly rising within a log only by chance: late ones and duplicates abound.
    (names, 0..14_u8, 0..4_u8, kind, time(), data()).prop_map(
        |((user_name, kind_name, time_name, data_name), id, user, kind, time, data)| {
            Some(format!(
                r#"{{"event_id":"e{id}","{user_name}":"u{user}","more":[{{"a":null}}],"{kind_name}":"{kind}","{time_name}":{time},"{data_name}":{data}}}"#
            ))
        },
    )
}

fn time() -> impl Strategy<Value = String> {
    let seconds = prop_oneof![0..7200_i64, 0..600_i64, 86_000..87_000_i64];
    (seconds, 0..8_u8).prop_map(|(seconds, form)| {
        let (minutes, hours) = (seconds / 60 % 60, seconds / 3600);
        if form == 0 && hours < 24 {
            format!(
                "\"2023-03-28T{hours:02}:{minutes:02}:{:02}Z\"",
                seconds % 60
            )
        } else {
            (DAY_MS + seconds * 1000).to_string()
        }
    })
}

fn data() -> impl Strategy<Value = String> {
    let amount = select(
        &[
            "19.99",
            "\"49.99\"",
            "\"0.10\"",
            "-5",
            "\"-0.005\"",
            "0.125",
            "\"100000000000000000\"",
            "\"abc\"",
            "\"1e3\"",
            "\"123456789012345678901\"",
            "true",
            "null",
        ][..],
    );
    let currency = select(&["\"EUR\"", "\"EUR\"", "\"USD\"", "null", "1"][..]);
    prop_oneof![
        12 => (amount, currency)
            .prop_map(|(amount, currency)| format!(r#"{{"amount":{amount},"currency":{currency}}}"#)),
        1 => select(&["{}", "[]", "null", "{\"amount\":1}"][..]).prop_map(str::to_owned),
    ]
}
