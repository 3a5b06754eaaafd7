//! What views must say, computed by SQLite from the records of the source: no code is shared with
//! klamm.
//!
//! JSON is taken apart by SQLite's own functions, duplicates and lateness are found by its window
//! functions, sums are integers. Only the text of an amount is read here, digit by digit.
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use crate::event::Record;

/// The parts of a definition that change a view.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// `None` for ever.
    pub(crate) dedup_window_ms: Option<i64>,
    pub(crate) max_future_skew_ms: i64,
    /// A further name of `aggregate_id`.
    pub(crate) user_alias: Option<&'static str>,
    /// Whether records that are late count all the same, unless something else is wrong with them:
    /// they were redriven.
    pub(crate) late_applied: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            dedup_window_ms: Some(600_000),
            max_future_skew_ms: 3_600_000,
            user_alias: None,
            late_applied: false,
        }
    }
}

/// What became of the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) input: u64,
    pub(crate) applied: u64,
    pub(crate) duplicate: u64,
    pub(crate) late: u64,
    pub(crate) dead: u64,
}

/// Rows: key → value and record timestamp.
pub(crate) type Rows = BTreeMap<String, (String, i64)>;

/// A view as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) rows: Rows,
    pub(crate) counts: Counts,
    /// Reason of each record that is rejected, by partition and offset.
    pub(crate) letters: BTreeMap<(i32, i64), String>,
}

/// SHA-256 over `key TAB value LF` of the rows in the order of their keys, in hex.
pub(crate) fn digest(rows: &Rows) -> String {
    let mut sha = Sha256::new();
    for (key, (value, _)) in rows {
        sha.update(format!("{key}\t{value}\n"));
    }
    hex(&sha.finalize())
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut hex = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}").expect("writing to a string does not fail");
    }
    hex
}

/// The records of a source, taken apart.
pub(crate) struct Truth {
    sql: Connection,
    late_applied: bool,
}

