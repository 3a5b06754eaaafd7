//! The views again, as plainly as they can be written, and without a line of the engine: partition
//! after partition, every sighting in one long list, everything at once.
use std::collections::BTreeMap;

use serde_json::Value;

use crate::logs::{DAY_MS, Logs, Record};

/// What a view should be.
#[derive(Debug, Default)]
pub struct Truth {
    /// Value and timestamp by key.
    pub rows: BTreeMap<String, (String, i64)>,
    /// For each partition, what becomes of each record.
    pub outcomes: Vec<Vec<&'static str>>,
}

#[derive(Default)]
struct Sums {
    count: u64,
    newest: i64,
    /// Millionths.
    sum: i128,
    scale: usize,
}

struct Seen<'a> {
    id: &'a str,
    user: &'a str,
    kind: &'a str,
    time: i64,
    data: Option<&'a Value>,
}

/// The truth about a view of these logs. Late events count when `late_too`.
pub fn truth(view: &str, logs: &Logs, dedup_window: Option<i64>, late_too: bool) -> Truth {
    let mut truth = Truth::default();
    let mut groups: BTreeMap<String, Sums> = BTreeMap::new();
    for log in logs {
        let mut sightings: Vec<(String, i64)> = Vec::new();
        let mut stream: Option<i64> = None;
        let mut outcomes = Vec::new();
        for record in log {
            let parsed: Result<Value, _> =
                serde_json::from_str(record.value.as_deref().unwrap_or("null"));
            let outcome = match (parsed, &record.value) {
                (Err(_), _) => "BAD_JSON",
                (Ok(value), _) => match seen(&value, record) {
                    Err(reason) => reason,
                    Ok(event) => {
                        let before = stream;
                        let now = before.unwrap_or(event.time).max(event.time);
                        let last = sightings.iter().rfind(|(id, _)| id == event.id).cloned();
                        sightings.push((event.id.to_owned(), now));
                        stream = Some(now);
                        let known = last.is_some_and(|(_, stamp)| {
                            dedup_window.is_none_or(|window| {
                                stamp >= before.expect("it was seen before") - window
                            })
                        });
                        if known {
                            "DUPLICATE"
                        } else {
                            apply(view, &event, before, late_too, &mut groups)
                                .unwrap_or_else(|reason| reason)
                        }
                    }
                },
            };
            outcomes.push(outcome);
        }
        truth.outcomes.push(outcomes);
    }
    for (key, sums) in groups {
        let columns = columns(view, &sums);
        let value = format!("{},{columns}}}", key.trim_end_matches('}'));
        truth.rows.insert(key, (value, sums.newest));
    }
    truth
}

fn seen<'a>(value: &'a Value, record: &Record) -> Result<Seen<'a>, &'static str> {
    let object = value.as_object().ok_or("NOT_OBJECT")?;
    let get = |names: &[&str]| {
        let found = names.iter().filter_map(|name| object.get(*name));
        found.into_iter().find(|value| !value.is_null())
    };
    let text = |names: &[&str]| {
        get(names)
            .ok_or("MISSING_FIELD")?
            .as_str()
            .ok_or("BAD_TYPE")
    };
    let id = text(&["event_id"])?;
    let user = text(&["aggregate_id", "user_id"])?;
    let kind = text(&["event_type", "type"])?;
    let time = match get(&["timestamp", "ts", "event_timestamp"]).ok_or("MISSING_FIELD")? {
        Value::Number(number) => number.as_i64().ok_or("BAD_TIMESTAMP")?,
        Value::String(text) => {
            let clock = text.strip_prefix("2023-03-28T").ok_or("BAD_TIMESTAMP")?;
            let part = |at: usize| clock[at..at + 2].parse::<i64>().expect("digits");
            DAY_MS + (part(0) * 3600 + part(3) * 60 + part(6)) * 1000
        }
        _ => return Err("BAD_TIMESTAMP"),
    };
    if record.timestamp != -1 && time > record.timestamp + 3_600_000 {
        return Err("TIMESTAMP_OUT_OF_RANGE");
    }
    let data = get(&["data", "payload"]);
    Ok(Seen {
        id,
        user,
        kind,
        time,
        data,
    })
}

