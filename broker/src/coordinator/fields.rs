//! The fields that the records of coordinators are made of, inflexible and flexible.
mod reader;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

/// Why a record is not in the format of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The bytes end early, or a length is impossible.
    #[error("the record is cut off")]
    Short,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// Null where there must be a value.
    #[error("a field is null that must not be")]
    Null,
    /// A version that nobody has written yet.
    #[error("version {0} is unknown")]
    Version(i16),
    /// A number that stands for nothing.
    #[error("{0} is no state of a transaction")]
    State(i8),
}
