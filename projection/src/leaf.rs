//! One value inside an event, as its JSON text.
use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::outcome::cut;
use crate::{Decimal, Reason, Rejection};

/// One value inside an event, not yet looked at. A `null` is no value.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'n, 'a> {
    name: &'n str,
    text: Option<&'a str>,
}

impl<'n, 'a> Leaf<'n, 'a> {
    pub(crate) fn new(name: &'n str, text: Option<&'a str>) -> Self {
        let text = text.filter(|text| *text != "null");
        Self { name, text }
    }

    pub(crate) fn is_absent(self) -> bool {
        self.text.is_none()
    }

    /// The value's JSON text; `MISSING_FIELD` without one.
    pub fn json(self) -> Result<&'a str, Rejection> {
        let missing =
            || Rejection::new(Reason::MissingField, format_args!("{}: missing", self.name));
        self.text.ok_or_else(missing)
    }

    /// A string; `MISSING_FIELD` without one, `BAD_TYPE` when it is something else.
    pub fn string(self) -> Result<Cow<'a, str>, Rejection> {
        let text = self.json()?;
        let inner = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let inner = inner.ok_or_else(|| self.rejected(Reason::BadType, "a string"))?;
        if inner.contains('\\') {
            let unescaped = serde_json::from_str(text);
            Ok(Cow::Owned(unescaped.map_err(|error| bad_json(&error))?))
        } else {
            Ok(Cow::Borrowed(inner))
        }
    }

    /// As [`Leaf::string`], where it may be missing.
    pub fn optional_string(self) -> Result<Option<Cow<'a, str>>, Rejection> {
        if self.is_absent() {
            return Ok(None);
        }
        self.string().map(Some)
    }

    /// An amount of money, exactly as its text says: a number, or a string that holds one without
    /// an exponent. `BAD_NUMBER` when it has more than 20 digits before the point or 18 after it.
    pub fn amount(self) -> Result<Decimal, Rejection> {
        let text = self.json()?;
        let amount = match text.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Decimal::from_number(text),
            Some(b'"') => Decimal::from_plain(&self.string()?),
            _ => return Err(self.rejected(Reason::BadType, "a number or a string")),
        };
        amount.ok_or_else(|| self.rejected(Reason::BadNumber, "a decimal number within the limits"))
    }

    /// The values of some fields of an object, in the order of `names`; `MISSING_FIELD` without
    /// the object, `BAD_TYPE` when it is something else.
    pub(crate) fn members<'m, const N: usize>(
        self,
        names: [&'m str; N],
    ) -> Result<[Leaf<'m, 'a>; N], Rejection> {
        let text = self.json()?;
        if !text.starts_with('{') {
            return Err(self.rejected(Reason::BadType, "an object"));
        }
        let mut found = [None; N];
        let slot = |name: &str| names.iter().position(|known| *known == name);
        scan(text, &slot, &mut found).map_err(|error| bad_json(&error))?;
        let mut found = found.into_iter();
        Ok(names.map(|name| Leaf::new(name, found.next().flatten())))
    }

    pub(crate) fn rejected(self, reason: Reason, expected: &str) -> Rejection {
        let found = Shortened(self.text.unwrap_or("nothing"));
        Rejection::new(
            reason,
            format_args!("{}: {expected} expected, found {found}", self.name),
        )
    }
}

pub(crate) fn bad_json(error: &dyn fmt::Display) -> Rejection {
    Rejection::new(Reason::BadJson, format_args!("{error}"))
}

/// A text of unknown length, for messages.
struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Bytes of a value that are shown.
        const SHOWN: usize = 100;
        let shown = cut(self.0, SHOWN);
        let dots = if shown.len() < self.0.len() {
            "…"
        } else {
            ""
        };
        write!(f, "{shown}{dots}")
    }
}

/// Walks an object once and notes the JSON text of the fields that `slot` knows; of a field given
/// twice, the last. Nested values are skipped without recursion.
pub(crate) fn scan<'a>(
    text: &'a str,
    slot: &impl Fn(&str) -> Option<usize>,
    found: &mut [Option<&'a str>],
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Fields { slot, found })?;
    deserializer.end()
}

struct Fields<'f, 'a, F> {
    slot: &'f F,
    found: &'f mut [Option<&'a str>],
}

impl<'a, F: Fn(&str) -> Option<usize>> Visitor<'a> for Fields<'_, 'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(slot) = map.next_key_seed(Name(self.slot))? {
            match slot.and_then(|slot| self.found.get_mut(slot)) {
                Some(found) => *found = Some(map.next_value::<&RawValue>()?.get()),
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

struct Name<'f, F>(&'f F);

impl<'a, F: Fn(&str) -> Option<usize>> DeserializeSeed<'a> for Name<'_, F> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<F: Fn(&str) -> Option<usize>> Visitor<'_> for Name<'_, F> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((self.0)(name))
    }
}
