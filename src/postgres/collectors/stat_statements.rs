//! `pg_stat_statements`: the statements that cost most. Needs the extension in the connected database.
//!
//! The hundred (or as many as asked for) with the longest total time are shown, of those that took longer than the cheapest tenth. What runs both by itself and
//! inside of functions has two rows in the view since PostgreSQL 14; they are added up.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::options;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

const SECONDS: (&str, &str) =
    ("pg_stat_statements_seconds_total", "pg_stat_statements.total_exec_time (total_time before PostgreSQL 13), in seconds.");
const READ: (&str, &str) = (
    "pg_stat_statements_block_read_seconds_total",
    "pg_stat_statements.shared_blk_read_time (blk_read_time before PostgreSQL 17), in seconds.",
);
const WRITE: (&str, &str) = (
    "pg_stat_statements_block_write_seconds_total",
    "pg_stat_statements.shared_blk_write_time (blk_write_time before PostgreSQL 17), in seconds.",
);

/// A counter because it is so with postgres_exporter.
static TEXT: Family = Family::counter("pg_stat_statements_query_id", "1, with the text of the statement as a label.");

static COLUMNS: [Column; 8] = [
    Column::counter("pg_stat_statements_calls_total", "sum(calls)", "pg_stat_statements.calls."),
    Column::counter("pg_stat_statements_rows_total", "sum(rows)", "pg_stat_statements.rows."),
    Column::counter(SECONDS.0, "sum(total_time) / 1000", SECONDS.1).before(13),
    Column::counter(SECONDS.0, "sum(total_exec_time) / 1000", SECONDS.1).since(13),
    Column::counter(READ.0, "sum(blk_read_time) / 1000", READ.1).before(17),
    Column::counter(READ.0, "sum(shared_blk_read_time) / 1000", READ.1).since(17),
    Column::counter(WRITE.0, "sum(blk_write_time) / 1000", WRITE.1).before(17),
    Column::counter(WRITE.0, "sum(shared_blk_write_time) / 1000", WRITE.1).since(17),
];

/// Behind [`COLUMNS`], for the collector `statement_costs`: what a statement costs beside time.
pub(in crate::postgres) static COSTS: [Column; 3] = [
    Column::counter(
        "pg_stat_statements_temp_blks_written_bytes_total",
        "sum(temp_blks_written) * current_setting('block_size')::int8",
        "pg_stat_statements.temp_blks_written, in bytes.",
    ),
    Column::counter("pg_stat_statements_wal_bytes_total", "sum(wal_bytes)", "pg_stat_statements.wal_bytes.").since(13),
    Column::counter(
        "pg_stat_statements_plan_seconds_total",
        "sum(total_plan_time) / 1000",
        "pg_stat_statements.total_plan_time, in seconds; 0 unless pg_stat_statements.track_planning is on.",
    )
    .since(13),
];

/// The column of the answer at which [`COSTS`] begin.
pub(in crate::postgres) fn costs_at(major: u32) -> usize {
    FIRST + column::count(&COLUMNS, major)
}

/// The columns of numbers follow user, database and id.
pub(in crate::postgres) const FIRST: usize = 3;

pub(super) static ENTRY: Entry = Entry {
    name: "stat_statements",
    enabled: Flag::switch(
        "postgres.collector.stat_statements",
        false,
        "The statements that cost most (extension pg_stat_statements).",
    ),
    statements: &[Statement::new(sql, emit), Statement::new(texts, emit_texts)],
};

/// What is shown in place of a text that may hold a password: the server keeps the constants of `ALTER ROLE` as they were written.
const SECRET: &str = "(not shown: it speaks of a password)";

/// A role that may not see others' statements sees them without an id: those are one group, "unknown".
pub(in crate::postgres) fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let [own, costs] = [&COLUMNS[..], &COSTS].map(|columns| column::list(columns, server.major));
    Some(select(server, &format!("{own}, {costs}")).into())
}

