//! `pg_buffercache_summary()`, from PostgreSQL 16 on: how full the buffer cache is. Needs the extension pg_buffercache in the connected
//! database.

use crate::exposition::{Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 5] = [
    Column::gauge("pg_buffercache_summary_buffers_used", "buffers_used", "pg_buffercache_summary().buffers_used."),
    Column::gauge("pg_buffercache_summary_buffers_unused", "buffers_unused", "pg_buffercache_summary().buffers_unused."),
    Column::gauge("pg_buffercache_summary_buffers_dirty", "buffers_dirty", "pg_buffercache_summary().buffers_dirty."),
    Column::gauge("pg_buffercache_summary_buffers_pinned", "buffers_pinned", "pg_buffercache_summary().buffers_pinned."),
    Column::gauge(
        "pg_buffercache_summary_usagecount_avg",
        "usagecount_avg",
        "pg_buffercache_summary().usagecount_avg, from 0 to 5.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "buffercache_summary",
    enabled: Flag::switch(
        "postgres.collector.buffercache_summary",
        false,
        "How full the buffer cache is (extension pg_buffercache).",
    ),
    statements: &[Statement::new(
        |server| {
            (server.major >= 16).then(|| format!("SELECT {} FROM pg_buffercache_summary()", column::list(&COLUMNS, 16)).into())
        },
        emit,
    )],
};

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 0, &[Labels::new()], Null::Zero, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn an_empty_cache_has_no_average() {
        let text = text(|out| emit(&server(16), &Table::of(&[[Some("0"), Some("9"), Some("0"), Some("0"), None]]), out));
        assert_eq!(text.lines().count(), 5);
        assert!(text.ends_with("pg_buffercache_summary_usagecount_avg 0\n"), "{text}");
        assert!((ENTRY.statements[0].sql)(&server(15)).is_none());
    }
}
