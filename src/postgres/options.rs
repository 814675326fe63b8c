//! What the operator wants to see beyond which collectors are on, in the words of postgres_exporter's flags.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::collector::Entry;
use super::compat::Compat;
use super::queries::Queries;
use super::retired;
use crate::settings::{Error, Flag, Settings};

static TEXTS: Flag = Flag::switch(
    "postgres.collector.stat_statements.include_query",
    false,
    "Show the text of each statement, but for those that speak of a password.",
);
static LENGTH: Flag =
    Flag::number("postgres.collector.stat_statements.query_length", 120, "How many characters of a statement's text to show.");
static LIMIT: Flag = Flag::number("postgres.collector.stat_statements.limit", 100, "How many statements to show, 5,000 at most.");
static NO_DATABASES: Flag = Flag::text(
    "postgres.collector.stat_statements.exclude_databases",
    "",
    "Databases whose statements are left out, with commas between them.",
);
static NO_USERS: Flag = Flag::text(
    "postgres.collector.stat_statements.exclude_users",
    "",
    "Users whose statements are left out, with commas between them.",
);
static DISABLE_DEFAULT: Flag =
    Flag::switch("postgres.disable-default-metrics", false, "Leave out pg_static and pg_stat_database_conflicts.")
        .env("PG_EXPORTER_DISABLE_DEFAULT_METRICS");
static EXCLUDE: Flag =
    Flag::text("postgres.exclude-databases", "", "Databases that are left out: of sizes and of those that are visited.")
        .env("PG_EXPORTER_EXCLUDE_DATABASES");
static INCLUDE: Flag =
    Flag::text("postgres.include-databases", "", "The only databases that are visited, with commas between them.")
        .env("PG_EXPORTER_INCLUDE_DATABASES");
static TABLES: Flag = Flag::number(
    "postgres.tables.limit",
    500,
    "How many tables of each database are shown, the largest; the others are summed up as relname=\"(other)\".",
);
static SIZE_INTERVAL: Flag = Flag::time(
    "postgres.size-interval",
    Duration::from_secs(300),
    "How long sizes are shown before they are asked for again, and another database is visited again; 0s for each scrape.",
);
static SETTINGS_INTERVAL: Flag = Flag::time(
    "postgres.settings-interval",
    Duration::from_secs(300),
    "How long settings are shown before they are asked for again, unless the server reads its files anew.",
);
static CATALOG_INTERVAL: Flag = Flag::time(
    "postgres.catalog-interval",
    Duration::from_secs(300),
    "How long the state of indexes, sequences and tables due for vacuum is shown before it is asked for again.",
);
static BLOAT_INTERVAL: Flag = Flag::time(
    "postgres.bloat-interval",
    Duration::from_secs(3_600),
    "How long estimates of bloat are shown before they are made again.",
);
static SLOW_BUDGET: Flag = Flag::time(
    "postgres.slow-budget",
    Duration::from_secs(1),
    "The longest that statements with such an interval take in one scrape; what is left waits for the next.",
);

/// The flags.
pub(super) static FLAGS: [&Flag; 14] = [
    &TEXTS,
    &LENGTH,
    &LIMIT,
    &NO_DATABASES,
    &NO_USERS,
    &DISABLE_DEFAULT,
    &EXCLUDE,
    &INCLUDE,
    &TABLES,
    &SIZE_INTERVAL,
    &SETTINGS_INTERVAL,
    &CATALOG_INTERVAL,
    &BLOAT_INTERVAL,
    &SLOW_BUDGET,
];

/// The most statements that are shown, and the most characters of each.
const MOST: (u64, u64) = (5_000, 4_096);

/// The most tables of a database.
const MOST_TABLES: u64 = 100_000;

/// The options as read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    /// Of each statement, how many characters of its text are shown; `None` without texts.
    pub(super) query_length: Option<u64>,
    /// How many statements are shown.
    pub(super) limit: u64,
    /// Lists of SQL literals, for `NOT IN (...)`; empty where nothing is left out.
    pub(super) without_databases: String,
    pub(super) without_users: String,
    /// The same for `pg_database`.
    pub(super) exclude: String,
    /// The only databases that are visited; empty for all.
    pub(super) include: String,
    /// How many tables of a database are shown one by one.
    pub(super) tables: u64,
    /// Whether `pg_static` is shown.
    pub(super) default_metrics: bool,
    /// When the settings were read, as a Unix time.
    pub(super) read_at: u64,
    /// Whose names and labels.
    pub(super) compat: Compat,
    pub(super) queries: Arc<Queries>,
    /// How long sizes, settings, the state of the catalog, and bloat are kept.
    pub(super) size_interval: Duration,
    pub(super) settings_interval: Duration,
    pub(super) catalog_interval: Duration,
    pub(super) bloat_interval: Duration,
    /// What asking for them may take of one scrape.
    pub(super) slow_budget: Duration,
}

