//! Settings as `DescribeConfigs` shows them.
use crate::field::Kind;

/// Where a value stands in the order of precedence, by its number on the wire (Kafka's
/// `DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Source {
    /// Set on the topic.
    Topic = 1,
    /// Set on this broker while it ran.
    DynamicBroker = 2,
    /// Set on all brokers while they ran.
    DynamicDefaultBroker = 3,
    /// From file, environment or flags.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
}

impl Source {
    /// The number on the wire.
    pub fn code(self) -> i8 {
        self as i8
    }
}

/// One name and value in the chain that a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// Name at that level: the topic's or the broker's.
    pub name: &'static str,
    /// Value at that level.
    pub value: Option<String>,
    /// The level.
    pub source: Source,
}

/// A setting with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Kafka's name.
    pub name: &'static str,
    /// The value in force; `None` is null.
    pub value: Option<String>,
    /// The value when nobody sets it.
    pub default: Option<String>,
    /// Its type.
    pub kind: Kind,
    /// Where the value comes from.
    pub source: Source,
    /// Whether it can only be changed by a restart.
    pub read_only: bool,
    /// Whether the value must not be shown.
    pub sensitive: bool,
    /// The chain of values, the one in force first.
    pub synonyms: Vec<Synonym>,
    /// What it does.
    pub doc: &'static str,
}

impl Entry {
    /// Whether nobody set it.
    pub fn is_default(&self) -> bool {
        self.source == Source::Default
    }
}
