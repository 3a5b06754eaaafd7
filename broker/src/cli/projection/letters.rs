//! `klamm projection dlq` and `redrive`.
use std::io::{self, Write};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::View;
use crate::cli::args;
use crate::cli::http::encoded;
use crate::cli::table::Table;

/// Most letters in one answer.
const PAGE: usize = 1000;

/// Which dead letters to show.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DlqArgs {
    #[command(flatten)]
    view: View,
    /// Only those of this reason, e.g. BAD_JSON.
    #[arg(long)]
    reason: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// The oldest first.
    #[arg(long)]
    oldest: bool,
    /// One JSON object per line, with key and value.
    #[arg(long)]
    json: bool,
}

/// Which dead letters to apply: those that meet every condition.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RedriveArgs {
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    chosen: Chosen,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Chosen {
    /// Those of this reason, e.g. SCHEMA_UNKNOWN.
    #[arg(long)]
    reason: Option<String>,
    /// Those whose record has this timestamp or a later one: RFC 3339 or epoch milliseconds.
    #[arg(long, value_name = "TIME", value_parser = args::epoch_ms, allow_hyphen_values = true)]
    from: Option<i64>,
    /// Those whose record has an earlier timestamp: RFC 3339 or epoch milliseconds.
    #[arg(long, value_name = "TIME", value_parser = args::epoch_ms, allow_hyphen_values = true)]
    to: Option<i64>,
    /// The letter of this record, e.g. events-0@12; may be given many times.
    #[arg(long = "id", value_name = "TOPIC-PARTITION@OFFSET")]
    ids: Vec<String>,
    /// All of them.
    #[arg(long, conflicts_with_all = ["reason", "from", "to", "ids"])]
    all: bool,
}

/// Shows dead letters.
pub(super) async fn list(args: &DlqArgs) -> Result<()> {
    let mut table = Table::new(&["reason", "place", "message"]);
    let (mut left, mut cursor) = (args.limit, None::<String>);
    while left > 0 {
        let path = args.path(left.min(PAGE), cursor.as_deref());
        let page = args.view.http.get(&path).await?;
        for letter in page["letters"].as_array().map_or(&[][..], Vec::as_slice) {
            left = left.saturating_sub(1);
            if args.json {
                writeln!(io::stdout(), "{letter}")?;
            } else {
                let cells = ["reason", "id", "message"];
                table.row(cells.map(|name| letter[name].clone()).into());
            }
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    if !args.json {
        table.print(false)?;
    }
    Ok(())
}

/// Applies dead letters.
pub(super) async fn redrive(args: &RedriveArgs) -> Result<()> {
    let path = args.view.path("/redrive");
    let done = args.view.http.post(&path, &args.chosen.body()).await?;
    let mut table = Table::new(&["redriven", "rejected", "settled"]);
    let cells = ["redriven", "rejected", "settled"];
    table.row(cells.map(|name| done[name].clone()).into());
    Ok(table.print(args.json)?)
}

impl DlqArgs {
    /// The path of a page.
    fn path(&self, limit: usize, cursor: Option<&str>) -> String {
        let order = self.oldest.then_some("oldest");
        let limit = limit.to_string();
        let asked = [
            ("limit", Some(limit.as_str())),
            ("reason", self.reason.as_deref()),
            ("order", order),
            ("cursor", cursor),
        ];
        let asked = asked
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", encoded(value?))));
        let asked: Vec<String> = asked.collect();
        format!("/v1/dlq/{}?{}", encoded(&self.view.name), asked.join("&"))
    }
}

impl Chosen {
    /// What was chosen, and nothing else.
    fn body(&self) -> Value {
        let ids = (!self.ids.is_empty()).then_some(&self.ids);
        let all = [
            ("reason", json!(self.reason)),
            ("from_ms", json!(self.from)),
            ("to_ms", json!(self.to)),
            ("ids", json!(ids)),
            ("all", json!(self.all)),
        ];
        let given = all.into_iter().filter(|(_, value)| !value.is_null());
        let given: Map<String, Value> = given
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        given.into()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: RedriveArgs,
    }

    fn body(flags: &str) -> Option<Value> {
        let words = ["redrive", "v"].into_iter().chain(flags.split_whitespace());
        let command = Command::try_parse_from(words).ok()?;
        Some(command.args.chosen.body())
    }

    #[test]
    fn letters_are_chosen_on_purpose() {
        assert_eq!(body(""), None);
        assert_eq!(body("--all --reason LATE"), None);
        assert_eq!(body("--all"), Some(json!({"all": true})));
        assert_eq!(
            body("--reason LATE --from 1970-01-01T00:00:01Z --to 5000"),
            Some(json!({"reason": "LATE", "from_ms": 1000, "to_ms": 5000, "all": false}))
        );
        assert_eq!(
            body("--id a-0@1 --id a-0@2"),
            Some(json!({"ids": ["a-0@1", "a-0@2"], "all": false}))
        );
    }
}
