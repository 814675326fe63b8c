//! What postgres_exporter has not: who waits for whom, who holds vacuum up, how near each limit is, how far standbys are behind.
//!
//! One file each, like the collectors of the contract. All of it is read from the server's memory, in the same message as the rest.

mod archiver;
mod blocking;
mod checkpoints;
mod horizon;
mod io;
mod limits;
mod lock_tree;
mod prepared;
mod progress;
mod receiver;
mod sessions;
mod slots;
mod standbys;
mod wal_activity;
mod wraparound;

use super::collector::Entry;

/// All of them.
pub(super) static ENTRIES: [&Entry; 14] = [
    &blocking::ENTRY,
    &sessions::ENTRY,
    &limits::ENTRY,
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
];
