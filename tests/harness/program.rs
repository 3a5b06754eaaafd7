//! The programs that can be put under test, and their command lines.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

/// A broker program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The one that this project builds.
    Klamm,
    /// Apache Kafka as one KRaft node: the referee.
    Kafka,
}

impl Program {
    /// The program that tests run against unless they ask for one by name.
    pub fn under_test() -> Self {
        match std::env::var("KLAMM_TEST_BROKER").as_deref() {
            Ok("kafka") => Self::Kafka,
            _ => Self::Klamm,
        }
    }

    /// The command that serves `data_dir` on `port` and `second_port` (HTTP or controller) with
    /// settings by their Kafka names.
    pub fn command(
        self,
        data_dir: &Path,
        port: u16,
        second_port: u16,
        settings: &[(String, String)],
    ) -> Result<Command> {
        match self {
            Self::Klamm => {
                let mut command = Command::new(klamm()?);
                // The variables of the tests are not settings of the broker.
                for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KLAMM_")) {
                    command.env_remove(name);
                }
                command.arg("serve").arg("--data-dir").arg(data_dir);
                command.arg("--listen").arg(format!("127.0.0.1:{port}"));
                command
                    .arg("--http")
                    .arg(format!("127.0.0.1:{second_port}"));
                command.envs(settings.iter().map(|(name, value)| (variable(name), value)));
                Ok(command)
            }
            Self::Kafka => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("referee.sh");
                let mut command = Command::new(script);
                command.arg(port.to_string()).arg(data_dir);
                command.args(settings.iter().map(|(name, value)| property(name, value)));
                Ok(command)
            }
        }
    }
}

/// The variable by which klamm knows a setting: `message.max.bytes` is `KLAMM_MESSAGE_MAX_BYTES`.
fn variable(setting: &str) -> String {
    match setting {
        "advertised.listeners" => "KLAMM_ADVERTISE".to_owned(),
        name => format!("KLAMM_{}", name.to_uppercase().replace('.', "_")),
    }
}

/// The same as Apache Kafka writes it: an advertised address has its protocol in front.
fn property(name: &str, value: &str) -> String {
    let protocol = if name == "advertised.listeners" {
        "PLAINTEXT://"
    } else {
        ""
    };
    format!("{name}={protocol}{value}")
}

/// The `klamm` executable: `KLAMM_BIN`, or the one that cargo put into the folder of this test.
pub fn klamm() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("KLAMM_BIN") {
        return Ok(path.into());
    }
    let test = std::env::current_exe().context("the test executable has no path")?;
    let profile = test
        .ancestors()
        .nth(2)
        .context("the test is not in target/<profile>/deps")?;
    let path = profile.join("klamm");
    let release = if profile.ends_with("release") {
        " --release"
    } else {
        ""
    };
    let advice = format!("run `cargo build{release} -p klamm` first");
    let Ok(built) = path.metadata().and_then(|metadata| metadata.modified()) else {
        bail!("{} is missing: {advice}", path.display());
    };
    // cargo builds the tests of a workspace without its programs: a green run of an old one is none.
    if let Some(newer) = source_newer_than(built) {
        bail!(
            "{} is older than {}: {advice}",
            path.display(),
            newer.display()
        );
    }
    Ok(path)
}

fn source_newer_than(built: SystemTime) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<PathBuf> = [
        "broker",
        "client",
        "config",
        "projection",
        "protocol",
        "storage",
    ]
    .map(|name| root.join(name).join("src"))
    .into();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().ok()?.flatten() {
            let path = entry.path();
            // What is compiled for unit tests only does not make a new program.
            let stem = path.file_stem()?.to_string_lossy();
            if stem.ends_with("test") || stem.ends_with("tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if entry.metadata().ok()?.modified().ok()? > built {
                return Some(path);
            }
        }
    }
    None
}
