//! Why settings cannot be used.
use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The settings file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
    /// A request to alter the broker's configuration.
    Request,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Variable(name) => write!(f, "environment variable {name}"),
            Origin::Flag(name) => write!(f, "flag --{name}"),
            Origin::Request => write!(f, "request"),
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that the setting does not allow.
    #[error("{key} = {value:?} from {origin}: {reason} (allowed: {allowed})")]
    Invalid {
        /// Key of the setting.
        key: &'static str,
        /// The value as given.
        value: String,
        /// Where it came from.
        origin: Origin,
        /// What is wrong with it.
        reason: String,
        /// What would be right.
        allowed: String,
    },
    /// A key that no setting has.
    #[error("unknown setting {key:?} from {origin}{}", did_you_mean(suggestion.as_deref()))]
    Unknown {
        /// The key as given.
        key: String,
        /// Where it came from.
        origin: Origin,
        /// The nearest key that exists.
        suggestion: Option<String>,
    },
    /// A file that cannot be read or is not TOML.
    #[error("settings file {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Settings that exclude each other.
    #[error("{0}")]
    Conflict(String),
    /// A setting that only a restart can change.
    #[error("Cannot update these configs dynamically: {0}")]
    NotDynamic(String),
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
