//! Who waits for locks, for how long, and who stands at the root of it.
//!
//! `pg_blocking_pids()` stops the lock manager for a moment, so it is asked for sessions that wait and for no others: where nobody
//! waits, this is one look at `pg_locks`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::lock_tree::{Tree, Waiter};
use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static BLOCKED: Family = Family::gauge("pg_blocked_sessions", "Sessions of the database that wait for a lock.");
static ROOTS: Family = Family::gauge(
    "pg_blocking_root_sessions",
    "Sessions, and prepared transactions, that hold up sessions of the database and wait for no lock themselves.",
);
static LONGEST: Family = Family::gauge(
    "pg_lock_wait_longest_seconds",
    "How long the session of the database that waits longest has waited for its lock.",
);
static WAITING: Family = Family::gauge("pg_lock_waiting", "Locks not granted yet, by mode and kind of what is to be locked.");
static DEPTH: Family =
    Family::gauge("pg_lock_tree_depth", "The longest chain of sessions that wait for one another; 1 where all wait for roots.");
static VICTIMS: Family =
    Family::gauge("pg_lock_root_victims_max", "The most sessions that wait, directly or behind others, for one root.");

pub(super) static ENTRY: Entry = Entry {
    name: "blocking",
    enabled: Flag::switch("postgres.collector.blocking", true, "Sessions that wait for locks, and those they wait for."),
    statements: &[Statement::new(sql, emit)],
};

/// One row for each session that waits, at least one for each database.
fn sql(server: &Server) -> Option<Cow<'static, str>> {
    // waitstart is NULL for the first moments of a wait, and came with PostgreSQL 14.
    let since = if server.major >= 14 { "coalesce(l.waitstart, a.state_change)" } else { "a.state_change" };
    Some(
        format!(
            "SELECT d.datname, w.* FROM pg_database d LEFT JOIN (SELECT a.pid, pg_blocking_pids(a.pid), \
             extract(epoch FROM clock_timestamp() - {since}), l.mode, l.locktype, a.datid \
             FROM pg_locks l JOIN pg_stat_get_activity(NULL) a ON a.pid = l.pid WHERE NOT l.granted) w ON w.datid = d.oid WHERE d.datallowconn"
        )
        .into(),
    )
}

/// What waits in one database.
#[derive(Default)]
struct Waits<'a> {
    pids: HashSet<i64>,
    blockers: HashSet<i64>,
    longest: f64,
    locks: BTreeMap<(&'a str, &'a str), u32>,
}

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut databases: BTreeMap<&str, Waits<'_>> = BTreeMap::new();
    let mut waiters = Vec::new();
    for row in table.rows() {
        let waits = databases.entry(row.label(0)).or_default();
        let Some(waiter) = Waiter::read(row.label(1), row.label(2)) else { continue };
        waits.pids.insert(waiter.pid);
        waits.blockers.extend(&waiter.blockers);
        waits.longest = waits.longest.max(row.number(3).unwrap_or(0.0));
        *waits.locks.entry((row.label(4), row.label(5))).or_default() += 1;
        waiters.push(waiter);
    }
    let tree = Tree::of(&waiters);
    let mut family = out.family(&BLOCKED);
    for (database, waits) in &databases {
        family.add([("datname", database)], waits.pids.len());
    }
    let mut family = out.family(&ROOTS);
    for (database, waits) in &databases {
        family.add([("datname", database)], waits.blockers.intersection(&tree.roots).count());
    }
    let mut family = out.family(&LONGEST);
    for (database, waits) in &databases {
        family.add([("datname", database)], waits.longest);
    }
    let mut family = out.family(&WAITING);
    for (database, waits) in &databases {
        for ((mode, locktype), count) in &waits.locks {
            family.add([("datname", database), ("mode", mode), ("locktype", locktype)], *count);
        }
    }
    out.family(&DEPTH).add([], tree.depth);
    out.family(&VICTIMS).add([], tree.victims);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn a_database_where_nobody_waits_says_so() {
        let waiter = |pid, blockers, seconds| {
            [Some("shop"), Some(pid), Some(blockers), seconds, Some("ShareLock"), Some("transactionid"), Some("5")]
        };
        let table = Table::of(&[
            [Some("idle"), None, None, None, None, None, None],
            waiter("2", "{1}", Some("4.5")),
            waiter("3", "{2}", None),
            waiter("4", "{9}", Some("-1")),
        ]);
        assert_eq!(
            text(|out| emit(&Server::default(), &table, out)),
            "pg_blocked_sessions{datname=\"idle\"} 0\npg_blocked_sessions{datname=\"shop\"} 3\n\
             pg_blocking_root_sessions{datname=\"idle\"} 0\npg_blocking_root_sessions{datname=\"shop\"} 2\n\
             pg_lock_root_victims_max 2\npg_lock_tree_depth 2\n\
             pg_lock_wait_longest_seconds{datname=\"idle\"} 0\npg_lock_wait_longest_seconds{datname=\"shop\"} 4.5\n\
             pg_lock_waiting{datname=\"shop\",mode=\"ShareLock\",locktype=\"transactionid\"} 3\n"
        );
    }

    #[test]
    fn the_start_of_a_wait_is_known_since_14() {
        assert!(!sql(&server(13)).unwrap().contains("waitstart") && sql(&server(14)).unwrap().contains("waitstart"));
    }
}
