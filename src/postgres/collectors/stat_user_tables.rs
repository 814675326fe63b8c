//! `pg_stat_user_tables`: the counters and the size of every table of the connected database.
//!
//! The view waits for nobody. The two size functions open the table and wait behind an ACCESS EXCLUSIVE lock on it, its indexes or
//! its TOAST table, held or merely queued for; such a table has no size in this scrape. `lock_timeout` is the backstop for a lock that comes
//! in between.

use std::borrow::Cow;

use super::statio_user_tables;
use crate::exposition::{Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::largest::{self, View};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

pub(super) static COLUMNS: [Column; 19] = [
    Column::counter("pg_stat_user_tables_seq_scan", "pg_stat_get_numscans(c.oid)", "pg_stat_user_tables.seq_scan."),
    Column::counter(
        "pg_stat_user_tables_seq_tup_read",
        "pg_stat_get_tuples_returned(c.oid)",
        "pg_stat_user_tables.seq_tup_read.",
    ),
    Column::counter("pg_stat_user_tables_idx_scan", "i.scans", "pg_stat_user_tables.idx_scan."),
    Column::counter(
        "pg_stat_user_tables_idx_tup_fetch",
        "i.fetched + pg_stat_get_tuples_fetched(c.oid)",
        "pg_stat_user_tables.idx_tup_fetch.",
    ),
    Column::counter("pg_stat_user_tables_n_tup_ins", "pg_stat_get_tuples_inserted(c.oid)", "pg_stat_user_tables.n_tup_ins."),
    Column::counter("pg_stat_user_tables_n_tup_upd", "pg_stat_get_tuples_updated(c.oid)", "pg_stat_user_tables.n_tup_upd."),
    Column::counter("pg_stat_user_tables_n_tup_del", "pg_stat_get_tuples_deleted(c.oid)", "pg_stat_user_tables.n_tup_del."),
    Column::counter(
        "pg_stat_user_tables_n_tup_hot_upd",
        "pg_stat_get_tuples_hot_updated(c.oid)",
        "pg_stat_user_tables.n_tup_hot_upd.",
    ),
    Column::gauge(
        "pg_stat_user_tables_n_live_tup",
        "pg_stat_get_live_tuples(c.oid)",
        "pg_stat_user_tables.n_live_tup, an estimate.",
    ),
    Column::gauge(
        "pg_stat_user_tables_n_dead_tup",
        "pg_stat_get_dead_tuples(c.oid)",
        "pg_stat_user_tables.n_dead_tup, an estimate.",
    ),
    Column::gauge(
        "pg_stat_user_tables_n_mod_since_analyze",
        "pg_stat_get_mod_since_analyze(c.oid)",
        "pg_stat_user_tables.n_mod_since_analyze.",
    ),
    Column::gauge(
        "pg_stat_user_tables_last_vacuum",
        "floor(extract(epoch FROM pg_stat_get_last_vacuum_time(c.oid)))",
        "pg_stat_user_tables.last_vacuum as a Unix time, 0 for never.",
    ),
    Column::gauge(
        "pg_stat_user_tables_last_autovacuum",
        "floor(extract(epoch FROM pg_stat_get_last_autovacuum_time(c.oid)))",
        "pg_stat_user_tables.last_autovacuum as a Unix time, 0 for never.",
    ),
    Column::gauge(
        "pg_stat_user_tables_last_analyze",
        "floor(extract(epoch FROM pg_stat_get_last_analyze_time(c.oid)))",
        "pg_stat_user_tables.last_analyze as a Unix time, 0 for never.",
    ),
    Column::gauge(
        "pg_stat_user_tables_last_autoanalyze",
        "floor(extract(epoch FROM pg_stat_get_last_autoanalyze_time(c.oid)))",
        "pg_stat_user_tables.last_autoanalyze as a Unix time, 0 for never.",
    ),
    Column::counter("pg_stat_user_tables_vacuum_count", "pg_stat_get_vacuum_count(c.oid)", "pg_stat_user_tables.vacuum_count."),
    Column::counter(
        "pg_stat_user_tables_autovacuum_count",
        "pg_stat_get_autovacuum_count(c.oid)",
        "pg_stat_user_tables.autovacuum_count.",
    ),
    Column::counter(
        "pg_stat_user_tables_analyze_count",
        "pg_stat_get_analyze_count(c.oid)",
        "pg_stat_user_tables.analyze_count.",
    ),
    Column::counter(
        "pg_stat_user_tables_autoanalyze_count",
        "pg_stat_get_autoanalyze_count(c.oid)",
        "pg_stat_user_tables.autoanalyze_count.",
    ),
];

static SIZES: [Column; 2] = [
    Column::gauge(
        "pg_stat_user_tables_table_size_bytes",
        "CASE WHEN c.oid NOT IN (SELECT relation FROM locked) THEN pg_table_size(c.oid) END",
        "pg_table_size() of the table: heap, TOAST and maps, without indexes; absent while the table is locked.",
    ),
    Column::gauge(
        "pg_stat_user_tables_index_size_bytes",
        "CASE WHEN c.oid NOT IN (SELECT relation FROM locked) THEN pg_indexes_size(c.oid) END",
        "pg_indexes_size() of the table; absent while the table is locked.",
    ),
];

/// The same of all that are not shown one by one.
const OTHER: &str = "sum(greatest(c.relpages, 0)::bigint) * current_setting('block_size')::int, \
    coalesce(sum((SELECT sum(greatest(x.relpages, 0)::bigint) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid \
    WHERE i.indrelid = c.oid)), 0) * current_setting('block_size')::int";

/// The tables whose size functions would wait: ACCESS EXCLUSIVE is held or queued for on the table, one of its indexes, its TOAST table or
/// that one's index. CASE keeps the functions from being called for them; a WHERE would not, since the planner may call them first.
const LOCKED: &str = "WITH busy AS (SELECT relation FROM pg_locks WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock' \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())), \
    direct AS (SELECT relation FROM busy UNION SELECT indrelid FROM pg_index WHERE indexrelid IN (SELECT relation FROM busy)), \
    locked AS (SELECT relation FROM direct UNION SELECT oid FROM pg_class WHERE reltoastrelid IN (SELECT relation FROM direct))";

pub(super) static ENTRY: Entry = Entry {
    name: "stat_user_tables",
    enabled: Flag::switch("postgres.collector.stat_user_tables", true, "Counters and sizes of the tables of each database."),
    statements: &[COUNTERS, Statement::sizes(sizes, emit_sizes)],
};

/// The statement that reads no disk.
pub(in crate::postgres) const COUNTERS: Statement = Statement::new(sql, emit);

/// `i` are the table's indexes, `x` those of its TOAST table.
const INDEXES: &str = ", i AS (SELECT indrelid, sum(pg_stat_get_numscans(indexrelid)) AS scans, \
    sum(pg_stat_get_tuples_fetched(indexrelid)) AS fetched, sum(pg_stat_get_blocks_hit(indexrelid)) AS hit, \
    sum(pg_stat_get_blocks_fetched(indexrelid) - pg_stat_get_blocks_hit(indexrelid)) AS missed FROM pg_index GROUP BY indrelid)";

/// What both collectors of tables read, this one's columns first: to find out which tables are shown costs more than their counters.
pub(in crate::postgres) fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let mut columns = column::mapped(&COLUMNS, server.major, str::to_owned);
    columns.extend(statio_user_tables::columns(server));
    let view = View {
        with: INDEXES,
        from: "LEFT JOIN i ON i.indrelid = c.oid LEFT JOIN i x ON x.indrelid = c.reltoastrelid",
        key: "c.oid",
        names: &["c.nspname", "c.relname"],
        columns: &columns,
    };
    Some(largest::rows(server, &view, "current_database(), "))
}

