//! `klamm serve`: one flag per setting, made from the table of settings.
use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use config::{PREFIX, Setting, Settings};

use super::exit::Usage;

/// The settings file and the flags that were given.
#[derive(Debug, Clone)]
pub(super) struct ServeArgs {
    config: Option<PathBuf>,
    flags: Vec<(String, String)>,
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .env("KLAMM_CONFIG")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("TOML file of settings; variables win over it, and flags over both");
        command
            .arg(config)
            .args(Settings::table().iter().map(flag))
            .after_long_help(
                "Each setting has a flag, an environment variable (KLAMM_NUM_PARTITIONS for \
             --num-partitions) and a key in the file (num_partitions).",
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Settings::table().iter().filter_map(|setting| {
            let value = matches.get_one::<String>(setting.key)?;
            Some((setting.flag(), value.clone()))
        });
        Ok(ServeArgs {
            config: matches.get_one("config").cloned(),
            flags: given.collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let mut help = setting.doc.to_owned();
    write!(help, " [{}", setting.expected()).expect("writing to a string does not fail");
    for (word, text) in [("unit", setting.unit()), ("default", setting.default)] {
        if !text.is_empty() {
            write!(help, "; {word}: {text}").expect("writing to a string does not fail");
        }
    }
    help.push(']');
    let flag = Arg::new(setting.key)
        .long(setting.flag())
        .value_name("VALUE")
        .allow_hyphen_values(true)
        .action(ArgAction::Set)
        .help(help);
    match setting.key {
        "node_id" => flag.alias("broker-id"),
        _ => flag,
    }
}

/// Loads the settings and runs the broker until it is told to stop.
pub(super) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let env = variables(std::env::vars_os())?;
    let settings = Settings::load(args.config.as_deref(), env.into_iter(), args.flags.clone())?;
    crate::serve::run(settings)
}

/// The variables that may be settings. One that is meant as such must not be passed over because it
/// is no text.
fn variables(
    all: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, Usage> {
    let mut variables = Vec::new();
    for (name, value) in all {
        let is_ours = name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => variables.push((name, value)),
            (Ok(name), Err(_)) if is_ours => {
                let told = format!("the environment variable {name} is not UTF-8");
                return Err(Usage(told));
            }
            _ => {}
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn a_variable_that_is_no_text_is_told_if_it_is_ours() {
        let read = |name: &str| {
            let bytes = OsString::from_vec(vec![b'/', 0xff]);
            let text = (OsString::from("HOME"), OsString::from("/"));
            variables([text, (OsString::from(name), bytes)].into_iter())
        };
        let theirs = read("OTHER").unwrap();
        assert_eq!(theirs, [("HOME".to_owned(), "/".to_owned())]);
        let refused = read("KLAMM_DATA_DIR").unwrap_err().to_string();
        assert!(refused.contains("KLAMM_DATA_DIR"), "{refused}");
    }

    #[test]
    fn every_setting_has_a_flag_that_takes_its_default() {
        crate::cli::Cli::command().debug_assert();
        let command = ServeArgs::augment_args(Command::new("serve"));
        for setting in Settings::table() {
            let flag = format!("--{}={}", setting.flag(), setting.default);
            let matches = command
                .clone()
                .try_get_matches_from(["serve", &flag])
                .unwrap();
            let args = ServeArgs::from_arg_matches(&matches).unwrap();
            assert_eq!(args.flags, [(setting.flag(), setting.default.to_owned())]);
        }
    }
}
