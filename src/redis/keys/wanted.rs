//! What the operator wants to know of keys, in redis_exporter's words.

use std::path::Path;
use std::time::Duration;

use super::super::address::decoded;
use super::lua_pattern::Pattern;
use crate::settings::{Error, Flag, Settings};

/// Keys and streams named one by one, that are read with each scrape; any more of them wait for the pass.
const SINGLES: usize = 100;

/// The most that one SCAN looks at: the server does nothing else meanwhile.
const BATCH: u64 = 10_000;

/// The most large keys, and prefixes of a database, that are shown.
const SURVEYED: u64 = 1_000;

/// The longest script.
const SCRIPT: u64 = 1024 * 1024;

macro_rules! flags {
    ($($name:ident = $make:ident($flag:literal, $default:expr, $help:literal) $env:literal;)*) => {
        $(static $name: Flag = Flag::$make($flag, $default, $help).env($env);)*
        /// The flags of key work.
        pub(in crate::redis) fn flags() -> Vec<&'static Flag> {
            vec![$(&$name),*]
        }
    };
}

flags! {
    CHECK_KEYS = text("redis.check-keys", "", "Patterns of keys whose size and value are shown: db1=session:*,user:*; %XX for what is special.") "REDIS_EXPORTER_CHECK_KEYS";
    CHECK_SINGLE_KEYS = text("redis.check-single-keys", "", "Keys whose size and value are shown, read with each scrape: db1=queue:mail,build.") "REDIS_EXPORTER_CHECK_SINGLE_KEYS";
    COUNT_KEYS = text("redis.count-keys", "", "Patterns of keys that are counted.") "REDIS_EXPORTER_COUNT_KEYS";
    CHECK_STREAMS = text("redis.check-streams", "", "Patterns of streams that are shown with their groups and consumers.") "REDIS_EXPORTER_CHECK_STREAMS";
    CHECK_SINGLE_STREAMS = text("redis.check-single-streams", "", "Streams that are shown with their groups and consumers, read with each scrape.") "REDIS_EXPORTER_CHECK_SINGLE_STREAMS";
    BATCH_SIZE = number("redis.check-keys-batch-size", 1000, "About how many keys one SCAN looks at, up to 10000.") "REDIS_EXPORTER_CHECK_KEYS_BATCH_SIZE";
    NO_VALUES = switch("redis.disable-exporting-key-values", false, "Do not show values of keys, only sizes.") "REDIS_EXPORTER_DISABLE_EXPORTING_KEY_VALUES";
    NO_CONSUMERS = switch("redis.streams-exclude-consumer-metrics", false, "Leave the consumers of streams out.") "REDIS_EXPORTER_STREAMS_EXCLUDE_CONSUMER_METRICS";
    SKIP_MASTER = switch("redis.skip-checkkeys-for-role-master", false, "Leave keys and streams of masters alone: replicas tell the same.") "REDIS_EXPORTER_SKIP_CHECKKEYS_FOR_ROLE_MASTER";
    GROUPS = text("redis.check-key-groups", "", "Lua patterns, comma-separated: all keys are counted by what the first one that matches captures.") "REDIS_EXPORTER_CHECK_KEY_GROUPS";
    MOST_GROUPS = number("redis.max-distinct-key-groups", 100, "Most groups of keys shown per database; the smaller ones are summed up as overflow.") "REDIS_EXPORTER_MAX_DISTINCT_KEY_GROUPS";
    SCRIPTS = text("redis.script", "", "Files with Lua scripts, comma-separated, whose answers (name, value, name, value) are shown.") "REDIS_EXPORTER_SCRIPT";
    READ_ONLY = switch("redis.lua-script-read-only", false, "Run the scripts with EVAL_RO.") "REDIS_EXPORTER_LUA_SCRIPT_READ_ONLY";
    INDEXES = switch("redis.include-search-indexes-metrics", false, "Show search indexes.") "REDIS_EXPORTER_INCL_SEARCH_INDEXES_METRICS";
    CHECK_INDEXES = text("redis.check-search-indexes", ".*", "Regular expression of the search indexes that are shown.") "REDIS_EXPORTER_CHECK_SEARCH_INDEXES";
    LARGEST = number("redis.big-keys", 0, "Show so many of the server's largest keys, with their names. 0 for none.") "STACK_EXPORTER_REDIS_BIG_KEYS";
    PREFIXES = number("redis.key-prefixes", 0, "Show keys and bytes of so many prefixes of names per database, those that take most memory, and of the rest as other. 0 for none.") "STACK_EXPORTER_REDIS_KEY_PREFIXES";
    SEPARATOR = text("redis.key-prefix-separator", ":", "Where the prefix of a key's name ends.") "STACK_EXPORTER_REDIS_KEY_PREFIX_SEPARATOR";
    SAMPLE = number("redis.keys.sample", 100_000, "Keys of each database that one search for large keys and prefixes looks at, at most; the next one goes on behind them.") "STACK_EXPORTER_REDIS_KEYS_SAMPLE";
    INTERVAL = time("redis.keys.interval", Duration::from_secs(60), "How often keys are searched, in the background; a scrape shows what was found last.") "STACK_EXPORTER_REDIS_KEYS_INTERVAL";
    PER_SECOND = number("redis.keys.per-second", 10_000, "Keys a second that the search looks at, at most.") "STACK_EXPORTER_REDIS_KEYS_PER_SECOND";
    SHARE = number("redis.keys.server-percent", 2, "Share of the server's time that the search takes, at most, in percent.") "STACK_EXPORTER_REDIS_KEYS_SERVER_PERCENT";
}

