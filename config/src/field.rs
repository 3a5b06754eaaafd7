//! From the text of a value to its type and back, with Kafka's complaints.
use std::path::PathBuf;

/// The type of a setting, by its number in `DescribeConfigs` (Kafka's
/// `DescribeConfigsResponse.ConfigType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean = 1,
    /// Text.
    String = 2,
    /// 32-bit integer.
    Int = 3,
    /// 16-bit integer.
    Short = 4,
    /// 64-bit integer.
    Long = 5,
    /// Floating point.
    Double = 6,
    /// Words with commas between them.
    List = 7,
    /// Name of a class; no setting of this broker is one.
    Class = 8,
    /// Text that is never shown.
    Password = 9,
}

impl Kind {
    /// The number on the wire.
    pub fn code(self) -> i8 {
        self as i8
    }

    /// The type in words, for messages and listings.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Boolean => "true or false",
            Kind::String | Kind::Class | Kind::Password => "text",
            Kind::Int => "32-bit integer",
            Kind::Short => "16-bit integer",
            Kind::Long => "64-bit integer",
            Kind::Double => "number",
            Kind::List => "comma-separated list",
        }
    }
}

/// A type that a setting can have.
pub trait Field: Sized {
    /// Its number for `DescribeConfigs`.
    const KIND: Kind;

    /// Reads a value; the error is the reason, without the name of the setting.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value as `DescribeConfigs` shows it; `None` is null.
    fn show(&self) -> Option<String>;
}

impl Field for bool {
    const KIND: Kind = Kind::Boolean;

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("true") {
            Ok(true)
        } else if text.eq_ignore_ascii_case("false") {
            Ok(false)
        } else {
            Err("Expected value to be either true or false".into())
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! number {
    ($($type:ty, $kind:ident, $name:literal;)+) => {$(
        impl Field for $type {
            const KIND: Kind = Kind::$kind;

            fn parse(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| concat!("Not a number of type ", $name).into())
            }

            fn show(&self) -> Option<String> {
                // Debug keeps the `.0` of a whole double, as Java does.
                Some(format!("{self:?}"))
            }
        }
    )+};
}

number! {
    i16, Short, "SHORT";
    i32, Int, "INT";
    i64, Long, "LONG";
    f64, Double, "DOUBLE";
}

impl Field for String {
    const KIND: Kind = Kind::String;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.trim().to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Field for Option<String> {
    const KIND: Kind = Kind::String;

    /// Empty text is no value.
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn show(&self) -> Option<String> {
        self.clone()
    }
}

impl Field for PathBuf {
    const KIND: Kind = Kind::String;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.trim().into())
    }

    fn show(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl Field for Vec<String> {
    const KIND: Kind = Kind::List;

    /// Empty text is an empty list.
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Vec::new());
        }
        Ok(text.split(',').map(|word| word.trim().to_owned()).collect())
    }

    fn show(&self) -> Option<String> {
        Some(self.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_and_show_as_kafka_does() {
        assert_eq!(bool::parse(" TRUE "), Ok(true));
        assert_eq!(
            bool::parse("1").unwrap_err(),
            "Expected value to be either true or false"
        );
        assert_eq!(
            i32::parse("2147483648").unwrap_err(),
            "Not a number of type INT"
        );
        assert_eq!(i64::parse("9223372036854775807"), Ok(i64::MAX));
        assert_eq!(1.0f64.show().as_deref(), Some("1.0"));
        assert_eq!(Option::<String>::parse("  "), Ok(None));
        assert_eq!(
            Vec::<String>::parse("a , b").unwrap().show().as_deref(),
            Some("a,b")
        );
        assert_eq!(Vec::<String>::parse("").unwrap().len(), 0);
    }
}
