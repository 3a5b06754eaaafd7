//! One row of the table of topic configs.
use crate::allowed::Allowed;
use crate::field::Kind;

/// Where the value of a topic config comes from when the topic does not set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The broker setting with this Kafka name.
    Broker(&'static str),
    /// This value.
    Fixed(&'static str),
}

/// What is known about a topic config.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopicSetting {
    /// Kafka's name.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Where the value comes from when the topic does not set it.
    pub fallback: Fallback,
    /// Range or words.
    pub allowed: Allowed,
    /// What it does.
    pub doc: &'static str,
}

impl TopicSetting {
    /// Kafka's name of the broker setting that this falls back to.
    pub fn broker_synonym(&self) -> Option<&'static str> {
        match self.fallback {
            Fallback::Broker(name) => Some(name),
            Fallback::Fixed(_) => None,
        }
    }
}
