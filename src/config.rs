//! The YAML file of `--config.file`, the environment, and `--config.check`.
//!
//! The file's keys are the flags' names, cut at the dots or not, as you like:
//!
//! ```yaml
//! path: {procfs: /host/proc}
//! collector.filesystem.mount-points-exclude: ^/(dev|proc)($|/)
//! postgres:
//!   targets:
//!     - {name: main, address: "postgresql://monitor@db:5432/postgres", password_file: /run/secrets/db}
//! ```

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::settings::{Error, Flag, Origin, Setting, Settings, Target, mask};

/// `--config.file`
pub static FILE: Flag = Flag::text("config.file", "", "YAML file with settings.");
/// `--config.check`
pub static CHECK: Flag = Flag::switch("config.check", false, "Print the effective settings, secrets masked, and exit.");

/// The two keys of the file that are no flags: lists of database servers.
const TARGETS: [&str; 2] = ["postgres.targets", "redis.targets"];

/// Reads the file's text into `settings`. Errors name `path`, line and key.
pub fn read_file(path: &str, text: &str, flags: &[&'static Flag], settings: &mut Settings) -> Result<(), Error> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(());
    }
    let level = Level { prefix: String::new(), flags, settings };
    level.deserialize(yaml_serde::Deserializer::from_str(text)).map_err(|error| Error::new(format!("{path}: {error}")))
}

/// Reads the environment variables that flags name. An empty one is as good as none.
pub fn read_environment(
    variable: impl Fn(&str) -> Option<String>,
    flags: &[&'static Flag],
    settings: &mut Settings,
) -> Result<(), Error> {
    for flag in flags {
        if let Some(text) = flag.env.and_then(&variable).filter(|text| !text.is_empty()) {
            settings.set(flag, Origin::Environment, flag.read(vec![text])?);
        }
    }
    Ok(())
}

/// The effective settings, one a line, secrets masked.
pub fn describe(flags: &[&'static Flag], settings: &Settings) -> String {
    let mut text = String::new();
    for flag in flags {
        let origin = match settings.origin(flag) {
            Origin::Default if flag.hidden => continue,
            Origin::Default => "",
            Origin::File => "  # file",
            Origin::Environment => "  # environment",
            Origin::CommandLine => "  # command line",
        };
        let setting = settings.get(flag);
        let value = match &setting {
            Setting::Switch(on) => on.to_string(),
            Setting::Number(number) => number.to_string(),
            Setting::Time(time) => format!("{time:?}"),
            Setting::Text(value) if flag.secret && !value.is_empty() => "***".to_owned(),
            Setting::Text(value) => format!("{:?}", mask(value)),
            Setting::List(list) if flag.secret && !list.is_empty() => "[***]".to_owned(),
            Setting::List(list) => format!("{list:?}"),
        };
        text.push_str(&format!("{}: {value}{origin}\n", flag.name));
    }
    for (part, targets) in [("postgres", &settings.postgres_targets), ("redis", &settings.redis_targets)] {
        for Target { name, address, .. } in targets {
            text.push_str(&format!("{part}.targets: {name:?} at {:?}  # file\n", mask(address)));
        }
    }
    text
}

/// One level of the file's nested mappings.
struct Level<'a> {
    prefix: String,
    flags: &'a [&'static Flag],
    settings: &'a mut Settings,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key { prefix: &self.prefix, flags: self.flags })? {
            match key.as_str() {
                "postgres.targets" => self.settings.postgres_targets = map.next_value()?,
                "redis.targets" => self.settings.redis_targets = map.next_value()?,
                _ => map.next_value_seed(Entry { name: key, flags: self.flags, settings: &mut *self.settings })?,
            }
        }
        Ok(())
    }
}

/// A key, which must be a flag or the beginning of one. It is checked here, where the parser still knows its line.
struct Key<'a> {
    prefix: &'a str,
    flags: &'a [&'static Flag],
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a setting")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        let name = format!("{}{key}", self.prefix);
        let begins = |known: &str| known.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let known = self.flags.iter().map(|flag| flag.name).chain(TARGETS).any(begins);
        // Naming another file from within the file would be a riddle.
        if known && name != FILE.name && name != CHECK.name { Ok(name) } else { Err(E::custom(format!("unknown key {name}"))) }
    }
}

