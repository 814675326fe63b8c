//! `pg_stat_io`: reads and writes by who does them, on what, and why. PostgreSQL 16 and later.
//!
//! Rows in which nothing ever happened are left out: of some thirty, a server uses ten.

use std::borrow::Cow;

use crate::exposition::Samples;
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::column::{self, Column, Null};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

/// PostgreSQL 16 and 17 tell how many bytes an operation has, 18 tells the bytes.
static COLUMNS: [Column; 16] = [
    Column::counter("pg_stat_io_reads_total", "reads", "Reads."),
    Column::counter("pg_stat_io_read_bytes_total", "reads * op_bytes", "Bytes read.").before(18),
    Column::counter("pg_stat_io_read_bytes_total", "read_bytes", "Bytes read.").since(18),
    Column::counter("pg_stat_io_read_seconds_total", "read_time / 1000", "Time spent reading; 0 without track_io_timing."),
    Column::counter("pg_stat_io_writes_total", "writes", "Writes."),
    Column::counter("pg_stat_io_write_bytes_total", "writes * op_bytes", "Bytes written.").before(18),
    Column::counter("pg_stat_io_write_bytes_total", "write_bytes", "Bytes written.").since(18),
    Column::counter("pg_stat_io_write_seconds_total", "write_time / 1000", "Time spent writing; 0 without track_io_timing."),
    Column::counter("pg_stat_io_extends_total", "extends", "Times that a relation was made longer."),
    Column::counter("pg_stat_io_extend_bytes_total", "extends * op_bytes", "Bytes that relations were made longer by.")
        .before(18),
    Column::counter("pg_stat_io_extend_bytes_total", "extend_bytes", "Bytes that relations were made longer by.").since(18),
    Column::counter(
        "pg_stat_io_extend_seconds_total",
        "extend_time / 1000",
        "Time spent making relations longer; 0 without track_io_timing.",
    ),
    Column::counter("pg_stat_io_hits_total", "hits", "Blocks found in shared buffers."),
    Column::counter("pg_stat_io_evictions_total", "evictions", "Buffers given up for another block."),
    Column::counter("pg_stat_io_fsyncs_total", "fsyncs", "Calls of fsync."),
    Column::counter("pg_stat_io_fsync_seconds_total", "fsync_time / 1000", "Time spent in fsync; 0 without track_io_timing."),
];

pub(super) static ENTRY: Entry = Entry {
    name: "io",
    enabled: Flag::switch("postgres.collector.io", true, "Reads and writes by who does them and why."),
    statements: &[Statement::new(sql, emit)],
};

fn sql(server: &Server) -> Option<Cow<'static, str>> {
    let columns = || column::list(&COLUMNS, server.major);
    (server.major >= 16).then(|| {
        let used =
            "coalesce(reads, 0) + coalesce(writes, 0) + coalesce(extends, 0) + coalesce(hits, 0) + coalesce(fsyncs, 0) > 0";
        format!("SELECT backend_type, object, context, {} FROM pg_stat_io WHERE {used}", columns()).into()
    })
}

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let labels = column::labels(table, ["backend_type", "object", "context"]);
    column::emit(&COLUMNS, server.major, table, 3, &labels, Null::Absent, out)
}
