//! What a value may be, beyond its type, with Kafka's complaints (`ConfigDef`).
use std::fmt;

/// The limit of a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowed {
    /// Whatever the type can hold.
    Any,
    /// A number of at least this.
    AtLeast(i64),
    /// A number from … to, both included.
    Between(i64, i64),
    /// A number from … to, or this other one.
    BetweenOr(i64, i64, i64),
    /// A floating-point number from 0 to 1.
    Ratio,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Some of these words, with commas between them.
    ListOf(&'static [&'static str]),
    /// Text of at least one character.
    NonEmpty,
    /// `HOST:PORT`.
    Address,
    /// `HOST:PORT` or nothing.
    OptionalAddress,
    /// Only this one value; the second text says why.
    Only(&'static str, &'static str),
}

impl Allowed {
    /// Parses with `parse`, then checks the limit: a text of the wrong type is told so first.
    pub(crate) fn check_parsed<T>(
        self,
        text: &str,
        parse: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        let value = parse()?;
        self.check(text)?;
        Ok(value)
    }

    /// Checks the text of a value that already parsed as its type; the error is the reason.
    pub fn check(self, text: &str) -> Result<(), String> {
        let text = text.trim();
        match self {
            // Words are checked where they are parsed.
            Allowed::Any | Allowed::OneOf(_) | Allowed::ListOf(_) => Ok(()),
            Allowed::AtLeast(min) => between(text, min, i64::MAX),
            Allowed::Between(min, max) => between(text, min, max),
            Allowed::BetweenOr(min, max, other) => {
                let either = between(text, min, max).or_else(|_| between(text, other, other));
                either.map_err(|_| {
                    format!("Value must be between {min} and {max} or equal to {other}")
                })
            }
            Allowed::Ratio => match text.parse::<f64>() {
                Ok(ratio) if ratio < 0.0 => Err("Value must be at least 0".into()),
                Ok(ratio) if ratio <= 1.0 => Ok(()),
                _ => Err("Value must be no more than 1".into()),
            },
            Allowed::NonEmpty => require(!text.is_empty(), "String must be non-empty"),
            Allowed::Address => require(is_address(text), NO_ADDRESS),
            Allowed::OptionalAddress => require(text.is_empty() || is_address(text), NO_ADDRESS),
            Allowed::Only(value, why) => require(text.eq_ignore_ascii_case(value), why),
        }
    }
}

const NO_ADDRESS: &str = "Expected HOST:PORT, such as 0.0.0.0:9092 or [::1]:9092";

fn require(holds: bool, reason: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(reason.to_owned())
    }
}

fn between(text: &str, min: i64, max: i64) -> Result<(), String> {
    match text.parse::<i64>() {
        Ok(number) if number > max => Err(format!("Value must be no more than {max}")),
        Ok(number) if number >= min => Ok(()),
        _ => Err(format!("Value must be at least {min}")),
    }
}

/// `HOST:PORT`; an IPv6 host stands in brackets.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = !host.is_empty() && !host.contains([':', '/', ' ']);
    (bracketed || plain) && port.parse::<u16>().is_ok()
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::Any => f.write_str("any value"),
            Allowed::AtLeast(min) => write!(f, "at least {min}"),
            Allowed::Between(min, max) => write!(f, "{min} to {max}"),
            Allowed::BetweenOr(min, max, other) => write!(f, "{min} to {max}, or {other}"),
            Allowed::Ratio => f.write_str("0 to 1"),
            Allowed::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            Allowed::ListOf(words) => write!(f, "any of {}", words.join(", ")),
            Allowed::NonEmpty => f.write_str("not empty"),
            Allowed::Address => f.write_str("HOST:PORT"),
            Allowed::OptionalAddress => f.write_str("HOST:PORT or nothing"),
            Allowed::Only(value, _) => write!(f, "only {value:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_complain_in_kafkas_words() {
        let at_least = Allowed::AtLeast(1);
        assert_eq!(at_least.check("1"), Ok(()));
        assert_eq!(at_least.check("0").unwrap_err(), "Value must be at least 1");
        let between = Allowed::Between(1, 17);
        assert_eq!(
            between.check("18").unwrap_err(),
            "Value must be no more than 17"
        );
        assert_eq!(Allowed::BetweenOr(1, 9, -1).check("-1"), Ok(()));
        assert!(Allowed::BetweenOr(1, 9, -1).check("0").is_err());
        assert!(Allowed::Ratio.check("1.5").is_err());
        assert!(Allowed::Ratio.check("NaN").is_err());
    }

    #[test]
    fn addresses_need_a_host_and_a_port() {
        for good in ["127.0.0.1:9092", "localhost:0", "[::1]:9092"] {
            assert_eq!(Allowed::Address.check(good), Ok(()), "{good}");
        }
        assert_eq!(Allowed::OptionalAddress.check(""), Ok(()));
        for bad in [
            "",
            "9092",
            ":9092",
            "host",
            "host:99999",
            "::1:9092",
            "PLAINTEXT://h:1",
        ] {
            assert!(Allowed::Address.check(bad).is_err(), "{bad}");
        }
    }
}
