//! How often statements are asked that cost the server much: each kind of them has an interval of its own.

use std::time::Duration;

use super::options::Options;

/// What is kept for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    /// Files are looked at.
    Sizes,
    /// Many rows that seldom change.
    Settings,
    /// Every index, sequence or table of the catalog is gone through.
    Catalog,
    /// The planner's statistics of the largest tables are gone through.
    Bloat,
}

impl Schedule {
    /// How long its rows are shown before they are asked for again.
    pub(super) fn interval(self, options: &Options) -> Duration {
        match self {
            Schedule::Sizes => options.size_interval,
            Schedule::Settings => options.settings_interval,
            Schedule::Catalog => options.catalog_interval,
            Schedule::Bloat => options.bloat_interval,
        }
    }
}
