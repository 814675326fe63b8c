//! How much of tables and B-tree indexes is air, reckoned from the planner's statistics.
//!
//! Pages that are there, less those that as many rows of the average width would fill. Both are as of the last VACUUM or ANALYZE and stand in
//! the catalog, so that no file is read and no lock is waited for. Nothing is told where a column has no statistics, or the role may not read
//! it. Equal keys, which a B-tree has held once since PostgreSQL 13, make an index look better than it is.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::largest::name;
use crate::postgres::schedule::Schedule;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static TABLE: [Column; 1] = [Column::gauge(
    "pg_table_bloat_estimate_bytes",
    "bloat",
    "What the table takes beyond its rows, from statistics; the twenty worst of each database's 500 largest.",
)];

static INDEX: [Column; 1] = [Column::gauge(
    "pg_index_bloat_estimate_bytes",
    "bloat",
    "What the B-tree index takes beyond its entries, from statistics; the twenty worst of each database's 500 largest.",
)];

pub(super) static ENTRY: Entry = Entry {
    name: "bloat",
    enabled: Flag::switch("postgres.collector.bloat", false, "Estimated bloat of the tables and indexes of each database."),
    statements: &[
        Statement::kept(Schedule::Bloat, table_sql, emit_table),
        Statement::kept(Schedule::Bloat, index_sql, emit_index),
    ],
};

/// The 500 largest relations of a kind, `r`, with what they should be filled to. -1 rows are "not known", since PostgreSQL 14.
fn largest(kind: &str, fill: u32) -> String {
    format!(
        "r AS (SELECT c.oid, c.relnamespace, n.nspname, c.relname, c.relpages::bigint AS pages, c.reltuples::numeric AS tuples, \
         current_setting('block_size')::int AS block, coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions) \
         WHERE option_name = 'fillfactor'), {fill}) / 100.0 AS fill \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {kind} AND c.relpages > 1 AND c.reltuples >= 0 \
         AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast' ORDER BY c.relpages DESC, c.oid LIMIT 500)"
    )
}

/// Bytes rounded up as the server aligns rows and entries.
fn aligned(bytes: &str) -> String {
    format!("ceil(({bytes}) / 8.0) * 8")
}

/// A row has a header of 23 bytes and, where something is NULL, a bit for each column; a line pointer of 4. A page's header takes 24.
fn table_sql(_: &Server) -> Option<Cow<'static, str>> {
    let (schema, table, largest) = (name("nspname"), name("relname"), largest("c.relkind IN ('r', 'm')", 100));
    let row = format!(
        "4 + {} + {}",
        aligned("23 + CASE WHEN max(s.null_frac) > 0 THEN (count(*) + 7) / 8 ELSE 0 END"),
        aligned("sum((1 - s.null_frac) * s.avg_width)::numeric")
    );
    Some(
        format!(
            "WITH {largest}, \
             w AS (SELECT r.oid, {row} AS bytes, count(*) = count(s.attname) AS known FROM r JOIN pg_attribute a ON a.attrelid = r.oid \
             LEFT JOIN pg_stats s ON s.schemaname = r.nspname AND s.tablename = r.relname AND s.attname = a.attname AND NOT s.inherited \
             WHERE a.attnum > 0 AND NOT a.attisdropped GROUP BY r.oid), \
             b AS (SELECT r.*, greatest(pages - ceil(tuples * bytes / ((block - 24) * fill)), 0) * block AS bloat FROM r JOIN w USING (oid) WHERE known) \
             SELECT current_database(), {schema}, {table}, bloat FROM b WHERE bloat > 0 ORDER BY bloat DESC, nspname, relname LIMIT 20"
        )
        .into(),
    )
}

/// An entry has a header of 8 bytes and a line pointer of 4; a page 24 in front and 16 behind. One page is the index' own. An expression's
/// statistics are those of the index, a column's those of the table.
fn index_sql(_: &Server) -> Option<Cow<'static, str>> {
    let (schema, table, index) = (name("nspname"), name("tablename"), name("relname"));
    let largest = largest("c.relkind = 'i' AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')", 90);
    let entry = format!(
        "4 + {} + {}",
        aligned("8 + CASE WHEN max(s.null_frac) > 0 THEN 4 ELSE 0 END"),
        aligned("sum((1 - s.null_frac) * s.avg_width)::numeric")
    );
    Some(
        format!(
            "WITH {largest}, \
             c AS (SELECT r.oid, t.relname AS tablename, r.nspname, CASE WHEN a.number = 0 THEN r.relname ELSE t.relname END AS of, \
             CASE WHEN a.number = 0 THEN own.attname ELSE theirs.attname END AS attname \
             FROM r JOIN pg_index i ON i.indexrelid = r.oid JOIN pg_class t ON t.oid = i.indrelid \
             CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS a (number, place) \
             LEFT JOIN pg_attribute own ON own.attrelid = r.oid AND own.attnum = a.place \
             LEFT JOIN pg_attribute theirs ON theirs.attrelid = i.indrelid AND theirs.attnum = a.number AND a.number <> 0), \
             w AS (SELECT c.oid, c.tablename, {entry} AS bytes, count(*) = count(s.attname) AS known FROM c \
             LEFT JOIN pg_stats s ON s.schemaname = c.nspname AND s.tablename = c.of AND s.attname = c.attname AND NOT s.inherited \
             GROUP BY c.oid, c.tablename), \
             b AS (SELECT r.*, tablename, greatest(pages - 1 - ceil(tuples * bytes / ((block - 40) * fill)), 0) * block AS bloat \
             FROM r JOIN w USING (oid) WHERE known) \
             SELECT current_database(), {schema}, {table}, {index}, bloat FROM b WHERE bloat > 0 ORDER BY bloat DESC, nspname, relname LIMIT 20"
        )
        .into(),
    )
}

fn emit_table(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["datname", "schemaname", "relname"]);
    column::emit(&TABLE, server.major, table, 3, &labels, Null::Absent, out)
}

fn emit_index(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["datname", "schemaname", "relname", "indexrelname"]);
    column::emit(&INDEX, server.major, table, 4, &labels, Null::Absent, out)
}