impl Default for Options {
    /// What nobody asked otherwise for.
    fn default() -> Self {
        let (without_databases, without_users, exclude) = (String::new(), String::new(), String::new());
        Options {
            query_length: None,
            limit: 100,
            without_databases,
            without_users,
            exclude,
            include: String::new(),
            tables: 500,
            default_metrics: true,
            read_at: 0,
            compat: Compat::Latest,
            queries: Arc::default(),
            size_interval: Duration::from_secs(300),
            settings_interval: Duration::from_secs(300),
            catalog_interval: Duration::from_secs(300),
            bloat_interval: Duration::from_secs(3_600),
            slow_budget: Duration::from_secs(1),
        }
    }
}

impl Options {
    pub(super) fn read(settings: &Settings) -> Result<Options, Error> {
        let flag = |flag: &'static Flag| retired::either(settings, flag);
        let names = |list: &Flag| literals(&settings.text(list));
        let (limit, length) = (settings.number(flag(&LIMIT)), settings.number(flag(&LENGTH)));
        if limit == 0 || limit > MOST.0 {
            return Err(Error::new(format!("{}: {limit} is not between 1 and {}", LIMIT.name, MOST.0)));
        }
        if length == 0 || length > MOST.1 {
            return Err(Error::new(format!("{}: {length} is not between 1 and {}", LENGTH.name, MOST.1)));
        }
        let tables = settings.number(&TABLES);
        if tables > MOST_TABLES {
            return Err(Error::new(format!("{}: {tables} is more than {MOST_TABLES}", TABLES.name)));
        }
        let exclude = if settings.is_given(&EXCLUDE) { names(&EXCLUDE) } else { literals(&retired::excluded(settings)) };
        Ok(Options {
            compat: Compat::read(settings)?,
            queries: Arc::new(Queries::read(settings)?),
            size_interval: settings.time(&SIZE_INTERVAL),
            settings_interval: settings.time(&SETTINGS_INTERVAL),
            catalog_interval: settings.time(&CATALOG_INTERVAL),
            bloat_interval: settings.time(&BLOAT_INTERVAL),
            slow_budget: settings.time(&SLOW_BUDGET),
            query_length: settings.switch(flag(&TEXTS)).then_some(length),
            limit,
            without_databases: names(flag(&NO_DATABASES)),
            without_users: names(flag(&NO_USERS)),
            exclude,
            include: if settings.is_given(&INCLUDE) { names(&INCLUDE) } else { literals(&retired::included(settings)) },
            tables,
            default_metrics: !without_defaults(settings),
            read_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        })
    }
}

fn without_defaults(settings: &Settings) -> bool {
    settings.switch(&DISABLE_DEFAULT) || retired::without_defaults(settings)
}

/// Whether `entry` is on: by its own flag, and by the one that takes away what postgres_exporter once had without a collector.
pub(super) fn is_on(entry: &Entry, settings: &Settings) -> bool {
    settings.switch(retired::either(settings, &entry.enabled))
        && !(entry.name == "stat_database_conflicts" && without_defaults(settings))
}

/// `a,b` as `E'a', E'b'`: a form of literal that means the same whatever `standard_conforming_strings` is.
fn literals(list: &str) -> String {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty() && !name.contains('\0'));
    let literal = |name: &str| format!("E'{}'", name.replace('\\', "\\\\").replace('\'', "''"));
    names.map(literal).collect::<Vec<_>>().join(", ")
}

/// `column NOT IN (list)`, or what is always true where the list is empty.
pub(super) fn not_in(column: &str, list: &str) -> Cow<'static, str> {
    if list.is_empty() { "true".into() } else { format!("{column} NOT IN ({list})").into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    fn read(flag: &Flag, setting: Setting) -> Result<Options, String> {
        let mut settings = Settings::default();
        settings.set(flag, Origin::CommandLine, setting);
        Options::read(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_they_are_the_defaults() {
        let read = Options::read(&Settings::default()).unwrap();
        assert_eq!(Options { read_at: 0, ..read }, Options::default());
    }

    #[test]
    fn names_become_literals_that_cannot_be_left() {
        let options = read(&NO_USERS, Setting::Text(" a, o'neill ,,x\\'y".into())).unwrap();
        assert_eq!(options.without_users, r"E'a', E'o''neill', E'x\\''y'");
        assert_eq!(not_in("u", &options.without_users), r"u NOT IN (E'a', E'o''neill', E'x\\''y')");
        assert_eq!(not_in("u", ""), "true");
    }

    #[test]
    fn limits_have_limits() {
        for (flag, number) in [(&LIMIT, 0), (&LIMIT, 5_001), (&LENGTH, 0), (&LENGTH, u64::MAX)] {
            assert!(read(flag, Setting::Number(number)).unwrap_err().starts_with(flag.name));
        }
        assert_eq!(read(&TEXTS, Setting::Switch(true)).unwrap().query_length, Some(120));
    }
}