/// User, database and id of each statement, and `columns` of it, without the server's reading of the file of texts.
pub(in crate::postgres) fn select(server: &Server, columns: &str) -> String {
    format!(
        "SELECT pg_get_userbyid(s.userid), d.datname, {ID}, {columns} FROM pg_stat_statements(false) s {} GROUP BY 1, 2, 3 \
         ORDER BY {}",
        wanted(server),
        dearest(server)
    )
}

/// Id and text of the same statements, where texts are wanted. Asked by itself: the server refuses all texts for the sake of one that a database
/// with the encoding SQL_ASCII took in and that is not in the encoding of ours.
fn texts(server: &Server) -> Option<Cow<'static, str>> {
    let length = server.options.query_length?;
    let text = format!("min(CASE WHEN s.query ~* 'password' THEN '{SECRET}' ELSE left(s.query, {length}) END)");
    Some(
        format!(
            "SELECT {ID}, {text} FROM pg_stat_statements s {} GROUP BY s.userid, s.dbid, 1 ORDER BY {}",
            wanted(server),
            dearest(server)
        )
        .into(),
    )
}

const ID: &str = "coalesce(s.queryid::text, 'unknown')";

fn time(server: &Server) -> &'static str {
    if server.major >= 13 { "total_exec_time" } else { "total_time" }
}

/// What statements `s` count.
fn wanted(server: &Server) -> String {
    let (time, options) = (time(server), &server.options);
    let databases = options::not_in("d.datname", &options.without_databases);
    let users = options::not_in("pg_get_userbyid(s.userid)", &options.without_users);
    format!(
        "JOIN pg_database d ON d.oid = s.dbid WHERE s.{time} > (SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY {time}) \
         FROM pg_stat_statements(false)) AND {databases} AND {users}"
    )
}

fn dearest(server: &Server) -> String {
    format!("sum(s.{}) DESC LIMIT {}", time(server), server.options.limit)
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["user", "datname", "queryid"]);
    column::emit(&COLUMNS, server.major, table, FIRST, &labels, Null::Zero, out)
}

fn emit_texts(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut shown = HashSet::new();
    let mut family = out.family(&TEXT);
    for row in table.rows() {
        if let Some(text) = row.text(1).filter(|_| shown.insert(row.label(0))) {
            family.add([("queryid", row.label(0)), ("query", text)], 1u8);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::options::Options;
    use crate::postgres::testing::{server, text};

    #[test]
    fn five_counters_a_statement_on_every_version() {
        let row = [Some("app"), Some("shop"), Some("-42"), Some("2"), Some("20"), Some("0.5"), Some("0"), Some("0")];
        for major in [10, 13, 17] {
            let text = text(|out| emit(&server(major), &Table::of(&[row]), out));
            assert_eq!(text.lines().count(), 5);
            let seconds = "pg_stat_statements_seconds_total{user=\"app\",datname=\"shop\",queryid=\"-42\"} 0.5\n";
            assert!(text.contains(seconds), "{text}");
        }
    }

    #[test]
    fn a_text_is_shown_once_where_it_is_asked_for() {
        let mut server = server(17);
        assert!(texts(&server).is_none() && !sql(&server).unwrap().contains("s.query,"));
        let (query_length, limit, without_users) = (Some(9), 7, "E'bob'".to_owned());
        server.options = Options { query_length, limit, without_users, ..Options::default() }.into();
        let statement = texts(&server).unwrap();
        let parts = ["left(s.query, 9)", "pg_get_userbyid(s.userid) NOT IN (E'bob')", "true AND", "LIMIT 7"];
        assert!(parts.iter().all(|part| statement.contains(part)), "{statement}");
        let row = [Some("5"), Some("SELECT 1")];
        let text = text(|out| emit_texts(&server, &Table::of(&[row, row, [Some("6"), None]]), out));
        assert_eq!(text, "pg_stat_statements_query_id{queryid=\"5\",query=\"SELECT 1\"} 1\n");
    }
}
