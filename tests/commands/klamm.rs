//! Runs `klamm` with arguments.
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use harness::program;
use serde_json::Value;

/// What a run of `klamm` left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The lines of standard output as JSON.
    pub(crate) fn json(&self) -> Result<Vec<Value>> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
            .collect()
    }
}

/// The command, talking to the broker at `bootstrap`.
pub(crate) fn command(bootstrap: &str, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(program::klamm()?);
    command.args(args).env("KLAMM_BOOTSTRAP", bootstrap);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Runs to the end with `input` on standard input.
pub(crate) fn run(bootstrap: &str, args: &[&str], input: &str) -> Result<Run> {
    let mut child = command(bootstrap, args)?.spawn()?;
    let mut stdin = child.stdin.take().context("standard input is piped")?;
    // A run that refuses its arguments does not read.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output()?;
    Ok(Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

/// Runs to the end; anything but success is an error.
pub(crate) fn done(bootstrap: &str, args: &[&str], input: &str) -> Result<Run> {
    let run = run(bootstrap, args, input)?;
    ensure!(
        run.code == Some(0),
        "klamm {args:?}: {:?} {}",
        run.code,
        run.err
    );
    Ok(run)
}
