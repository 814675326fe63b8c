//! Indexes that cost more than they give: unused, invalid, or the same as another.
//!
//! Read from the catalog alone, so that no lock is waited for; sizes are those of the last VACUUM or ANALYZE.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::schedule::Schedule;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static COLUMNS: [Column; 4] = [
    Column::gauge(
        "pg_index_unused",
        "count(*) FILTER (WHERE unused)",
        "Indexes without a scan since the statistics were reset, but for those that keep something unique; a standby counts its own scans.",
    ),
    Column::gauge(
        "pg_index_unused_bytes",
        "coalesce(sum(bytes) FILTER (WHERE unused), 0)",
        "What unused indexes take, as of the last VACUUM or ANALYZE.",
    ),
    Column::gauge(
        "pg_index_invalid",
        "count(*) FILTER (WHERE NOT indisvalid)",
        "Indexes that are kept up but not used, as a CREATE INDEX CONCURRENTLY leaves behind that failed.",
    ),
    Column::gauge(
        "pg_index_duplicate",
        "count(*) FILTER (WHERE copy > 1)",
        "Indexes with the same columns, order and condition as another one of the table.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "indexes",
    enabled: Flag::switch("postgres.collector.indexes", true, "Unused, invalid and duplicate indexes of each database."),
    statements: &[Statement::kept(Schedule::Catalog, sql, emit)],
};

/// Every index of the user's. A unique index is not unused, even if it is never read.
const INDEXES: &str = "WITH i AS (SELECT i.indisvalid, greatest(c.relpages, 0)::bigint * current_setting('block_size')::int AS bytes, \
    coalesce(pg_stat_get_numscans(c.oid), 0) = 0 AND i.indisvalid \
    AND NOT (i.indisunique OR i.indisexclusion OR i.indisreplident OR i.indisclustered) AS unused, \
    row_number() OVER (PARTITION BY i.indrelid, c.relam, i.indkey::text, i.indclass::text, i.indcollation::text, i.indoption::text, \
    i.indexprs::text, i.indpred::text ORDER BY i.indisunique DESC, i.indexrelid) AS copy \
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'i' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast')";

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(format!("{INDEXES} SELECT current_database(), {} FROM i", column::list(&COLUMNS, server.major)).into())
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&COLUMNS, server.major, table, 1, &column::labels(table, ["datname"]), Null::Absent, out)
}
