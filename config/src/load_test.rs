//! Tests of loading: precedence, and errors that say what to do.
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{ConfigError, Settings, Source};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// A settings file with this text, removed when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("klamm-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn from_env(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    Settings::load(None, pairs(variables).into_iter(), Vec::new())
}

fn from_file(name: &str, text: &str) -> Result<Settings, ConfigError> {
    let file = File::new(name, text);
    Settings::load(Some(&file.0), std::iter::empty(), Vec::new())
}

#[test]
fn the_later_source_wins() {
    let file = File::new(
        "wins",
        "num_partitions = 2\nnode_id = 2\nlog_roll_ms = 2\nlog_cleanup_policy = ['compact', 'delete']\n",
    );
    let env = pairs(&[
        ("KLAMM_NODE_ID", "3"),
        ("KLAMM_LOG_ROLL_MS", "3"),
        ("KLAMM_BOOTSTRAP", "elsewhere:9092"),
        ("KLAMM_TEST_BROKER", "kafka"),
        ("HOME", "/"),
    ]);
    let flags = pairs(&[("log-roll-ms", "4")]);
    let settings = Settings::load(Some(&file.0), env.into_iter(), flags).unwrap();
    assert_eq!(settings.num_partitions, 2);
    assert_eq!(settings.node_id, 3);
    assert_eq!(settings.log_roll_ms, 4);
    assert!(settings.log_cleanup_policy.compact && settings.log_cleanup_policy.delete);
    assert_eq!(settings.message_max_bytes, 1_048_588);
}

#[test]
fn nothing_given_is_the_defaults() {
    assert_eq!(from_env(&[]).unwrap(), Settings::default());
}

#[test]
fn broker_id_is_another_name_for_the_node_id() {
    assert_eq!(from_env(&[("KLAMM_BROKER_ID", "7")]).unwrap().node_id, 7);
}

#[test]
fn a_bad_value_names_key_value_origin_and_what_is_allowed() {
    let error = from_env(&[("KLAMM_NUM_PARTITIONS", "0")])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "num_partitions = \"0\" from environment variable KLAMM_NUM_PARTITIONS: Value must be at \
         least 1 (allowed: 32-bit integer, at least 1)"
    );
    let flags = pairs(&[("flush", "sometimes")]);
    let error = Settings::load(None, std::iter::empty(), flags)
        .unwrap_err()
        .to_string();
    assert!(error.contains("flag --flush"), "{error}");
    assert!(error.contains("one of commit, os"), "{error}");
    let error = from_file("bad", "listen = 9092").unwrap_err().to_string();
    assert!(
        error.contains("-bad.toml") && error.contains("HOST:PORT"),
        "{error}"
    );
}

#[test]
fn an_unknown_key_is_an_error_with_advice_in_its_own_spelling() {
    let error = from_env(&[("KLAMM_NUM_PARTITION", "1")])
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("did you mean KLAMM_NUM_PARTITIONS?"),
        "{error}"
    );
    let flags = pairs(&[("advertized", "h:1")]);
    let error = Settings::load(None, std::iter::empty(), flags)
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("did you mean --advertise?"), "{error}");
    let error = from_file("unknown", "log_dirs = 'x'")
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("did you mean data_dir?"), "{error}");
    let error = from_file("far", "the_colour_of_paint = 'x'")
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("-far.toml"), "{error}");
}

#[test]
fn a_file_that_is_not_flat_toml_is_an_error() {
    for (name, text) in [
        ("table", "[log]\nroll_ms = 1"),
        ("dots", "node.id = 1"),
        ("junk", "= 1"),
    ] {
        let error = from_file(name, text).unwrap_err();
        assert!(matches!(error, ConfigError::File { .. }), "{error}");
    }
    let missing = Settings::load(
        Some("/nowhere.toml".as_ref()),
        std::iter::empty(),
        Vec::new(),
    );
    assert!(missing.unwrap_err().to_string().contains("/nowhere.toml"));
}

#[test]
fn settings_that_exclude_each_other_are_an_error() {
    let error = from_env(&[("KLAMM_GROUP_MAX_SESSION_TIMEOUT_MS", "100")]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("group_min_session_timeout_ms (6000)"),
        "{error}"
    );
    assert!(from_env(&[("KLAMM_ADVERTISE", "0.0.0.0:9092")]).is_err());
    assert!(from_env(&[("KLAMM_GROUP_MIN_SESSION_TIMEOUT_MS", "100")]).is_ok());
}

#[test]
fn dynamic_values_lie_over_static_ones_and_come_off_again() {
    let settings = from_env(&[("KLAMM_LOG_RETENTION_MS", "5000")]).unwrap();
    let map = |value: &str| BTreeMap::from([("log.retention.ms".to_owned(), value.to_owned())]);
    let none = BTreeMap::new();
    let altered = settings.with_dynamic(&map("7"), &map("8")).unwrap();
    assert_eq!(altered.log_retention_ms, 8);
    let entry = altered.entry("log.retention.ms").unwrap();
    let chain: Vec<_> = entry
        .synonyms
        .iter()
        .map(|s| (s.source, s.value.as_deref().unwrap()))
        .collect();
    assert_eq!(
        chain,
        [
            (Source::DynamicBroker, "8"),
            (Source::DynamicDefaultBroker, "7"),
            (Source::StaticBroker, "5000"),
            (Source::Default, "604800000"),
        ]
    );
    assert_eq!(
        altered
            .with_dynamic(&map("7"), &none)
            .unwrap()
            .log_retention_ms,
        7
    );
    assert_eq!(altered.with_dynamic(&none, &none).unwrap(), settings);
}

#[test]
fn dynamic_values_are_checked() {
    let alter = |name: &str, value: &str| {
        let values = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        Settings::default()
            .with_dynamic(&BTreeMap::new(), &values)
            .unwrap_err()
    };
    assert_eq!(
        alter("num.partitions", "3").to_string(),
        "Cannot update these configs dynamically: num.partitions"
    );
    assert!(matches!(
        alter("num.partition", "3"),
        ConfigError::Unknown { .. }
    ));
    assert!(matches!(
        alter("log.roll.ms", "0"),
        ConfigError::Invalid { .. }
    ));
}
