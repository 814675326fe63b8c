//! `pg_locks`: how many locks are held or waited for, by database and mode.
//!
//! Granted and waiting ones together, as postgres_exporter counts them; its nine modes for every database, zeros included.
//! Locks outside of any database (shared objects, transaction ids) are not counted. The statement's own lock is.

use crate::exposition::{Family, Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COUNT: Family = Family::gauge("pg_locks_count", "Rows of pg_locks of the database and mode, granted or not.");

/// The modes, as `pg_locks.mode` and as the label has them.
const MODES: [(&str, &str); 9] = [
    ("AccessShareLock", "accesssharelock"),
    ("RowShareLock", "rowsharelock"),
    ("RowExclusiveLock", "rowexclusivelock"),
    ("ShareUpdateExclusiveLock", "shareupdateexclusivelock"),
    ("ShareLock", "sharelock"),
    ("ShareRowExclusiveLock", "sharerowexclusivelock"),
    ("ExclusiveLock", "exclusivelock"),
    ("AccessExclusiveLock", "accessexclusivelock"),
    ("SIReadLock", "sireadlock"),
];

pub(super) static ENTRY: Entry = Entry {
    name: "locks",
    enabled: Flag::switch("postgres.collector.locks", true, "Locks by database and mode."),
    statements: &[Statement::new(|_| Some(SQL.into()), emit)],
};

/// One row for each database and mode in use, at least one for each database.
const SQL: &str = "SELECT d.datname, l.mode, l.locks FROM pg_database d LEFT JOIN \
    (SELECT database, mode, count(*) AS locks FROM pg_locks GROUP BY database, mode) l ON l.database = d.oid ORDER BY d.datname";

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut family = out.family(&COUNT);
    let mut rows = table.rows().peekable();
    while let Some(database) = rows.peek().map(|row| row.label(0)) {
        let mut counts = [0.0; MODES.len()];
        while let Some(row) = rows.next_if(|row| row.label(0) == database) {
            let mode = counts.iter_mut().zip(MODES).find(|(_, (mode, _))| row.text(1) == Some(mode));
            if let (Some((count, _)), Some(locks)) = (mode, row.number(2)) {
                *count = locks;
            }
        }
        let labels = Labels::of(&[("datname", database)]);
        for (count, (_, mode)) in counts.into_iter().zip(MODES) {
            family.add_to(&labels, [("mode", mode)], count);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn every_database_has_every_mode() {
        let table = Table::of(&[
            [Some("idle"), None, None],
            [Some("shop"), Some("AccessShareLock"), Some("3")],
            [Some("shop"), Some("AccessExclusiveLock"), Some("1")],
            [Some("shop"), Some("NewLock"), Some("7")],
        ]);
        let text = text(|out| emit(&Server::default(), &table, out));
        assert_eq!(text.lines().count(), 18);
        assert!(text.contains("pg_locks_count{datname=\"idle\",mode=\"sireadlock\"} 0\n"), "{text}");
        assert!(text.contains("pg_locks_count{datname=\"shop\",mode=\"accesssharelock\"} 3\n"), "{text}");
        assert!(text.contains("pg_locks_count{datname=\"shop\",mode=\"accessexclusivelock\"} 1\n"), "{text}");
    }
}
