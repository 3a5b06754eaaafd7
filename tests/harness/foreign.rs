//! Foreign clients as subprocesses, from the cache that `tests/setup` fills.
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// The version of Apache Kafka whose jars are in the cache.
pub const KAFKA_VERSION: &str = "4.2.0";

/// How long one run of a client may take.
const CLIENT_BOUND: Duration = Duration::from_secs(90);

/// A path in the cache; an error names the command that fills it.
pub fn cached(path: &str) -> Result<PathBuf> {
    let cache = std::env::var_os("KLAMM_TEST_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/klamm-tests"),
        PathBuf::from,
    );
    let path = cache.join(path);
    ensure!(
        path.exists(),
        "{} is missing: run tests/setup",
        path.display()
    );
    Ok(path)
}

/// The class path of Apache Kafka's jars and of the Java client of these tests.
pub fn class_path() -> Result<String> {
    let jars = cached(&format!("kafka-{KAFKA_VERSION}/libs"))?;
    Ok(format!(
        "{}/*:{}",
        jars.display(),
        cached("java")?.display()
    ))
}

/// Runs a command to its end with `input` as standard input, and gives its standard output.
/// Failure, or no end within 90 s, is an error with all that it wrote.
pub fn run(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let mut child = command
        // Cargo points at the librdkafka that the tests are built with; kcat has its own.
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}: run tests/setup"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let mut stdout = child.stdout.take().context("no standard output")?;
    let mut stderr = child.stderr.take().context("no standard error")?;
    let input = input.to_vec();
    // A client that ends early closes the pipe; its exit status tells.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let out = thread::spawn(move || read_all(&mut stdout));
    let err = thread::spawn(move || read_all(&mut stderr));
    let deadline = Instant::now() + CLIENT_BOUND;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let _ = writer.join();
    let out = out.join().unwrap_or_default();
    let err = err.join().unwrap_or_default();
    match status {
        Some(status) if status.success() => Ok(out),
        ended => bail!(
            "{command:?}\n{}\nstdout: {}\nstderr: {}",
            ended.map_or_else(
                || format!("no end within {CLIENT_BOUND:?}"),
                |s| s.to_string()
            ),
            String::from_utf8_lossy(&out),
            String::from_utf8_lossy(&err)
        ),
    }
}

fn read_all(source: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error still belongs into the report.
    let _ = source.read_to_end(&mut bytes);
    bytes
}

/// Runs kcat against `bootstrap` and gives its output as text.
pub fn kcat<A: AsRef<OsStr>>(
    bootstrap: &str,
    arguments: impl IntoIterator<Item = A>,
    input: &str,
) -> Result<String> {
    let mut command = Command::new("kcat");
    command.arg("-b").arg(bootstrap).args(arguments);
    Ok(String::from_utf8(run(&mut command, input.as_bytes())?)?)
}
