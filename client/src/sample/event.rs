//! The JSON of one event, and of things that are none.
use std::fmt::Write;

use super::random::Random;

/// Event types, each as often as it stands here.
const TYPES: [&str; 20] = [
    "view",
    "view",
    "view",
    "view",
    "view",
    "view",
    "view",
    "view",
    "page_view",
    "page_view",
    "page_view",
    "login",
    "login",
    "login",
    "login",
    "add_to_cart",
    "add_to_cart",
    "purchase",
    "purchase",
    "purchase",
];
const CURRENCIES: [&str; 4] = ["EUR", "EUR", "USD", "GBP"];
const SOURCES: [&str; 3] = ["web", "ios", "android"];
const PAGES: [&str; 5] = ["/", "/search", "/cart", "/item/17", "/item/4711"];

/// An event of the shape that the projections read.
pub(super) fn write(random: &mut Random, user: usize, version: u32, time_ms: i64) -> String {
    let kind = random.pick(&TYPES);
    let mut json = String::with_capacity(320);
    let id = (random.next(), random.next());
    let data = data(random, kind);
    let source = random.pick(&SOURCES);
    write!(
        json,
        "{{\"event_id\":\"{:016x}{:016x}\",\"aggregate_id\":\"user-{user}\",\
         \"event_type\":\"{kind}\",\"timestamp\":{time_ms},\"schema_version\":1,\
         \"version\":{version},\"data\":{data},\"source\":\"{source}\",\
         \"context\":{{\"trace_id\":\"{:016x}\"}}}}",
        id.0,
        id.1,
        random.next(),
    )
    .expect("writing to a string does not fail");
    json
}

fn data(random: &mut Random, kind: &str) -> String {
    match kind {
        "purchase" => {
            let order = random.below(1_000_000_000);
            let cents = 100 + random.below(50_000);
            let (whole, part) = (cents / 100, cents % 100);
            // Both forms of an amount are legal: exact text, and a JSON number.
            let amount = if random.below(4) == 0 {
                format!("{whole}.{part:02}")
            } else {
                format!("\"{whole}.{part:02}\"")
            };
            let currency = random.pick(&CURRENCIES);
            format!(
                "{{\"order_id\":\"o-{order}\",\"amount\":{amount},\"currency\":\"{currency}\"}}"
            )
        }
        "login" => format!(
            "{{\"method\":\"{}\"}}",
            random.pick(&["password", "passkey"])
        ),
        "add_to_cart" => format!(
            "{{\"item_id\":\"i-{}\",\"quantity\":{}}}",
            random.below(10_000),
            1 + random.below(3)
        ),
        _ => format!("{{\"page\":\"{}\"}}", random.pick(&PAGES)),
    }
}

/// Something that is no event: each way in which producers get it wrong.
pub(super) fn spoil(random: &mut Random, user: usize, time_ms: i64) -> Vec<u8> {
    let good = write(random, user, 0, time_ms);
    match random.below(6) {
        0 => good.as_bytes()[..good.len() / 2].to_vec(),
        1 => b"not json".to_vec(),
        2 => good
            .replace(
                &format!("\"timestamp\":{time_ms}"),
                "\"timestamp\":\"yesterday\"",
            )
            .into(),
        3 => good.replacen("event_id", "evnet_id", 1).into(),
        4 => good.replacen("aggregate_id", "agregate_id", 1).into(),
        _ => {
            let mut bytes = good.into_bytes();
            bytes[2] = 0xff;
            bytes
        }
    }
}
