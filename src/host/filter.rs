//! Which devices, mounts or chips a collector shows: an include and an exclude pattern, unanchored as RE2 has them.

use std::collections::HashMap;

use regex_lite::Regex;

use crate::settings::{Error, Flag, Settings};

/// So many names' answers are kept; names that come and go (veth interfaces) must not fill the memory.
const REMEMBERED: usize = 4096;

/// The flags of one filter.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Only what matches is shown.
    pub include: Flag,
    /// What matches is not shown.
    pub exclude: Flag,
    /// An earlier name of `include`.
    pub old_include: Option<Flag>,
    /// An earlier name of `exclude`.
    pub old_exclude: Option<Flag>,
}

impl Pair {
    /// The flags, for [`Entry::flags`](crate::scrape::Entry::flags) and for the constructors of [`Filter`].
    pub const fn new(include: Flag, exclude: Flag) -> Self {
        Pair { include, exclude, old_include: None, old_exclude: None }
    }

    /// The filter of a collector that refuses to have both: an include given takes the place of a default exclude.
    pub fn one(&self, settings: &Settings) -> Result<Filter, Error> {
        let include = renamed(settings, &self.include, self.old_include.as_ref())?;
        let exclude = renamed(settings, &self.exclude, self.old_exclude.as_ref())?;
        let includes = !settings.text(&include).is_empty();
        if includes && settings.is_given(&exclude) && !settings.text(&exclude).is_empty() {
            return Err(exclusive(&include, &exclude));
        }
        let exclude = if includes { None } else { settings.pattern(&exclude)? };
        Ok(Filter::new(settings.pattern(&include)?, exclude))
    }

    /// The filter of a collector that applies both, and to whole names.
    pub fn both_whole(&self, settings: &Settings) -> Result<Filter, Error> {
        let whole = |new: &Flag, old: Option<&Flag>| {
            let flag = renamed(settings, new, old)?;
            // First by itself, so that an error shows what was given.
            let pattern = settings.pattern(&flag)?;
            let whole = Regex::new(&format!("^(?:{})$", pattern.as_ref().map_or("", Regex::as_str)));
            whole.map(Some).map_err(|error| Error::new(format!("{}: {error}", flag.name)))
        };
        Ok(Filter::new(whole(&self.include, self.old_include.as_ref())?, whole(&self.exclude, self.old_exclude.as_ref())?))
    }

    /// The filter of a collector that applies both.
    pub fn both(&self, settings: &Settings) -> Result<Filter, Error> {
        Ok(Filter::new(settings.pattern(&self.include)?, settings.pattern(&self.exclude)?))
    }
}

/// The flag to read: `new`, unless only its earlier name was given.
fn renamed(settings: &Settings, new: &Flag, old: Option<&Flag>) -> Result<Flag, Error> {
    match old.filter(|old| settings.is_given(old)) {
        Some(old) if settings.is_given(new) => Err(exclusive(old, new)),
        Some(old) => Ok(*old),
        None => Ok(*new),
    }
}

fn exclusive(one: &Flag, other: &Flag) -> Error {
    Error::new(format!("{} and {} are mutually exclusive", one.name, other.name))
}

/// Says which names pass, each name matched once.
#[derive(Debug, Default)]
pub struct Filter {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    known: HashMap<String, bool>,
}

impl Filter {
    /// A filter of these patterns; without any, everything passes.
    pub fn new(include: Option<Regex>, exclude: Option<Regex>) -> Self {
        Filter { include: Vec::from_iter(include), exclude: Vec::from_iter(exclude), known: HashMap::new() }
    }

    /// Lets pass only what `other` lets pass too.
    pub fn and(mut self, other: Filter) -> Self {
        self.include.extend(other.include);
        self.exclude.extend(other.exclude);
        self
    }

    /// Whether `name` passes.
    pub fn passes(&mut self, name: &str) -> bool {
        if self.include.is_empty() && self.exclude.is_empty() {
            return true;
        }
        if let Some(&known) = self.known.get(name) {
            return known;
        }
        let matches = |pattern: &Regex| pattern.is_match(name);
        let passes = self.include.iter().all(matches) && !self.exclude.iter().any(matches);
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(name.to_owned(), passes);
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    const PAIR: Pair = Pair {
        old_exclude: Some(Flag::text("old-exclude", "", "")),
        ..Pair::new(Flag::text("include", "", ""), Flag::text("exclude", "^lo$", ""))
    };

    fn settings(given: &[(&'static str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, text) in given {
            settings.set(&Flag::text(name, "", ""), Origin::CommandLine, Setting::Text((*text).to_owned()));
        }
        settings
    }

    #[test]
    fn patterns_are_unanchored_and_an_include_drops_the_default_exclude() {
        let mut default = PAIR.one(&settings(&[])).unwrap();
        assert!(default.passes("eth0") && !default.passes("lo") && !default.passes("lo") && default.passes("lo1"));
        let mut include = PAIR.one(&settings(&[("include", "o")])).unwrap();
        assert!(include.passes("lo") && !include.passes("eth0"));
        let mut old = PAIR.one(&settings(&[("old-exclude", "th")])).unwrap();
        assert!(old.passes("lo") && !old.passes("eth0"));
        let mut both = PAIR.both(&settings(&[("include", "o")])).unwrap();
        assert!(!both.passes("lo") && both.passes("lo1") && !both.passes("eth0"));
    }

    #[test]
    fn of_two_filters_both_decide() {
        let regex = |pattern| Some(Regex::new(pattern).unwrap());
        let mut filter = Filter::new(regex("^e"), None).and(Filter::new(regex("0$"), regex("th")));
        assert!(filter.passes("en0") && !filter.passes("en1") && !filter.passes("lo0") && !filter.passes("eth0"));
        assert!(Filter::default().and(Filter::default()).passes("anything"));
    }

    #[test]
    fn what_excludes_each_other_and_what_is_no_pattern_is_told() {
        let error = |given| PAIR.one(&settings(given)).unwrap_err().to_string();
        assert_eq!(error(&[("include", "a"), ("exclude", "b")]), "include and exclude are mutually exclusive");
        assert_eq!(error(&[("old-exclude", "a"), ("exclude", "b")]), "old-exclude and exclude are mutually exclusive");
        assert!(error(&[("include", "a(")]).starts_with("include: "));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut filter = Filter::new(None, Some(Regex::new("9$").unwrap()));
        assert_eq!((0..3 * REMEMBERED).filter(|n| filter.passes(&n.to_string())).count(), 3 * REMEMBERED * 9 / 10 + 1);
        assert!(filter.known.len() <= REMEMBERED);
    }
}
