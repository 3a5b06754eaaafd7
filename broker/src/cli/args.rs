//! Readers of argument values.
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// A separator, in which `\t` is a tab and `\\` a backslash.
pub(super) fn separator(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        out.push(match char {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('\\') => '\\',
                _ => return Err(r"expected \t or \\ after a backslash".to_owned()),
            },
            char => char,
        });
    }
    Ok(out)
}

/// From 0 to 100.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

/// Epoch milliseconds, as a number or as RFC 3339 has them.
pub(super) fn epoch_ms(text: &str) -> Result<i64, String> {
    if let Ok(epoch_ms) = text.parse() {
        return Ok(epoch_ms);
    }
    let time = OffsetDateTime::parse(text, &Rfc3339);
    let time = time.map_err(|_| "expected RFC 3339 or epoch milliseconds".to_owned())?;
    Ok((time.unix_timestamp_nanos().div_euclid(1_000_000)) as i64)
}

/// The wall clock, epoch milliseconds.
pub(super) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("=b").is_err() && pair("a").is_err());
        assert_eq!(separator(r"\t"), Ok("\t".to_owned()));
        assert_eq!(separator(r"::\\"), Ok(r"::\".to_owned()));
        assert!(separator(r"\n").is_err());
        assert_eq!(epoch_ms("-5"), Ok(-5));
        assert_eq!(epoch_ms("1970-01-01T01:00:00.5+01:00"), Ok(500));
        assert!(epoch_ms("1970-01-01").is_err() && epoch_ms("").is_err());
        assert!(percent("100.5").is_err() && percent("NaN").is_err());
    }
}
