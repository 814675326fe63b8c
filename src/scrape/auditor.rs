//! Who judges what a scrape told.

use super::{Advice, Outcome, Part, Selection, Source, Sources};
use crate::exposition::Samples;

/// What one source told in a scrape.
pub struct Seen<'a> {
    /// Who told it.
    pub source: &'a Source,
    /// Its samples.
    pub samples: &'a Samples,
    /// What became of its collectors.
    pub outcomes: &'a [Outcome],
}

/// Something that is wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is about.
    pub part: Part,
    /// `critical`, `warning` or `info`.
    pub severity: &'static str,
    /// What was checked, what is wrong and what to do about it.
    pub advice: &'static Advice,
    /// Where the facts come from, by their names there.
    pub source: &'static str,
    /// The container, file system or server.
    pub subject: String,
    /// The figure that was found, with its unit; empty where there is none.
    pub figure: String,
}

/// Judges what scrapes told. It asks nobody.
pub trait Auditor: Send + Sync {
    /// Judges what the sources of a scrape told, and writes what it found of the parts that `selection` asks for.
    fn audit(&self, seen: &[Seen<'_>], selection: &Selection, sources: &Sources, out: &mut Samples);

    /// What was found last.
    fn findings(&self) -> Vec<Finding>;
}
