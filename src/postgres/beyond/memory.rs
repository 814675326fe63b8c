//! The server's memory by its settings, against what it may use.
//!
//! Asked for as the settings are, of which it is a few in bytes.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::collectors::settings;
use crate::postgres::schedule::Schedule;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static RATIO: Family = Family::gauge(
    "pg_shared_buffers_memory_ratio",
    "shared_buffers as a share of the memory that the server may use: its container's or cgroup's limit, or the host's; none for a server elsewhere.",
);
static WORST: Family = Family::gauge(
    "pg_memory_worst_case_bytes",
    "What the server takes if every session sorts once (max_connections x work_mem) and every vacuum worker works, with shared_buffers.",
);

pub(super) static ENTRY: Entry = Entry {
    name: "memory",
    enabled: Flag::switch("postgres.collector.memory", true, "Memory by the settings, against what the server may use."),
    statements: &[
        Statement::stamp(|_| Some(settings::STAMP.into())),
        Statement::kept(Schedule::Settings, |_| Some(SQL.into()), emit),
    ],
};

const SQL: &str = "SELECT pg_size_bytes(current_setting('shared_buffers')), current_setting('max_connections'), \
    pg_size_bytes(current_setting('work_mem')), current_setting('autovacuum_max_workers'), \
    CASE current_setting('autovacuum_work_mem') WHEN '-1' THEN pg_size_bytes(current_setting('maintenance_work_mem')) \
    ELSE pg_size_bytes(current_setting('autovacuum_work_mem')) END";

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let Some(row) = table.rows().next() else { return Ok(()) };
    let [buffers, sessions, sort, workers, vacuum] = [0, 1, 2, 3, 4].map(|at| row.number(at));
    if let (Some(buffers), Some(memory)) = (buffers, server.memory) {
        out.family(&RATIO).add([], buffers / memory);
    }
    let each = |count: Option<f64>, bytes: Option<f64>| Some(count? * bytes?);
    if let (Some(buffers), Some(sorting), Some(cleaning)) = (buffers, each(sessions, sort), each(workers, vacuum)) {
        out.family(&WORST).add([], buffers + sorting + cleaning);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn a_server_elsewhere_has_no_share() {
        let table = Table::of(&[[Some("1024"), Some("10"), Some("4"), Some("3"), Some("100")]]);
        let of = |memory| text(|out| emit(&Server { memory, ..Server::default() }, &table, out));
        assert_eq!(of(None), "pg_memory_worst_case_bytes 1364\n");
        assert_eq!(of(Some(4096.0)), "pg_memory_worst_case_bytes 1364\npg_shared_buffers_memory_ratio 0.25\n");
        assert_eq!(text(|out| emit(&Server::default(), &Table::of(&[[None; 5]]), out)), "");
    }
}
