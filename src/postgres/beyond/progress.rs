//! How far long commands have come: ANALYZE, CREATE INDEX, CLUSTER, base backups, COPY.
//!
//! And vacuum's memory for dead rows in bytes, which `pg_stat_progress_vacuum_*_dead_tuples` has been in from PostgreSQL 17 on under a name
//! that says otherwise.

use std::borrow::Cow;

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::gates::Gate;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

/// A command: its view, since when, what is done, and of how much.
struct Command {
    family: Family,
    kind: &'static str,
    since: u32,
    done: &'static str,
    total: &'static str,
}

static COMMANDS: [Command; 5] = [
    Command {
        family: Family::gauge("pg_stat_progress_analyze_ratio", "Share of the sample's blocks that ANALYZE has read."),
        kind: "analyze",
        since: 13,
        done: "sample_blks_scanned",
        total: "sample_blks_total",
    },
    Command {
        family: Family::gauge("pg_stat_progress_create_index_ratio", "Share of its phase that CREATE INDEX or REINDEX has done."),
        kind: "create_index",
        since: 12,
        done: "coalesce(nullif(blocks_done, 0), tuples_done)",
        total: "coalesce(nullif(blocks_total, 0), tuples_total)",
    },
    Command {
        family: Family::gauge(
            "pg_stat_progress_cluster_ratio",
            "Share of the table's blocks that CLUSTER or VACUUM FULL has read.",
        ),
        kind: "cluster",
        since: 12,
        done: "heap_blks_scanned",
        total: "heap_blks_total",
    },
    Command {
        family: Family::gauge("pg_stat_progress_basebackup_ratio", "Share of a base backup that has been sent."),
        kind: "basebackup",
        since: 13,
        done: "backup_streamed",
        total: "backup_total",
    },
    Command {
        family: Family::gauge(
            "pg_stat_progress_copy_ratio",
            "Share of its file that COPY has read; none where it reads from a client.",
        ),
        kind: "copy",
        since: 14,
        done: "bytes_processed",
        total: "bytes_total",
    },
];

/// Of `pg_stat_progress_vacuum`.
static VACUUM: [Column; 3] = [
    Column::gauge("pg_stat_progress_vacuum_dead_tuple_bytes", "dead_tuple_bytes", "Memory that the dead rows found so far take."),
    Column::gauge(
        "pg_stat_progress_vacuum_max_dead_tuple_bytes",
        "max_dead_tuple_bytes",
        "Memory for dead rows; when it is full, the indexes have to be gone through.",
    ),
    Column::gauge(
        "pg_stat_progress_vacuum_dead_item_ids",
        "num_dead_item_ids",
        "Dead rows found since the indexes were last gone through.",
    ),
];

pub(super) static ENTRY: Entry = Entry {
    name: "progress",
    enabled: Flag::switch(
        "postgres.collector.progress",
        true,
        "How far ANALYZE, CREATE INDEX, CLUSTER, COPY and base backups have come.",
    ),
    statements: &[Statement::behind(Gate::Progress, sql, emit), Statement::behind(Gate::Vacuum, vacuum_sql, emit_vacuum)],
};

/// The name of a relation, where it is one of the connected database's, and else its number.
const RELATION: &str = "CASE WHEN datname = current_database() THEN relid::regclass::text ELSE relid::text END";

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let select = |command: &Command| {
        let Command { kind, done, total, .. } = command;
        let (names, phase) = match *kind {
            "basebackup" => ("NULL, NULL", "phase"),
            "copy" => (
                "datname, CASE WHEN datname = current_database() THEN nullif(relid, 0)::regclass::text ELSE relid::text END",
                "command",
            ),
            _ => ("datname, RELATION", "phase"),
        };
        let names = names.replace("RELATION", RELATION);
        format!("SELECT '{kind}', {names}, {phase}, {done}::float8 / nullif({total}, 0) FROM pg_stat_progress_{kind}")
    };
    let all: Vec<String> = COMMANDS.iter().filter(|command| server.major >= command.since).map(select).collect();
    (!all.is_empty()).then(|| all.join(" UNION ALL ").into())
}

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    for command in &COMMANDS {
        let mut family = out.family(&command.family);
        for (row, ratio) in
            table.rows().filter(|row| row.text(0) == Some(command.kind)).filter_map(|row| Some((row, row.number(4)?)))
        {
            family.add([("datname", row.label(1)), ("relname", row.label(2)), ("phase", row.label(3))], ratio.clamp(0.0, 1.0));
        }
    }
    Ok(())
}

fn vacuum_sql(server: &Server) -> Option<Cow<'static, str>> {
    let columns = || column::list(&VACUUM, server.major);
    (server.major >= 17).then(|| format!("SELECT datname, {RELATION}, {} FROM pg_stat_progress_vacuum", columns()).into())
}

fn emit_vacuum(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["datname", "relname"]);
    column::emit(&VACUUM, server.major, table, 2, &labels, Null::Absent, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::{server, text};

    #[test]
    fn a_command_without_an_end_in_sight_has_no_share() {
        let row = |kind, ratio| [Some(kind), Some("shop"), Some("orders"), Some("x"), ratio];
        let text = text(|out| emit(&Server::default(), &Table::of(&[row("copy", None), row("analyze", Some("0.25"))]), out));
        assert_eq!(text, "pg_stat_progress_analyze_ratio{datname=\"shop\",relname=\"orders\",phase=\"x\"} 0.25\n");
    }

    #[test]
    fn views_are_asked_where_they_are() {
        assert!(sql(&server(11)).is_none() && vacuum_sql(&server(16)).is_none());
        assert!(!sql(&server(12)).unwrap().contains("copy") && sql(&server(14)).unwrap().contains("pg_stat_progress_copy"));
    }
}