/// A key, or a pattern of keys, in a database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) database: u32,
    pub(super) name: Vec<u8>,
}

impl Key {
    /// As the label `db`.
    pub(super) fn database(database: u32) -> String {
        format!("db{database}")
    }
}

/// A script and the file it comes from.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) file: String,
    pub(super) text: String,
}

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub(in crate::redis) struct Wanted {
    /// Read with each scrape.
    pub(super) single_keys: Vec<Key>,
    pub(super) single_streams: Vec<Key>,
    /// Named one by one as well, but too many for that.
    pub(super) more_keys: Vec<Key>,
    pub(super) more_streams: Vec<Key>,
    pub(super) keys: Vec<Key>,
    pub(super) streams: Vec<Key>,
    pub(super) counts: Vec<Key>,
    pub(super) batch: u64,
    pub(super) values: bool,
    pub(super) consumers: bool,
    pub(super) skip_master: bool,
    pub(super) groups: Vec<Pattern>,
    pub(super) most_groups: usize,
    pub(super) scripts: Vec<Script>,
    pub(super) read_only: bool,
    pub(super) indexes: Option<regex_lite::Regex>,
    /// How many of the largest keys, and how many prefixes, 0 for none.
    pub(super) largest: usize,
    pub(super) prefixes: usize,
    pub(super) separator: String,
    /// Keys of a database that one pass looks at for these.
    pub(super) sample: u64,
    pub(super) interval: Duration,
    pub(super) keys_per_second: f64,
    pub(super) share: f64,
    /// See [`Options`](super::super::options::Options).
    pub(super) compat: bool,
}

impl Wanted {
    /// The commands that it takes, for a user who may do nothing else.
    pub(in crate::redis) fn commands(&self) -> Vec<&'static [&'static str]> {
        let mut commands: Vec<&'static [&'static str]> = Vec::new();
        if self.is_empty() {
            return commands;
        }
        commands.extend([&["SELECT"][..], &["SCAN"], &["TYPE"], &["MEMORY", "USAGE"], &["GET"], &["GETRANGE"], &["PFCOUNT"]]);
        commands.extend([&["STRLEN"][..], &["LLEN"], &["SCARD"], &["ZCARD"], &["HLEN"], &["XLEN"]]);
        commands.extend([&["XINFO", "STREAM"][..], &["XINFO", "GROUPS"], &["XINFO", "CONSUMERS"]]);
        if !self.scripts.is_empty() {
            commands.push(if self.read_only { &["EVAL_RO"] } else { &["EVAL"] });
        }
        if self.indexes.is_some() {
            commands.extend([&["FT._LIST"][..], &["FT.INFO"]]);
        }
        commands
    }

    pub(in crate::redis) fn read(settings: &Settings, compat: bool) -> Result<Self, Error> {
        let list = |flag: &Flag| parse(&settings.text(flag)).map_err(|wrong| Error::new(format!("{}: {wrong}", flag.name)));
        // What holds no character of a pattern is looked up, not searched.
        let is_pattern = |key: &Key| key.name.iter().any(|byte| b"?*[]^".contains(byte));
        let split = |keys: Vec<Key>| keys.into_iter().partition::<Vec<_>, _>(is_pattern);
        let (keys, named) = split(list(&CHECK_KEYS)?);
        let single_keys = distinct(list(&CHECK_SINGLE_KEYS)?.into_iter().chain(named));
        let (streams, named) = split(list(&CHECK_STREAMS)?);
        let single_streams = distinct(list(&CHECK_SINGLE_STREAMS)?.into_iter().chain(named));
        let percent = settings.number(&SHARE).clamp(1, 100);
        let few = |flag| usize::try_from(settings.number(flag).min(SURVEYED)).unwrap_or_default();
        let mut wanted = Wanted {
            single_keys,
            single_streams,
            keys,
            streams,
            counts: distinct(list(&COUNT_KEYS)?),
            batch: settings.number(&BATCH_SIZE).clamp(1, BATCH),
            values: !settings.switch(&NO_VALUES),
            consumers: !settings.switch(&NO_CONSUMERS),
            skip_master: settings.switch(&SKIP_MASTER),
            groups: groups(&settings.text(&GROUPS)).map_err(|wrong| Error::new(format!("{}: {wrong}", GROUPS.name)))?,
            most_groups: usize::try_from(settings.number(&MOST_GROUPS)).unwrap_or(usize::MAX),
            scripts: scripts(&settings.text(&SCRIPTS))?,
            read_only: settings.switch(&READ_ONLY),
            indexes: None,
            largest: few(&LARGEST),
            prefixes: few(&PREFIXES),
            separator: settings.text(&SEPARATOR),
            sample: settings.number(&SAMPLE).max(1),
            interval: settings.time(&INTERVAL),
            keys_per_second: crate::exposition::from_u64(settings.number(&PER_SECOND).max(1)),
            share: crate::exposition::from_u64(percent) / 100.0,
            compat,
            ..Wanted::default()
        };
        if settings.switch(&INDEXES) {
            wanted.indexes = settings.pattern(&CHECK_INDEXES)?;
        }
        wanted.more_keys = wanted.single_keys.split_off(wanted.single_keys.len().min(SINGLES));
        wanted.more_streams = wanted.single_streams.split_off(wanted.single_streams.len().min(SINGLES));
        Ok(wanted)
    }

    pub(in crate::redis) fn is_empty(&self) -> bool {
        self.single_keys.is_empty() && self.single_streams.is_empty() && !self.needs_pass()
    }

    /// Whether anything is wanted that a scrape must not wait for.
    pub(super) fn needs_pass(&self) -> bool {
        let lists = [&self.keys, &self.streams, &self.counts, &self.more_keys, &self.more_streams];
        lists.into_iter().any(|list| !list.is_empty())
            || !self.groups.is_empty()
            || !self.scripts.is_empty()
            || self.indexes.is_some()
            || self.needs_survey()
    }

    /// Whether large keys or prefixes are wanted.
    pub(super) fn needs_survey(&self) -> bool {
        self.largest > 0 || self.prefixes > 0
    }
}