/// What stands behind a key: a flag's value, or the next level.
struct Entry<'a> {
    name: String,
    flags: &'a [&'static Flag],
    settings: &'a mut Settings,
}

impl Entry<'_> {
    fn set<E: serde::de::Error>(self, texts: Vec<String>) -> Result<(), E> {
        let Some(flag) = self.flags.iter().find(|flag| flag.name == self.name) else {
            return Err(E::custom(format!("{} is a group of settings, not one", self.name)));
        };
        if self.settings.origin(flag) == Origin::File {
            return Err(E::custom(format!("{} is set twice", self.name)));
        }
        let setting = flag.read(texts).map_err(E::custom)?;
        self.settings.set(flag, Origin::File, setting);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for {}", self.name)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.set(vec![value.to_string()])
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.set(vec![value.to_string()])
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.set(vec![value.to_string()])
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.set(vec![value.to_string()])
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.set(vec![value.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let list =
            self.flags.iter().any(|flag| flag.name == self.name && matches!(flag.default, crate::settings::Default::List(_)));
        if !list {
            return Err(A::Error::custom(format!("{} takes one value, not a list", self.name)));
        }
        let mut texts = Vec::new();
        while let Some(text) = seq.next_element::<String>()? {
            texts.push(text);
        }
        self.set(texts)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        Level { prefix: format!("{}.", self.name), flags: self.flags, settings: self.settings }.visit_map(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    static CPU: Flag = Flag::switch("collector.cpu", true, "");
    static GUEST: Flag = Flag::switch("collector.cpu.guest", true, "");
    static LISTEN: Flag = Flag::list("web.listen-address", &[":9100"], "");
    static LIMIT: Flag = Flag::time("scrape.timeout", Duration::from_secs(10), "");
    static SECRET: Flag = Flag::text("redis.password", "", "").env("REDIS_PASSWORD").secret();
    static FLAGS: [&Flag; 5] = [&CPU, &GUEST, &LISTEN, &LIMIT, &SECRET];

    fn file(text: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        read_file("stack.yml", text, &FLAGS, &mut settings).map(|()| settings).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_flags_cut_at_their_dots() {
        let text = "collector:\n  cpu: {guest: false}\ncollector.cpu: false\nweb:\n  listen-address: [':1', ':2']\nscrape.timeout: 5s\n\
                    postgres:\n  targets:\n    - {name: main, address: 'host=db password=x', password_file: /run/p}\n";
        let settings = file(text).unwrap();
        assert!(!settings.switch(&CPU) && !settings.switch(&GUEST));
        assert_eq!(settings.list(&LISTEN), [":1", ":2"]);
        assert_eq!(settings.time(&LIMIT), Duration::from_secs(5));
        assert_eq!(settings.postgres_targets[0].name, "main");
        assert!(file("# nothing\n").is_ok() && file("").is_ok());
    }

    #[test]
    fn mistakes_name_line_and_key() {
        let wrong = |text| file(text).unwrap_err();
        let unknown = wrong("collector:\n  cpu: true\nweb:\n  listen-adress: [':1']\n");
        assert!(unknown.contains("web.listen-adress") && unknown.contains("line 4"), "{unknown}");
        let value = wrong("\nscrape.timeout: soon\n");
        assert!(value.contains("scrape.timeout") && value.contains("line 2"), "{value}");
        assert!(wrong("collector: true").contains("group"));
        assert!(wrong("collector.cpu: true\ncollector: {cpu: false}").contains("twice"));
        assert!(wrong("postgres: {targets: [{name: a, adress: b}]}").contains("adress"));
        assert!(wrong("config.file: other.yml").contains("unknown key"));
        assert!(wrong("postgres: {").contains("line"), "{}", wrong("postgres: {"));
    }

    #[test]
    fn the_environment_is_stronger_than_the_file_and_secrets_stay_hidden() {
        let mut settings = file("redis.password: from-file").unwrap();
        read_environment(|name| (name == "REDIS_PASSWORD").then(|| "from-env".to_owned()), &FLAGS, &mut settings).unwrap();
        assert_eq!(settings.text(&SECRET), "from-env");
        let shown = describe(&FLAGS, &settings);
        assert!(shown.contains("redis.password: ***  # environment"), "{shown}");
        assert!(!shown.contains("from-"), "{shown}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = file(&text);
        }
    }
}
