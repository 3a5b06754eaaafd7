//! Ids of events: what a client shows to go on after the last event that it got.
//!
//! ```text
//! 1234          everything up to the record at this offset of the view's topic
//! s900-eyJ1…    of the snapshot below offset 900, the rows up to this key (base64)
//! ```
use std::fmt;
use std::str::FromStr;

use crate::http::base64;

/// The last event that a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EventId {
    /// A record of the view's topic, and the snapshot and all records before it.
    Record(i64),
    /// A row of a snapshot, and all rows of smaller keys.
    Row {
        /// The snapshot's end: an offset of the view's topic, exclusive.
        below: i64,
        /// The row's key.
        key: Vec<u8>,
    },
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(offset) => write!(f, "{offset}"),
            Self::Row { below, key } => write!(f, "s{below}-{}", base64::url_safe(key)),
        }
    }
}

impl FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let Some(row) = text.strip_prefix('s') else {
            // -1 is the end of the snapshot of a view without rows.
            let offset = text.parse().ok().filter(|offset| *offset >= -1);
            return offset.map(Self::Record).ok_or(());
        };
        let (below, key) = row.split_once('-').ok_or(())?;
        Ok(Self::Row {
            below: below.parse().ok().filter(|below| *below >= 0).ok_or(())?,
            key: base64::from_url_safe(key).ok_or(())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_went() {
        let row = EventId::Row {
            below: 900,
            key: b"{\"u\":\"\xc3\xa4\"}".to_vec(),
        };
        for id in [EventId::Record(-1), EventId::Record(12), row] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for bad in [
            "",
            "x",
            "-2",
            "s",
            "s1",
            "s-1-QQ",
            "s1-*",
            "99999999999999999999",
        ] {
            assert_eq!(bad.parse::<EventId>(), Err(()), "{bad}");
        }
    }
}