/// Each key once, in the order given.
fn distinct(keys: impl IntoIterator<Item = Key>) -> Vec<Key> {
    let mut seen = hashbrown::HashSet::new();
    keys.into_iter().filter(|key| seen.insert(key.clone())).collect()
}

/// `db1=session:*,user:1,3=a%2Cb`
fn parse(list: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    for item in list.split(',').filter(|item| !item.trim().is_empty()) {
        let (database, name) = item.split_once('=').unwrap_or(("0", item));
        if name.contains('=') {
            return Err(format!("{item:?} has more than one =; write %3D for one in a key"));
        }
        let database = database.trim().replace("db", "");
        let database = database.parse().map_err(|_| format!("{item:?} names no database before the ="))?;
        let name = decoded(&name.trim().replace('+', " ")).map_err(|wrong| format!("{item:?}: {wrong}"))?.into_bytes();
        if !name.is_empty() {
            keys.push(Key { database, name });
        }
    }
    Ok(keys)
}

/// `^(.*):[0-9]+$,"^(a,b)"`: one line of CSV.
fn groups(line: &str) -> Result<Vec<Pattern>, String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(c),
        }
    }
    fields.push(field);
    let fields = fields.iter().map(|field| field.trim()).filter(|field| !field.is_empty());
    fields.map(|field| Pattern::parse(field).map_err(|wrong| format!("{field:?}: {wrong}"))).collect()
}

/// Reads the files of `list`.
fn scripts(list: &str) -> Result<Vec<Script>, Error> {
    let files = list.split(',').map(str::trim).filter(|file| !file.is_empty());
    let read = |file: &str| {
        let wrong = |reason: String| Error::new(format!("{}: {file}: {reason}", SCRIPTS.name));
        if std::fs::metadata(Path::new(file)).map_err(|error| wrong(error.to_string()))?.len() > SCRIPT {
            return Err(wrong("larger than 1 MiB".to_owned()));
        }
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        Ok(Script { file: file.to_owned(), text })
    };
    files.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(database: u32, name: &str) -> Key {
        Key { database, name: name.into() }
    }

    #[test]
    fn lists_of_keys() {
        let list = "db1=session:*, user:1?,3=a%2Cb,,db0=x+y";
        assert_eq!(parse(list).unwrap(), [key(1, "session:*"), key(0, "user:1?"), key(3, "a,b"), key(0, "x y")]);
        for wrong in ["a=b=c", "dbx=a", "-1=a", "db0=%zz"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn groups_are_a_line_of_csv() {
        assert_eq!(groups(r#" ^(.*)_ , "^(a,b)" ,,"#).unwrap().len(), 2);
        assert!(groups("").unwrap().is_empty() && groups("(a").is_err());
    }
}
