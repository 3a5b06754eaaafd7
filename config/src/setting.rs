//! One row of the table of broker settings.
use crate::allowed::Allowed;
use crate::field::Kind;

/// What is known about a broker setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// TOML key.
    pub key: &'static str,
    /// Kafka's name for it, or the key with dots where Kafka has no such setting.
    pub kafka_name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Default, as text; empty is none.
    pub default: &'static str,
    /// Range or words.
    pub allowed: Allowed,
    /// Whether `AlterConfigs` on the broker may change it while the broker runs.
    pub dynamic: bool,
    /// What it does.
    pub doc: &'static str,
}

impl Setting {
    /// The flag, without the leading dashes: `num-partitions`.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// The environment variable: `KLAMM_NUM_PARTITIONS`.
    pub fn variable(&self) -> String {
        format!("{}{}", crate::PREFIX, self.key.to_ascii_uppercase())
    }

    /// The unit, which the key spells out last; empty for plain numbers and text.
    pub fn unit(&self) -> &'static str {
        match self.key.rsplit('_').next() {
            Some("bytes") => "bytes",
            Some("ms") => "milliseconds",
            Some("minutes") => "minutes",
            _ => "",
        }
    }

    /// What a value must be, in words: type and limit.
    pub fn expected(&self) -> String {
        match self.allowed {
            Allowed::Any => self.kind.words().to_owned(),
            allowed if matches!(self.kind, Kind::String | Kind::List) => allowed.to_string(),
            allowed => format!("{}, {allowed}", self.kind.words()),
        }
    }
}