/// The tables of the view, straight from the catalog: the view would gather its counters once more. The rest is told by its pages as VACUUM
/// and ANALYZE last saw them, since to look at the files of 10,000 tables takes a second.
pub(in crate::postgres) fn sizes(server: &Server) -> Option<Cow<'static, str>> {
    let columns = column::list(&SIZES, server.major);
    let (tables, schema, name) = (largest::tables(server), largest::name("c.nspname"), largest::name("c.relname"));
    Some(
        format!(
            "{LOCKED}, {tables} SELECT current_database(), {schema}, {name}, {columns} FROM tables c WHERE shown \
             UNION ALL SELECT current_database(), '', '(other)', {OTHER} FROM tables c WHERE NOT shown HAVING count(*) > 0"
        )
        .into(),
    )
}

pub(in crate::postgres) fn labels(table: &Table) -> Vec<Labels> {
    column::labels(table, ["datname", "schemaname", "relname"])
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 3, &labels(table), Null::Zero, out)
}

pub(in crate::postgres) fn emit_sizes(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&SIZES, server.major, table, 3, &labels(table), Null::Absent, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn a_locked_table_has_no_size_but_its_counters() {
        let table = Table::of(&[
            [Some("shop"), Some("public"), Some("orders"), Some("8192"), Some("16384")],
            [Some("shop"), Some("public"), Some("locked"), None, None],
        ]);
        let text = text(|out| emit_sizes(&server(15), &table, out));
        assert_eq!(
            text,
            "pg_stat_user_tables_index_size_bytes{datname=\"shop\",schemaname=\"public\",relname=\"orders\"} 16384\n\
             pg_stat_user_tables_table_size_bytes{datname=\"shop\",schemaname=\"public\",relname=\"orders\"} 8192\n"
        );
    }

    #[test]
    fn what_never_happened_is_0() {
        let mut row = [None; 22];
        row[..3].copy_from_slice(&[Some("shop"), Some("public"), Some("orders")]);
        let text = text(|out| emit(&server(10), &Table::of(&[row]), out));
        assert_eq!(text.lines().filter(|line| line.ends_with("relname=\"orders\"} 0")).count(), 19, "{text}");
    }
}
