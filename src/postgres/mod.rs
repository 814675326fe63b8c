//! `pg_*`: PostgreSQL, in place of postgres_exporter.

use crate::scrape::{Module, Part, Sources};
use crate::settings::{Error, Flag, Settings};

/// This part's line in the table of parts.
pub static MODULE: Module =
    Module { part: Part::Postgres, enabled: Flag::switch("postgres", true, "Collect `pg_*`."), flags, collectors, start };

fn flags() -> Vec<&'static Flag> {
    Vec::new()
}

fn collectors(_settings: &Settings) -> Vec<(&'static str, bool)> {
    Vec::new()
}

fn start(_settings: &Settings, _sources: &Sources) -> Result<(), Error> {
    Ok(())
}
