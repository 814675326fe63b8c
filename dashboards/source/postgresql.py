"""Database Vitality: who waits for whom, what is done, from where it is read, and how near the limits are."""

from kit import *

DB = ',datname=~"$datname",datname!=""'
CONNECTIONS = alert("PostgresConnectionsNearMax")
OPEN = alert("PostgresIdleInTransaction")
TRANSACTIONS = "{what}(pg_stat_database_xact_{end}{{@" + DB + "}}[$__rate_interval])"
READ = "rate(pg_stat_database_blks_read{@" + DB + "}[$__rate_interval])"
HIT = "rate(pg_stat_database_blks_hit{@" + DB + "}[$__rate_interval])"
NO_STANDBY = "No standby is connected."


def per_second(name):
    return "sum by (instance, target, datname) (rate(pg_stat_database_" + name + "{@" + DB + "}[$__rate_interval]))"


DASHBOARD = dashboard(
    "stack-postgresql", "Database Vitality", "PostgreSQL: lock contention, transaction rate, cache hits, and what lies beneath.",
    [*instances("pg_up"), query("target", "Server", 'pg_up{job=~"$job",instance=~"$instance"}', "target", ".*"),
     query("datname", "Database", 'pg_stat_database_numbackends{job=~"$job",instance=~"$instance"}', "datname")],
    [
        ("Now", [
            stat("Up", "Whether PostgreSQL answers the agent. 0 is the alert PostgresDown.", "min(pg_up{@})", "short", GOOD_IF_ONE, "No PostgreSQL is watched.", (3, 4), maps={0: "down", 1: "up"}),
            stat("Transactions", "Commits and rollbacks in a second.", "sum(rate(pg_stat_database_xact_commit{@" + DB + "}[$__rate_interval])) + sum(rate(pg_stat_database_xact_rollback{@" + DB + "}[$__rate_interval]))", "ops", size=(3, 4)),
            stat("Cache hits", "Blocks found in shared buffers, of all asked for lately. Below 95 % under load: memory is too small, or a query reads too much.",
                 f"sum({HIT}) / ((sum({HIT}) + sum({READ})) > 0)", "percentunit", below(0.99, 0.95), "No block was asked for.", (3, 4)),
            stat("Connections", "Connections of those allowed. Red as in the alert PostgresConnectionsNearMax.",
                 "max(sum by (job, instance, target) (pg_stat_activity_count{@}) / (max by (job, instance, target) (pg_settings_max_connections{@}) > 0))", "percentunit", above(CONNECTIONS - 0.2, CONNECTIONS), size=(3, 4)),
            stat("Blocked sessions", "Sessions that wait for a lock of another.", "sum(pg_blocked_sessions{@})", "short", above(1, 10), "0: nobody waits.", (3, 4)),
            stat("Oldest transaction", "Age of the oldest open transaction. Hours: dead rows pile up behind it.", "max(pg_transaction_oldest_age_seconds{@})", "s", above(300, OPEN), "No transaction is open.", (3, 4)),
            stat("Deadlocks, 1 h", "Transactions that PostgreSQL ended because they waited for one another in a circle.", "sum(increase(pg_stat_database_deadlocks{@" + DB + "}[1h]))", "short", BAD_IF_ANY, size=(3, 4), decimals=0),
            stat("Numbers used", "Transaction numbers used before wraparound. Red as in the alert PostgresWraparoundNear.", "max(pg_wraparound_used_ratio{@})", "percentunit", above(0.3, alert("PostgresWraparoundNear")), size=(3, 4)),
        ]),
        ("Lock contention", [
            graph("Blocked and blocking", "Sessions that wait, and the roots they wait for. Many behind one root: end that one.",
                  [("sum by (instance, target, datname) (pg_blocked_sessions{@})", "{{datname}} {{target}} waiting"), ("sum by (instance, target) (pg_blocking_root_sessions{@})", "{{target}} roots"),
                   ("pg_lock_root_victims_max{@}", "{{target}} behind one root")], none="Empty is healthy: nobody waits for a lock."),
            graph("Longest wait", "How long a session has waited for a lock. The line is the alert PostgresLockWaitLong.", [("pg_lock_wait_longest_seconds{@}", "{{datname}} {{target}}")], "s",
                  none="Empty is healthy: nobody waits for a lock.", steps=above(alert("PostgresLockWaitLong"))),
            graph("Depth of the tree", "The longest chain of sessions that wait for one another. The deeper, the longer until all go on.", [("pg_lock_tree_depth{@}", "{{instance}} {{target}}")],
                  none="Empty is healthy: nobody waits for a lock.", size=(8, 7)),
            graph("Locks not granted", "Locks that are waited for, by mode. AccessExclusiveLock: a change of a table waits, and all behind it.", [("sum by (instance, target, mode) (pg_lock_waiting{@})", "{{mode}} {{target}}")],
                  none="Empty is healthy: nobody waits for a lock.", size=(8, 7)),
            graph("Locks held", "Locks by mode, waiting ones included.", [("sum by (mode) (pg_locks_count{@}) > 0", "{{mode}}")], size=(8, 7)),
        ]),
        ("Transactions", [
            graph("Transactions", "Commits (above) and rollbacks (below) by database.", [(per_second("xact_commit"), "{{datname}} {{target}} commits"), (per_second("xact_rollback"), "{{datname}} {{target}} rollbacks")], "ops", negative="rollbacks"),
            graph("Rolled back", "Share of transactions that were rolled back. Above 10 %: the application fails or conflicts.",
                  [(f'{per_second("xact_rollback")} / (({per_second("xact_commit")} + {per_second("xact_rollback")}) > 0)', "{{datname}} {{target}}")], "percentunit", steps=above(0.1)),
            graph("Open transactions", "Age of the oldest by what it does. The line is the alert PostgresIdleInTransaction.", [("max by (instance, target, state) (pg_transaction_oldest_age_seconds{@})", "{{state}} {{target}}")], "s",
                  none="No transaction is open.", steps=above(OPEN)),
            graph("Now and a week ago", "Commits and rollbacks in a second beside those of the same time last week.",
                  [("instance_target:pg_transactions:rate5m{@}", "{{instance}} {{target}}"), ("instance_target:pg_transactions:rate5m{@} offset 1w", "{{instance}} {{target}} a week ago")], "ops",
                  "docker/prometheus/rules/recording.yml is not loaded."),
            graph("Rows", "Rows read by the queries, and changed.", [(f'sum by (instance, target) (rate(pg_stat_database_tup_{what}{{@{DB}}}[$__rate_interval]))', f"{{{{target}}}} {what}") for what in ("fetched", "inserted", "updated", "deleted")], "ops", size=(24, 7)),
        ]),
        ("Cache and reading", [
            graph("Cache hits", "Blocks found in shared buffers by database. The line is 95 %.", [(f"sum by (instance, target, datname) ({HIT}) / ((sum by (instance, target, datname) ({HIT}) + sum by (instance, target, datname) ({READ})) > 0)", "{{datname}} {{target}}")],
                  "percentunit", none="No block was asked for.", floor=None, ceiling=1, steps=below(0.99, 0.95)),
            graph("Blocks read", "Blocks that shared buffers did not hold: a ratio alone hides how many.", [(per_second("blks_read"), "{{datname}} {{target}}")], "ops"),
            graph("Temporary files", "Bytes that sorts and hashes wrote to disk because work_mem was too small.", [(per_second("temp_bytes"), "{{datname}} {{target}}")], "Bps"),
            graph("Time reading", "Share of a second spent on reading blocks; needs track_io_timing.", [("sum by (instance, target, datname) (rate(pg_stat_database_blk_read_time{@" + DB + "}[$__rate_interval])) / 1000", "{{datname}} {{target}}")], "percentunit"),
        ]),
        ("Sessions, checkpoints and WAL", [
            graph("Sessions by state", "What sessions do. idle in transaction should be near none.", [("sum by (instance, target, state) (pg_sessions{@})", "{{state}} {{target}}")], stack=True),
            graph("Connections and limits", "Connections in use and those allowed. At the limit, clients are refused.", [("pg_connections_used{@}", "{{instance}} {{target}} used"), ("pg_connections_limit{@}", "{{instance}} {{target}} limit")]),
            graph("Checkpoints", "Checkpoints in an hour by reason. Requested more often than timed: max_wal_size is too small.", [("rate(pg_checkpoints_total{@}[$__rate_interval]) * 3600", "{{reason}} {{target}}")]),
            graph("WAL written", "Bytes of WAL in a second; what standbys and archives have to keep up with.", [("rate(pg_wal_position_bytes{@}[$__rate_interval])", "{{instance}} {{target}}")], "Bps"),
        ]),
        ("Vacuum and wraparound", [
            graph("Vacuum held up", "Age of what keeps dead rows alive, in transactions. The line is the alert PostgresVacuumHeldUp.", [("pg_xmin_horizon_age_transactions{@}", "{{holder}} {{target}}")], none="Nothing holds vacuum up.", steps=above(alert("PostgresVacuumHeldUp"))),
            graph("Wraparound", "Transaction and multixact numbers used. The line is the alert PostgresWraparoundNear.", [("pg_wraparound_used_ratio{@}", "{{kind}} {{target}}")], "percentunit", steps=above(alert("PostgresWraparoundNear"))),
            table("Tables with dead rows", "The ten tables with the most dead rows, and when vacuum last came by.", [
                ("Dead rows", "topk(10, pg_stat_user_tables_n_dead_tup{@" + DB + "})", "short", None),
                ("Share", "pg_stat_user_tables_n_dead_tup{@" + DB + "} / (pg_stat_user_tables_n_live_tup{@" + DB + "} + pg_stat_user_tables_n_dead_tup{@" + DB + "} > 0) and on (job, instance, target, datname, schemaname, relname) topk(10, pg_stat_user_tables_n_dead_tup{@" + DB + "})", "percentunit", above(0.1, 0.2)),
            ], ["datname", "schemaname", "relname"], none="The watched database has no tables.", size=(12, 8)),
            graph("Size of databases", "Bytes on disk; a step nobody planned is a loading job or a log table.", [("pg_database_size_bytes{@" + DB + "}", "{{datname}} {{target}}")], "bytes"),
        ]),
        ("Replication and archive", [
            graph("Standbys behind", "WAL that standbys have not replayed yet.", [("pg_replication_replay_lag_bytes{@}", "{{application_name}} {{target}}")], "bytes", none=NO_STANDBY, size=(8, 7)),
            graph("Slots", "WAL that slots keep. The line is the alert PostgresSlotRetainsWal.", [("pg_replication_slot_retained_bytes{@}", "{{slot_name}} {{target}}")], "bytes", none="There is no replication slot.", size=(8, 7), steps=above(alert("PostgresSlotRetainsWal"))),
            graph("Archive", "WAL files archived and failed attempts in a second.", [("rate(pg_stat_archiver_archived_count{@}[$__rate_interval])", "{{target}} archived"), ("rate(pg_stat_archiver_failed_count{@}[$__rate_interval])", "{{target}} failed")], "ops", size=(8, 7)),
        ]),
    ],
    ',target=~"$target"',
)
