//! The other databases of a server: what is told of tables and indexes can only be read from within each.
//!
//! They are visited in the background, one after the other, by one short session at a time, each once in `--postgres.size-interval`; a scrape
//! shows what the last visit found. Each scrape asks which databases there are, so one that is dropped or renamed leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::collector::{Entry, Server, Statement};
use super::options::{self, Options};
use super::session::Trouble;
use super::table::Table;
use super::target::Access;
use crate::exposition::{Family, Labels, Samples};
use crate::scrape::Job;
use crate::settings::Flag;

/// The list of databases, which is asked for with every scrape.
pub(super) static ENTRY: Entry = Entry {
    name: "databases",
    enabled: Flag::switch(
        "postgres.all-databases",
        true,
        "Tables of the server's other databases as well, each visited once in --postgres.size-interval.",
    ),
    statements: &[Statement::new(|server| Some(list(&server.options).into()), |_, _, _| Ok(()))],
};

/// The collectors that tell of one database.
const WITHIN: [&str; 7] =
    ["stat_user_tables", "statio_user_tables", "statio_user_indexes", "indexes", "sequences", "vacuum_due", "bloat"];

/// Those of them whose labels do not tell which, as postgres_exporter has them.
const NAMELESS: &str = "statio_user_indexes";

/// How many tables of other databases are shown one by one, over all databases: a page can hold that many.
const MOST: u64 = 5_000;

/// The longest that the statements of one visit take. DROP DATABASE waits 5 seconds for sessions like ours.
const LONGEST: Duration = Duration::from_secs(3);

/// When a database that did not let us in is tried again, and one that never will.
const AGAIN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

static UP: Family =
    Family::gauge("pg_agent_database_up", "1 if the last visit to this other database of the server was answered.");
static AGE: Family =
    Family::gauge("pg_agent_database_age_seconds", "How old that is what is shown of the tables of this other database.");

/// Databases that clouds keep for themselves are left out, as is one whose DROP was cut short (-2, since PostgreSQL 15).
fn list(options: &Options) -> String {
    let wanted = if options.include.is_empty() { "true".to_owned() } else { format!("datname IN ({})", options.include) };
    format!(
        "SELECT oid, datname, has_database_privilege(oid, 'CONNECT')::int FROM pg_database WHERE datallowconn AND NOT datistemplate \
         AND datconnlimit <> -2 AND datname <> current_database() \
         AND datname NOT IN ('rdsadmin', 'cloudsqladmin', 'azure_maintenance', 'azure_sys') AND {} AND {wanted}",
        options::not_in("datname", &options.exclude)
    )
}

/// A database: one that is dropped and made anew has another number, one that is renamed another name.
type Key = (String, String);

/// The rows of one statement.
#[derive(Clone)]
struct Rows {
    collector: &'static Entry,
    statement: &'static Statement,
    table: Table,
    at: Instant,
}

impl Rows {
    /// Whether the schedule of the statement is longer than that of the visits, and its time has not come.
    fn holds(&self, options: &Options) -> bool {
        let interval = self.statement.kept.map(|schedule| schedule.interval(options));
        interval.is_some_and(|interval| interval > options.size_interval && self.at.elapsed() < interval)
    }
}

/// What the last visit found.
struct Visit {
    at: Instant,
    next: Instant,
    result: Result<Vec<Rows>, String>,
}

impl Visit {
    fn now(result: Result<Vec<Rows>, String>, interval: Duration) -> Self {
        let wait = match &result {
            Ok(_) => interval,
            Err(reason) if ["(SQLSTATE 28", "(SQLSTATE 42"].iter().any(|class| reason.contains(class)) => interval.max(AGAIN.1),
            Err(_) => interval.min(AGAIN.0),
        };
        let at = Instant::now();
        Visit { at, next: at + wait, result }
    }

    /// How many tables it shows.
    fn tables(&self) -> u64 {
        let rows = self.result.iter().flatten().map(|rows| rows.table.rows().count()).max();
        u64::try_from(rows.unwrap_or(0)).unwrap_or(u64::MAX)
    }
}

type Visits = BTreeMap<Key, Visit>;

/// The other databases of one target.
#[derive(Default)]
pub(super) struct Databases {
    visits: Arc<Mutex<Visits>>,
    tour: Option<AbortHandle>,
    /// Whether a visit is under way.
    visiting: Arc<AtomicBool>,
    /// Those of the last scrape.
    listed: Option<Vec<Key>>,
}

