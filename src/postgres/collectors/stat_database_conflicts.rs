//! `pg_stat_database_conflicts`: why statements were cancelled on a standby. On a primary all of them are 0.

use std::borrow::Cow;

use crate::exposition::{Family, Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 6] = [
    Column::counter(
        "pg_stat_database_conflicts_confl_tablespace",
        "confl_tablespace",
        "pg_stat_database_conflicts.confl_tablespace.",
    ),
    Column::counter("pg_stat_database_conflicts_confl_lock", "confl_lock", "pg_stat_database_conflicts.confl_lock."),
    Column::counter("pg_stat_database_conflicts_confl_snapshot", "confl_snapshot", "pg_stat_database_conflicts.confl_snapshot."),
    Column::counter(
        "pg_stat_database_conflicts_confl_bufferpin",
        "confl_bufferpin",
        "pg_stat_database_conflicts.confl_bufferpin.",
    ),
    Column::counter("pg_stat_database_conflicts_confl_deadlock", "confl_deadlock", "pg_stat_database_conflicts.confl_deadlock."),
    // Untyped because it is so with postgres_exporter.
    Column::new(
        Family::untyped(
            "pg_stat_database_conflicts_confl_active_logicalslot",
            "pg_stat_database_conflicts.confl_active_logicalslot.",
        ),
        "confl_active_logicalslot",
    )
    .since(16),
];

pub(super) static ENTRY: Entry = Entry {
    name: "stat_database_conflicts",
    enabled: Flag::switch("postgres.collector.stat_database_conflicts", true, "Statements cancelled on a standby, by cause."),
    statements: &[Statement::new(sql, emit)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(format!("SELECT datid, datname, {} FROM pg_stat_database_conflicts", column::list(&COLUMNS, server.major)).into())
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let row_labels = |row: crate::postgres::table::Row<'_>| {
        Labels::of(&[("datid", row.label(0)), ("datname", row.label(1)), ("server", &server.address)])
    };
    let labels: Vec<_> = table.rows().map(row_labels).collect();
    column::emit(&COLUMNS, server.major, table, 2, &labels, Null::Absent, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn the_server_is_a_label() {
        let table = Table::of(&[[Some("5"), Some("shop"), Some("0"), Some("1"), Some("2"), Some("3"), Some("4")]]);
        let text = text(|out| emit(&server(15), &table, out));
        assert_eq!(text.lines().count(), 5);
        assert!(text.contains("confl_lock{datid=\"5\",datname=\"shop\",server=\"localhost:5432\"} 1\n"), "{text}");
        assert!(sql(&server(16)).unwrap().contains("confl_active_logicalslot"));
    }
}
