//! What a part tells of itself: the one line by which it is known to the rest.

use super::{Part, Sources};
use crate::settings::{Error, Flag, Settings};

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
    /// Checks the settings and adds the part's sources, now or later (a database that is found). Called once, inside the runtime. It
    /// must not wait for anything: a server that is down is the worker's business.
    pub start: fn(&Settings, &Sources) -> Result<(), Error>,
}
