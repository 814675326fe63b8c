//! `redis_*`: Redis and Valkey, in place of redis_exporter.

use crate::scrape::{Module, Part, Sources};
use crate::settings::{Error, Flag, Settings};

/// This part's line in the table of parts.
pub static MODULE: Module =
    Module { part: Part::Redis, enabled: Flag::switch("redis", true, "Collect `redis_*`."), flags, collectors, start };

fn flags() -> Vec<&'static Flag> {
    Vec::new()
}

fn collectors(_settings: &Settings) -> Vec<(&'static str, bool)> {
    Vec::new()
}

fn start(_settings: &Settings, _sources: &Sources) -> Result<(), Error> {
    Ok(())
}
