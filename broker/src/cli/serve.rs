//! `klamm serve`: one flag per setting, made from the table of settings.
use std::fmt::Write;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use config::{Setting, Settings};

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
    // A variable that is not text cannot be a setting.
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = Settings::load(args.config.as_deref(), env, args.flags.clone())?;
    crate::serve::run(settings)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

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
