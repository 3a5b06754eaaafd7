//! Ids as Kafka writes them: 22 characters of URL-safe base64 without padding (`Uuid.toString`).
use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Characters of an id: 128 bits, six each.
const LEN: usize = 22;
/// Bits that the characters hold beyond the id's.
const SPARE_BITS: u32 = 4;

/// The text of an id.
pub fn to_text(id: Uuid) -> String {
    let bits = id.as_u128();
    let character = |place: usize| {
        let shift = 6 * (LEN - 1 - place) as u32;
        let six = match shift.checked_sub(SPARE_BITS) {
            Some(shift) => bits >> shift,
            None => bits << (SPARE_BITS - shift),
        };
        char::from(ALPHABET[(six & 63) as usize])
    };
    (0..LEN).map(character).collect()
}

/// The id of a text.
pub fn from_text(text: &str) -> Option<Uuid> {
    let (last, first) = text.as_bytes().split_last()?;
    if text.len() != LEN {
        return None;
    }
    let six = |byte: &u8| ALPHABET.iter().position(|other| other == byte);
    let mut bits = 0u128;
    for byte in first {
        bits = bits << 6 | six(byte)? as u128;
    }
    let last = six(last)?;
    let spare = last & ((1 << SPARE_BITS) - 1);
    (spare == 0).then(|| Uuid::from_u128(bits << (6 - SPARE_BITS) | (last >> SPARE_BITS) as u128))
}

/// A new id; Kafka's never starts with a dash, which command lines would take for a flag.
pub fn random() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        if !to_text(id).starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_kafka() {
        // Uuid.METADATA_TOPIC_ID and a random one, as Kafka 4 prints them.
        assert_eq!(to_text(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!(to_text(id), "ASNFZ4mrze_-3LqYdlQyEA");
        assert_eq!(from_text("ASNFZ4mrze_-3LqYdlQyEA"), Some(id));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in [
            "",
            "AAAA",
            "ASNFZ4mrze_-3LqYdlQyE!",
            "ASNFZ4mrze_-3LqYdlQyEB",
        ] {
            assert_eq!(from_text(bad), None, "{bad}");
        }
        let id = random();
        assert_eq!(from_text(&to_text(id)), Some(id));
    }
}
