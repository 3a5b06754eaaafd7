//! Kafka's error codes, as the wire carries them.
use std::fmt::Display;

pub use kafka_protocol::ResponseError as ErrorCode;
use kafka_protocol::protocol::StrBytes;

/// The code that says that all is well.
pub const NONE: i16 = 0;

/// Bytes of an error message that go to a client. Messages quote what the client sent, which may be
/// longer than a string of a response can be.
const MESSAGE_BYTES: usize = 1000;

/// The text of an error for a response, cut to a sensible length.
pub fn message(error: &(impl Display + ?Sized)) -> StrBytes {
    let mut text = error.to_string();
    if text.len() > MESSAGE_BYTES {
        let places = text.char_indices().map(|(place, _)| place);
        let cut = places.take_while(|place| *place <= MESSAGE_BYTES).last();
        text.truncate(cut.unwrap_or(0));
        text.push('…');
    }
    StrBytes::from_string(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(&*message("short"), "short");
        let long = message(&"é".repeat(40_000));
        assert_eq!(long.len(), MESSAGE_BYTES + '…'.len_utf8());
        assert!(message(&format!("x{}", "é".repeat(1000))).ends_with("é…"));
    }
}
