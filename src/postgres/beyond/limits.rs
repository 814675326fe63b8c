//! Connections against their limit.

use super::sessions::{self, CLIENT, LIMITS};
use crate::exposition::{Family, Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static USED: Family = Family::gauge("pg_connections_used", "Connections of clients, our own among them.");

/// The same in every row.
static COLUMNS: [Column; 3] = [
    Column::gauge(
        "pg_connections_limit",
        "current_setting('max_connections')",
        "max_connections, those that are kept back included.",
    ),
    Column::gauge(
        "pg_connections_reserved",
        "current_setting('superuser_reserved_connections')",
        "Connections kept back for superusers, and from PostgreSQL 16 on for roles with pg_use_reserved_connections.",
    )
    .before(16),
    Column::gauge(
        "pg_connections_reserved",
        "current_setting('superuser_reserved_connections')::int + current_setting('reserved_connections')::int",
        "Connections kept back for superusers, and from PostgreSQL 16 on for roles with pg_use_reserved_connections.",
    )
    .since(16),
];

pub(super) static ENTRY: Entry = Entry {
    name: "limits",
    enabled: Flag::switch("postgres.collector.limits", true, "Connections against their limit."),
    statements: &[Statement::new(sessions::sql, emit)],
};

/// What the statement about sessions tells of limits.
pub(super) fn columns(server: &Server) -> String {
    column::list(&COLUMNS, server.major)
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let clients = table.rows().filter(|row| row.text(2) == Some(CLIENT)).filter_map(|row| row.number(3));
    // The session that asks is not among them.
    out.family(&USED).add([], clients.sum::<f64>() + 1.0);
    column::emit(&COLUMNS, server.major, table, LIMITS, &[Labels::new()], Null::Absent, out)
}
