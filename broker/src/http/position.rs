//! How far a view has read its source, as text: `0:123,1:456` is partition and next offset.
use std::fmt::Write;

use super::problem::Problem;

/// The text of a position.
pub(super) fn text(position: &[(i32, i64)]) -> String {
    let mut text = String::new();
    for (partition, next) in position {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{partition}:{next}").expect("writing to a string does not fail");
    }
    text
}

/// A position that a view should have reached: each partition and its next offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Least(Vec<(i32, i64)>);

impl Least {
    /// Reads `0:123` (the next offset is 123 or more) and `0@122` (the record at offset 122 is in:
    /// the same), with commas between.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let bad = || {
            Problem::bad(format!(
                "min_position: {text:?} is not PARTITION:NEXT_OFFSET or PARTITION@OFFSET, with \
                 commas between"
            ))
        };
        let place = |part: &str| {
            let at = part.find([':', '@'])?;
            let (partition, offset) = (part[..at].parse().ok()?, part[at + 1..].parse().ok()?);
            let further = i64::from(part.as_bytes()[at] == b'@');
            let next = i64::checked_add(offset, further)?;
            (i32::is_positive(partition) || partition == 0).then_some((partition, next))
        };
        let places: Option<Vec<_>> = text.split(',').map(|part| place(part.trim())).collect();
        places.map(Self).ok_or_else(bad)
    }

    /// Whether a view at `position` is there.
    pub(super) fn is_reached_at(&self, position: &[(i32, i64)]) -> bool {
        self.0.iter().all(|(partition, least)| {
            let mut known = position.iter();
            let next = known.find(|(other, _)| other == partition);
            next.map_or(0, |(_, next)| *next) >= *least
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reaches_itself_and_records_below_it() {
        let position = [(0, 123), (2, 456)];
        assert_eq!(text(&position), "0:123,2:456");
        for reached in ["0:123,2:456", "0@122", " 2:1 , 0:0", "7:0"] {
            assert!(
                Least::parse(reached).unwrap().is_reached_at(&position),
                "{reached}"
            );
        }
        for ahead in ["0:124", "0@123", "0:1,2:457", "1:1"] {
            assert!(
                !Least::parse(ahead).unwrap().is_reached_at(&position),
                "{ahead}"
            );
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "1", "a:1", "0:1,", "-1:1", "0:99999999999999999999"] {
            assert!(Least::parse(bad).is_err(), "{bad}");
        }
        assert!(Least::parse(&format!("0@{}", i64::MAX)).is_err());
    }
}
