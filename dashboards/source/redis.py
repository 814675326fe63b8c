"""Redis: memory against its limit, hits, latency, and whether data is safe."""

from kit import *

MEMORY = alert("RedisMemoryNearLimit")
HITS = "sum by (instance, target) (rate(redis_keyspace_hits_total{@}[$__rate_interval]))"
MISSES = "sum by (instance, target) (rate(redis_keyspace_misses_total{@}[$__rate_interval]))"
NO_LIMIT = "maxmemory is 0: Redis grows until the host is full."
OF_LIMIT = "redis_memory_used_bytes{@} / (redis_memory_max_bytes{@} > 0)"
DOWN = "No Redis is watched."

DASHBOARD = dashboard(
    "stack-redis", "Redis", "Memory, hits, latency, clients, keys, persistence and replication of Redis.",
    [*instances("redis_up"), query("target", "Server", 'redis_up{job=~"$job",instance=~"$instance"}', "target", ".*")],
    [
        ("Now", [
            stat("Up", "Whether Redis answers the agent. 0 is the alert RedisDown.", "min(redis_up{@})", "short", GOOD_IF_ONE, DOWN, (3, 4), maps={0: "down", 1: "up"}),
            stat("Memory of limit", "What Redis uses of maxmemory. Red as in the alert RedisMemoryNearLimit.", f"max({OF_LIMIT})", "percentunit", above(MEMORY - 0.15, MEMORY), NO_LIMIT, (3, 4)),
            stat("Commands", "Commands in a second.", "sum(rate(redis_commands_processed_total{@}[$__rate_interval]))", "ops", none=DOWN, size=(3, 4)),
            stat("Hits", "Keys found, of all looked up lately. What is low depends on the use; a fall is bad.", f"sum({HITS}) / ((sum({HITS}) + sum({MISSES})) > 0)", "percentunit", none="No key was looked up.", size=(3, 4)),
            stat("Clients", "Connected clients.", "sum(redis_connected_clients{@})", none=DOWN, size=(3, 4)),
            stat("Blocked clients", "Clients that wait in a blocking command; queues do so by design.", "sum(redis_blocked_clients{@})", none=DOWN, size=(3, 4)),
            stat("Evicted, 1 h", "Keys thrown out for want of memory. For a cache that is normal, for anything else it is loss.", "sum(increase(redis_evicted_keys_total{@}[1h]))", "short", above(1, 1000), DOWN, (3, 4), decimals=0),
            stat("Uptime", "Time since the server that started last did.", "min(redis_uptime_in_seconds{@})", "dtdurations", none=DOWN, size=(3, 4)),
        ]),
        ("Memory", [
            graph("Memory", "Memory used, resident, and the limit.", [("redis_memory_used_bytes{@}", "{{target}} used"), ("redis_memory_used_rss_bytes{@}", "{{target}} resident"), ("redis_memory_max_bytes{@} > 0", "{{target}} maxmemory")], "bytes", DOWN),
            graph("Memory of limit", "What Redis uses of maxmemory. The line is the alert RedisMemoryNearLimit.", [(OF_LIMIT, "{{instance}} {{target}}")], "percentunit", NO_LIMIT, steps=above(MEMORY)),
            graph("Fragmentation", "Resident memory by memory used. With much memory in use, above the line is the alert RedisFragmented. Below 1: swapped out.", [("redis_mem_fragmentation_ratio{@}", "{{instance}} {{target}}")], none=DOWN, steps=above(alert("RedisFragmented"))),
            graph("Expired and evicted", "Keys that ran out, and keys thrown out for want of memory.", [("rate(redis_expired_keys_total{@}[$__rate_interval])", "{{target}} expired"), ("rate(redis_evicted_keys_total{@}[$__rate_interval])", "{{target}} evicted")], "ops", DOWN),
        ]),
        ("Work", [
            graph("Commands", "The ten commands that are asked for most.", [("topk(10, sum by (instance, target, cmd) (rate(redis_commands_total{@}[$__rate_interval])))", "{{cmd}} {{target}}")], "ops", DOWN),
            graph("Time by command", "Share of a second spent on each of the ten costliest commands. Near 100 % together: the one thread is full.", [("topk(10, sum by (instance, target, cmd) (rate(redis_commands_duration_seconds_total{@}[$__rate_interval])))", "{{cmd}} {{target}}")], "percentunit", DOWN),
            graph("Slowest commands", "99 of 100 calls are answered within this.", [("topk(10, histogram_quantile(0.99, sum by (le, instance, target, cmd) (rate(redis_command_latency_seconds_bucket{@}[$__rate_interval]))) > 0)", "{{cmd}} {{target}}")], "s",
                  "Redis before 7.0 keeps no histograms of latency."),
            graph("Hits and misses", "Keys found and not found.", [(HITS, "{{target}} hits"), (MISSES, "{{target}} misses")], "ops", DOWN),
            graph("Network", "Bytes received (above) and sent (below).", [("rate(redis_net_input_bytes_total{@}[$__rate_interval])", "{{target}} received"), ("rate(redis_net_output_bytes_total{@}[$__rate_interval])", "{{target}} sent")], "Bps", DOWN, negative="sent"),
            graph("Slow log", "Commands that went into the slow log, in a second.", [("rate(redis_slowlog_entries_total{@}[$__rate_interval])", "{{instance}} {{target}}")], "ops", DOWN),
        ]),
        ("Clients and keys", [
            graph("Clients of the limit", "Connected clients of maxclients. The line is the alert RedisClientsNearMax.", [("redis_connected_clients{@} / (redis_config_maxclients{@} > 0)", "{{instance}} {{target}}")], "percentunit", none=DOWN, steps=above(alert("RedisClientsNearMax"))),
            graph("Connections", "New connections, and those refused at maxclients. Many new ones: the application keeps none open.", [("rate(redis_connections_received_total{@}[$__rate_interval])", "{{target}} new"), ("rate(redis_rejected_connections_total{@}[$__rate_interval])", "{{target}} refused")], "ops", DOWN),
            graph("Keys", "Keys by database, and how many of them expire. A steady rise of those that do not is a leak.", [("redis_db_keys{@} > 0", "{{target}} {{db}}"), ("redis_db_keys_expiring{@} > 0", "{{target}} {{db}} expiring")], none="The databases are empty."),
            graph("Replies with errors", "Errors by kind. OOM and READONLY: writes are lost.", [("rate(redis_errors_total{@}[$__rate_interval])", "{{err}} {{target}}")], "ops", "No command has failed."),
        ]),
        ("Persistence and replication", [
            graph("Since the last save", "Changes that a crash would lose, where the append-only file is off.", [("redis_rdb_changes_since_last_save{@}", "{{instance}} {{target}}")], none=DOWN, size=(8, 7)),
            timeline("Saves", "How the last snapshot ended. A failed one fires RedisSaveFailing.", "redis_rdb_last_bgsave_status{@}", "{{instance}} {{target}}", {1: ("ok", GREEN), 0: ("failed", RED)}, DOWN, (8, 7)),
            graph("Replicas", "Replicas of each server, and the seconds that they are behind.", [("redis_connected_slaves{@}", "{{target}} replicas"), ("redis_connected_slave_lag_seconds{@}", "{{target}} {{slave_ip}} behind")], none=DOWN, size=(8, 7)),
            table("Servers", "What each server is.", [("Running", "redis_instance_info{@}", "short", None)], ["instance", "target", "role", "redis_version", "redis_mode", "maxmemory_policy"], none=DOWN, size=(12, 7)),
            table("Advice", "Checks of Redis that found something; the agent's own page tells the remedy.", [("Found", "redis_audit_finding{@} == 1", "short", BAD_IF_ANY)], ["instance", "target", "check"], none="Nothing to say.", size=(12, 7)),
        ]),
    ],
    ',target=~"$target"',
)
