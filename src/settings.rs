//! What can be set, and what is set: one table of flags, one `Settings` value, precedence in one place.
//!
//! Every setting is a [`Flag`], a `static` in the file that uses it, listed in its part's table. The command line
//! (`--collector.cpu.guest`), the YAML file (`collector: {cpu: {guest: true}}`), `--help`, `--config.check` and the README are
//! derived from the tables. Precedence: command line, environment, file, default.

mod re2;
mod target;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

pub use target::{Target, Tls};

/// Something that can be set.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Name on the command line (`--name`) and, cut at the dots, in the file.
    pub name: &'static str,
    /// Type and default.
    pub default: Default,
    /// One line for `--help`.
    pub help: &'static str,
    /// Environment variable of the same meaning.
    pub env: Option<&'static str>,
    /// Accepted, but not shown in `--help`: old names.
    pub hidden: bool,
    /// Never shown, whoever asks.
    pub secret: bool,
}

/// Type and default of a [`Flag`].
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// `--name` and `--no-name`.
    Switch(bool),
    /// Any text.
    Text(&'static str),
    /// May be given more than once.
    List(&'static [&'static str]),
    /// A whole number.
    Number(u64),
    /// A time as Go writes it: `5s`, `1m30s`, `250ms`.
    Time(Duration),
}

impl Flag {
    const fn new(name: &'static str, default: Default, help: &'static str) -> Self {
        Flag { name, default, help, env: None, hidden: false, secret: false }
    }

    /// `--name`, `--no-name`.
    pub const fn switch(name: &'static str, default: bool, help: &'static str) -> Self {
        Flag::new(name, Default::Switch(default), help)
    }

    /// A text.
    pub const fn text(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Flag::new(name, Default::Text(default), help)
    }

    /// A text that may be given more than once.
    pub const fn list(name: &'static str, default: &'static [&'static str], help: &'static str) -> Self {
        Flag::new(name, Default::List(default), help)
    }

    /// A whole number.
    pub const fn number(name: &'static str, default: u64, help: &'static str) -> Self {
        Flag::new(name, Default::Number(default), help)
    }

    /// A time.
    pub const fn time(name: &'static str, default: Duration, help: &'static str) -> Self {
        Flag::new(name, Default::Time(default), help)
    }

    /// Also read from the environment variable `env`.
    pub const fn env(self, env: &'static str) -> Self {
        Flag { env: Some(env), ..self }
    }

    /// Not shown in `--help`.
    pub const fn hidden(self) -> Self {
        Flag { hidden: true, ..self }
    }

    /// Holds a secret: masked wherever it could be seen.
    pub const fn secret(self) -> Self {
        Flag { secret: true, ..self }
    }
}

/// What a flag is set to.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// See [`Default::Switch`].
    Switch(bool),
    /// See [`Default::Text`].
    Text(String),
    /// See [`Default::List`].
    List(Vec<String>),
    /// See [`Default::Number`].
    Number(u64),
    /// See [`Default::Time`].
    Time(Duration),
}

impl Flag {
    /// The default as a setting.
    pub fn setting(&self) -> Setting {
        match self.default {
            Default::Switch(on) => Setting::Switch(on),
            Default::Text(text) => Setting::Text(text.to_owned()),
            Default::List(list) => Setting::List(list.iter().map(|text| (*text).to_owned()).collect()),
            Default::Number(number) => Setting::Number(number),
            Default::Time(time) => Setting::Time(time),
        }
    }

    /// Reads `texts` (one, or several for a list) as a setting of this flag's type.
    pub fn read(&self, texts: Vec<String>) -> Result<Setting, Error> {
        let single = |texts: Vec<String>| texts.into_iter().next_back().unwrap_or_default();
        let wrong = |want: &str, text: &str| {
            let shown = if self.secret { "***" } else { text };
            Error::new(format!("{}: {shown:?} is not {want}", self.name))
        };
        Ok(match self.default {
            Default::List(_) => Setting::List(texts),
            Default::Text(_) => Setting::Text(single(texts)),
            Default::Switch(_) => match single(texts).as_str() {
                "true" | "1" | "yes" | "on" => Setting::Switch(true),
                "false" | "0" | "no" | "off" => Setting::Switch(false),
                other => return Err(wrong("true or false", other)),
            },
            Default::Number(_) => {
                let text = single(texts);
                Setting::Number(text.parse().map_err(|_| wrong("a whole number", &text))?)
            }
            Default::Time(_) => {
                let text = single(texts);
                Setting::Time(time(&text).ok_or_else(|| wrong("a time such as 5s or 1m30s", &text))?)
            }
        })
    }
}

/// Where a setting came from, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The table.
    Default,
    /// `--config.file`.
    File,
    /// An environment variable.
    Environment,
    /// The command line.
    CommandLine,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Secret(secret.into())
    }

    /// The secret, for the one place that must send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Everything that is set.
#[derive(Clone, Debug, std::default::Default)]
pub struct Settings {
    values: HashMap<&'static str, (Origin, Setting)>,
    /// `postgres.targets` of the file.
    pub postgres_targets: Vec<Target>,
    /// `redis.targets` of the file.
    pub redis_targets: Vec<Target>,
}

impl Settings {
    /// Sets `flag`, unless something stronger has.
    pub fn set(&mut self, flag: &Flag, origin: Origin, setting: Setting) {
        match self.values.get(flag.name) {
            Some((stronger, _)) if *stronger > origin => {}
            _ => {
                self.values.insert(flag.name, (origin, setting));
            }
        }
    }

