//! postgres_exporter's own names for what has another name here or is not here: accepted where that changes nothing or means the
//! same, with a line in the log; refused where something would be missing.

use std::time::Duration;

use crate::settings::{Error, Flag, Settings};

static DISABLE_DEFAULT: Flag = Flag::switch("disable-default-metrics", false, "See --postgres.disable-default-metrics.").hidden();
static EXCLUDE: Flag = Flag::text("exclude-databases", "", "See --postgres.exclude-databases.").hidden();
static DISCOVER: Flag =
    Flag::switch("auto-discover-databases", false, "Accepted and not needed: collectors never did follow it.")
        .env("PG_EXPORTER_AUTO_DISCOVER_DATABASES")
        .hidden();
static INCLUDE: Flag = Flag::text("include-databases", "", "See --postgres.include-databases.").hidden();
static PREFIX: Flag = Flag::text("metric-prefix", "pg", "pg and nothing else.").env("PG_EXPORTER_METRIC_PREFIX").hidden();
static LABELS: Flag =
    Flag::text("constantLabels", "", "Refused: labels for all series are Prometheus' to add (static_configs.labels).")
        .env("PG_EXPORTER_CONSTANT_LABELS")
        .hidden();
static DUMP: Flag = Flag::switch("dumpmaps", false, "Refused: there are no maps; the README lists all families.").hidden();

static TIMEOUT: Flag =
    Flag::time("collection-timeout", Duration::from_secs(60), "Accepted and not needed: see --postgres.timeout.")
        .env("PG_EXPORTER_COLLECTION_TIMEOUT")
        .hidden();

/// postgres_exporter's flags of its collectors, which here stand behind `postgres.`.
static COLLECTORS: [Flag; 27] = [
    collector("collector.buffercache_summary", false),
    collector("collector.database", true),
    collector("collector.database_wraparound", false),
    collector("collector.locks", true),
    collector("collector.long_running_transactions", false),
    collector("collector.postmaster", false),
    collector("collector.process_idle", false),
    collector("collector.replication", true),
    collector("collector.replication_slot", true),
    collector("collector.replication_slots", true),
    collector("collector.roles", true),
    collector("collector.settings", true),
    collector("collector.stat_activity", true),
    collector("collector.stat_activity_autovacuum", false),
    collector("collector.stat_archiver", true),
    collector("collector.stat_bgwriter", true),
    collector("collector.stat_checkpointer", false),
    collector("collector.stat_database", true),
    collector("collector.stat_progress_vacuum", true),
    collector("collector.stat_replication", true),
    collector("collector.stat_statements", false),
    collector("collector.stat_user_tables", true),
    collector("collector.stat_wal_receiver", false),
    collector("collector.statio_user_indexes", false),
    collector("collector.statio_user_tables", true),
    collector("collector.wal", true),
    collector("collector.xlog_location", false),
];

static STATEMENTS: [Flag; 5] = [
    Flag::switch("collector.stat_statements.include_query", false, ELSEWHERE).hidden(),
    Flag::number("collector.stat_statements.query_length", 120, ELSEWHERE).hidden(),
    Flag::number("collector.stat_statements.limit", 100, ELSEWHERE).hidden(),
    Flag::text("collector.stat_statements.exclude_databases", "", ELSEWHERE).hidden(),
    Flag::text("collector.stat_statements.exclude_users", "", ELSEWHERE).hidden(),
];

const ELSEWHERE: &str = "postgres_exporter's name of --postgres.collector...";

const fn collector(name: &'static str, on: bool) -> Flag {
    Flag::switch(name, on, ELSEWHERE).hidden()
}

/// What stands behind `postgres.` in our name of a collector's flag.
fn own_name(old: &Flag) -> &'static str {
    match old.name {
        // Until 0.19.
        "collector.replication_slot" => "collector.replication_slots",
        name => name,
    }
}

/// `flag`, or the same by postgres_exporter's name where only that is given.
pub(super) fn either<'a>(settings: &Settings, flag: &'a Flag) -> &'a Flag {
    let mut old = COLLECTORS.iter().chain(&STATEMENTS).filter(|old| flag.name.strip_prefix("postgres.") == Some(own_name(old)));
    old.find(|old| settings.is_given(old) && !settings.is_given(flag)).unwrap_or(flag)
}