impl Drop for Databases {
    fn drop(&mut self) {
        self.tour.iter().for_each(AbortHandle::abort);
    }
}

impl Databases {
    /// Forgets the databases that are not `listed` any more, and sets out for those whose time has come. Tells whether there are others than
    /// in the last scrape.
    pub(super) fn follow(
        &mut self,
        listed: &Table,
        access: &Access,
        options: &Arc<Options>,
        collectors: &[&'static Entry],
    ) -> bool {
        let within: Vec<&'static Entry> = collectors.iter().copied().filter(|entry| WITHIN.contains(&entry.name)).collect();
        let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut *visits);
        let (mut due, mut keys, now) = (Vec::new(), Vec::new(), Instant::now());
        for row in listed.rows().filter(|row| !row.label(1).is_empty()) {
            let key: Key = (row.label(0).to_owned(), row.label(1).to_owned());
            keys.push(key.clone());
            let visit = known.remove(&key);
            if row.label(2) != "1" {
                let refused = "permission denied for database (SQLSTATE 42501)".to_owned();
                visits.insert(key, visit.unwrap_or_else(|| Visit::now(Err(refused), options.size_interval)));
                continue;
            }
            if visit.as_ref().is_none_or(|visit| visit.next <= now) {
                due.push((visit.as_ref().map(|visit| visit.at), key.clone()));
            }
            visits.extend(visit.map(|visit| (key, visit)));
        }
        drop(visits);
        if !due.is_empty() && !within.is_empty() && self.tour.as_ref().is_none_or(AbortHandle::is_finished) {
            due.sort_unstable();
            let (visits, access, options) = (self.visits.clone(), access.clone(), options.clone());
            let (names, visiting) = (due.into_iter().map(|(_, key)| key).collect(), self.visiting.clone());
            self.tour = Some(tokio::spawn(tour(names, visits, visiting, access, options, within)).abort_handle());
        }
        keys.sort_unstable();
        self.listed.replace(keys.clone()).is_some_and(|before| before != keys)
    }

    /// How many connections visits hold.
    pub(super) fn connections(&self) -> usize {
        self.visiting.load(Ordering::Relaxed).into()
    }

    /// Writes what is known of the other databases, for the collectors that are asked for.
    pub(super) fn emit(&self, job: &Job, server: &Server, labels: &Labels, out: &mut Samples) {
        let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        for ((_, name), visit) in visits.iter() {
            out.family(&UP).add([("datname", name.as_str())], visit.result.is_ok());
        }
        for ((_, name), visit) in visits.iter().filter(|(_, visit)| visit.result.is_ok()) {
            out.family(&AGE).add([("datname", name.as_str())], visit.at.elapsed().as_secs_f64());
        }
        for collector in WITHIN.into_iter().filter(|name| job.wants(name)) {
            let common = server.options.compat.labels(collector, labels.clone(), &server.address);
            for ((_, name), visit) in visits.iter() {
                let mut common = common.clone();
                if collector == NAMELESS {
                    common.push("datname", name);
                }
                let mut samples = Samples::with_common(common);
                for rows in visit.result.iter().flatten().filter(|rows| rows.collector.name == collector) {
                    // The statement and its rows are of one version, so there is nothing that it could refuse but a server that changed since.
                    _ = (rows.statement.emit)(server, &rows.table, &mut samples);
                }
                out.append(&mut samples);
            }
        }
    }
}

/// Visits `names` one after the other, and rests four times as long as each visit took.
async fn tour(
    names: Vec<Key>,
    visits: Arc<Mutex<Visits>>,
    visiting: Arc<AtomicBool>,
    access: Access,
    options: Arc<Options>,
    within: Vec<&'static Entry>,
) {
    for key in names {
        let start = Instant::now();
        let (shown, held): (u64, Vec<Rows>) = {
            let visits = visits.lock().unwrap_or_else(PoisonError::into_inner);
            let before = visits.get(&key).into_iter().flat_map(|visit| visit.result.iter().flatten());
            (
                visits.iter().filter(|(other, _)| **other != key).map(|(_, visit)| visit.tables()).sum(),
                before.filter(|rows| rows.holds(&options)).cloned().collect(),
            )
        };
        let tables = options.tables.min(MOST.saturating_sub(shown));
        visiting.store(true, Ordering::Relaxed);
        let result = visit(&key.1, &access, Arc::new(Options { tables, ..(*options).clone() }), &within, held).await;
        visiting.store(false, Ordering::Relaxed);
        // Without an SQLSTATE it is the server that does not answer, and so not for the next one either.
        let gone = result.as_ref().err().is_some_and(|reason| !reason.contains("(SQLSTATE "));
        let visit = Visit::now(result, options.size_interval);
        let before = {
            let mut visits = visits.lock().unwrap_or_else(PoisonError::into_inner);
            visits.insert(key.clone(), visit).map(|before| before.result.err())
        };
        tell(&key.1, &visits, &key, before.flatten());
        if gone {
            return;
        }
        tokio::time::sleep((start.elapsed() * 4).min(Duration::from_secs(1))).await;
    }
}

