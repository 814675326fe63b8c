//! CONFIG GET: the few settings that are metrics. Everything else in the reply, passwords among it, is dropped at once.

use std::path::{Path, PathBuf};

use super::beyond::Kept;
use super::options::Options;
use super::reply::{pairs, text};
use super::resp::Value;
use crate::exposition::{Family, Samples};

/// `"setting" => "family" "help";`, one line a setting that is one number.
macro_rules! settings {
    ($($setting:literal => $family:literal $help:literal;)*) => {
        [$(($setting, Family::gauge($family, concat!($help, " (CONFIG ", $setting, ").")))),*]
    };
}

static NUMBERS: [(&str, Family); 10] = settings! {
    "commandlog-execution-slower-than" => "redis_commandlog_execution_slower_than" "Microseconds from which a command is logged as slow, -1 for never";
    "commandlog-large-reply-max-len" => "redis_commandlog_large_reply_max_len" "Most entries in the log of large replies";
    "commandlog-large-request-max-len" => "redis_commandlog_large_request_max_len" "Most entries in the log of large requests";
    "commandlog-reply-larger-than" => "redis_commandlog_reply_larger_than" "Bytes from which a reply is logged as large";
    "commandlog-request-larger-than" => "redis_commandlog_request_larger_than" "Bytes from which a request is logged as large";
    "commandlog-slow-execution-max-len" => "redis_commandlog_slow_execution_max_len" "Most entries in the log of slow commands";
    "io-threads" => "redis_config_io_threads" "I/O threads";
    "maxclients" => "redis_config_maxclients" "Most client connections";
    "maxmemory" => "redis_config_maxmemory" "Memory limit in bytes, 0 for none";
    "repl-backlog-size" => "redis_config_repl_backlog_size" "Size of the replication backlog in bytes";
};
static LIMIT: Family = Family::gauge(
    "redis_config_client_output_buffer_limit_bytes",
    "Output buffer at which a client of the class is cut off (CONFIG client-output-buffer-limit).",
);
static OVERCOME: Family = Family::gauge(
    "redis_config_client_output_buffer_limit_overcome_seconds",
    "Time above the soft limit after which a client of the class is cut off (CONFIG client-output-buffer-limit).",
);

static VALUE: Family = Family::gauge("redis_config_value", "A setting that is a number (CONFIG GET).");
static TEXT: Family = Family::gauge("redis_config_key_value", "1, with a setting as it is written (CONFIG GET).");
static SENTINEL_VALUE: Family =
    Family::gauge("redis_sentinel_config_value", "A setting of the Sentinel that is a number (SENTINEL CONFIG GET).");
static SENTINEL_TEXT: Family =
    Family::gauge("redis_sentinel_config_key_value", "1, with a setting of the Sentinel as it is written (SENTINEL CONFIG GET).");

/// Settings that are never shown, as in redis_exporter, and those that are shown only where they are empty: it would show them.
const SECRETS: [&str; 4] = ["requirepass", "masterauth", "tls-key-file-pass", "tls-client-key-file-pass"];
const MORE_SECRETS: [&str; 2] = ["primaryauth", "sentinel-pass"];

fn may_be_shown(name: &str, value: &str) -> bool {
    !SECRETS.contains(&name) && (value.is_empty() || !MORE_SECRETS.contains(&name))
}

/// What we keep of a server's settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Config {
    /// How many databases there are.
    pub(super) databases: Option<u32>,
    numbers: Vec<(usize, f64)>,
    limits: Vec<Limit>,
    pub(super) kept: Kept,
    /// All of them that hold no secret, if they are wanted.
    all: Vec<(String, String)>,
    /// Folder and name of the snapshot, if its size is wanted.
    folder: Option<String>,
    snapshot: Option<String>,
}

/// Limits of one class of clients.
#[derive(Clone, Debug, PartialEq)]
struct Limit {
    class: String,
    hard: f64,
    soft: f64,
    seconds: f64,
}

