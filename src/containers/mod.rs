//! `container_*` and `machine_*`: cgroups, in place of cAdvisor.

use crate::scrape::{Module, Part, Sources};
use crate::settings::{Error, Flag, Settings};

/// This part's line in the table of parts.
pub static MODULE: Module = Module {
    part: Part::Containers,
    enabled: Flag::switch("containers", true, "Collect `container_*` and `machine_*`."),
    flags,
    collectors,
    start,
};

fn flags() -> Vec<&'static Flag> {
    Vec::new()
}

fn collectors(_settings: &Settings) -> Vec<(&'static str, bool)> {
    Vec::new()
}

fn start(_settings: &Settings, _sources: &Sources) -> Result<(), Error> {
    Ok(())
}
