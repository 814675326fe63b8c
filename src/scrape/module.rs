//! What a part tells of itself: the one line by which it is known to the rest.

use std::collections::HashMap;

use super::{Part, Sources};
use crate::settings::{Error, Flag, Settings};

/// What the program does instead of running: `stack-exporter redis acl`.
pub struct Command {
    /// Its words: `redis acl`.
    pub words: &'static str,
    /// One line for `--help`.
    pub help: &'static str,
    /// The text to print, for these settings.
    pub text: fn(&Settings) -> Result<String, Error>,
}

/// A part of the program.
pub struct Module {
    /// Which one.
    pub part: Part,
    /// `--<part>` / `--no-<part>`: the whole part on or off.
    pub enabled: Flag,
    /// All flags of the part, for the command line, the file and the documentation.
    pub flags: fn() -> Vec<&'static Flag>,
    /// The names of all its collectors and whether each is on, for `collect[]`.
    pub collectors: fn(&Settings) -> Vec<(&'static str, bool)>,
    /// The commands of the part.
    pub commands: &'static [Command],
    /// Checks the settings and adds the part's sources, now or later (a database that is found). Called once, inside the runtime. It
    /// must not wait for anything: a server that is down is the worker's business.
    pub start: fn(&Settings, &Sources) -> Result<(), Error>,
}

/// What can be asked for: the parts that are on, and every collector of theirs.
pub struct Catalog {
    /// The parts that are on, in the order of their pages.
    pub parts: Vec<Part>,
    collectors: HashMap<&'static str, bool>,
}

impl Catalog {
    /// What `modules` offer as set.
    pub fn of(modules: &[&Module], settings: &Settings) -> Self {
        let on = modules.iter().filter(|module| settings.switch(&module.enabled));
        let mut collectors: HashMap<&'static str, bool> = HashMap::new();
        for (name, enabled) in on.clone().flat_map(|module| (module.collectors)(settings)) {
            *collectors.entry(name).or_default() |= enabled;
        }
        Catalog { parts: on.map(|module| module.part).collect(), collectors }
    }

    /// Whether the collector is on; `None` where there is no such collector.
    pub fn state(&self, collector: &str) -> Option<bool> {
        self.collectors.get(collector).copied()
    }
}
