//! What becomes of a record.
use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the view, or the view has no interest in its kind.
    Applied,
    /// Its event was seen before, within the window of deduplication.
    Duplicate,
    /// It goes to the dead letters; state is as it was before.
    Rejected(Rejection),
}

/// Why a record goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Rejection {
    /// The kind of reason.
    pub reason: Reason,
    /// What is wrong, for people: names the field and, shortened, what was found.
    pub message: String,
}

impl Rejection {
    /// Most of a message that is kept, bytes.
    const MAX_MESSAGE_BYTES: usize = 250;

    /// A rejection; a long message is cut.
    pub fn new(reason: Reason, message: impl fmt::Display) -> Self {
        let mut message = message.to_string();
        message.truncate(cut(&message, Self::MAX_MESSAGE_BYTES).len());
        Self { reason, message }
    }
}

/// The start of a text, at most so many bytes.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut ends = (0..=most.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// Kinds of reasons for a dead letter, as they stand in its header `dlq.reason`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As written in headers and metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

reasons! {
    /// The value is no JSON.
    BadJson = "BAD_JSON",
    /// The value is JSON, but no object.
    NotObject = "NOT_OBJECT",
    /// A field that is needed is not there.
    MissingField = "MISSING_FIELD",
    /// A field is there, of another type.
    BadType = "BAD_TYPE",
    /// A number that cannot be read exactly.
    BadNumber = "BAD_NUMBER",
    /// An event time that is neither epoch milliseconds nor RFC 3339.
    BadTimestamp = "BAD_TIMESTAMP",
    /// An event time too far ahead of the record's own.
    TimestampOutOfRange = "TIMESTAMP_OUT_OF_RANGE",
    /// For a window that is closed.
    Late = "LATE",
    /// A sum past its limits.
    Overflow = "OVERFLOW",
    /// A division by zero.
    DivZero = "DIV_ZERO",
    /// A version of the payload that nobody described.
    SchemaUnknown = "SCHEMA_UNKNOWN",
    /// A payload that is not as its schema says.
    SchemaMismatch = "SCHEMA_MISMATCH",
    /// More state than allowed.
    StateLimit = "STATE_LIMIT",
    /// A row that no record can hold.
    TooLarge = "TOO_LARGE",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Reason {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = Self::ALL.iter().copied();
        all.find(|reason| reason.as_str() == text).ok_or(())
    }
}

/// What became of the records so far: `input == applied + duplicate + late + dead`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records read.
    #[serde(rename = "in")]
    pub input: u64,
    /// Applied, those without interest and those redriven included.
    pub applied: u64,
    /// Suppressed as duplicates.
    pub duplicate: u64,
    /// Dead letters with reason `LATE` that were not redriven.
    pub late: u64,
    /// All other dead letters that were not redriven.
    pub dead: u64,
}

impl Counts {
    /// Counts one record.
    pub fn count(&mut self, outcome: &Outcome) {
        self.input += 1;
        match outcome {
            Outcome::Applied => self.applied += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Rejected(rejection) => *self.rejected(rejection.reason) += 1,
        }
    }

    /// Counts one dead letter, rejected before for `reason`, that was applied after all. One that
    /// was rejected by an earlier generation, and never read by this one, counts as read now.
    pub fn redriven(&mut self, reason: Reason) {
        let rejected = self.rejected(reason);
        match rejected.checked_sub(1) {
            Some(fewer) => *rejected = fewer,
            None => self.input += 1,
        }
        self.applied += 1;
    }

    fn rejected(&mut self, reason: Reason) -> &mut u64 {
        match reason {
            Reason::Late => &mut self.late,
            _ => &mut self.dead,
        }
    }
}
