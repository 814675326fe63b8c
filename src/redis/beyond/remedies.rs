//! What each check of [`audit`](super::audit) found, and what to do, in words for the operator's page.

use crate::scrape::Advice;

const fn advice(check: &'static str, what: &'static str, remedy: &'static str) -> Advice {
    Advice { check, what, remedy }
}

/// A line for each check.
pub(super) static REMEDIES: [Advice; 18] = [
    advice(
        "maxmemory_unset",
        "the server may take all of the host's memory",
        "set maxmemory, and maxmemory-policy for what then happens",
    ),
    advice(
        "noeviction_with_limit",
        "writes are refused once maxmemory is reached",
        "set maxmemory-policy to allkeys-lru if it is a cache",
    ),
    advice(
        "policy_volatile_without_ttl",
        "only keys with a time to live may be evicted, and there are none",
        "set maxmemory-policy to one of allkeys-*, or give keys a time to live",
    ),
    advice("no_persistence", "all data is lost at a restart", "set save or appendonly if it is more than a cache"),
    advice(
        "save_failing",
        "the last snapshot or append-only file could not be written",
        "see the server's log, the disk and its free space",
    ),
    advice("appendfsync_no", "the kernel decides when writes reach the disk", "set appendfsync to everysec"),
    advice(
        "default_user_nopass",
        "anybody who reaches the server may do anything",
        "set requirepass, or a password of the user default",
    ),
    advice(
        "protected_mode_off",
        "the server also serves strangers while it has no password",
        "set protected-mode to yes, or a password",
    ),
    advice("slowlog_off", "slow commands are not noted", "set slowlog-log-slower-than to 10000"),
    advice("latency_monitor_off", "spikes of latency are not noted", "set latency-monitor-threshold to 100"),
    advice(
        "maxclients_above_fd_limit",
        "the limit of open files is below maxclients",
        "raise the limit (LimitNOFILE), or lower maxclients",
    ),
    advice("replica_writable", "a replica takes writes, which its master never sees", "set replica-read-only to yes"),
    advice(
        "backlog_too_small",
        "the backlog holds less than a minute of writes: a short break costs a full synchronisation",
        "raise repl-backlog-size",
    ),
    advice(
        "replica_buffer_limit_low",
        "a replica's output buffer may hold less than the backlog: full synchronisations may never end",
        "raise the hard limit of client-output-buffer-limit for replicas",
    ),
    advice(
        "transparent_hugepages",
        "huge pages make forks slow and copy more",
        "write madvise to /sys/kernel/mm/transparent_hugepage/enabled",
    ),
    advice("overcommit_memory_0", "a background save may fail for want of memory", "set sysctl vm.overcommit_memory to 1"),
    advice(
        "somaxconn_below_tcp_backlog",
        "the kernel cuts the queue of new connections short",
        "raise sysctl net.core.somaxconn",
    ),
    advice("version_end_of_life", "nobody mends this version any more", "move to a maintained version"),
];

/// The words for a check.
pub(super) fn of(check: &str) -> Option<&'static Advice> {
    REMEDIES.iter().find(|advice| advice.check == check)
}
