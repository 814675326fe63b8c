//! The command line, built from the tables of flags.
//!
//! The style is node_exporter's: `--flag=value` or `--flag value`, `--no-flag` for switches, which take no value; a flag given twice is an
//! error unless it is a list; `@file` stands for the arguments in the file, one a line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use clap_complete::Shell;

use crate::settings::{Default, Error, Flag, Origin, Setting, Settings};

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// Run with the settings.
    Run,
    /// Print this and exit: help, version, manual page or completion script.
    Print(String),
    /// Do what this command, one of those given, is for.
    Command(&'static str),
}

type Print = fn(Command, &mut Vec<u8>);

/// What is printed instead of running, by the names that node_exporter's users know.
const PRINTED: [(&str, Print); 4] = [
    ("help-long", |mut command, out| out.extend(command.render_long_help().to_string().into_bytes())),
    // Writing to memory cannot fail.
    ("help-man", |command, out| drop(clap_mangen::Man::new(command).render(out))),
    ("completion-script-bash", |command, out| complete(Shell::Bash, command, out)),
    ("completion-script-zsh", |command, out| complete(Shell::Zsh, command, out)),
];

fn complete(shell: Shell, mut command: Command, out: &mut Vec<u8>) {
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, out);
}

/// Reads `args` (the first is the program's name) into `settings`.
///
/// `commands` are the words of each command and what it is for.
pub fn read(
    flags: &[&'static Flag],
    commands: &[(&'static str, &'static str)],
    args: impl IntoIterator<Item = OsString>,
    settings: &mut Settings,
) -> Result<Asked, Error> {
    let mut expanded = Vec::new();
    expand(args.into_iter().collect(), 0, &mut expanded)?;
    let matches = match command(flags, commands).try_get_matches_from(expanded) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Asked::Print(error.to_string())),
        Err(error) => return Err(one_line(&error)),
    };
    if let Some((_, print)) = PRINTED.iter().find(|(name, _)| matches.get_flag(name)) {
        let mut text = Vec::new();
        print(command(flags, commands), &mut text);
        return Ok(Asked::Print(String::from_utf8_lossy(&text).into_owned()));
    }
    for flag in flags {
        if let Some(setting) = given(flag, &matches)? {
            settings.set(flag, Origin::CommandLine, setting);
        }
    }
    let words: Vec<&str> = matches.get_many::<String>(COMMAND).into_iter().flatten().map(String::as_str).collect();
    let words = words.join(" ");
    match commands.iter().find(|(name, _)| *name == words) {
        Some((name, _)) => Ok(Asked::Command(name)),
        None if words.is_empty() => Ok(Asked::Run),
        None => Err(Error::new(format!("{words:?} is no command; see --help"))),
    }
}

/// How deep files of arguments may name one another.
const DEEPEST: usize = 8;

/// Puts the lines of a file in the place of `@file`, but for empty ones and those that begin with `#`. Nothing is special behind `--`.
fn expand(args: Vec<OsString>, depth: usize, out: &mut Vec<OsString>) -> Result<(), Error> {
    for arg in args {
        let plain = out.iter().any(|earlier| earlier == "--");
        let Some(file) = arg.as_bytes().strip_prefix(b"@").filter(|_| !plain) else {
            out.push(arg);
            continue;
        };
        let file = String::from_utf8_lossy(file);
        if depth == DEEPEST {
            return Err(Error::new(format!("@{file}: files of arguments name one another more than {DEEPEST} deep")));
        }
        let text = std::fs::read_to_string(&*file).map_err(|error| Error::new(format!("@{file}: {error}")))?;
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        expand(lines.map(OsString::from).collect(), depth + 1, out)?;
    }
    Ok(())
}

/// The name under which the command's words are kept.
const COMMAND: &str = "COMMAND";

