//! PostgreSQL's settings, against the memory that its server may use.

use super::check::{Check, Figure, state};
use super::figures::{Figures, Wanted};

/// What is looked at, sorted by family.
pub(super) const WANTED: [Wanted; 23] = [
    ("archived", "pg_archiver_last_archived_timestamp_seconds", ""),
    ("archive_failed", "pg_archiver_last_failed_timestamp_seconds", ""),
    ("checkpoints_requested", "pg_checkpoints_total", "reason=\"requested\""),
    ("checkpoints_timed", "pg_checkpoints_total", "reason=\"timed\""),
    ("memory_worst_case", "pg_memory_worst_case_bytes", ""),
    ("slots", "pg_replication_slot_retained_bytes", ""),
    ("autovacuum", "pg_settings_autovacuum", ""),
    ("data_checksums", "pg_settings_data_checksums", ""),
    ("effective_cache_size", "pg_settings_effective_cache_size_bytes", ""),
    ("fsync", "pg_settings_fsync", ""),
    ("full_page_writes", "pg_settings_full_page_writes", ""),
    ("idle_in_transaction_session_timeout", "pg_settings_idle_in_transaction_session_timeout_seconds", ""),
    ("log_lock_waits", "pg_settings_log_lock_waits", ""),
    ("max_connections", "pg_settings_max_connections", ""),
    ("max_slot_wal_keep_size", "pg_settings_max_slot_wal_keep_size_bytes", ""),
    ("max_wal_size", "pg_settings_max_wal_size_bytes", ""),
    ("random_page_cost", "pg_settings_random_page_cost", ""),
    ("shared_buffers", "pg_settings_shared_buffers_bytes", ""),
    ("statement_timeout", "pg_settings_statement_timeout_seconds", ""),
    ("temp_file_limit", "pg_settings_temp_file_limit_bytes", ""),
    ("track_counts", "pg_settings_track_counts", ""),
    ("track_io_timing", "pg_settings_track_io_timing", ""),
    ("shared_buffers_share", "pg_shared_buffers_memory_ratio", ""),
];

/// What is known of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    pub(super) figures: Figures,
    /// Whether any disk of its host turns; `None` for a server elsewhere.
    pub(super) spinning: Option<bool>,
}

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1024.0 * MIB;

impl Server {
    fn get(&self, name: &str) -> Option<f64> {
        self.figures.get(name)
    }

    fn is_off(&self, name: &str) -> Option<Figure> {
        state(self.get(name)? == 0.0)
    }

    /// The memory that it may use in bytes, of which its buffers are a share; `None` for a server elsewhere.
    pub(super) fn memory(&self) -> Option<f64> {
        Some(self.get("shared_buffers")? / self.get("shared_buffers_share")?)
    }
}

