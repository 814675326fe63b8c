//! The command line, built from the tables of flags.
//!
//! The style is node_exporter's: `--flag=value` or `--flag value`, `--no-flag` for switches, a flag that takes one value given twice is an error.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::settings::{Default, Error, Flag, Origin, Setting, Settings};

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// Run with the settings.
    Run,
    /// Print this and exit: help or version.
    Print(String),
}

/// Reads `args` (the first is the program's name) into `settings`.
pub fn read(flags: &[&'static Flag], args: impl IntoIterator<Item = OsString>, settings: &mut Settings) -> Result<Asked, Error> {
    let matches = match command(flags).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Asked::Print(error.to_string())),
        Err(error) => return Err(one_line(&error)),
    };
    for flag in flags {
        if let Some(setting) = given(flag, &matches)? {
            settings.set(flag, Origin::CommandLine, setting);
        }
    }
    Ok(Asked::Run)
}

fn command(flags: &[&'static Flag]) -> Command {
    let command = Command::new("stack-exporter")
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .after_help("Every flag can also stand in the file of --config.file, its name cut at the dots.")
        .disable_help_subcommand(true);
    flags.iter().fold(command, |command, flag| {
        let arg = Arg::new(flag.name).long(flag.name).hide(flag.hidden).help(help(flag));
        match flag.default {
            Default::Switch(_) => command.arg(arg.action(ArgAction::SetTrue).overrides_with(negative(flag))).arg(
                Arg::new(negative(flag)).long(negative(flag)).action(ArgAction::SetTrue).overrides_with(flag.name).hide(true),
            ),
            Default::List(_) => command.arg(arg.action(ArgAction::Append).value_name(value_name(flag))),
            Default::Text(_) | Default::Number(_) | Default::Time(_) => {
                command.arg(arg.action(ArgAction::Set).value_name(value_name(flag)).allow_hyphen_values(true))
            }
        }
    })
}

fn negative(flag: &Flag) -> String {
    format!("no-{}", flag.name)
}

fn value_name(flag: &Flag) -> &'static str {
    match flag.default {
        Default::Number(_) => "N",
        Default::Time(_) => "TIME",
        _ => "TEXT",
    }
}

fn help(flag: &Flag) -> String {
    let mut text = flag.help.to_owned();
    match flag.default {
        Default::Switch(true) => text.push_str(&format!(" On by default; --no-{} switches it off.", flag.name)),
        Default::Text(default) if !default.is_empty() => text.push_str(&format!(" [default: {default}]")),
        Default::List(list) if !list.is_empty() => text.push_str(&format!(" [default: {}; repeatable]", list.join(", "))),
        Default::List(_) => text.push_str(" [repeatable]"),
        Default::Number(number) => text.push_str(&format!(" [default: {number}]")),
        Default::Time(time) => text.push_str(&format!(" [default: {time:?}]")),
        Default::Switch(false) | Default::Text(_) => {}
    }
    if let Some(env) = flag.env {
        text.push_str(&format!(" [env: {env}]"));
    }
    text
}

fn given(flag: &Flag, matches: &ArgMatches) -> Result<Option<Setting>, Error> {
    if let Default::Switch(_) = flag.default {
        return Ok(match (matches.get_flag(flag.name), matches.get_flag(&negative(flag))) {
            (true, _) => Some(Setting::Switch(true)),
            (_, true) => Some(Setting::Switch(false)),
            (false, false) => None,
        });
    }
    let Some(texts) = matches.get_many::<String>(flag.name) else { return Ok(None) };
    flag.read(texts.cloned().collect()).map(Some)
}

/// clap explains itself over several lines; the first one and its tip are what a log needs.
fn one_line(error: &clap::Error) -> Error {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let tip = lines.find(|line| line.starts_with("tip:")).map(|tip| format!(" ({tip})")).unwrap_or_default();
    Error::new(format!("{first}{tip}; see --help"))
}

#[cfg(test)]
mod tests {
    use super::*;

    static SWITCH: Flag = Flag::switch("collector.cpu", true, "");
    static TEXT: Flag = Flag::text("path.procfs", "/proc", "");
    static LIST: Flag = Flag::list("web.listen-address", &[":9100"], "");
    static FLAGS: [&Flag; 3] = [&SWITCH, &TEXT, &LIST];

    fn run(args: &[&str]) -> Result<Settings, Error> {
        let mut settings = Settings::default();
        let args = std::iter::once("stack-exporter").chain(args.iter().copied()).map(OsString::from);
        read(&FLAGS, args, &mut settings).map(|_| settings)
    }

    #[test]
    fn flags_are_read_in_node_exporters_style() {
        let settings =
            run(&["--no-collector.cpu", "--path.procfs=/host/proc", "--web.listen-address", ":1", "--web.listen-address=:2"])
                .unwrap();
        assert!(!settings.switch(&SWITCH));
        assert_eq!(settings.text(&TEXT), "/host/proc");
        assert_eq!(settings.list(&LIST), [":1", ":2"]);
    }

    #[test]
    fn mistakes_are_one_line() {
        for wrong in [&["--path.profs=/"][..], &["--path.procfs=a", "--path.procfs=b"], &["stray"], &["--path.procfs"]] {
            let error = run(wrong).unwrap_err().to_string();
            assert!(!error.contains('\n') && error.len() < 200, "{error}");
        }
        assert!(run(&["--path.profs=/"]).unwrap_err().to_string().contains("--path.profs"));
    }
}