impl Truth {
    /// Loads the records of a source.
    pub(crate) fn of(records: &[Record], rules: &Rules) -> Result<Self> {
        let mut sql = Connection::open_in_memory()?;
        sql.execute_batch(
            "CREATE TABLE record (part INT, at INT, record_time INT, value TEXT, utf8 INT,
               PRIMARY KEY (part, at)) WITHOUT ROWID;",
        )?;
        let load = sql.transaction()?;
        {
            let mut insert = load.prepare("INSERT INTO record VALUES (?, ?, ?, ?, ?)")?;
            for Record { offset, event } in records {
                let text = event.value.as_deref().map(std::str::from_utf8);
                let utf8 = !matches!(text, Some(Err(_)));
                let text = text.and_then(Result::ok);
                insert.execute(params![
                    event.partition,
                    offset,
                    event.timestamp,
                    text,
                    utf8
                ])?;
            }
        }
        load.commit()?;
        let user = match rules.user_alias {
            Some(alias) => format!("nullif(value->'$.{alias}', 'null')"),
            None => "NULL".to_owned(),
        };
        sql.execute_batch(
            &DECODED
                .replace("$USER_ALIAS", &user)
                .replace("$SKEW", &rules.max_future_skew_ms.to_string()),
        )?;
        let window = rules.dedup_window_ms.unwrap_or(i64::MAX / 4);
        sql.execute_batch(&FRESH.replace("$WINDOW", &window.to_string()))?;
        let truth = Self {
            sql,
            late_applied: rules.late_applied,
        };
        truth.read_amounts()?;
        Ok(truth)
    }

    /// Puts each amount's text beside it as an integer and a scale.
    fn read_amounts(&self) -> Result<()> {
        let mut select = self.sql.prepare("SELECT part, at, amount FROM purchase")?;
        let mut update = self
            .sql
            .prepare("UPDATE purchase SET coefficient = ?, scale = ? WHERE part = ? AND at = ?")?;
        let found = select.query_map([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get(2)?))
        })?;
        let found: Vec<(i64, i64, Option<String>)> = found.collect::<Result<_, _>>()?;
        self.sql.execute_batch("BEGIN")?;
        for (part, at, amount) in found {
            if let Some((coefficient, scale)) = amount.as_deref().and_then(decimal) {
                update.execute(params![coefficient, scale, part, at])?;
            }
        }
        self.sql.execute_batch("COMMIT")?;
        self.sql.execute_batch(JUDGED)?;
        Ok(())
    }

    /// The view `user_activity`.
    pub(crate) fn user_activity(&self) -> Result<View> {
        let rows = "SELECT
              json_object('user_id', user, 'event_type', kind),
              json_object('user_id', user, 'event_type', kind,
                'count', count(*), 'last_seen', max(t)),
              max(t)
            FROM fresh WHERE NOT duplicate GROUP BY user, kind";
        self.view(
            rows,
            "SELECT part, at, reason FROM decoded WHERE reason IS NOT NULL",
        )
    }

    /// The view `daily_revenue`.
    pub(crate) fn daily_revenue(&self) -> Result<View> {
        let rows = "WITH sold AS (
              SELECT strftime('%Y-%m-%d', t / 1000, 'unixepoch') AS bucket, * FROM judged
              WHERE reason IS NULL)
            SELECT iif(currency IS NULL, json_object('day', bucket),
                json_object('day', bucket, 'currency', currency)),
              iif(currency IS NULL,
                json_object('day', bucket, 'revenue', text, 'orders', orders),
                json_object('day', bucket, 'currency', currency, 'revenue', text,
                  'orders', orders)),
              newest FROM ($SUM)";
        let letters = "SELECT part, at, reason FROM decoded WHERE reason IS NOT NULL
            UNION ALL SELECT part, at, reason FROM judged WHERE reason IS NOT NULL";
        self.view(&rows.replace("$SUM", SUM), letters)
    }

    /// The view `order_revenue_minute`.
    pub(crate) fn order_revenue_minute(&self) -> Result<View> {
        let closed = if self.late_applied { "0" } else { "late" };
        let rows = "WITH sold AS (
              SELECT t - t % 60000 AS bucket, * FROM judged WHERE reason IS NULL AND NOT $CLOSED)
            SELECT json_object('minute_bucket', bucket, 'currency', currency),
              json_object('minute_bucket', bucket, 'currency', currency, 'revenue', text,
                'order_count', orders),
              newest FROM ($SUM)";
        let letters = "SELECT part, at, reason FROM decoded WHERE reason IS NOT NULL
            UNION ALL SELECT part, at, iif(late, 'LATE', reason) FROM judged
              WHERE reason IS NOT NULL OR $CLOSED";
        self.view(
            &rows.replace("$SUM", SUM).replace("$CLOSED", closed),
            &letters.replace("$CLOSED", closed),
        )
    }

    fn view(&self, rows: &str, letters: &str) -> Result<View> {
        let mut select = self.sql.prepare(rows)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        let rows: Rows = rows.collect::<Result<_, _>>()?;
        let mut select = self.sql.prepare(letters)?;
        let letters = select.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
        let letters: BTreeMap<(i32, i64), String> = letters.collect::<Result<_, _>>()?;
        let one = |query: &str| {
            self.sql.query_row(query, [], |row| {
                row.get::<_, i64>(0).map(|count| count as u64)
            })
        };
        let input = one("SELECT count(*) FROM record")?;
        let duplicate = one("SELECT count(*) FROM fresh WHERE duplicate")?;
        let late = letters.values().filter(|reason| *reason == "LATE").count() as u64;
        let dead = letters.len() as u64 - late;
        let counts = Counts {
            input,
            applied: input
                .checked_sub(duplicate + late + dead)
                .context("too many")?,
            duplicate,
            late,
            dead,
        };
        Ok(View {
            rows,
            counts,
            letters,
        })
    }
}

