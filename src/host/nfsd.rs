//! Reads `/proc/net/rpc/nfsd`: what the NFS server counts. Emits `node_nfsd_*`.

use super::rpc::{self, Figure, Requests};
use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

static HITS: Family = Family::counter("node_nfsd_reply_cache_hits_total", "Repeated requests answered from memory: line rc.");
static MISSES: Family = Family::counter("node_nfsd_reply_cache_misses_total", "Requests whose answer is kept: line rc.");
static NOCACHE: Family = Family::counter("node_nfsd_reply_cache_nocache_total", "Requests that may be repeated freely: line rc.");
static STALE: Family = Family::counter("node_nfsd_file_handles_stale_total", "Handles of files that are gone: line fh.");
static READ: Family = Family::counter("node_nfsd_disk_bytes_read_total", "Bytes read for clients: line io.");
static WRITTEN: Family = Family::counter("node_nfsd_disk_bytes_written_total", "Bytes written for clients: line io.");
static THREADS: Family = Family::gauge("node_nfsd_server_threads", "The kernel's threads that serve: line th.");
static AHEAD_SIZE: Family =
    Family::gauge("node_nfsd_read_ahead_cache_size_blocks", "Size of the read-ahead cache: line ra, until Linux 5.3.");
static AHEAD_NOT_FOUND: Family =
    Family::counter("node_nfsd_read_ahead_cache_not_found_total", "Look-ups in it that failed: line ra, until Linux 5.3.");
static PACKETS: Family = Family::counter("node_nfsd_packets_total", "Packets received, by protocol: line net.");
static CONNECTIONS: Family = Family::counter("node_nfsd_connections_total", "TCP connections taken: line net.");
static RPCS: Family = Family::counter("node_nfsd_server_rpcs_total", "Calls served: line rpc.");
static ERRORS: Family = Family::counter("node_nfsd_rpc_errors_total", "Calls refused, by what was wrong: line rpc.");
static REQUESTS: Family =
    Family::counter("node_nfsd_requests_total", "Requests by version of NFS and method: lines proc2, proc3 and proc4ops.");

const fn figure(line: &'static str, column: usize, family: &'static Family) -> Figure {
    Figure { line, column, family, labels: &[] }
}

static FIGURES: [Figure; 17] = [
    figure("rc", 0, &HITS),
    figure("rc", 1, &MISSES),
    figure("rc", 2, &NOCACHE),
    figure("fh", 0, &STALE),
    figure("io", 0, &READ),
    figure("io", 1, &WRITTEN),
    figure("th", 0, &THREADS),
    figure("ra", 0, &AHEAD_SIZE),
    figure("ra", 11, &AHEAD_NOT_FOUND),
    Figure { line: "net", column: 1, family: &PACKETS, labels: &[("proto", "udp")] },
    Figure { line: "net", column: 2, family: &PACKETS, labels: &[("proto", "tcp")] },
    figure("net", 3, &CONNECTIONS),
    figure("rpc", 0, &RPCS),
    Figure { line: "rpc", column: 2, family: &ERRORS, labels: &[("error", "fmt")] },
    Figure { line: "rpc", column: 3, family: &ERRORS, labels: &[("error", "auth")] },
    Figure { line: "rpc", column: 4, family: &ERRORS, labels: &[("error", "cInt")] },
    Figure { line: "wdeleg_getattr", column: 0, family: &REQUESTS, labels: &[("method", "WdelegGetattr"), ("proto", "4")] },
];

/// Methods as node_exporter spells them, which is not always as it does for the client. Of version 4 the operations up to
/// RELEASE_LOCKOWNER, but for PUTPUBFH and PUTROOTFH; the first three numbers are none.
static METHODS: [Requests; 3] = [
    Requests {
        line: "proc2",
        proto: "2",
        methods: "- GetAttr SetAttr Root Lookup ReadLink Read WrCache Write Create Remove Rename Link SymLink MkDir RmDir ReadDir \
                  FsStat",
        padded: false,
    },
    Requests {
        line: "proc3",
        proto: "3",
        methods: "- GetAttr SetAttr Lookup Access ReadLink Read Write Create MkDir SymLink MkNod Remove RmDir Rename Link ReadDir \
                  ReadDirPlus FsStat FsInfo PathConf Commit",
        padded: false,
    },
    Requests {
        line: "proc4ops",
        proto: "4",
        methods: "- - - Access Close Commit Create DelegPurge DelegReturn GetAttr GetFH Link Lock Lockt Locku Lookup LookupRoot \
                  Nverify Open OpenAttr OpenConfirm OpenDgrd PutFH - - Read ReadDir ReadLink Remove Rename Renew RestoreFH SaveFH \
                  SecInfo SetAttr SetClientID SetClientIDConfirm Verify Write RelLockOwner",
        padded: false,
    },
];

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "nfsd",
    enabled: Flag::switch("collector.nfsd", true, "What the NFS server counts."),
    flags: &[],
    new: |_| Ok(Box::new(Nfsd)),
};

struct Nfsd;

impl Collector for Nfsd {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        rpc::emit(system.net("rpc/nfsd")?, &FIGURES, &METHODS, &REQUESTS, out)
    }
}
