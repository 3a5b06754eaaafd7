//! Settings from a file, the environment and flags; the later wins.
use std::collections::BTreeMap;
use std::path::Path;

use crate::entry::Source;
use crate::error::{ConfigError, Origin};
use crate::setting::Setting;
use crate::settings::{Settings, TABLE};
use crate::suggest::nearest;

/// What the environment variables of the settings start with.
pub const PREFIX: &str = "KLAMM_";

/// Variables with the prefix that are no settings: where the settings file is, which broker the
/// commands other than `serve` talk to, and which program the tests run.
pub const RESERVED_VARIABLES: &[&str] = &["KLAMM_CONFIG", "KLAMM_BOOTSTRAP", "KLAMM_BIN"];

/// What the variables start with that only the tests read.
const TEST_PREFIX: &str = "KLAMM_TEST_";

/// Other keys for a setting.
const ALIASES: &[(&str, &str)] = &[("broker_id", "node_id"), ("broker_rack", "rack")];

impl Settings {
    /// Defaults, then the TOML `file`, then the variables of `env` that start with [`PREFIX`],
    /// then `flags` (names without dashes in front). The later wins. A key that no setting has is
    /// an error wherever it stands.
    pub fn load(
        file: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
        flags: Vec<(String, String)>,
    ) -> Result<Settings, ConfigError> {
        let mut settings = Settings::default();
        if let Some(path) = file {
            for (key, value) in read(path)? {
                settings.set(&key, value, &Origin::File(path.to_owned()))?;
            }
        }
        // Sorted, so that of two errors the same one is told every time.
        let variables: BTreeMap<_, _> = env
            .filter(|(name, _)| name.starts_with(PREFIX))
            .filter(|(name, _)| !is_reserved(name))
            .collect();
        for (name, value) in variables {
            let key = name[PREFIX.len()..].to_ascii_lowercase();
            settings.set(&key, value, &Origin::Variable(name))?;
        }
        for (name, value) in flags {
            settings.set(&name.replace('-', "_"), value, &Origin::Flag(name))?;
        }
        settings.check_together()?;
        Ok(settings)
    }

    /// These settings with other dynamic ones: `per_broker` and `cluster_default` are all that
    /// `AlterConfigs` has set, by Kafka name. What it set before and is not there any more falls
    /// back to the static value.
    pub fn with_dynamic(
        &self,
        cluster_default: &BTreeMap<String, String>,
        per_broker: &BTreeMap<String, String>,
    ) -> Result<Settings, ConfigError> {
        let mut settings = Settings::default();
        for (row, source, value) in &self.assigned {
            if *source == Source::StaticBroker {
                settings.put(*row, *source, value.clone(), &Origin::Request)?;
            }
        }
        let levels = [
            (Source::DynamicDefaultBroker, cluster_default),
            (Source::DynamicBroker, per_broker),
        ];
        for (source, values) in levels {
            for (name, value) in values {
                let row = TABLE.iter().position(|setting| setting.kafka_name == name);
                let row = row.ok_or_else(|| ConfigError::Unknown {
                    key: name.clone(),
                    origin: Origin::Request,
                    suggestion: nearest(name, TABLE.iter().map(|setting| setting.kafka_name))
                        .map(str::to_owned),
                })?;
                if !TABLE[row].dynamic {
                    return Err(ConfigError::NotDynamic(name.clone()));
                }
                settings.put(row, source, value.clone(), &Origin::Request)?;
            }
        }
        settings.check_together()?;
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: String, origin: &Origin) -> Result<(), ConfigError> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == key);
        let name = alias.map_or(key, |(_, name)| name);
        match TABLE.iter().position(|setting| setting.key == name) {
            Some(row) => self.put(row, Source::StaticBroker, value, origin),
            None => Err(unknown(key, origin)),
        }
    }

    fn put(
        &mut self,
        row: usize,
        source: Source,
        value: String,
        origin: &Origin,
    ) -> Result<(), ConfigError> {
        let setting = &TABLE[row];
        self.assign(setting, &value)
            .map_err(|reason| ConfigError::Invalid {
                key: setting.key,
                value: value.clone(),
                origin: origin.clone(),
                reason,
                allowed: setting.expected(),
            })?;
        self.assigned
            .retain(|(other, level, _)| *other != row || *level != source);
        self.assigned.push((row, source, value));
        Ok(())
    }

    fn check_together(&self) -> Result<(), ConfigError> {
        let ordered = [
            (
                (
                    "group_min_session_timeout_ms",
                    i64::from(self.group_min_session_timeout_ms),
                ),
                (
                    "group_max_session_timeout_ms",
                    i64::from(self.group_max_session_timeout_ms),
                ),
            ),
            (
                (
                    "log_cleaner_min_compaction_lag_ms",
                    self.log_cleaner_min_compaction_lag_ms,
                ),
                (
                    "log_cleaner_max_compaction_lag_ms",
                    self.log_cleaner_max_compaction_lag_ms,
                ),
            ),
        ];
        for ((low_key, low), (high_key, high)) in ordered {
            if low > high {
                return Err(ConfigError::Conflict(format!(
                    "{low_key} ({low}) must not be above {high_key} ({high})"
                )));
            }
        }
        let host = self
            .advertise
            .as_deref()
            .and_then(|address| address.rsplit_once(':'));
        if let Some(("0.0.0.0" | "[::]", _)) = host {
            return Err(ConfigError::Conflict(
                "advertise must be an address that clients can dial: no client can dial 0.0.0.0 \
                 or [::]; leave it out to advertise the address that each client dialled"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

fn is_reserved(variable: &str) -> bool {
    RESERVED_VARIABLES.contains(&variable) || variable.starts_with(TEST_PREFIX)
}

/// The error for a key that no setting has; Kafka's own spelling is recognised in the advice.
fn unknown(key: &str, origin: &Origin) -> ConfigError {
    let spelled = key.replace(['.', '-'], "_").to_ascii_lowercase();
    let by_kafka_name = TABLE
        .iter()
        .find(|setting| setting.kafka_name.replace('.', "_") == spelled);
    let keys = || TABLE.iter().map(|setting| setting.key);
    let meant = by_kafka_name
        .map(|setting| setting.key)
        .or_else(|| nearest(&spelled, keys()))
        .and_then(|key| TABLE.iter().find(|setting| setting.key == key));
    ConfigError::Unknown {
        key: key.to_owned(),
        origin: origin.clone(),
        suggestion: meant.map(|setting| match origin {
            Origin::Variable(_) => setting.variable(),
            Origin::Flag(_) => format!("--{}", setting.flag()),
            Origin::File(_) | Origin::Request => setting.key.to_owned(),
        }),
    }
}

/// The keys and values of a settings file, values as text.
fn read(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let error = |reason: String| ConfigError::File {
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|e| error(e.to_string()))?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| error(e.to_string()))?;
    let mut pairs = Vec::with_capacity(table.len());
    for (key, value) in table {
        let value = scalar(&value).ok_or_else(|| {
            error(format!(
                "{key} must be a single value; keys have underscores, not dots or tables"
            ))
        })?;
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// The text of a TOML value; a list of words gets commas. `None` for tables and dates.
fn scalar(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(format!("{number:?}")),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let words: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            words.map(|words| words.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

impl Setting {
    /// The setting with this Kafka name.
    pub fn by_kafka_name(name: &str) -> Option<&'static Setting> {
        TABLE.iter().find(|setting| setting.kafka_name == name)
    }
}

#[cfg(test)]
#[path = "load_test.rs"]
mod tests;