fn apply(
    view: &str,
    event: &Seen<'_>,
    stream: Option<i64>,
    late_too: bool,
    groups: &mut BTreeMap<String, Sums>,
) -> Result<&'static str, &'static str> {
    if view == "user_activity" {
        let (user, kind) = (Value::from(event.user), Value::from(event.kind));
        let key = format!(r#"{{"user_id":{user},"event_type":{kind}}}"#);
        add(groups.entry(key).or_default(), event.time, (0, 0));
        return Ok("APPLIED");
    }
    if event.kind != "purchase" {
        return Ok("APPLIED");
    }
    let minute = event.time / 60_000 * 60_000;
    let late = view == "order_revenue_minute"
        && stream.is_some_and(|stream| stream >= minute + 60_000 + 120_000);
    if late && !late_too {
        return Err("LATE");
    }
    let data = event
        .data
        .ok_or("MISSING_FIELD")?
        .as_object()
        .ok_or("BAD_TYPE")?;
    let present = |name| data.get(name).filter(|value: &&Value| !value.is_null());
    let amount = match present("amount").ok_or("MISSING_FIELD")? {
        Value::Number(number) => millionths(&number.to_string()),
        Value::String(text) => millionths(text),
        _ => return Err("BAD_TYPE"),
    };
    let amount = amount.ok_or("BAD_NUMBER")?;
    let currency = match present("currency") {
        None => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => return Err("BAD_TYPE"),
    };
    let key = match (view, currency) {
        ("daily_revenue", currency) => {
            let day = if event.time < DAY_MS {
                "1970-01-01"
            } else {
                "2023-03-28"
            };
            let day = if event.time >= DAY_MS + 86_400_000 {
                "2023-03-29"
            } else {
                day
            };
            let currency = currency.map(|currency| format!(r#","currency":"{currency}""#));
            format!(r#"{{"day":"{day}"{}}}"#, currency.unwrap_or_default())
        }
        (_, currency) => {
            let currency = currency.map_or("null".to_owned(), |currency| format!("\"{currency}\""));
            format!(r#"{{"minute_bucket":{minute},"currency":{currency}}}"#)
        }
    };
    add(groups.entry(key).or_default(), event.time, amount);
    Ok("APPLIED")
}

fn add(sums: &mut Sums, time: i64, (amount, scale): (i128, usize)) {
    sums.count += 1;
    sums.newest = sums.newest.max(time);
    sums.sum += amount;
    sums.scale = sums.scale.max(scale);
}

/// Only what the logs have: up to six decimals, no exponents.
fn millionths(text: &str) -> Option<(i128, usize)> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if whole.trim_start_matches('-').len() > 20 {
        return None;
    }
    let digits = format!("{whole}{decimals:0<6}").parse().ok()?;
    Some((digits, decimals.len()))
}

fn columns(view: &str, sums: &Sums) -> String {
    let Sums {
        count,
        newest,
        sum,
        scale,
    } = sums;
    let (sign, size) = (if *sum < 0 { "-" } else { "" }, sum.unsigned_abs());
    let decimals = format!("{:06}", size % 1_000_000);
    let point = if *scale > 0 { "." } else { "" };
    let revenue = format!("{sign}{}{point}{}", size / 1_000_000, &decimals[..*scale]);
    match view {
        "user_activity" => format!(r#""count":{count},"last_seen":{newest}"#),
        "daily_revenue" => format!(r#""revenue":"{revenue}","orders":{count}"#),
        _ => format!(r#""revenue":"{revenue}","order_count":{count}"#),
    }
}
