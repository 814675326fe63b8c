//! `pg_statio_user_tables`: blocks of every table of the connected database, found in the buffer cache (`hit`) or not (`read`).

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::largest;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 8] = [
    Column::counter("pg_statio_user_tables_heap_blocks_read", "heap_blks_read", "pg_statio_user_tables.heap_blks_read."),
    Column::counter("pg_statio_user_tables_heap_blocks_hit", "heap_blks_hit", "pg_statio_user_tables.heap_blks_hit."),
    Column::counter("pg_statio_user_tables_idx_blocks_read", "idx_blks_read", "pg_statio_user_tables.idx_blks_read."),
    Column::counter("pg_statio_user_tables_idx_blocks_hit", "idx_blks_hit", "pg_statio_user_tables.idx_blks_hit."),
    Column::counter("pg_statio_user_tables_toast_blocks_read", "toast_blks_read", "pg_statio_user_tables.toast_blks_read."),
    Column::counter("pg_statio_user_tables_toast_blocks_hit", "toast_blks_hit", "pg_statio_user_tables.toast_blks_hit."),
    Column::counter("pg_statio_user_tables_tidx_blocks_read", "tidx_blks_read", "pg_statio_user_tables.tidx_blks_read."),
    Column::counter("pg_statio_user_tables_tidx_blocks_hit", "tidx_blks_hit", "pg_statio_user_tables.tidx_blks_hit."),
];

pub(super) static ENTRY: Entry = Entry {
    name: "statio_user_tables",
    enabled: Flag::switch("postgres.collector.statio_user_tables", true, "Block reads of the tables of the connected database."),
    statements: &[Statement::new(sql, emit)],
};

pub(in crate::postgres) fn sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(largest::of_view(server, "pg_statio_user_tables", "current_database(), ", &["schemaname", "relname"], &COLUMNS))
}

pub(in crate::postgres) fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["datname", "schemaname", "relname"]);
    column::emit(&COLUMNS, server.major, table, 3, &labels, Null::Zero, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn a_table_without_indexes_has_zeros() {
        let mut row = [None; 11];
        row[..5].copy_from_slice(&[Some("shop"), Some("public"), Some("log"), Some("7"), Some("9")]);
        let text = text(|out| emit(&server(15), &Table::of(&[row]), out));
        assert_eq!(text.lines().count(), 8);
        let labels = "{datname=\"shop\",schemaname=\"public\",relname=\"log\"}";
        assert!(text.contains(&format!("pg_statio_user_tables_heap_blocks_hit{labels} 9\n")), "{text}");
        assert!(text.contains(&format!("pg_statio_user_tables_idx_blocks_read{labels} 0\n")), "{text}");
    }
}
