//! Decimal numbers, read and added exactly.
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Decimals that are kept, at most.
const MAX_SCALE: i64 = 18;
/// One, in the unit of [`Decimal::fraction`].
const ONE: u64 = 10_u64.pow(MAX_SCALE as u32);
/// Digits before the point that an amount may have.
const MAX_AMOUNT_DIGITS: i64 = 20;
/// Digits before the point that a sum may have: those of an `i128`.
const MAX_SUM_DIGITS: i64 = 39;

/// A decimal number: `whole + fraction / 10^18`, written with `scale` decimals.
///
/// Amounts have at most 20 digits before the point and a sum has room for 38: fewer than 10^18
/// amounts never overflow it, in whatever order they come. So no amount is rejected in one order
/// that would be taken in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    whole: i128,
    fraction: u64,
    scale: u8,
}

impl Decimal {
    /// An amount from the text of a JSON number: at most 20 digits before the point and 18 after it.
    pub fn from_number(text: &str) -> Option<Self> {
        Self::parse(text, true, MAX_AMOUNT_DIGITS)
    }

    /// As [`Decimal::from_number`], without an exponent: what a JSON string may hold.
    pub fn from_plain(text: &str) -> Option<Self> {
        Self::parse(text, false, MAX_AMOUNT_DIGITS)
    }

    /// The sum, with the larger scale of the two; `None` past the limits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let fraction = self.fraction + other.fraction;
        let whole = self.whole.checked_add(other.whole)?;
        Some(Self {
            whole: whole.checked_add(i128::from(fraction / ONE))?,
            fraction: fraction % ONE,
            scale: self.scale.max(other.scale),
        })
    }

    fn parse(text: &str, exponent_allowed: bool, max_digits: i64) -> Option<Self> {
        let parts = Parts::split(text)?;
        let exponent = match parts.exponent {
            None => 0,
            Some(digits) if exponent_allowed => exponent(digits)?,
            Some(_) => return None,
        };
        // Digits after the point; below zero when zeros have to be added before it.
        let right = i64::try_from(parts.decimals.len())
            .ok()?
            .checked_sub(exponent)?;
        let scale = right.max(0);
        let zeros = |digit: &u8| *digit == b'0';
        let digits = parts
            .whole
            .bytes()
            .chain(parts.decimals.bytes())
            .skip_while(zeros);
        let count = digits.clone().count() as i64;
        if count == 0 {
            let scale = u8::try_from(scale.min(MAX_SCALE + 1)).ok()?;
            let zero = Self {
                whole: 0,
                fraction: 0,
                scale,
            };
            return (i64::from(scale) <= MAX_SCALE).then_some(zero);
        }
        let left = count.checked_sub(right)?;
        if scale > MAX_SCALE || left > max_digits {
            return None;
        }
        let mut digits = digits.map(|digit| digit - b'0');
        let mut whole: i128 = 0;
        for _ in 0..left.max(0) {
            let digit = digits.next().unwrap_or(0);
            whole = whole.checked_mul(10)?.checked_add(i128::from(digit))?;
        }
        let fraction = digits.fold(0, |fraction, digit| fraction * 10 + u64::from(digit));
        let fraction = fraction * 10_u64.pow((MAX_SCALE - scale) as u32);
        let (whole, fraction) = match (parts.negative, fraction) {
            (false, _) => (whole, fraction),
            (true, 0) => (-whole, 0),
            (true, _) => (-whole - 1, ONE - fraction),
        };
        Some(Self {
            whole,
            fraction,
            scale: scale as u8,
        })
    }
}

/// The parts of a number's text.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    decimals: &'a str,
    exponent: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (rest, exponent) = match rest.split_once(['e', 'E']) {
            Some((rest, exponent)) => (rest, Some(exponent)),
            None => (rest, None),
        };
        let (whole, decimals) = match rest.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (rest, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let valid = !whole.is_empty() && digits(whole) && digits(decimals);
        valid.then_some(Self {
            negative,
            whole,
            decimals,
            exponent,
        })
    }
}

