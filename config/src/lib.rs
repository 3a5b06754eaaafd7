//! Typed settings of the broker and of topics: their names, types, defaults, limits and
//! documentation, in one table each. Nothing here knows what a setting does.

mod allowed;
mod describe;
mod entry;
mod error;
mod field;
mod load;
mod setting;
mod settings;
mod suggest;
pub mod topic;
mod words;

pub use allowed::Allowed;
pub use entry::{Entry, Source, Synonym};
pub use error::{ConfigError, Origin};
pub use field::{Field, Kind};
pub use load::{PREFIX, RESERVED_VARIABLES};
pub use setting::Setting;
pub use settings::Settings;
pub use suggest::nearest;
pub use topic::{InvalidTopicConfig, TopicConfig};
pub use words::{Cleanup, CompressionType, FlushPolicy, TimestampType};
