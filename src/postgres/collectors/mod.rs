//! The collectors: one file each, in the order in which their statements are sent.

mod database;
mod locks;
mod replication;
mod replication_slots;
mod roles;
mod settings;
mod stat_activity;
mod stat_archiver;
mod stat_bgwriter;
mod stat_checkpointer;
mod stat_database;
mod stat_database_conflicts;
mod stat_progress_vacuum;
mod stat_replication;
mod stat_user_tables;
mod statio_user_tables;
mod wal;

use super::collector::Entry;

/// All collectors. Locks come first: later in the same transaction our own statements would have taken some.
pub(super) static ENTRIES: [&Entry; 17] = [
    &locks::ENTRY,
    &stat_activity::ENTRY,
    &stat_database::ENTRY,
    &stat_database_conflicts::ENTRY,
    &stat_bgwriter::ENTRY,
    &stat_checkpointer::ENTRY,
    &stat_archiver::ENTRY,
    &stat_replication::ENTRY,
    &replication::ENTRY,
    &replication_slots::ENTRY,
    &stat_progress_vacuum::ENTRY,
    &settings::ENTRY,
    &roles::ENTRY,
    &stat_user_tables::ENTRY,
    &statio_user_tables::ENTRY,
    &database::ENTRY,
    &wal::ENTRY,
];
