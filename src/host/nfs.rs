//! Reads `/proc/net/rpc/nfs`: what the NFS client counts, over all mounts. Emits `node_nfs_*`.

use super::rpc::{self, Figure, Requests};
use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

static PACKETS: Family = Family::counter("node_nfs_packets_total", "Packets received, by protocol: line net.");
static CONNECTIONS: Family = Family::counter("node_nfs_connections_total", "TCP connections made: line net.");
static RPCS: Family = Family::counter("node_nfs_rpcs_total", "Calls to servers: line rpc.");
static RETRANSMISSIONS: Family = Family::counter("node_nfs_rpc_retransmissions_total", "Calls sent once more: line rpc.");
static REFRESHES: Family =
    Family::counter("node_nfs_rpc_authentication_refreshes_total", "Credentials that were renewed: line rpc.");
static REQUESTS: Family =
    Family::counter("node_nfs_requests_total", "Requests by version of NFS and method: lines proc2 to proc4.");

const fn figure(line: &'static str, column: usize, family: &'static Family) -> Figure {
    Figure { line, column, family, labels: &[] }
}

static FIGURES: [Figure; 6] = [
    Figure { line: "net", column: 1, family: &PACKETS, labels: &[("protocol", "udp")] },
    Figure { line: "net", column: 2, family: &PACKETS, labels: &[("protocol", "tcp")] },
    figure("net", 3, &CONNECTIONS),
    figure("rpc", 0, &RPCS),
    figure("rpc", 1, &RETRANSMISSIONS),
    figure("rpc", 2, &REFRESHES),
];

/// Methods as node_exporter spells them.
static METHODS: [Requests; 3] = [
    Requests {
        line: "proc2",
        proto: "2",
        methods: "Null GetAttr SetAttr Root Lookup ReadLink Read WrCache Write Create Remove Rename Link SymLink MkDir RmDir ReadDir \
                  FsStat",
        padded: false,
    },
    Requests {
        line: "proc3",
        proto: "3",
        methods: "Null GetAttr SetAttr Lookup Access ReadLink Read Write Create MkDir SymLink MkNod Remove RmDir Rename Link ReadDir \
                  ReadDirPlus FsStat FsInfo PathConf Commit",
        padded: false,
    },
    Requests {
        line: "proc4",
        proto: "4",
        methods: "Null Read Write Commit Open OpenConfirm OpenNoattr OpenDowngrade Close Setattr FsInfo Renew SetClientID \
                  SetClientIDConfirm Lock Lockt Locku Access Getattr Lookup LookupRoot Remove Rename Link Symlink Create Pathconf \
                  StatFs ReadLink ReadDir ServerCaps DelegReturn GetACL SetACL FsLocations ReleaseLockowner Secinfo FsidPresent \
                  ExchangeID CreateSession DestroySession Sequence GetLeaseTime ReclaimComplete GetDeviceInfo LayoutGet \
                  LayoutCommit LayoutReturn SecinfoNoName TestStateID FreeStateID GetDeviceList BindConnToSession DestroyClientID \
                  Seek Allocate DeAllocate LayoutStats Clone",
        padded: true,
    },
];

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "nfs",
    enabled: Flag::switch("collector.nfs", true, "What the NFS client counts."),
    flags: &[],
    new: |_| Ok(Box::new(Nfs)),
};

struct Nfs;

impl Collector for Nfs {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        rpc::emit(system.net("rpc/nfs")?, &FIGURES, &METHODS, &REQUESTS, out)
    }
}
