//! `klamm projection list` and `describe`.
use std::io::{self, Write};

use anyhow::Result;
use serde_json::Value;

use super::View;
use crate::cli::http::Http;
use crate::cli::table::Table;

/// All views.
pub(super) async fn list(http: &Http, json: bool) -> Result<()> {
    let found = http.get("/v1/projections").await?;
    let mut table = Table::new(&[
        "view",
        "source",
        "state",
        "generation",
        "rows",
        "lag",
        "dead",
        "reason",
    ]);
    for view in items(&found["projections"]) {
        let counts = &view["counts"];
        let dead = counts["late"].as_u64().unwrap_or(0) + counts["dead"].as_u64().unwrap_or(0);
        table.row(vec![
            view["name"].clone(),
            view["source"].clone(),
            view["state"].clone(),
            view["generation"].clone(),
            view["rows"].clone(),
            lag(view).into(),
            dead.into(),
            view["reason"].clone(),
        ]);
    }
    Ok(table.print(json)?)
}

/// One view.
pub(super) async fn one(view: &View, json: bool) -> Result<()> {
    let found = view.description().await?;
    let mut out = io::stdout();
    if json {
        return Ok(writeln!(out, "{found}")?);
    }
    for (name, text) in facts(&found) {
        writeln!(out, "{:<12}{text}", format!("{name}:"))?;
    }
    writeln!(out)?;
    let mut counts = Table::new(&["in", "applied", "duplicate", "late", "dead"]);
    let cells = ["in", "applied", "duplicate", "late", "dead"];
    counts.row(cells.map(|name| found["counts"][name].clone()).into());
    counts.print(false)?;
    writeln!(out)?;
    let mut sources = Table::new(&["partition", "next", "end", "lag", "stream_time"]);
    for source in items(&found["sources"]) {
        let cells = ["partition", "next", "end", "records", "stream_time"];
        sources.row(cells.map(|name| source[name].clone()).into());
    }
    Ok(sources.print(false)?)
}

/// What there is to say about a view as a whole, a line each.
fn facts(view: &Value) -> Vec<(&'static str, String)> {
    let text = |name: &str| match &view[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut facts = vec![
        ("view", text("name")),
        ("about", text("about")),
        ("source", text("source")),
        ("state", text("state")),
    ];
    if !view["reason"].is_null() {
        facts.push(("reason", text("reason")));
    }
    facts.push(("generation", text("generation")));
    let building = &view["building"];
    if let (Some(read), Some(of)) = (building["read"].as_u64(), building["of"].as_u64()) {
        let ready = match building["ready"].as_bool() {
            Some(true) => ", ready to be promoted",
            _ => "",
        };
        let generation = &building["generation"];
        let text = format!("generation {generation}: {read} of {of} records{ready}");
        facts.push(("building", text));
    }
    facts.push(("rows", text("rows")));
    facts.push(("memory", format!("{} bytes", text("memory_bytes"))));
    facts.push(("definition", text("definition")));
    facts
}

/// Records that a view has not read yet.
fn lag(view: &Value) -> i64 {
    let sources = items(&view["sources"]).iter();
    sources
        .filter_map(|source| source["records"].as_i64())
        .sum()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_generation_being_built_and_a_reason_are_told() {
        let view = json!({
            "name": "v", "state": "PAUSED", "reason": "storm", "generation": 2, "rows": 7,
            "building": {"generation": 3, "read": 5, "of": 10, "ready": true},
            "sources": [{"records": 3}, {"records": 4}],
        });
        let facts = facts(&view);
        assert!(facts.contains(&("reason", "storm".to_owned())));
        let building = "generation 3: 5 of 10 records, ready to be promoted";
        assert!(facts.contains(&("building", building.to_owned())));
        assert_eq!(lag(&view), 7);
    }
}