/// The flags, for the part's table.
pub(super) fn flags() -> impl Iterator<Item = &'static Flag> {
    let own = [&TIMEOUT, &DISABLE_DEFAULT, &EXCLUDE, &DISCOVER, &INCLUDE, &PREFIX, &LABELS, &DUMP];
    own.into_iter().chain(&COLLECTORS).chain(&STATEMENTS)
}

/// What postgres_exporter's own flag excludes.
pub(super) fn excluded(settings: &Settings) -> String {
    settings.text(&EXCLUDE)
}

/// What it includes, and nothing else.
pub(super) fn included(settings: &Settings) -> String {
    settings.text(&INCLUDE)
}

/// Whether postgres_exporter's own flag takes the default metrics away.
pub(super) fn without_defaults(settings: &Settings) -> bool {
    settings.switch(&DISABLE_DEFAULT)
}

/// Refuses what would leave something out in silence, and tells of what changes nothing.
pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    if settings.text(&PREFIX) != "pg" {
        return Err(Error::new(format!("{}: families are called pg_* here, as dashboards have them", PREFIX.name)));
    }
    if !settings.text(&LABELS).is_empty() {
        return Err(Error::new(format!(
            "{}: not in this program; give labels to the target in Prometheus (static_configs.labels)",
            LABELS.name
        )));
    }
    if settings.switch(&DUMP) {
        return Err(Error::new(format!("{}: there are no maps in this program", DUMP.name)));
    }
    for flag in [&DISCOVER, &TIMEOUT] {
        if settings.is_given(flag) {
            tracing::warn!(
                part = "postgres",
                flag = flag.name,
                help = flag.help,
                "a flag of postgres_exporter that changes nothing here"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::collectors::ENTRIES;
    use crate::settings::{Origin, Setting};

    fn with(flag: &Flag, setting: Setting) -> Result<(), String> {
        let mut settings = Settings::default();
        settings.set(flag, Origin::Environment, setting);
        check(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn what_would_be_missing_is_refused_by_name() {
        assert!(with(&PREFIX, Setting::Text("db".into())).unwrap_err().starts_with("metric-prefix: "));
        assert!(with(&LABELS, Setting::Text("a=b".into())).unwrap_err().starts_with("constantLabels: "));
        assert!(with(&DUMP, Setting::Switch(true)).unwrap_err().starts_with("dumpmaps: "));
    }

    #[test]
    fn collectors_go_by_both_names_and_ours_is_stronger() {
        static OURS: Flag = Flag::switch("postgres.collector.wal", true, "");
        let mut settings = Settings::default();
        assert!(settings.switch(either(&settings, &OURS)));
        settings.set(
            COLLECTORS.iter().find(|old| old.name == "collector.wal").unwrap(),
            Origin::CommandLine,
            Setting::Switch(false),
        );
        assert!(!settings.switch(either(&settings, &OURS)));
        settings.set(&OURS, Origin::File, Setting::Switch(true));
        assert!(settings.switch(either(&settings, &OURS)));
        static SLOTS: Flag = Flag::switch("postgres.collector.replication_slots", true, "");
        let old = COLLECTORS.iter().find(|old| old.name == "collector.replication_slot").unwrap();
        settings.set(old, Origin::CommandLine, Setting::Switch(false));
        assert!(!settings.switch(either(&settings, &SLOTS)), "the name until 0.19");
        for old in &COLLECTORS {
            assert!(
                ENTRIES.iter().any(|entry| entry.enabled.name.strip_prefix("postgres.") == Some(own_name(old))),
                "{}",
                old.name
            );
        }
    }

    #[test]
    fn what_changes_nothing_is_accepted() {
        with(&PREFIX, Setting::Text("pg".into())).unwrap();
        with(&DISCOVER, Setting::Switch(true)).unwrap();
        with(&INCLUDE, Setting::Text("shop".into())).unwrap();
        assert_eq!(excluded(&Settings::default()), "");
    }
}
