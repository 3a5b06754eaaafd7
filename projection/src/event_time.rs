//! Event times: how they are read, and the days and windows that they fall into.
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// 0000-01-01T00:00:00Z, epoch ms.
const FIRST_MS: i64 = -62_167_219_200_000;
/// The last millisecond of the year 9999, epoch ms.
const LAST_MS: i64 = 253_402_300_799_999;
const SECOND_MS: i64 = 1000;

/// The event time that the text of a JSON number gives: integers only, epoch ms.
pub(crate) fn from_number(text: &str) -> Option<i64> {
    text.parse().ok().filter(in_range)
}

/// The event time of an RFC 3339 text, epoch ms; what is finer is cut off.
pub(crate) fn from_text(text: &str) -> Option<i64> {
    // `time` takes anything between date and time, as the RFC's note allows.
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
        return None;
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let ms = time.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(ms).ok().filter(in_range)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "for Option::filter")]
fn in_range(ms: &i64) -> bool {
    (FIRST_MS..=LAST_MS).contains(ms)
}

/// The UTC day of an event time, as `2023-03-28`.
pub(crate) fn utc_day(ms: i64) -> String {
    let seconds = ms.clamp(FIRST_MS, LAST_MS).div_euclid(SECOND_MS);
    let time = OffsetDateTime::from_unix_timestamp(seconds)
        .expect("years 0 to 9999 are within the range of times");
    format!(
        "{:04}-{:02}-{:02}",
        time.year(),
        u8::from(time.month()),
        time.day()
    )
}

/// Tumbling windows: every event time falls into exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Length, ms; above 0.
    pub size_ms: i64,
    /// How long after its end a window still takes events, ms of stream time.
    pub grace_ms: i64,
}

impl Window {
    /// Where the window of this event time starts, epoch ms.
    pub fn start(self, event_time: i64) -> i64 {
        let size = self.size_ms.max(1);
        event_time.saturating_sub(event_time.rem_euclid(size))
    }

    /// Whether the window of this event time is closed at a stream time.
    pub fn is_closed(self, event_time: i64, stream_time: i64) -> bool {
        let end = self.start(event_time).saturating_add(self.size_ms);
        stream_time >= end.saturating_add(self.grace_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_and_nothing_else() {
        let good = [
            ("2023-03-28T10:40:00Z", 1_680_000_000_000),
            ("2023-03-28t12:40:00.123987+02:00", 1_680_000_000_123),
            ("1969-12-31T23:59:59.9999Z", -1),
            ("0000-01-01T00:00:00Z", FIRST_MS),
            ("9999-12-31T23:59:59.999999Z", LAST_MS),
            ("2016-12-31T23:59:60Z", 1_483_228_799_999),
        ];
        for (text, ms) in good {
            assert_eq!(from_text(text), Some(ms), "{text}");
        }
        let bad = [
            "",
            "2023-03-28",
            "2023-03-28T10:40:00",
            "2023-03-28 10:40:00Z",
            "2023-03-28é10:40:00Z",
            "2023-3-28T10:40:00Z",
            "2023-02-29T00:00:00Z",
            "2023-03-28T24:00:00Z",
            "2023-03-28T10:40:00Z ",
            "20230328T104000Z",
            "1680000000000",
            "yesterday",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "+12023-03-28T10:40:00Z",
        ];
        for text in bad {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_whole_milliseconds_within_the_years() {
        assert_eq!(from_number("1680000000000"), Some(1_680_000_000_000));
        assert_eq!(from_number(&FIRST_MS.to_string()), Some(FIRST_MS));
        assert_eq!(from_number(&LAST_MS.to_string()), Some(LAST_MS));
        for bad in [
            "1.0",
            "1e3",
            "9223372036854775807",
            "-9223372036854775808",
            "1e999",
            "",
        ] {
            assert_eq!(from_number(bad), None, "{bad}");
        }
        assert_eq!(from_number(&(LAST_MS + 1).to_string()), None);
        assert_eq!(from_number(&(FIRST_MS - 1).to_string()), None);
    }

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(utc_day(1_680_000_000_000), "2023-03-28");
        assert_eq!(utc_day(-1), "1969-12-31");
        assert_eq!(utc_day(FIRST_MS), "0000-01-01");
        assert_eq!(utc_day(LAST_MS), "9999-12-31");
    }

    #[test]
    fn windows_hold_at_the_limits() {
        let window = Window {
            size_ms: 60_000,
            grace_ms: 120_000,
        };
        assert_eq!(window.start(1_680_000_059_999), 1_680_000_000_000);
        assert_eq!(window.start(-1), -60_000);
        assert!(!window.is_closed(1_680_000_000_000, 1_680_000_179_999));
        assert!(window.is_closed(1_680_000_000_000, 1_680_000_180_000));
        for extreme in [i64::MIN, i64::MAX] {
            let window = Window {
                size_ms: extreme,
                grace_ms: extreme,
            };
            window.is_closed(i64::MIN, i64::MAX);
            window.is_closed(i64::MAX, i64::MIN);
        }
    }
}