/// The event in each record, or what is wrong with it.
const DECODED: &str = "
CREATE TABLE decoded AS
WITH shaped AS (
  SELECT *, CASE
      WHEN NOT utf8 THEN 'BAD_JSON'
      WHEN value IS NULL THEN 'NOT_OBJECT'
      WHEN NOT json_valid(value) THEN 'BAD_JSON'
      WHEN json_type(value) <> 'object' THEN 'NOT_OBJECT' END AS no_object
  FROM record),
picked AS MATERIALIZED (
  SELECT part, at, record_time, no_object,
    iif(no_object IS NULL, nullif(value->'$.event_id', 'null'), NULL) AS id,
    iif(no_object IS NULL, coalesce(nullif(value->'$.aggregate_id', 'null'),
      nullif(value->'$.user_id', 'null'), $USER_ALIAS), NULL) AS user,
    iif(no_object IS NULL, coalesce(nullif(value->'$.event_type', 'null'),
      nullif(value->'$.type', 'null')), NULL) AS kind,
    iif(no_object IS NULL, coalesce(nullif(value->'$.timestamp', 'null'),
      nullif(value->'$.ts', 'null'), nullif(value->'$.event_timestamp', 'null')), NULL) AS time,
    iif(no_object IS NULL, coalesce(nullif(value->'$.data', 'null'),
      nullif(value->'$.payload', 'null')), NULL) AS data
  FROM shaped),
timed AS MATERIALIZED (
  SELECT *, CASE
      WHEN time IS NULL THEN NULL
      WHEN json_type(time) = 'integer' THEN CAST(time AS INTEGER)
      WHEN json_type(time) = 'text'
        THEN CAST(round(unixepoch(time->>'$', 'subsec') * 1000) AS INTEGER) END AS t
  FROM picked)
SELECT part, at, t, data, id->>'$' AS id, user->>'$' AS user, kind->>'$' AS kind, CASE
    WHEN no_object IS NOT NULL THEN no_object
    WHEN id IS NULL THEN 'MISSING_FIELD' WHEN json_type(id) <> 'text' THEN 'BAD_TYPE'
    WHEN user IS NULL THEN 'MISSING_FIELD' WHEN json_type(user) <> 'text' THEN 'BAD_TYPE'
    WHEN kind IS NULL THEN 'MISSING_FIELD' WHEN json_type(kind) <> 'text' THEN 'BAD_TYPE'
    WHEN time IS NULL THEN 'MISSING_FIELD' WHEN t IS NULL THEN 'BAD_TIMESTAMP'
    WHEN t > record_time + $SKEW THEN 'TIMESTAMP_OUT_OF_RANGE' END AS reason
FROM timed;";

