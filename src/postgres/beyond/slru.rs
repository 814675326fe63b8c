//! The small caches of transaction status, subtransactions, multixacts and notifications: one that misses slows down every session.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 5] = [
    Column::counter("pg_stat_slru_hit_total", "blks_hit", "Pages found in the cache."),
    Column::counter("pg_stat_slru_read_total", "blks_read", "Pages read from disk."),
    Column::counter("pg_stat_slru_written_total", "blks_written", "Pages written to disk."),
    Column::counter("pg_stat_slru_flush_total", "flushes", "Flushes of dirty pages."),
    Column::counter("pg_stat_slru_truncate_total", "truncates", "Times old pages were cut off."),
];

pub(super) static ENTRY: Entry = Entry {
    name: "slru",
    enabled: Flag::switch("postgres.collector.slru", false, "Small caches of transaction status and the like."),
    statements: &[Statement::new(sql, emit)],
};

/// The view came with PostgreSQL 13.
fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let list = || column::list(&COLUMNS, server.major);
    (server.major >= 13).then(|| format!("SELECT name, {} FROM pg_stat_slru", list()).into())
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 1, &column::labels(table, ["name"]), Null::Absent, out)
}
