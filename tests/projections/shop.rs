//! Events of a shop as they come in life: those of `client::sample`, some of them in every other
//! shape that is legal, some wrong in every way that has a name.
use client::sample::{Sample, SampleKind, SampleOptions, Samples};
use harness::Random;

use crate::event::Event;

/// What a shop is like.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) partitions: i32,
    pub(crate) users: u32,
    /// Mean event time between two events.
    pub(crate) interval_ms: u32,
    /// Per mille of the events that are changed.
    pub(crate) twisted: u64,
}

impl Options {
    /// A shop whose duplicates are partly older than the window of deduplication.
    pub(crate) fn new(seed: u64, partitions: i32) -> Self {
        Self {
            seed,
            partitions,
            users: 300,
            interval_ms: 4000,
            twisted: 200,
        }
    }
}

/// An endless stream of events.
#[derive(Debug)]
pub(crate) struct Shop {
    samples: Samples,
    random: Random,
    options: Options,
}

impl Shop {
    pub(crate) fn new(options: Options) -> Self {
        let samples = Samples::new(SampleOptions {
            seed: options.seed,
            users: options.users,
            duplicates_percent: 10.0,
            late_percent: 5.0,
            malformed_percent: 3.0,
            interval_ms: options.interval_ms,
            ..SampleOptions::default()
        });
        Self {
            samples,
            random: Random::new(options.seed ^ 0x5eed),
            options,
        }
    }

    fn partition(&mut self, key: &str) -> i32 {
        let partitions = self.options.partitions as u64;
        // Rarely a producer that does not go by the key.
        let hash: u64 = match self.random.below(50) {
            0 => self.random.next_number(),
            _ => key.bytes().map(u64::from).sum(),
        };
        (hash % partitions) as i32
    }

    fn twist(&mut self, text: &str, record_time: i64) -> Vec<u8> {
        let time = event_time(text);
        let at = |time: i64| {
            let from = text.find("\"timestamp\":").map_or(0, |at| at + 12);
            let to = from + text[from..].find(',').unwrap_or(0);
            format!("{}{time}{}", &text[..from], &text[to..])
        };
        let late = self.random.below(300_000) as i64;
        let twisted = match self.random.below(10) {
            0 => text
                .replace("\"aggregate_id\"", "\"user_id\"")
                .replace("\"event_type\"", "\"type\"")
                .replace("\"timestamp\"", "\"event_timestamp\"")
                .replace("\"data\"", "\"payload\""),
            1 => text.replace(
                &format!("\"timestamp\":{time}"),
                &format!(
                    "\"ts\":\"{}\"",
                    rfc3339(time, self.random.pick(&[0, 120, -330]))
                ),
            ),
            2 => {
                // Rarely just allowed: stream time then runs ahead for an hour.
                let allowed = self.random.below(100) == 0;
                let beyond = self.random.pick(&[1, 1000, 86_400_000]);
                at(record_time + 3_600_000 + if allowed { 0 } else { beyond })
            }
            3 | 4 => self.amount(text),
            5 => self.random.pick(SHAPES).to_owned(),
            6 => self.broken_field(text),
            7 => text.replace(
                "\"aggregate_id\":\"user-",
                "\"aggregate_id\":\"\\u00fcser \\\"\u{1f600}\\\" \\t",
            ),
            _ => at(time - late),
        };
        twisted.into_bytes()
    }

    /// Another amount or currency, if it is a purchase.
    fn amount(&mut self, text: &str) -> String {
        let Some(from) = text.find("\"amount\":") else {
            return text.to_owned();
        };
        let to = from + text[from..].find('}').unwrap_or(0);
        let amount = self.random.pick(AMOUNTS);
        format!("{}{amount}{}", &text[..from], &text[to..])
    }

    fn broken_field(&mut self, text: &str) -> String {
        let field = ["event_id", "aggregate_id", "event_type", "timestamp"];
        let field = self.random.pick(&field);
        let value = self.random.pick(&["null", "true", "{\"a\":1}", "[1]"]);
        let Some(from) = text.find(&format!("\"{field}\":")) else {
            return text.to_owned();
        };
        let from = from + field.len() + 3;
        let to = from + text[from..].find(',').unwrap_or(0);
        format!("{}{value}{}", &text[..from], &text[to..])
    }
}

/// Things that are no events.
const SHAPES: &[&str] = &[
    "{}",
    "[]",
    "\"text\"",
    "17",
    "null",
    "",
    "{\"event_id\":\"x\"} {}",
    "{\"event_id\":\"x\",}",
];

/// What a purchase may say of its price: legal in all scales first, then wrong.
const AMOUNTS: &[&str] = &[
    "\"amount\":1.5",
    "\"amount\":\"0.125\"",
    "\"amount\":\"7\",\"currency\":null",
    "\"amount\":12.50,\"currency\":\"EUR\"",
    "\"amount\":\"-3.25\",\"currency\":\"EUR\"",
    "\"amount\":0.1,\"currency\":\"\u{20bf}\"",
    "\"amount\":100000000.01,\"currency\":\"JPY\"",
    "\"amount\":0.000001,\"currency\":\"BTC\"",
    "\"amount\":15e-1,\"currency\":\"CHF\"",
    "\"amount\":null,\"currency\":\"EUR\"",
    "\"currency\":\"EUR\"",
    "\"amount\":\"abc\"",
    "\"amount\":\"\"",
    "\"amount\":true",
    "\"amount\":[1]",
    "\"amount\":1.5,\"currency\":7",
];

impl Iterator for Shop {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let sample: Sample = self.samples.next()?;
        let mut value = Some(sample.value);
        let twisted = self.random.below(1000) < self.options.twisted;
        if twisted && sample.kind == SampleKind::Fresh {
            let text = String::from_utf8(value.take()?).ok()?;
            value = match self.random.below(60) {
                0 => None,
                _ => Some(self.twist(&text, sample.timestamp_ms)),
            };
        }
        let partition = self.partition(&sample.key);
        Some(Event {
            partition,
            key: Some(sample.key),
            value,
            timestamp: sample.timestamp_ms,
            headers: Vec::new(),
        })
    }
}

/// The event time of a sample.
fn event_time(text: &str) -> i64 {
    let digits = text.split("\"timestamp\":").nth(1).unwrap_or_default();
    let digits = digits.split(',').next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

/// RFC 3339 text in a time zone so many minutes east of Greenwich.
fn rfc3339(time_ms: i64, east_minutes: i64) -> String {
    let local = time_ms + east_minutes * 60_000;
    let (days, ms) = (local.div_euclid(86_400_000), local.rem_euclid(86_400_000));
    // Days since 0000-03-01, in eras of 400 years (Hinnant, "chrono-compatible date algorithms").
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let zone = match east_minutes {
        0 => "Z".to_owned(),
        minutes => {
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
        }
    };
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let fraction = ms % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}{zone}")
}