    /// Who set `flag`.
    pub fn origin(&self, flag: &Flag) -> Origin {
        self.values.get(flag.name).map_or(Origin::Default, |(origin, _)| *origin)
    }

    /// Whether anyone set `flag`.
    pub fn is_given(&self, flag: &Flag) -> bool {
        self.origin(flag) != Origin::Default
    }

    /// What `flag` is set to.
    pub fn get(&self, flag: &Flag) -> Setting {
        self.values.get(flag.name).map_or_else(|| flag.setting(), |(_, setting)| setting.clone())
    }

    /// A switch.
    pub fn switch(&self, flag: &Flag) -> bool {
        matches!(self.get(flag), Setting::Switch(true))
    }

    /// A text; empty for flags of another type.
    pub fn text(&self, flag: &Flag) -> String {
        match self.get(flag) {
            Setting::Text(text) => text,
            _ => String::new(),
        }
    }

    /// A list; empty for flags of another type.
    pub fn list(&self, flag: &Flag) -> Vec<String> {
        match self.get(flag) {
            Setting::List(list) => list,
            _ => Vec::new(),
        }
    }

    /// A number; 0 for flags of another type.
    pub fn number(&self, flag: &Flag) -> u64 {
        match self.get(flag) {
            Setting::Number(number) => number,
            _ => 0,
        }
    }

    /// A time; none for flags of another type.
    pub fn time(&self, flag: &Flag) -> Duration {
        match self.get(flag) {
            Setting::Time(time) => time,
            _ => Duration::ZERO,
        }
    }

    /// A regular expression, or `None` where the text is empty.
    pub fn pattern(&self, flag: &Flag) -> Result<Option<regex_lite::Regex>, Error> {
        let text = self.text(flag);
        if text.is_empty() {
            return Ok(None);
        }
        regex_lite::Regex::new(&re2::translate(&text)).map(Some).map_err(|error| Error::new(format!("{}: {error}", flag.name)))
    }
}

/// A setting that cannot be. One line, names the setting, holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    text: String,
    negative: bool,
}

impl Error {
    /// An error with this text, of which one line is made: it may quote what somebody wrote.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.trim_end().len());
        if text.contains(char::is_control) {
            text = text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
        }
        Error { text, negative: false }
    }

    /// A command's answer that is no: nothing is wrong with the settings.
    pub fn negative(text: impl Into<String>) -> Self {
        Error { negative: true, ..Error::new(text) }
    }

    /// Whether it is a command's answer, rather than a setting that cannot be.
    pub fn is_negative(&self) -> bool {
        self.negative
    }
}

/// A time as Go writes it: `1h2m3.5s`, `250ms`, `0`.
pub fn time(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = tail;
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(total).ok() }
}

/// An address without the passwords it may hold: `scheme://user:***@host`, `user:***@host`, `password=***`.
pub fn mask(address: &str) -> String {
    let mut masked = address.to_owned();
    if let Some(((user, _), host)) = address.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?, host))) {
        masked = format!("{user}:***@{host}");
    }
    if let Some((scheme, rest)) = address.split_once("://") {
        let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |end| rest.split_at(end));
        // The last @ ends the user part: a password may hold one that nobody escaped.
        if let Some((user, host)) = rest.rsplit_once('@').filter(|_| !authority.contains('@')).or(authority.rsplit_once('@')) {
            let user = user.split_once(':').map_or(user.to_owned(), |(user, _)| format!("{user}:***"));
            let path = if authority.contains('@') { path } else { "" };
            masked = format!("{scheme}://{user}@{host}{path}");
        }
    }
    let lower = masked.to_ascii_lowercase();
    match lower.find("password=") {
        Some(at) => format!("{}***", masked.get(..at + "password=".len()).unwrap_or_default()),
        None => masked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line_whatever_they_quote() {
        assert_eq!(Error::new("unknown key a\nb \u{1b}[31mä\n").to_string(), "unknown key a\\nb \\u{1b}[31mä");
    }

    #[test]
    fn times_are_read_as_go_writes_them() {
        assert_eq!(time("5s"), Some(Duration::from_secs(5)));
        assert_eq!(time("1h2m3.5s"), Some(Duration::from_millis(3_723_500)));
        assert_eq!(time("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(time("0"), Some(Duration::ZERO));
        for wrong in ["", "5", "s", "5x", "-1s", "1e400s"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_stronger_origin_wins_whatever_the_order() {
        static FLAG: Flag = Flag::number("n", 1, "");
        let mut settings = Settings::default();
        assert_eq!(settings.number(&FLAG), 1);
        settings.set(&FLAG, Origin::CommandLine, Setting::Number(3));
        settings.set(&FLAG, Origin::File, Setting::Number(2));
        assert_eq!(settings.number(&FLAG), 3);
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
        static FLAG: Flag = Flag::number("n", 1, "").secret();
        assert!(!FLAG.read(vec!["hunter2".into()]).unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn passwords_in_addresses_are_masked() {
        assert_eq!(mask("postgresql://u:p@h:5432/db"), "postgresql://u:***@h:5432/db");
        assert_eq!(mask("redis://:p/w@h:6379"), "redis://:***@h:6379");
        assert_eq!(mask("host=db user=u password='a b' dbname=x"), "host=db user=u password=***");
        assert_eq!(mask("postgresql://u@h/db?password=x"), "postgresql://u@h/db?password=***");
        assert_eq!(mask("localhost:6379"), "localhost:6379");
        assert_eq!(mask(":p@ss@localhost:6379"), ":***@localhost:6379");
    }
}
