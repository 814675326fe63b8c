//! `pg_statio_user_tables`: blocks of every table of the connected database, found in the buffer cache (`hit`) or not (`read`).

use super::stat_user_tables;
use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 8] = [
    Column::counter(
        "pg_statio_user_tables_heap_blocks_read",
        "pg_stat_get_blocks_fetched(c.oid) - pg_stat_get_blocks_hit(c.oid)",
        "pg_statio_user_tables.heap_blks_read.",
    ),
    Column::counter(
        "pg_statio_user_tables_heap_blocks_hit",
        "pg_stat_get_blocks_hit(c.oid)",
        "pg_statio_user_tables.heap_blks_hit.",
    ),
    Column::counter("pg_statio_user_tables_idx_blocks_read", "i.missed", "pg_statio_user_tables.idx_blks_read."),
    Column::counter("pg_statio_user_tables_idx_blocks_hit", "i.hit", "pg_statio_user_tables.idx_blks_hit."),
    Column::counter(
        "pg_statio_user_tables_toast_blocks_read",
        "pg_stat_get_blocks_fetched(nullif(c.reltoastrelid, 0)) - pg_stat_get_blocks_hit(nullif(c.reltoastrelid, 0))",
        "pg_statio_user_tables.toast_blks_read.",
    ),
    Column::counter(
        "pg_statio_user_tables_toast_blocks_hit",
        "pg_stat_get_blocks_hit(nullif(c.reltoastrelid, 0))",
        "pg_statio_user_tables.toast_blks_hit.",
    ),
    Column::counter("pg_statio_user_tables_tidx_blocks_read", "x.missed", "pg_statio_user_tables.tidx_blks_read."),
    Column::counter("pg_statio_user_tables_tidx_blocks_hit", "x.hit", "pg_statio_user_tables.tidx_blks_hit."),
];

pub(super) static ENTRY: Entry = Entry {
    name: "statio_user_tables",
    enabled: Flag::switch("postgres.collector.statio_user_tables", true, "Block reads of the tables of the connected database."),
    statements: &[Statement::new(stat_user_tables::sql, emit)],
};

/// The columns as the statement has them: a partitioned table has no blocks.
pub(super) fn columns(server: &Server) -> Vec<String> {
    column::mapped(&COLUMNS, server.major, |sql| format!("CASE WHEN c.relkind <> 'p' THEN coalesce({sql}, 0) END"))
}

/// Where they begin in the statement's rows.
pub(in crate::postgres) fn first(server: &Server) -> usize {
    3 + column::count(&stat_user_tables::COLUMNS, server.major)
}

pub(in crate::postgres) fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, first(server), &stat_user_tables::labels(table), Null::Absent, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn a_partitioned_table_has_no_blocks() {
        let mut row = [Some("0"); 30];
        row[..3].copy_from_slice(&[Some("shop"), Some("public"), Some("log")]);
        row[23] = Some("9");
        let mut partitioned = [None; 30];
        partitioned[..3].copy_from_slice(&[Some("shop"), Some("public"), Some("parts")]);
        let text = text(|out| emit(&server(15), &Table::of(&[row, partitioned]), out));
        assert_eq!(text.lines().count(), 8);
        let labels = "{datname=\"shop\",schemaname=\"public\",relname=\"log\"}";
        assert!(text.contains(&format!("pg_statio_user_tables_heap_blocks_hit{labels} 9\n")), "{text}");
        assert!(text.contains(&format!("pg_statio_user_tables_idx_blocks_read{labels} 0\n")), "{text}");
    }
}
