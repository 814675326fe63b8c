//! The collectors: one file each, in the order in which their statements are sent.

mod buffercache_summary;
mod database;
mod database_wraparound;
mod locks;
mod long_running_transactions;
mod postmaster;
pub(super) mod process_idle;
mod replication;
pub(super) mod replication_slots;
mod roles;
pub(super) mod settings;
pub(super) mod stat_activity;
mod stat_activity_autovacuum;
pub(super) mod stat_archiver;
mod stat_bgwriter;
mod stat_checkpointer;
pub(super) mod stat_database;
mod stat_database_conflicts;
mod stat_progress_vacuum;
mod stat_replication;
pub(super) mod stat_statements;
pub(super) mod stat_user_tables;
mod stat_wal_receiver;
mod statio_user_indexes;
pub(super) mod statio_user_tables;
mod wal;
mod xlog_location;

use super::collector::Entry;

/// All collectors. Locks come first: later in the same transaction our own statements would have taken some.
pub(super) static ENTRIES: [&Entry; 27] = [
    &locks::ENTRY,
    &stat_activity::ENTRY,
    &stat_activity_autovacuum::ENTRY,
    &long_running_transactions::ENTRY,
    &process_idle::ENTRY,
    &stat_database::ENTRY,
    &stat_database_conflicts::ENTRY,
    &database_wraparound::ENTRY,
    &stat_bgwriter::ENTRY,
    &stat_checkpointer::ENTRY,
    &stat_archiver::ENTRY,
    &stat_replication::ENTRY,
    &stat_wal_receiver::ENTRY,
    &replication::ENTRY,
    &replication_slots::ENTRY,
    &stat_progress_vacuum::ENTRY,
    &postmaster::ENTRY,
    &settings::ENTRY,
    &roles::ENTRY,
    &buffercache_summary::ENTRY,
    &stat_statements::ENTRY,
    &stat_user_tables::ENTRY,
    &statio_user_tables::ENTRY,
    &statio_user_indexes::ENTRY,
    &database::ENTRY,
    &wal::ENTRY,
    &xlog_location::ENTRY,
];