/// Every check of a PostgreSQL server.
pub(super) static CHECKS: [Check<Server>; 18] = [
    Check::<Server>::new("warning", "shared_buffers_default", |server, least| {
        let buffers = server.get("shared_buffers").filter(|bytes| *bytes == 128.0 * MIB)?;
        match server.memory() {
            Some(memory) => (buffers < memory * least).then_some(Figure::BytesOf(buffers, memory)),
            None => Some(Figure::Bytes(buffers)),
        }
    })
    .over(0.1)
    .says(
        "shared_buffers is what the factory set, whatever memory there is",
        "set shared_buffers to a quarter of the memory that the server may use, and restart it",
        "pg_settings_shared_buffers_bytes, node_memory_MemTotal_bytes, the container's limit",
    ),
    Check::<Server>::new("warning", "shared_buffers_small", |server, least| {
        let buffers = server.get("shared_buffers").filter(|bytes| *bytes != 128.0 * MIB)?;
        let memory = server.memory().filter(|memory| buffers < memory * least)?;
        Some(Figure::BytesOf(buffers, memory))
    })
    .over(0.1)
    .says(
        "shared_buffers is a small part of the memory that the server may use",
        "set shared_buffers to a quarter of that memory, and restart the server",
        "pg_settings_shared_buffers_bytes, node_memory_MemTotal_bytes, the container's limit",
    ),
    Check::<Server>::new("warning", "shared_buffers_large", |server, most| {
        let buffers = server.get("shared_buffers")?;
        let memory = server.memory().filter(|memory| buffers > memory * most)?;
        Some(Figure::BytesOf(buffers, memory))
    })
    .over(0.45)
    .says(
        "shared_buffers leaves little memory for sessions and for the kernel's cache",
        "set shared_buffers to a quarter of the memory that the server may use, and restart it",
        "pg_settings_shared_buffers_bytes, node_memory_MemTotal_bytes, the container's limit",
    ),
    Check::<Server>::new("info", "effective_cache_size_off", |server, least| {
        let (size, memory) = (server.get("effective_cache_size")?, server.memory()?);
        (size > memory || size < memory * least).then_some(Figure::BytesOf(size, memory))
    })
    .over(0.25)
    .says(
        "effective_cache_size does not fit the memory: the planner misjudges indexes",
        "set effective_cache_size to about three quarters of the memory that the server may use",
        "pg_settings_effective_cache_size_bytes, node_memory_MemTotal_bytes, the container's limit",
    ),
    Check::<Server>::new("warning", "memory_worst_case", |server, most| {
        let (worst, memory) = (server.get("memory_worst_case")?, server.memory()?);
        (worst > memory * most).then_some(Figure::BytesOf(worst, memory))
    })
    .over(1.0)
    .says(
        "if every session sorts at once, the server takes more memory than it may: then it is killed",
        "lower max_connections (a pooler) or work_mem, or give it more memory",
        "pg_settings_shared_buffers_bytes, _max_connections, _work_mem_bytes, _maintenance_work_mem_bytes, _autovacuum_*",
    ),
    Check::<Server>::new("info", "max_wal_size_default", |server, most| {
        let (asked, timed) = (server.get("checkpoints_requested")?, server.get("checkpoints_timed")?);
        let busy = asked + timed >= 10.0 && asked > (asked + timed) * most;
        (busy && server.get("max_wal_size")? == GIB).then_some(Figure::Share(asked / (asked + timed)))
    })
    .over(0.5)
    .says(
        "WAL forces checkpoints (this part of them) before their time, as max_wal_size is what the factory set",
        "raise max_wal_size, to 4GB or more",
        "pg_settings_max_wal_size_bytes, pg_checkpoints_total",
    ),
    Check::<Server>::new("info", "random_page_cost_default", |server, _| {
        let cost = server.get("random_page_cost").filter(|cost| *cost >= 4.0 && server.spinning == Some(false))?;
        Some(Figure::Count(cost))
    })
    .says(
        "random_page_cost is for disks that turn, and none here does: the planner avoids indexes",
        "set random_page_cost to 1.1",
        "pg_settings_random_page_cost, node_disk_info",
    ),
    Check::<Server>::new("critical", "autovacuum_off", |server, _| {
        server.is_off("autovacuum").or_else(|| server.is_off("track_counts"))
    })
    .says(
        "nothing cleans up: tables grow, and in the end the server stops to save itself",
        "set autovacuum and track_counts to on",
        "pg_settings_autovacuum, pg_settings_track_counts",
    ),
    Check::<Server>::new("critical", "fsync_off", |server, _| {
        server.is_off("fsync").or_else(|| server.is_off("full_page_writes"))
    })
    .says(
        "a crash of the host destroys the database",
        "set fsync and full_page_writes to on",
        "pg_settings_fsync, pg_settings_full_page_writes",
    ),
    Check::<Server>::new("info", "statement_timeout_unset", |server, _| server.is_off("statement_timeout")).says(
        "a statement may run for ever",
        "ALTER ROLE ... SET statement_timeout for the application's role",
        "pg_settings_statement_timeout_seconds",
    ),
    Check::<Server>::new("warning", "idle_in_transaction_timeout_unset", |server, _| {
        server.is_off("idle_in_transaction_session_timeout")
    })
    .says(
        "a session that forgot its transaction holds its locks, and keeps vacuum from cleaning, for ever",
        "set idle_in_transaction_session_timeout, to 10min or so",
        "pg_settings_idle_in_transaction_session_timeout_seconds",
    ),
    Check::<Server>::new("warning", "slot_wal_unlimited", |server, _| {
        let retained = server.get("slots")?;
        (server.get("max_slot_wal_keep_size")? < 0.0).then_some(Figure::Bytes(retained.max(0.0)))
    })
    .says(
        "a replica that does not come back makes WAL fill the disk: max_slot_wal_keep_size is -1 (held back now)",
        "set max_slot_wal_keep_size to what the disk can spare, and drop slots that nobody uses",
        "pg_settings_max_slot_wal_keep_size_bytes, pg_replication_slot_retained_bytes",
    ),
    Check::<Server>::new("critical", "archiving_fails", |server, _| {
        let failed = server.get("archive_failed").filter(|time| *time > 0.0)?;
        state(failed > server.get("archived").unwrap_or(0.0))
    })
    .says(
        "the last WAL file could not be archived: backups end there, and WAL fills the disk",
        "see the server's log for what archive_command says",
        "pg_archiver_last_failed_timestamp_seconds, pg_archiver_last_archived_timestamp_seconds",
    ),
    Check::<Server>::new("info", "max_connections_high", |server, most| {
        server.get("max_connections").filter(|count| *count > most).map(Figure::Count)
    })
    .over(500.0)
    .says(
        "so many sessions contend for the same locks and memory",
        "put a pooler (PgBouncer) before the server, and lower max_connections",
        "pg_settings_max_connections",
    ),
    Check::<Server>::new("info", "data_checksums_off", |server, _| server.is_off("data_checksums")).says(
        "a page that the disk spoils is read as if it were right",
        "stop the server and run pg_checksums --enable",
        "pg_settings_data_checksums",
    ),
    Check::<Server>::new("info", "track_io_timing_off", |server, _| server.is_off("track_io_timing")).says(
        "nobody can tell which statements wait for the disk",
        "set track_io_timing to on",
        "pg_settings_track_io_timing",
    ),
    Check::<Server>::new("info", "log_lock_waits_off", |server, _| server.is_off("log_lock_waits")).says(
        "the server's log does not tell who waited for whose lock",
        "set log_lock_waits to on",
        "pg_settings_log_lock_waits",
    ),
    Check::<Server>::new("info", "temp_file_limit_unset", |server, _| state(server.get("temp_file_limit")? < 0.0)).says(
        "one statement may fill the disk with temporary files",
        "set temp_file_limit to what the disk can spare",
        "pg_settings_temp_file_limit_bytes",
    ),
];