/// Says once why a database is not seen.
fn tell(name: &str, visits: &Mutex<Visits>, key: &Key, before: Option<String>) {
    let visits = visits.lock().unwrap_or_else(PoisonError::into_inner);
    let reason = visits.get(key).and_then(|visit| visit.result.as_ref().err());
    if let Some(reason) = reason.filter(|reason| before.as_ref() != Some(reason)) {
        tracing::warn!(part = "postgres", database = name, error = %reason, "the tables of this database are not seen");
    }
}

/// Asks all there is to ask in one database but for what is `held` of it, and leaves.
async fn visit(
    name: &str,
    access: &Access,
    options: Arc<Options>,
    within: &[&'static Entry],
    held: Vec<Rows>,
) -> Result<Vec<Rows>, String> {
    let until = Instant::now() + access.connect_timeout.min(LONGEST);
    let mut session = access.open(Some(name), until).await.map_err(|refusal| refusal.reason)?;
    session.server.options = options.clone();
    let statements = within.iter().flat_map(|entry| options.compat.statements(entry).map(|statement| (*entry, statement)));
    let statements: Vec<(&'static Entry, &'static Statement, String)> = statements
        .filter(|(_, statement)| !held.iter().any(|rows| std::ptr::eq(rows.statement, *statement)))
        .filter_map(|(entry, statement)| Some((entry, statement, (statement.sql)(&session.server)?.into_owned())))
        .collect();
    let mut texts: Vec<&str> = Vec::with_capacity(statements.len());
    for (_, _, sql) in &statements {
        if !texts.contains(&sql.as_str()) {
            texts.push(sql);
        }
    }
    let mut found = held;
    let until = Instant::now() + access.timeout.min(LONGEST);
    let asked = session.ask(&texts, (until, access.timeout.min(LONGEST)), |number, _, table| {
        for (collector, statement, _) in statements.iter().filter(|(_, _, sql)| texts.get(number) == Some(&sql.as_str())) {
            found.push(Rows { collector, statement, table: table.clone(), at: Instant::now() });
        }
    });
    match asked.await {
        Ok(()) => Ok(found),
        Err(Trouble::Refused(reason) | Trouble::Lost(reason)) => Err(reason),
        Err(Trouble::Late) => Err("canceling, since the database does not answer (SQLSTATE 57014)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_collectors() {
        for name in WITHIN.iter().chain([&NAMELESS]) {
            assert!(crate::postgres::entries().any(|entry| entry.name == *name), "{name}");
        }
    }

    #[test]
    fn what_never_lets_us_in_is_tried_less_often() {
        let wait = |reason: &str| {
            let visit = Visit::now(Err(reason.to_owned()), Duration::from_secs(300));
            visit.next - visit.at
        };
        assert_eq!(wait("permission denied for database \"a\" (SQLSTATE 42501)"), AGAIN.1);
        assert_eq!(wait("no pg_hba.conf entry (SQLSTATE 28000)"), AGAIN.1);
        assert_eq!(wait("sorry, too many clients already (SQLSTATE 53300)"), AGAIN.0);
        assert_eq!(wait("db:5432 does not answer"), AGAIN.0);
    }

    #[test]
    fn lists_narrow_what_is_visited() {
        let options = Options { exclude: "E'a'".into(), include: "E'b'".into(), ..Options::default() };
        assert!(list(&options).ends_with("AND datname NOT IN (E'a') AND datname IN (E'b')"));
        assert!(list(&Options::default()).ends_with("AND true AND true"));
    }
}
