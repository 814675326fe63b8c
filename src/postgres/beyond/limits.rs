//! Connections against their limit.

use std::borrow::Cow;

use crate::exposition::{Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 4] = [
    Column::gauge(
        "pg_connections_used",
        "(SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE backend_type = 'client backend')",
        "Connections of clients, our own among them.",
    ),
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
    statements: &[Statement::new(sql, emit)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(format!("SELECT {}", column::list(&COLUMNS, server.major)).into())
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 0, &[Labels::new()], Null::Absent, out)
}
