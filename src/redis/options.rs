//! What the operator wants to be asked and shown beyond keys, in the words of redis_exporter's flags.

use std::time::Duration;

use crate::settings::{Error, Flag, Settings};

/// The most groups, slots and users that are shown one by one.
const MOST: u64 = 1_000;

macro_rules! flags {
    ($($name:ident = $make:ident($flag:literal, $default:expr, $help:literal) $($env:literal)?;)*) => {
        $(static $name: Flag = Flag::$make($flag, $default, $help)$(.env($env))?;)*
        /// The flags.
        pub(super) static FLAGS: &[&Flag] = &[$(&$name),*];
    };
}

flags! {
    CONFIG_COMMAND = text("redis.config-command", "CONFIG", "Name of the CONFIG command on the server; - if it is not to be used.") "REDIS_EXPORTER_CONFIG_COMMAND";
    CLIENT_NAME = switch("redis.set-client-name", true, "Name our connections with CLIENT SETNAME.") "REDIS_EXPORTER_SET_CLIENT_NAME";
    PING = switch("redis.ping-on-connect", false, "Time a PING before each scrape, which takes a round trip of its own.") "REDIS_EXPORTER_PING_ON_CONNECT";
    EMPTY_DATABASES = switch("redis.include-metrics-for-empty-databases", true, "Show databases without keys, with 0 keys.") "REDIS_EXPORTER_INCL_METRICS_FOR_EMPTY_DATABASES";
    NO_LATENCIES = switch("redis.exclude-latency-histogram-metrics", false, "Leave out what LATENCY HISTOGRAM and LATENCY LATEST answer.") "REDIS_EXPORTER_EXCLUDE_LATENCY_HISTOGRAM_METRICS";
    PERCENTILES = time("redis.percentiles-interval", Duration::from_secs(60), "How long INFO's latency percentiles are shown before they are asked for again: no other section costs the server as much. 0s for each scrape.");
    CONFIG_METRICS = switch("redis.include-config-metrics", false, "Show all settings of the server but its passwords, and those of a Sentinel.") "REDIS_EXPORTER_INCL_CONFIG_METRICS";
    REDACT = switch("redis.redact-config-metrics", true, "Leave out passwords among the settings; not to be turned off.") "REDIS_EXPORTER_REDACT_CONFIG_METRICS";
    SYSTEM = switch("redis.include-system-metrics", false, "Show the memory of the server's host.") "REDIS_EXPORTER_INCL_SYSTEM_METRICS";
    MODULES = switch("redis.include-modules-metrics", false, "Show modules and what they tell in INFO.") "REDIS_EXPORTER_INCL_MODULES_METRICS";
    RDB_SIZE = switch("redis.include-rdb-file-size-metric", false, "Show the size of the snapshot of a server on this host, where CONFIG tells where it is.") "REDIS_EXPORTER_INCL_RDB_FILE_SIZE_METRIC";
    PEERS = switch("redis.include-sentinel-peer-info", false, "Show the other Sentinels of each master.") "REDIS_EXPORTER_INCL_SENTINEL_PEER_INFO";
    CLIENTS = switch("redis.export-client-list", false, "Show every client, with its address.") "REDIS_EXPORTER_EXPORT_CLIENT_LIST";
    CLIENT_PORT = switch("redis.export-client-port", false, "Show the ports of clients too: a series of its own for each connection.") "REDIS_EXPORTER_EXPORT_CLIENT_PORT";
    ROLE = switch("redis.append-instance-role-label", false, "Put the server's role on each of its series, as the label instance_role.") "REDIS_EXPORTER_APPEND_INSTANCE_ROLE_LABEL";
    TILE38 = switch("redis.is-tile38", false, "The server is Tile38: show what SERVER EXT tells.") "REDIS_EXPORTER_IS_TILE38";
    GROUPS = number("redis.client-groups", 0, "Show how many connections there are by user, name, library and kind: the so many largest groups, and the rest as one. 0 for none.");
    SLOTS = number("redis.cluster-slots", 0, "Show what the so many slots of a cluster node cost that cost most (CLUSTER SLOT-STATS of Redis 8.2 and Valkey 8), and the replicas of each shard. 0 for none.");
    DENIALS = switch("redis.acl-log", false, "Count what the server refused its users, by user and reason (ACL LOG).");
    LASTING = switch("redis.keys-without-ttl", false, "Show which share of the keys of a database never expires.");
    HOT_KEYS = number("redis.hot-keys", 0, "Show so many of the keys that take most of the server's CPU and network, with their names, while a HOTKEYS session of Redis 8.6 runs; none is started. 0 for none.");
    COMPAT = text("redis.compat", "", "redis_exporter: show what is plainly wrong in redis_exporter as it shows it.");
}