fn command(flags: &[&'static Flag], commands: &[(&'static str, &'static str)]) -> Command {
    let commands: String = commands.iter().map(|(words, help)| format!("\n  {words:<12} {help}")).collect();
    let command = Command::new("stack-exporter")
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .after_help(format!(
            "Commands, in place of running:{commands}\n\nEvery flag can also stand in the file of --config.file, its name cut at the dots."
        ))
        .arg(Arg::new(COMMAND).num_args(0..=2).hide(true))
        .disable_help_subcommand(true);
    let printed = |(name, _): &(&'static str, _)| Arg::new(*name).long(*name).action(ArgAction::SetTrue).hide(true);
    let command = command.args(PRINTED.iter().map(printed));
    flags.iter().fold(command, |command, flag| {
        let arg = Arg::new(flag.name).long(flag.name).hide(flag.hidden).help(help(flag));
        match flag.default {
            Default::Switch(_) => command
                .arg(arg.action(ArgAction::SetTrue).conflicts_with(negative(flag)))
                .arg(Arg::new(negative(flag)).long(negative(flag)).action(ArgAction::SetTrue).hide(true)),
            Default::List(_) => command.arg(arg.action(ArgAction::Append).value_name(value_name(flag)).allow_hyphen_values(true)),
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
    if let (ErrorKind::TooManyValues, Some(flag)) = (error.kind(), error.get(ContextKind::InvalidArg)) {
        let name = flag.to_string();
        let name = name.trim_start_matches("--").trim_start_matches("no-");
        return Error::new(format!("{first} (a switch takes no value: --{name} is on, --no-{name} is off)"));
    }
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
        read(&FLAGS, &[("redis acl", "")], args, &mut settings).map(|_| settings)
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
        let wrong: [&[&str]; 9] = [
            &["--path.profs=/"],
            &["--path.procfs=a", "--path.procfs=b"],
            &["stray"],
            &["--path.procfs"],
            &["--no-path.procfs"],
            &["--collector.cpu", "--collector.cpu"],
            &["--collector.cpu", "--no-collector.cpu"],
            &["--collector.cpu=false"],
            &["@/nowhere"],
        ];
        for wrong in wrong {
            let error = run(wrong).unwrap_err().to_string();
            assert!(!error.contains('\n') && error.len() < 200, "{error}");
        }
        assert!(run(&["--path.profs=/"]).unwrap_err().to_string().contains("--path.profs"));
        assert!(run(&["--collector.cpu=false"]).unwrap_err().to_string().contains("--no-collector.cpu is off"));
    }

    #[test]
    fn arguments_can_stand_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            format!("@{}", path.display())
        };
        let inner = file("inner", "--web.listen-address\n:1\n");
        let outer = file("outer", &format!("# with a space\n--path.procfs=/host proc\n\n{inner}\n"));
        let settings = run(&[&outer, "--web.listen-address=@2", "--no-collector.cpu"]).unwrap();
        assert_eq!(settings.text(&TEXT), "/host proc");
        assert_eq!(settings.list(&LIST), [":1", "@2"]);
        assert!(!settings.switch(&SWITCH));
        let itself = format!("@{}", folder.path().join("itself").display());
        assert!(run(&[&file("itself", &itself)]).unwrap_err().to_string().contains("one another"));
    }

    #[test]
    fn what_is_printed_names_the_flags() {
        for (flag, sign) in [
            ("--help", "Usage:"),
            ("-h", "Usage:"),
            ("--help-long", "Usage:"),
            ("--help-man", ".TH stack-exporter"),
            ("--completion-script-bash", "complete -F"),
            ("--completion-script-zsh", "#compdef stack-exporter"),
        ] {
            let args = ["stack-exporter", flag].map(OsString::from);
            let Asked::Print(text) = read(&FLAGS, &[], args, &mut Settings::default()).unwrap() else { panic!("{flag} runs") };
            let plain = text.replace("\\-", "-");
            assert!(plain.contains(sign) && plain.contains("path.procfs"), "{flag}: {text}");
        }
    }
}
