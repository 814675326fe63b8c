"""All hosts and all parts at a glance, and the way to each."""

from kit import *

REAL = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"'
FULL = 1 - alert("HostDiskAlmostFull")
MEMORY = 1 - alert("HostMemoryLow")
BUSY = alert("HostCpuBusy")
CPU = '1 - avg by (instance) (rate(node_cpu_seconds_total{@,mode="idle"}[$__rate_interval]))'

DASHBOARD = dashboard(
    "stack-overview", "Overview", "All hosts, containers and databases at a glance.", instances("stack_exporter_build_info"),
    [
        ("Is all well?", [
            stat("Agents down", "Agents that Prometheus cannot scrape: what they watch is unknown.", 'count(up{@} == 0 and on (job, instance) last_over_time(stack_exporter_build_info{@}[1d])) or vector(0)', "short", BAD_IF_ANY, size=(3, 4)),
            stat("Hosts", "Hosts that an agent tells of.", "count(node_uname_info{@})", size=(3, 4), none="No host answers."),
            stat("Containers", "Containers that run on them.", 'count(container_last_seen{@,name!=""})', size=(3, 4), none="No container runs."),
            stat("PostgreSQL down", "Servers that do not answer. Any is the alert PostgresDown.", "count(pg_up{@} == 0) or vector(0)", "short", BAD_IF_ANY, size=(3, 4)),
            stat("Redis down", "Servers that do not answer. Any is the alert RedisDown.", "count(redis_up{@} == 0) or vector(0)", "short", BAD_IF_ANY, size=(3, 4)),
            stat("Engines down", "Hosts whose container engine does not answer, where there is one.", "count(container_engine_up{@} == 0) or vector(0)", "short", BAD_IF_ANY, size=(3, 4)),
            stat("Risks", "Findings of the audit; Infrastructure Risks lists them.", "count(stack_audit_finding{@} == 1) or vector(0)", "short", above(1, 10), size=(3, 4)),
            stat("Collectors failing", "Collectors of the agents that fail; Exporter lists them.", "count(stack_exporter_collector_success{@} == 0) or vector(0)", "short", BAD_IF_ANY, size=(3, 4)),
        ]),
        ("Alerts", [
            table("Firing", "What fires now, of hosts, containers and databases; docker/prometheus/RUNBOOK.md says what to do.",
                  [("Firing", 'count by (instance, alertname, severity, name, target) (ALERTS{@,alertstate="firing"})', "short", None)],
                  ["severity", "alertname", "instance", "name", "target"], none="Nothing fires, or no rules are loaded.", size=(24, 6)),
        ]),
        ("Hosts", [
            table("Hosts", "A row for each host; its name leads to its page.", [
                ("CPU", CPU, "percentunit", above(BUSY - 0.1, BUSY)),
                ("Load per core", 'sum by (instance) (node_load5{@}) / count by (instance) (rate(node_cpu_seconds_total{@,mode="idle"}[$__rate_interval]))', "short", above(1, 2)),
                ("Memory", "1 - sum by (instance) (node_memory_MemAvailable_bytes{@}) / sum by (instance) (node_memory_MemTotal_bytes{@})", "percentunit", above(MEMORY - 0.1, MEMORY)),
                ("Fullest disk", f'1 - min by (instance) (node_filesystem_avail_bytes{{@,{REAL}}} / (node_filesystem_size_bytes{{@,{REAL}}} > 0))', "percentunit", above(FULL - 0.1, FULL)),
                ("Containers", 'count by (instance) (container_last_seen{@,name!=""})', "short", None),
                ("Uptime", "max by (instance) (node_time_seconds{@} - node_boot_time_seconds{@})", "dtdurations", None),
            ], ["instance"], none="No host answers.", link=("instance", "Host", to("stack-host", instance="${__value.text}"))),
            graph("CPU", "Share of CPU time that is not idle, by host.", [("instance:node_cpu_busy:ratio_rate5m{@}", "{{instance}}")], "percentunit", "docker/prometheus/rules/recording.yml is not loaded.", ceiling=1, size=(8, 7)),
            graph("Memory", "Memory that is not available, by host. The line is the alert HostMemoryLow.", [("1 - node_memory_MemAvailable_bytes{@} / node_memory_MemTotal_bytes{@}", "{{instance}}")], "percentunit", ceiling=1, size=(8, 7), steps=above(MEMORY)),
            graph("Pressure", "Share of time in which tasks waited for the scarcest of CPU, memory and disks.",
                  [(f"rate(node_pressure_{what}_waiting_seconds_total{{@}}[$__rate_interval])", f"{{{{instance}}}} {what}") for what in ("cpu", "memory", "io")], "percentunit", size=(8, 7),
                  none="These kernels tell no pressure: they lack CONFIG_PSI, or psi=1 on their command line."),
        ]),
        ("Containers and databases", [
            bars("Busiest containers", "The ten containers that use the most CPU, in cores.", 'topk(10, sum by (instance, name) (rate(container_cpu_usage_seconds_total{@,name!=""}[$__rate_interval])))', "{{name}}", none="No container runs.", size=(8, 7)),
            bars("Largest containers", "The ten containers that hold the most memory that cannot be given back.", 'topk(10, container_memory_working_set_bytes{@,name!=""})', "{{name}}", "bytes", none="No container runs.", size=(8, 7)),
            graph("Transactions and commands", "What PostgreSQL and Redis do in a second.",
                  [("sum by (instance, target) (rate(pg_stat_database_xact_commit{@}[$__rate_interval]))", "PostgreSQL {{target}}"),
                   ("rate(redis_commands_processed_total{@}[$__rate_interval])", "Redis {{target}}")], "ops", none="No database is watched.", size=(8, 7)),
        ]),
    ],
)