/// What is asked and shown.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(Default))]
pub(super) struct Options {
    /// The name of CONFIG on this server; `None`: never ask.
    pub(super) config_command: Option<String>,
    /// Whether connections get a name that CLIENT LIST shows.
    pub(super) client_name: bool,
    pub(super) ping: bool,
    /// Whether databases without keys are shown.
    pub(super) empty_databases: bool,
    /// LATENCY LATEST and LATENCY HISTOGRAM.
    pub(super) latencies: bool,
    /// How old latency percentiles may be.
    pub(super) percentiles: Duration,
    /// All settings.
    pub(super) settings: bool,
    pub(super) system: bool,
    pub(super) modules: bool,
    pub(super) rdb_size: bool,
    pub(super) peers: bool,
    pub(super) clients: bool,
    pub(super) client_port: bool,
    /// The role as a label.
    pub(super) role: bool,
    pub(super) tile38: bool,
    /// Groups of clients, 0 for none.
    pub(super) groups: usize,
    /// Slots of a cluster, 0 for none.
    pub(super) slots: usize,
    /// ACL LOG.
    pub(super) denials: bool,
    /// The share of keys that never expire.
    pub(super) lasting: bool,
    /// Hot keys, 0 for none.
    pub(super) hot_keys: usize,
    /// redis_exporter's plain mistakes, by its own words: databases of a Sentinel, items of the keyspace by position, no mode of
    /// Valkey, no sum for names with other characters, nil as 0.
    pub(super) compat: bool,
}

impl Options {
    pub(super) fn read(settings: &Settings) -> Result<Self, Error> {
        let on = |flag| settings.switch(flag);
        let few = |flag| usize::try_from(settings.number(flag).min(MOST)).unwrap_or_default();
        if !on(&REDACT) {
            return Err(Error::new(format!("{}: passwords are never shown by this program", REDACT.name)));
        }
        let compat = match settings.text(&COMPAT).as_str() {
            "" => false,
            "redis_exporter" => true,
            other => return Err(Error::new(format!("{}: {other:?} is not redis_exporter", COMPAT.name))),
        };
        let config_command = settings.text(&CONFIG_COMMAND);
        Ok(Options {
            config_command: Some(config_command).filter(|name| !name.is_empty() && name != "-"),
            client_name: on(&CLIENT_NAME),
            ping: on(&PING),
            empty_databases: on(&EMPTY_DATABASES),
            latencies: !on(&NO_LATENCIES),
            percentiles: settings.time(&PERCENTILES),
            settings: on(&CONFIG_METRICS),
            system: on(&SYSTEM),
            modules: on(&MODULES),
            rdb_size: on(&RDB_SIZE),
            peers: on(&PEERS),
            clients: on(&CLIENTS),
            client_port: on(&CLIENT_PORT),
            role: on(&ROLE),
            tile38: on(&TILE38),
            groups: few(&GROUPS),
            slots: few(&SLOTS),
            denials: on(&DENIALS),
            lasting: on(&LASTING),
            hot_keys: few(&HOT_KEYS),
            compat,
        })
    }

    /// Whether CLIENT LIST is wanted.
    pub(super) fn wants_clients(&self) -> bool {
        self.clients || self.groups > 0
    }
}
