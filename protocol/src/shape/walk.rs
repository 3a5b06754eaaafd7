//! The walk over a body along its shape.
//!
//! It recurses as deep as the shape is nested (see `no_shape_is_nested_deeply` in the tests), never
//! as deep as the input says.
use kafka_protocol::messages::ApiKey;

use super::{Field, Type, of};
use crate::frame::FrameError;
use crate::frame::cursor::Cursor;

/// Checks that `body` starts with the shape of that request; bytes after it are of no account (see
/// [`crate::frame::decode`]). A request that is not in the table, or a version that is not, is an
/// error.
pub fn check(key: ApiKey, version: i16, body: &[u8]) -> Result<(), FrameError> {
    let refused = |reason: &str| FrameError::Body {
        key,
        version,
        reason: reason.to_owned(),
    };
    let request = of(key).ok_or_else(|| refused("no such request is served"))?;
    if !request.versions.contains(&version) {
        return Err(refused("no such version is served"));
    }
    let mut walk = Walk {
        version,
        flexible: request.is_flexible(version),
        unknown_tags_left: UNKNOWN_TAGS + body.len() / BYTES_PER_UNKNOWN_TAG,
    };
    let mut cursor = Cursor::new(body);
    walk.fields(&mut cursor, request.fields)
}

/// How many structures may carry unknown tagged fields in the smallest body, and for how many bytes
/// of body there may be one more. The decoder keeps unknown fields in a map whose first node takes
/// some 400 bytes, for two bytes on the wire. What clients send by the thousand (topics with ids,
/// partitions with offsets) is larger than this, should a later version of Kafka tag each of them.
const UNKNOWN_TAGS: usize = 8;
const BYTES_PER_UNKNOWN_TAG: usize = 16;

/// What the version says about the form of all fields, and what may still come.
struct Walk {
    version: i16,
    flexible: bool,
    /// How many more structures may carry unknown tagged fields.
    unknown_tags_left: usize,
}

impl Walk {
    fn fields(&mut self, cursor: &mut Cursor<'_>, fields: &[Field]) -> Result<(), FrameError> {
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                self.value(cursor, &field.kind, field.name)?;
            }
        }
        if self.flexible {
            self.tagged_fields(cursor, fields)
        } else {
            Ok(())
        }
    }

    fn tagged_fields(
        &mut self,
        cursor: &mut Cursor<'_>,
        fields: &[Field],
    ) -> Result<(), FrameError> {
        let mut unknown = false;
        for _ in 0..cursor.unsigned_varint("the tagged fields")? {
            let tag = cursor.unsigned_varint("a tag")?;
            let size = cursor.unsigned_varint("a tagged field")? as usize;
            let known = fields
                .iter()
                .find(|f| f.tag == Some(tag) && f.is_in(self.version));
            match known {
                Some(field) => self.known_tagged_field(cursor, field, size)?,
                None => drop(cursor.take(size, "a tagged field")?),
            }
            unknown |= known.is_none();
        }
        if unknown {
            let left = self.unknown_tags_left.checked_sub(1);
            self.unknown_tags_left =
                left.ok_or_else(|| impossible(1, cursor, "one more unknown tagged field"))?;
        }
        Ok(())
    }

    /// The decoder ignores the size of a tagged field that it knows: it has to be right.
    fn known_tagged_field(
        &mut self,
        cursor: &mut Cursor<'_>,
        field: &Field,
        size: usize,
    ) -> Result<(), FrameError> {
        let mut inner = Cursor::new(cursor.take(size, field.name)?);
        self.value(&mut inner, &field.kind, field.name)?;
        if inner.left() > 0 {
            return Err(impossible(size as i64, &inner, field.name));
        }
        Ok(())
    }

    fn value(
        &mut self,
        cursor: &mut Cursor<'_>,
        kind: &Type,
        what: &'static str,
    ) -> Result<(), FrameError> {
        match kind {
            Type::String | Type::NullableString => {
                let length = if self.flexible {
                    compact_length(cursor, what)?
                } else {
                    length(i32::from(cursor.i16(what)?), cursor, what)?
                };
                let nullable = matches!(kind, Type::NullableString);
                let length = present(length, nullable, cursor, what)?;
                cursor.take(length, what).map(drop)
            }
            Type::Bytes | Type::NullableBytes => {
                let nullable = matches!(kind, Type::NullableBytes);
                let length = present(self.length(cursor, what)?, nullable, cursor, what)?;
                cursor.take(length, what).map(drop)
            }
            Type::Array(element) => self.array(cursor, element, false, what),
            Type::NullableArray(element) => self.array(cursor, element, true, what),
            Type::Struct(fields) => self.fields(cursor, fields),
            Type::NullableStruct(fields) => match cursor.i8(what)? {
                -1 => Ok(()),
                1 => self.fields(cursor, fields),
                claimed => Err(impossible(claimed.into(), cursor, what)),
            },
            fixed => {
                let size = fixed.fixed_size().expect("every other type has one size");
                cursor.take(size, what).map(drop)
            }
        }
    }

    fn array(
        &mut self,
        cursor: &mut Cursor<'_>,
        element: &Type,
        nullable: bool,
        what: &'static str,
    ) -> Result<(), FrameError> {
        let count = present(self.length(cursor, what)?, nullable, cursor, what)?;
        if let Some(size) = element.fixed_size() {
            return cursor.take(count.saturating_mul(size), what).map(drop);
        }
        // The loop finds out whether they are all there; this is for elements of no size at all,
        // whose number has to have a bound too.
        if count > cursor.left() {
            return Err(impossible(count as i64, cursor, what));
        }
        for _ in 0..count {
            self.value(cursor, element, what)?;
        }
        Ok(())
    }

    /// A 32-bit or compact length or count, `None` being null.
    fn length(
        &self,
        cursor: &mut Cursor<'_>,
        what: &'static str,
    ) -> Result<Option<usize>, FrameError> {
        if self.flexible {
            compact_length(cursor, what)
        } else {
            length(cursor.i32(what)?, cursor, what)
        }
    }
}

/// A compact length: one more than the length, 0 being null.
fn compact_length(
    cursor: &mut Cursor<'_>,
    what: &'static str,
) -> Result<Option<usize>, FrameError> {
    Ok((cursor.unsigned_varint(what)? as usize).checked_sub(1))
}

/// A length with a sign, -1 being null.
fn length(
    claimed: i32,
    cursor: &Cursor<'_>,
    what: &'static str,
) -> Result<Option<usize>, FrameError> {
    match usize::try_from(claimed) {
        Ok(length) => Ok(Some(length)),
        Err(_) if claimed == -1 => Ok(None),
        Err(_) => Err(impossible(claimed.into(), cursor, what)),
    }
}

/// A length that may be null only where null is allowed; null takes no bytes.
fn present(
    length: Option<usize>,
    nullable: bool,
    cursor: &Cursor<'_>,
    what: &'static str,
) -> Result<usize, FrameError> {
    match length {
        None if !nullable => Err(impossible(-1, cursor, what)),
        length => Ok(length.unwrap_or(0)),
    }
}

#[cold]
fn impossible(claimed: i64, cursor: &Cursor<'_>, what: &'static str) -> FrameError {
    FrameError::Oversized {
        what,
        claimed,
        left: cursor.left(),
    }
}
