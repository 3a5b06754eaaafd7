//! `klamm serve` with settings that will not do: the error names the setting, its value and where it
//! came from.
use anyhow::{Context, Result};

use crate::klamm::{command, run};

/// No address of this machine: a broker that finds nothing wrong ends all the same.
const NOWHERE: &str = "203.0.113.1:9092";

/// Runs `klamm serve` on a folder of its own; `args` must make it refuse.
fn refusal(args: &[&str]) -> Result<(Option<i32>, String)> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().to_str().context("a path of letters")?;
    let mut all = vec!["serve", "--listen", NOWHERE];
    if !args.contains(&"--data-dir") {
        all.extend(["--data-dir", data]);
    }
    all.extend(args);
    let run = run("127.0.0.1:1", &all, "")?;
    Ok((run.code, run.err))
}

#[test]
fn a_setting_that_will_not_do_is_told_with_its_origin() -> Result<()> {
    for (args, code, told) in [
        (
            ["--log-level", "loud"],
            2,
            "log_level = \"loud\" from flag --log-level: ",
        ),
        (
            ["--advertise", "h:0"],
            2,
            "advertise = \"h:0\" from flag --advertise: ",
        ),
        (
            ["--projections", "nope"],
            2,
            "projections = \"nope\" from flag --projections: ",
        ),
        (
            ["--projection-aliases", "x"],
            2,
            "projection_aliases = \"x\" from flag --projection-aliases: ",
        ),
        (
            ["--group-max-session-timeout-ms", "7"],
            2,
            "(7 from flag --group-max-session-timeout-ms)",
        ),
        (
            ["--data-dir", "/proc/x"],
            1,
            "data_dir = \"/proc/x\" from flag --data-dir: ",
        ),
        (
            ["--http", NOWHERE],
            1,
            "http = \"203.0.113.1:9092\" from flag --http: ",
        ),
    ] {
        let (ended, err) = refusal(&args)?;
        assert!(err.contains(told), "{args:?}: {err}");
        assert_eq!(ended, Some(code), "{args:?}: {err}");
    }
    Ok(())
}

#[test]
fn a_variable_that_is_no_text_is_not_passed_over() -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"/proc/\xff");
    let output = command("127.0.0.1:1", &["serve", "--listen", NOWHERE])?
        .env("KLAMM_DATA_DIR", name)
        .output()?;
    let err = String::from_utf8(output.stderr)?;
    assert!(err.contains("KLAMM_DATA_DIR"), "{err}");
    assert_eq!(output.status.code(), Some(2), "{err}");
    Ok(())
}