/// An exponent; one beyond all limits comes out as a large one.
fn exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits.bytes().fold(0_i64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    Some(sign * value.min(i64::from(u32::MAX)))
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = match (self.whole < 0, self.fraction) {
            (true, 1..) => ((self.whole + 1).unsigned_abs(), ONE - self.fraction),
            _ => (self.whole.unsigned_abs(), self.fraction),
        };
        let sign = if self.whole < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}")?;
        let scale = usize::from(self.scale);
        if scale > 0 {
            let shown = fraction / 10_u64.pow(MAX_SCALE as u32 - u32::from(self.scale));
            write!(f, ".{shown:0scale$}")?;
        }
        Ok(())
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let sum = Self::parse(&text, false, MAX_SUM_DIGITS);
        sum.ok_or_else(|| de::Error::custom("no decimal number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        Decimal::from_number(text).map(|decimal| decimal.to_string())
    }

    #[test]
    fn text_is_read_exactly_and_written_with_its_scale() {
        let same = [
            "0",
            "7",
            "0.10",
            "-0.5",
            "-1.5",
            "-12",
            "69.98",
            "99999999999999999999",
            "-99999999999999999999.999999999999999999",
            "0.000000000000000001",
        ];
        for text in same {
            assert_eq!(shown(text).as_deref(), Some(text));
            assert_eq!(Decimal::from_plain(text).unwrap().to_string(), text);
        }
        let written = [
            ("1e3", "1000"),
            ("1.5E1", "15"),
            ("1.50e1", "15.0"),
            ("15e-1", "1.5"),
            ("1.50e-1", "0.150"),
            ("0e99999999999999999999", "0"),
            ("0e-2", "0.00"),
            ("-0.00", "0.00"),
            ("1e+2", "100"),
            ("123e-5", "0.00123"),
        ];
        for (text, expected) in written {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let bad = [
            "",
            "-",
            "+1",
            "1.",
            ".5",
            "1,5",
            "1e",
            "1e+",
            "e1",
            "0x10",
            " 1",
            "1 ",
            "NaN",
            "1_000",
            "--1",
            "1.2.3",
            "1e1e1",
            "100000000000000000000",
            "1e20",
            "0.0000000000000000001",
            "1e-19",
            "0e-19",
            "1e-99999999999999999999",
            "1e99999999999999999999",
        ];
        for text in bad {
            assert_eq!(shown(text), None, "{text}");
        }
        assert_eq!(Decimal::from_plain("1e3"), None);
        assert_eq!(Decimal::from_plain("007.50").unwrap().to_string(), "7.50");
    }

    #[test]
    fn sums_do_not_depend_on_the_order_even_at_the_limits() {
        let texts = [
            "99999999999999999999.999999999999999999",
            "-99999999999999999999",
            "0.1",
            "-0.25",
            "99999999999999999999",
            "0.000000000000000001",
            "-3",
        ];
        let all = texts.map(|text| Decimal::from_number(text).unwrap());
        let sum = |of: &mut dyn Iterator<Item = &Decimal>| {
            of.copied()
                .reduce(|sum, next| sum.checked_add(next).unwrap())
                .unwrap()
        };
        let forwards = sum(&mut all.iter());
        assert_eq!(forwards, sum(&mut all.iter().rev()));
        assert_eq!(
            forwards.to_string(),
            "99999999999999999996.850000000000000000"
        );
    }

    #[test]
    fn a_sum_past_the_limits_is_none_and_its_text_comes_back() {
        let text = format!("\"{}.5\"", i128::MAX);
        let most: Decimal = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&most).unwrap(), text);
        assert_eq!(most.checked_add(Decimal::from_number("0.5").unwrap()), None);
        assert!(
            most.checked_add(Decimal::from_number("0.4").unwrap())
                .is_some()
        );
        assert!(serde_json::from_str::<Decimal>(&format!("\"{}0\"", i128::MAX)).is_err());
    }
}