/// Stream time, duplicates, purchases.
const FRESH: &str = "
CREATE TABLE fresh AS
WITH sighted AS (
  SELECT *,
    max(t) OVER (PARTITION BY part ORDER BY at
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,
    max(t) OVER (PARTITION BY part ORDER BY at) AS stamp
  FROM decoded WHERE reason IS NULL)
SELECT *, coalesce(
    lag(stamp) OVER (PARTITION BY part, id ORDER BY at) >= before - $WINDOW, 0) AS duplicate
FROM sighted;
CREATE TABLE purchase AS
SELECT part, at, t, data, data_kind,
  coalesce(before >= t - t % 60000 + 60000 + 120000, 0) AS late,
  iif(data_kind = 'object', nullif(data->'$.amount', 'null'), NULL) AS amount,
  iif(data_kind = 'object', nullif(data->'$.currency', 'null'), NULL) AS currency,
  NULL AS coefficient, NULL AS scale
FROM (SELECT *, json_type(data) AS data_kind FROM fresh
  WHERE kind = 'purchase' AND NOT duplicate);
CREATE INDEX purchase_place ON purchase (part, at);";

/// Purchases whose amounts were read.
const JUDGED: &str = "
CREATE TABLE judged AS
SELECT part, at, t, late, coefficient, scale, currency->>'$' AS currency, CASE
    WHEN data IS NULL THEN 'MISSING_FIELD'
    WHEN data_kind <> 'object' THEN 'BAD_TYPE'
    WHEN amount IS NULL THEN 'MISSING_FIELD'
    WHEN json_type(amount) NOT IN ('integer', 'real', 'text') THEN 'BAD_TYPE'
    WHEN coefficient IS NULL THEN 'BAD_NUMBER'
    WHEN currency IS NOT NULL AND json_type(currency) <> 'text' THEN 'BAD_TYPE' END AS reason
FROM purchase;
CREATE TABLE power (scale INT PRIMARY KEY, ten INT);
INSERT INTO power WITH RECURSIVE up (scale, ten) AS (
  SELECT 0, 1 UNION ALL SELECT scale + 1, ten * 10 FROM up WHERE scale < 17)
SELECT scale, ten FROM up;";

/// Sums of `sold` by bucket and currency: text with the largest scale of its amounts.
const SUM: &str = "
SELECT bucket, currency, orders, newest, iif(sum < 0, '-', '') || iif(most = 0, abs(sum),
    (abs(sum) / ten) || '.' || substr('00000000000000000' || (abs(sum) % ten), -most)) AS text
FROM (
  SELECT bucket, currency, most, count(*) AS orders, max(t) AS newest,
    sum(coefficient * power.ten) AS sum
  FROM (SELECT *, max(scale) OVER (PARTITION BY bucket, currency) AS most FROM sold) AS summand
    JOIN power ON power.scale = most - summand.scale
  GROUP BY bucket, currency, most)
  JOIN power ON power.scale = most";

/// A JSON number, or a string with one in it, as digits and a scale.
fn decimal(json: &str) -> Option<(i64, i64)> {
    let text = json.trim_matches('"');
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut coefficient: i64 = format!("{whole}{part}").parse().ok()?;
    let mut scale = part.len() as i64 - exponent;
    while scale < 0 {
        coefficient = coefficient.checked_mul(10)?;
        scale += 1;
    }
    Some((coefficient, scale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn the_examples_of_the_specification() -> Result<()> {
        let event = |offset, id, kind, data: &str, time: i64| Record {
            offset,
            event: Event::of(
                0,
                time,
                format!(
                    "{{\"event_id\":\"{id}\",\"user_id\":\"u1\",\"event_type\":\"{kind}\",\
                     \"timestamp\":{time},\"data\":{data}}}"
                ),
            ),
        };
        let records = [
            event(0, "a", "login", "{}", 1_679_999_000_000),
            event(1, "b", "login", "{}", 1_680_000_000_000),
            event(2, "b", "login", "{}", 1_680_000_000_000),
            event(
                3,
                "c",
                "purchase",
                "{\"amount\":\"49.99\"}",
                1_680_000_000_000,
            ),
            event(4, "d", "purchase", "{\"amount\":19.990}", 1_680_000_000_000),
        ];
        let truth = Truth::of(&records, &Rules::default())?;
        let activity = truth.user_activity()?;
        let login = "{\"user_id\":\"u1\",\"event_type\":\"login\"}";
        let value =
            "{\"user_id\":\"u1\",\"event_type\":\"login\",\"count\":2,\"last_seen\":1680000000000}";
        assert_eq!(activity.rows[login], (value.to_owned(), 1_680_000_000_000));
        assert_eq!((activity.counts.applied, activity.counts.duplicate), (4, 1));
        let revenue = truth.daily_revenue()?.rows;
        let value = "{\"day\":\"2023-03-28\",\"revenue\":\"69.980\",\"orders\":2}";
        assert_eq!(revenue["{\"day\":\"2023-03-28\"}"].0, value);
        Ok(())
    }
}
