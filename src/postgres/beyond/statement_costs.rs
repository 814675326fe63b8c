//! What the statements that `stat_statements` shows cost beside time, and how full the extension's table is.
//!
//! The statement is that of `stat_statements`, and is asked once for both. Where more statements are run than the table holds, the
//! cheapest are thrown out and begin at 0 when they come back: `pg_stat_statements_deallocated_total` tells that `rate()` has holes.

use std::borrow::Cow;

use crate::exposition::{Labels, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::collectors::stat_statements;
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

/// Of the whole table. Its texts, which are in a file, are not read for it; `pg_stat_statements_info` came with PostgreSQL 14.
static TABLE: [Column; 2] = [
    Column::gauge(
        "pg_stat_statements_entries",
        "(SELECT count(*) FROM pg_stat_statements(false))",
        "Statements in the table; pg_settings_pg_stat_statements_max is how many it holds.",
    ),
    Column::counter(
        "pg_stat_statements_deallocated_total",
        "(SELECT dealloc FROM pg_stat_statements_info)",
        "How often the cheapest statements were thrown out of the table for others.",
    )
    .since(14),
];

pub(super) static ENTRY: Entry = Entry {
    name: "statement_costs",
    enabled: Flag::switch(
        "postgres.collector.statement_costs",
        false,
        "WAL, temporary files and planning of the statements that cost most (extension pg_stat_statements).",
    ),
    statements: &[Statement::new(stat_statements::sql, emit), Statement::new(sql, emit_table)],
};

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["user", "datname", "queryid"]);
    let first = stat_statements::costs_at(server.major);
    column::emit(&stat_statements::COSTS, server.major, table, first, &labels, Null::Absent, out)
}

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    Some(format!("SELECT {}", column::list(&TABLE, server.major)).into())
}

fn emit_table(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    column::emit(&TABLE, server.major, table, 0, &[Labels::new()], Null::Absent, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn costs_follow_the_columns_of_time_on_every_version() {
        let of = |major, row: &[&str]| {
            let head = [Some("app"), Some("shop"), Some("-42"), Some("2"), Some("20"), Some("0.5"), Some("0"), Some("0")];
            let row: Vec<_> = head.into_iter().chain(row.iter().copied().map(Some)).collect();
            let row: [Option<&str>; 11] = std::array::from_fn(|at| row.get(at).copied().flatten());
            text(|out| emit(&server(major), &Table::of(&[row]), out))
        };
        let labels = "{user=\"app\",datname=\"shop\",queryid=\"-42\"}";
        assert_eq!(of(10, &["8192"]), format!("pg_stat_statements_temp_blks_written_bytes_total{labels} 8192\n"));
        for major in [13, 18] {
            let text = of(major, &["8192", "300", "0.25"]);
            assert_eq!(text.lines().count(), 3, "{text}");
            assert!(text.contains(&format!("pg_stat_statements_wal_bytes_total{labels} 300\n")), "{text}");
            assert!(text.contains(&format!("pg_stat_statements_plan_seconds_total{labels} 0.25\n")), "{text}");
        }
        assert!(!sql(&server(13)).unwrap().contains("pg_stat_statements_info"));
    }
}
