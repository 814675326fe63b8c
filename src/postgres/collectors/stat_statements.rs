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

/// The columns of numbers follow user, database, id and text.
const FIRST: usize = 4;

pub(super) static ENTRY: Entry = Entry {
    name: "stat_statements",
    enabled: Flag::switch(
        "postgres.collector.stat_statements",
        false,
        "The statements that cost most (extension pg_stat_statements).",
    ),
    statements: &[Statement::new(sql, emit)],
};

/// What is shown in place of a text that may hold a password: the server keeps the constants of `ALTER ROLE` as they were written.
const SECRET: &str = "(not shown: it speaks of a password)";

/// A role that may not see others' statements sees them without an id: those are one group, "unknown".
pub(in crate::postgres) fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let [own, costs] = [&COLUMNS[..], &COSTS].map(|columns| column::list(columns, server.major));
    Some(select(server, &format!("{own}, {costs}")).into())
}

/// User, database, id and text of each statement, and `columns` of it.
pub(in crate::postgres) fn select(server: &Server, columns: &str) -> String {
    let time = if server.major >= 13 { "total_exec_time" } else { "total_time" };
    let text = match server.options.query_length {
        Some(length) => format!("min(CASE WHEN s.query ~* 'password' THEN '{SECRET}' ELSE left(s.query, {length}) END)"),
        None => "NULL".to_owned(),
    };
    let wanted = |databases: &str, users: &str| {
        let databases = options::not_in(databases, &server.options.without_databases);
        format!("{databases} AND {}", options::not_in(users, &server.options.without_users))
    };
    format!(
        "SELECT pg_get_userbyid(s.userid), d.datname, coalesce(s.queryid::text, 'unknown'), {text}, {columns} FROM pg_stat_statements s \
             JOIN pg_database d ON d.oid = s.dbid WHERE s.{time} > (SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY {time}) \
             FROM pg_stat_statements) AND {} GROUP BY 1, 2, 3 ORDER BY sum(s.{time}) DESC LIMIT {}",
        wanted("d.datname", "pg_get_userbyid(s.userid)"),
        server.options.limit,
    )
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let mut shown = HashSet::new();
    for row in table.rows() {
        if let Some(text) = row.text(3).filter(|_| shown.insert(row.label(2))) {
            out.family(&TEXT).add([("queryid", row.label(2)), ("query", text)], 1u8);
        }
    }
    let labels = column::labels(table, ["user", "datname", "queryid"]);
    column::emit(&COLUMNS, server.major, table, FIRST, &labels, Null::Zero, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::options::Options;
    use crate::postgres::testing::{server, text};

    #[test]
    fn five_counters_a_statement_on_every_version() {
        let row = [Some("app"), Some("shop"), Some("-42"), None, Some("2"), Some("20"), Some("0.5"), Some("0"), Some("0")];
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
        assert!(!sql(&server).unwrap().contains("s.query,"));
        let (query_length, limit, without_users) = (Some(9), 7, "E'bob'".to_owned());
        server.options = Options { query_length, limit, without_users, ..Options::default() }.into();
        let statement = sql(&server).unwrap();
        let parts = ["left(s.query, 9)", "pg_get_userbyid(s.userid) NOT IN (E'bob')", "true AND", "LIMIT 7"];
        assert!(parts.iter().all(|part| statement.contains(part)), "{statement}");
        let row = |user| [Some(user), Some("shop"), Some("5"), Some("SELECT 1"), Some("2"), Some("2"), Some("1"), None, None];
        let text = text(|out| emit(&server, &Table::of(&[row("a"), row("b")]), out));
        assert_eq!(text.matches("pg_stat_statements_query_id{queryid=\"5\",query=\"SELECT 1\"} 1\n").count(), 1, "{text}");
        assert_eq!(text.lines().count(), 11);
    }
}
