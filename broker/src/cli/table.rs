//! Tables for people, and one JSON object per line for machines, from the same rows.
use std::io::{self, Write};

use serde_json::{Map, Value};

/// Rows under named columns.
#[derive(Debug)]
pub(super) struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty table. The names are the JSON keys; people see them in capitals.
    pub(super) fn new(columns: &'static [&'static str]) -> Table {
        Table {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row with a value for each column.
    pub(super) fn row(&mut self, values: Vec<Value>) {
        debug_assert_eq!(values.len(), self.columns.len());
        self.rows.push(values);
    }

    /// Prints to standard output.
    pub(super) fn print(&self, json: bool) -> io::Result<()> {
        let out = &mut io::stdout().lock();
        if json {
            self.write_json(out)
        } else {
            self.write_text(out)
        }
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        for row in &self.rows {
            let names = self.columns.iter().map(|name| (*name).to_owned());
            let object: Map<String, Value> = names.zip(row.iter().cloned()).collect();
            writeln!(out, "{}", Value::Object(object))?;
        }
        Ok(())
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let heads = self
            .columns
            .iter()
            .map(|name| name.replace('_', "-").to_uppercase());
        let mut lines: Vec<Vec<String>> = vec![heads.collect()];
        lines.extend(self.rows.iter().map(|row| row.iter().map(text).collect()));
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        for line in lines {
            let mut padded = String::new();
            for (cell, width) in line.iter().zip(&widths) {
                padded.push_str(cell);
                padded.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
            writeln!(out, "{}", padded.trim_end())?;
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_set_of_rows_prints_both_ways() {
        let mut table = Table::new(&["topic", "log_end", "in_sync"]);
        table.row(vec!["events".into(), 12.into(), json!([1, 2])]);
        table.row(vec!["x".into(), Value::Null, json!([])]);
        let (mut people, mut machines) = (Vec::new(), Vec::new());
        table.write_text(&mut people).unwrap();
        table.write_json(&mut machines).unwrap();
        assert_eq!(
            String::from_utf8(people).unwrap(),
            "TOPIC   LOG-END  IN-SYNC\nevents  12       1,2\nx       -\n"
        );
        assert_eq!(
            String::from_utf8(machines).unwrap(),
            "{\"in_sync\":[1,2],\"log_end\":12,\"topic\":\"events\"}\n\
             {\"in_sync\":[],\"log_end\":null,\"topic\":\"x\"}\n"
        );
    }
}
