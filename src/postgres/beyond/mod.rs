//! What postgres_exporter has not: who waits for whom, who holds vacuum up, how near each limit is, how far standbys are behind.
//!
//! One file each, like the collectors of the contract. Most of it is read from the server's memory, in the same message as the rest; what
//! has to look at every table or index is asked for on a schedule of its own.

mod archive_status;
pub(super) mod archiver;
mod backend_group;
mod bloat;
mod blocking;
mod checkpoints;
mod horizon;
mod indexes;
mod io;
mod limits;
mod lock_tree;
mod memory;
mod prepared;
mod progress;
mod receiver;
mod sequences;
mod sessions;
mod slots;
mod slru;
mod standbys;
mod statement_costs;
mod vacuum_due;
mod wal_activity;
mod wraparound;

use super::collector::Entry;

/// All of them.
pub(super) static ENTRIES: [&Entry; 23] = [
    &blocking::ENTRY,
    &sessions::ENTRY,
    &limits::ENTRY,
    &memory::ENTRY,
    &horizon::ENTRY,
    &prepared::ENTRY,
    &wraparound::ENTRY,
    &checkpoints::ENTRY,
    &wal_activity::ENTRY,
    &archiver::ENTRY,
    &slots::ENTRY,
    &standbys::ENTRY,
    &receiver::ENTRY,
    &progress::ENTRY,
    &io::ENTRY,
    &indexes::ENTRY,
    &sequences::ENTRY,
    &vacuum_due::ENTRY,
    &archive_status::ENTRY,
    &slru::ENTRY,
    &statement_costs::ENTRY,
    &bloat::ENTRY,
    &backend_group::ENTRY,
];
