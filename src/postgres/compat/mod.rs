//! `--postgres.compat`: the page as an older postgres_exporter had it, for dashboards and alerts that were made for it.
//!
//! What had another shape under the same name has the old shape; what had another name stands there under both. The label `server` stands
//! where it stood then: on everything with 0.11, on what was not yet a collector with 0.15. On PostgreSQL 17 and later the checkpoint
//! families of `pg_stat_bgwriter` are made from `pg_stat_checkpointer`.

mod names;
mod shapes;
mod statements;

use super::collector::{Entry, Statement};
use crate::exposition::Labels;
use crate::settings::{Error, Flag, Settings};

pub(super) static FLAG: Flag =
    Flag::text("postgres.compat", "latest", "Names and labels of an older postgres_exporter: 0.11, 0.15 or latest.");

/// Whose names and labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Compat {
    /// 0.11 and older, with the names of the file queries.yaml that came with it.
    V0_11,
    /// 0.12 to 0.19.
    V0_15,
    /// 0.20.
    #[default]
    Latest,
}

/// What becomes of a collector's statements.
enum Change {
    Replaced(&'static [Statement]),
    Added(&'static [Statement]),
}

impl Compat {
    pub(super) fn read(settings: &Settings) -> Result<Compat, Error> {
        match settings.text(&FLAG).as_str() {
            "0.11" => Ok(Compat::V0_11),
            "0.15" => Ok(Compat::V0_15),
            "latest" => Ok(Compat::Latest),
            other => Err(Error::new(format!("{}: {other:?} is not 0.11, 0.15 or latest", FLAG.name))),
        }
    }

    /// The statements of `collector`.
    pub(super) fn statements(self, collector: &'static Entry) -> impl Iterator<Item = &'static Statement> {
        let (own, old): (&[Statement], &[Statement]) = match self.change(collector.name) {
            None => (collector.statements, &[]),
            Some(Change::Replaced(old)) => (&[], old),
            Some(Change::Added(old)) => (collector.statements, old),
        };
        own.iter().chain(old)
    }

    fn change(self, collector: &str) -> Option<Change> {
        use Change::{Added, Replaced};
        Some(match (self, collector) {
            (Compat::Latest, _) => return None,
            (Compat::V0_11, "stat_activity") => Replaced(&shapes::ACTIVITY_0_11),
            (Compat::V0_15, "stat_activity") => Replaced(&shapes::ACTIVITY_0_15),
            (_, "stat_archiver") => Replaced(&shapes::ARCHIVER),
            (_, "stat_replication") => Replaced(&shapes::REPLICATION),
            (Compat::V0_11, "stat_database") => Replaced(&shapes::DATABASE),
            (Compat::V0_11, "process_idle") => Replaced(&shapes::IDLE),
            (Compat::V0_15, "replication_slots") => Replaced(&names::SLOTS),
            (Compat::V0_15, "stat_user_tables") => Replaced(&names::TABLES),
            (Compat::V0_11, "statio_user_tables") => Replaced(&names::BLOCKS),
            (Compat::V0_11, "replication") => Added(&names::LAG),
            (Compat::V0_11, "stat_statements") => Added(&statements::STATEMENTS),
            (Compat::V0_11, "stat_bgwriter") => Added(&names::BGWRITER_0_11),
            (Compat::V0_15, "stat_bgwriter") => Added(&names::BGWRITER_0_15),
            _ => return None,
        })
    }

    /// `labels`, with `server` where `collector` had it on all its families.
    pub(super) fn labels(self, collector: &str, mut labels: Labels, address: &str) -> Labels {
        let tells_server = match self {
            // That one has it by itself, always.
            Compat::V0_11 => collector != "stat_database_conflicts",
            Compat::V0_15 => matches!(collector, "settings" | "stat_activity" | "stat_archiver" | "stat_replication"),
            Compat::Latest => false,
        };
        if tells_server {
            labels.push("server", address);
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::collectors::ENTRIES;
    use crate::postgres::testing::server;
    use crate::settings::{Origin, Setting};

    #[test]
    fn three_words_are_known() {
        let read = |word: &str| {
            let mut settings = Settings::default();
            settings.set(&FLAG, Origin::CommandLine, Setting::Text(word.into()));
            Compat::read(&settings)
        };
        assert_eq!((read("0.11"), read("0.15"), read("latest")), (Ok(Compat::V0_11), Ok(Compat::V0_15), Ok(Compat::Latest)));
        assert!(read("0.12").unwrap_err().to_string().starts_with("postgres.compat: \"0.12\""));
    }

    #[test]
    fn every_change_is_of_a_collector_that_exists_and_is_one_statement() {
        let changed = |compat: Compat| ENTRIES.iter().filter(|entry| compat.change(entry.name).is_some()).count();
        assert_eq!((changed(Compat::V0_11), changed(Compat::V0_15), changed(Compat::Latest)), (9, 6, 0));
        for (compat, major) in
            [Compat::V0_11, Compat::V0_15].into_iter().flat_map(|compat| (10..=18).map(move |major| (compat, major)))
        {
            for statement in ENTRIES.iter().flat_map(|entry| compat.statements(entry)) {
                assert!((statement.sql)(&server(major)).is_none_or(|sql| !sql.contains(';')));
            }
        }
    }
}
