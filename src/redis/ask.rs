//! What a server can be asked in a scrape.

use super::options::Options;
use super::resp::Cmd;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    InfoAll,
    /// INFO ALL without latency percentiles.
    InfoShort,
    /// For servers that do not know INFO ALL.
    Info,
    InfoModules,
    Ping,
    Config,
    ClusterInfo,
    LatencyLatest,
    /// For these commands; none: for all.
    LatencyHistogram(Vec<String>),
    SlowlogLength,
    SlowlogLast,
    /// So many of the newest entries.
    SlowlogNew(i64),
    /// Whether the server knows COMMANDLOG.
    CommandlogKnown,
    Commandlog(&'static str),
    SentinelMasters,
    SentinelQuorum(String),
    SentinelPeers(String),
    SentinelReplicas(String),
    SentinelConfig,
    ClientList,
    /// So many slots of a cluster node, those that took most of its time.
    SlotStats(usize),
    ClusterShards,
    /// So many of the newest entries.
    AclLog(usize),
    ServerExt,
    /// What a running session has found.
    HotKeys,
}

impl Ask {
    /// Its name: `INFO`, `SLOWLOG LEN`.
    pub(super) fn words(&self) -> &'static [&'static str] {
        match self {
            Ask::InfoAll | Ask::InfoShort | Ask::Info | Ask::InfoModules => &["INFO"],
            Ask::Ping => &["PING"],
            Ask::Config => &["CONFIG", "GET"],
            Ask::ClusterInfo => &["CLUSTER", "INFO"],
            Ask::LatencyLatest => &["LATENCY", "LATEST"],
            Ask::LatencyHistogram(_) => &["LATENCY", "HISTOGRAM"],
            Ask::SlowlogLength => &["SLOWLOG", "LEN"],
            Ask::SlowlogLast | Ask::SlowlogNew(_) => &["SLOWLOG", "GET"],
            Ask::CommandlogKnown => &["COMMAND", "INFO"],
            Ask::Commandlog(_) => &["COMMANDLOG", "LEN"],
            Ask::SentinelMasters => &["SENTINEL", "MASTERS"],
            Ask::SentinelQuorum(_) => &["SENTINEL", "CKQUORUM"],
            Ask::SentinelPeers(_) => &["SENTINEL", "SENTINELS"],
            Ask::SentinelReplicas(_) => &["SENTINEL", "SLAVES"],
            Ask::SentinelConfig => &["SENTINEL", "CONFIG"],
            Ask::ClientList => &["CLIENT", "LIST"],
            Ask::SlotStats(_) => &["CLUSTER", "SLOT-STATS"],
            Ask::ClusterShards => &["CLUSTER", "SHARDS"],
            Ask::AclLog(_) => &["ACL", "LOG"],
            Ask::ServerExt => &["SERVER"],
            Ask::HotKeys => &["HOTKEYS", "GET"],
        }
    }

    /// The command as it is sent.
    pub(super) fn command(&self, options: &Options) -> Cmd {
        let mut command = Cmd::default();
        match (self, &options.config_command) {
            (Ask::Config, Some(renamed)) => drop(command.args(&[renamed, "GET"])),
            _ => drop(command.args(self.words())),
        }
        match self {
            Ask::InfoAll => command.arg("ALL"),
            Ask::InfoShort => command.args(&["default", "commandstats"]),
            Ask::InfoModules => command.arg("MODULES"),
            Ask::SentinelConfig => command.args(&["GET", "*"]),
            Ask::SlotStats(count) => command.args(&["ORDERBY", "cpu-usec", "LIMIT", &count.to_string(), "DESC"]),
            Ask::AclLog(count) => command.arg(count.to_string()),
            Ask::ServerExt => command.arg("EXT"),
            Ask::Config => command.arg("*"),
            Ask::LatencyHistogram(names) => command.args(names),
            Ask::SlowlogLast => command.arg("1"),
            Ask::SlowlogNew(count) => command.arg(count.to_string()),
            Ask::CommandlogKnown => command.arg("COMMANDLOG"),
            Ask::Commandlog(log) => command.arg(log),
            Ask::SentinelQuorum(master) | Ask::SentinelPeers(master) | Ask::SentinelReplicas(master) => command.arg(master),
            _ => &mut command,
        };
        command
    }
}
