//! I/O threads, from INFO section Threads of Redis 8; fields of hashes that expire, from Keyspace.

use super::super::info::{Info, item, number};
use crate::exposition::{Family, Samples};

static CLIENTS: Family =
    Family::gauge("redis_io_thread_clients", "Clients that the I/O thread serves (INFO io_thread_N, clients).");
static READS: Family = Family::counter("redis_io_thread_reads_total", "Reads by the I/O thread (INFO io_thread_N, reads).");
static WRITES: Family = Family::counter("redis_io_thread_writes_total", "Writes by the I/O thread (INFO io_thread_N, writes).");
static ITEMS: Family = Family::gauge(
    "redis_db_keys_with_expiring_items",
    "Keys of which single items expire (INFO keyspace, subexpiry or keys_with_volatile_items).",
);

pub(super) fn emit(info: &Info<'_>, out: &mut Samples) {
    // `io_thread_0:clients=9,reads=558,writes=555`
    for (family, name) in [(&CLIENTS, "clients"), (&READS, "reads"), (&WRITES, "writes")] {
        for (thread, list) in info.numbered("io_thread_") {
            if let Some(count) = item(list, name).and_then(number) {
                out.family(family).add([("thread", &thread.to_string())], count);
            }
        }
    }
    for (database, list) in info.numbered("db") {
        let count = item(list, "subexpiry").or_else(|| item(list, "keys_with_volatile_items"));
        if let Some(count) = count.and_then(number) {
            out.family(&ITEMS).add([("db", &format!("db{database}"))], count);
        }
    }
}