impl Config {
    /// `[name, value, name, value, …]`
    pub(super) fn parse(reply: &Value, options: &Options) -> Self {
        let mut config = Config::default();
        for (name, value) in pairs(reply) {
            let Some(value) = text(value) else { continue };
            if options.settings && may_be_shown(&name, &value) {
                config.all.push((name.clone().into_owned(), value.clone().into_owned()));
            }
            config.kept.add(&name, &value);
            match &*name {
                "dir" if options.rdb_size => config.folder = Some(value.into_owned()),
                "dbfilename" if options.rdb_size => config.snapshot = Some(value.into_owned()),
                "databases" => config.databases = value.parse().ok(),
                "client-output-buffer-limit" => config.limits = limits(&value),
                _ => {
                    let place = NUMBERS.iter().position(|(setting, _)| *setting == name);
                    config.numbers.extend(place.zip(value.parse().ok()));
                }
            }
        }
        config
    }

    /// Where the snapshot is, on the server's host.
    pub(super) fn snapshot(&self) -> Option<PathBuf> {
        Some(Path::new(self.folder.as_ref()?).join(self.snapshot.as_ref()?))
    }

    pub(super) fn emit(&self, out: &mut Samples) {
        settings(self.all.iter().map(|(name, value)| (&**name, &**value)), [&VALUE, &TEXT], out);
        for (place, value) in &self.numbers {
            if let Some((_, family)) = NUMBERS.get(*place) {
                out.family(family).add([], *value);
            }
        }
        for limit in &self.limits {
            out.family(&LIMIT).add([("class", &limit.class), ("limit", "hard")], limit.hard);
            out.family(&LIMIT).add([("class", &limit.class), ("limit", "soft")], limit.soft);
        }
        for limit in &self.limits {
            out.family(&OVERCOME).add([("class", &limit.class), ("limit", "soft")], limit.seconds);
        }
    }
}

/// The answer to SENTINEL CONFIG GET, without the password that a Sentinel logs in with.
pub(super) fn sentinel(reply: &Value, out: &mut Samples) {
    let all: Vec<_> = pairs(reply).filter_map(|(name, value)| Some((name, text(value)?))).collect();
    let shown = all.iter().filter(|(name, value)| may_be_shown(name, value));
    settings(shown.map(|(name, value)| (&**name, &**value)), [&SENTINEL_VALUE, &SENTINEL_TEXT], out);
}

/// Each setting as text, and as a number where it is one.
fn settings<'a>(
    all: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    [numbers, texts]: [&'static Family; 2],
    out: &mut Samples,
) {
    for (name, value) in all.clone() {
        out.family(texts).add([("key", name), ("value", value)], 1u8);
    }
    for (name, value) in all.filter_map(|(name, value)| Some((name, value.parse::<f64>().ok()?))) {
        out.family(numbers).add([("key", name)], value);
    }
}

/// `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`: class, hard limit, soft limit, seconds.
fn limits(value: &str) -> Vec<Limit> {
    let words: Vec<_> = value.split_ascii_whitespace().collect();
    let limits = words.chunks_exact(4).filter_map(|words| match words {
        [class, hard, soft, seconds] => Some(Limit {
            class: (*class).to_owned(),
            hard: hard.parse().ok()?,
            soft: soft.parse().ok()?,
            seconds: seconds.parse().ok()?,
        }),
        _ => None,
    });
    limits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_what_it_shows() {
        let reply =
            ["databases", "16", "requirepass", "hunter2", "maxmemory", "512", "client-output-buffer-limit", "normal 0 0 0 x 1"];
        let reply = Value::Array(reply.iter().map(|text| Value::Bulk((*text).into())).collect());
        let config = Config::parse(&reply, &Options { settings: true, ..Options::default() });
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!((config.databases, config.numbers.len(), config.limits.len()), (Some(16), 1, 1));
        let mut out = Samples::new();
        config.emit(&mut out);
        let page = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        assert!(page.contains("\nredis_config_maxmemory 512\n"), "{page}");
        assert!(page.contains("limit_overcome_seconds{class=\"normal\",limit=\"soft\"} 0\n"), "{page}");
    }
}
