//! WAL files that wait to be archived: the backlog of a slow or failing archive_command.

use crate::exposition::Family;
use crate::postgres::collector::{Entry, Statement};
use crate::settings::Flag;

static READY: Family = Family::gauge("pg_archiver_ready_files", "Files of WAL that are ready and not archived yet.");

/// `pg_ls_archive_statusdir()` came with PostgreSQL 12. Where nothing is archived, the folder is not read.
pub(super) static ENTRY: Entry = Entry {
    name: "archive_status",
    enabled: Flag::switch("postgres.collector.archive_status", true, "Files of WAL that wait to be archived."),
    statements: &[Statement::sizes(
        |server| {
            let count = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE current_setting('archive_mode') <> 'off' AND name LIKE '%.ready'";
            (server.major >= 12).then(|| count.into())
        },
        |_, table, out| {
            table.rows().filter_map(|row| row.number(0)).for_each(|files| _ = out.family(&READY).add([], files));
            Ok(())
        },
    )],
};
