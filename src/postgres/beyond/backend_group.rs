//! CPU time and memory of the server's processes, by what they are and for which database: of a server on this machine, or in a container here.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static CPU: Family = Family::counter(
    "pg_backend_group_cpu_seconds_total",
    "CPU time of the server's processes by backend_type and database; what one took between the last scrape and its end is missing.",
);
static RESIDENT: Family = Family::gauge(
    "pg_backend_group_resident_bytes",
    "Memory of the server's processes by backend_type and database that is theirs alone (RssAnon): without shared buffers and program text.",
);

pub(super) static ENTRY: Entry = Entry {
    name: "backend_group",
    enabled: Flag::switch(
        "postgres.collector.backend_group",
        false,
        "CPU time and memory of the server's processes, reached by its socket or in a container here.",
    ),
    statements: &[Statement::new(|_| Some(SQL.into()), emit)],
};

const SQL: &str =
    "SELECT s.pid, s.backend_type, d.datname FROM pg_stat_get_activity(NULL) s LEFT JOIN pg_database d ON d.oid = s.datid";

fn emit(server: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let unknown = || Fault::Absent("the server's processes: no socket of it leads to them, nor a container here".to_owned());
    let postmaster = server.postmaster.ok_or_else(unknown)?;
    let kinds = table.rows().filter_map(|row| Some((row.text(0)?.parse().ok()?, (row.label(1), row.label(2)))));
    server.processes.look(postmaster, &kinds.collect(), |groups| {
        let mut cpu = out.family(&CPU);
        for group in groups {
            cpu.add([("backend_type", &group.kind), ("datname", &group.database)], group.cpu_seconds());
        }
        let mut resident = out.family(&RESIDENT);
        for group in groups.iter().filter(|group| group.is_alive()) {
            resident.add([("backend_type", &group.kind), ("datname", &group.database)], group.resident);
        }
    })
}
