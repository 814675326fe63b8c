"""Containers: what each uses of its limits, what holds it back, what restarts."""

from kit import *

NAMED = ',name=~"$name"'
MEMORY = alert("ContainerMemoryNearLimit")
THROTTLED = alert("ContainerThrottled")
LOG = alert("ContainerLogUnbounded")
NONE = "No container runs."
STOPPED = 'container_state{@,state="running"} == 0'
NO_LIMIT = "No container has such a limit: see Infrastructure Risks."


def by_name(metric, matchers=""):
    return f"sum by (instance, name) (rate({metric}{{@{matchers}}}[$__rate_interval]))"


CPU = by_name("container_cpu_usage_seconds_total")
OF_LIMIT = "container_memory_working_set_bytes{@} / (container_spec_memory_limit_bytes{@} > 0)"
OF_CPU_LIMIT = f"{CPU} / sum by (instance, name) (container_spec_cpu_quota{{@}} / (container_spec_cpu_period{{@}} > 0) > 0)"
THROTTLING = "rate(container_cpu_cfs_throttled_periods_total{@}[$__rate_interval]) / (rate(container_cpu_cfs_periods_total{@}[$__rate_interval]) > 0)"

DASHBOARD = dashboard(
    "stack-containers", "Containers", "What containers use of CPU, memory, network and disks, and of their limits.",
    [*instances("container_scrape_error"), query("name", "Container", 'container_last_seen{job=~"$job",instance=~"$instance",name!=""}', "name")],
    [
        ("Now", [
            stat("Running", "Containers that run.", "count(container_last_seen{@})", none=NONE, size=(3, 4)),
            stat("CPU", "Cores that all of them use.", "sum(rate(container_cpu_usage_seconds_total{@}[$__rate_interval]))", none=NONE, decimals=2),
            stat("Memory", "Memory of all of them that cannot be given back.", "sum(container_memory_working_set_bytes{@})", "bytes", none=NONE),
            stat("Nearest to its limit", "Most memory used of a limit. Red as in the alert ContainerMemoryNearLimit.", f"max({OF_LIMIT})", "percentunit", above(MEMORY - 0.1, MEMORY), NO_LIMIT),
            stat("Restarts, 1 h", "Starts again of a container of the same name. More than one: it does not stay up.", "sum(changes(container_start_time_seconds{@}[1h]))", "short", above(1, 3), NONE, (3, 4)),
            stat("Not running", "Containers that exist and do not run, of those that the engine knows.", 'count(container_state{@,state!="running"} == 1) or vector(0)', "short", NEUTRAL, NONE, (3, 4)),
            stat("OOM kills, 24 h", "Processes in containers that were killed for want of memory in a day.", "sum(increase(container_oom_events_total{@}[24h]))", "short", BAD_IF_ANY, NONE, (3, 4), decimals=0),
        ]),
        ("CPU and memory", [
            graph("CPU", "Cores in use, by container.", [(CPU, "{{name}}")], none=NONE),
            graph("Held back", "Share of periods in which a container's CPU limit stopped it. The line is the alert ContainerThrottled.", [(THROTTLING, "{{name}}")], "percentunit", NO_LIMIT, steps=above(THROTTLED), ceiling=1),
            graph("Memory", "Memory that cannot be given back, by container.", [("container_memory_working_set_bytes{@}", "{{name}}")], "bytes", NONE),
            graph("Memory of the limit", "What a container uses of its memory limit. The line is the alert ContainerMemoryNearLimit.", [(OF_LIMIT, "{{name}}")], "percentunit", NO_LIMIT, steps=above(MEMORY)),
            graph("Cache and anonymous memory", "What the memory is: files' pages can be dropped, anonymous memory cannot.", [("sum(container_memory_rss{@})", "anonymous"), ("sum(container_memory_cache{@})", "cache"), ("sum(container_memory_swap{@})", "swapped out")], "bytes", NONE),
            graph("Threads", "Threads and processes by container. A steady rise is a leak.", [("container_threads{@}", "{{name}}")], none=NONE),
        ]),
        ("Network and disks", [
            graph("Network", "Bits received (above) and sent (below).", [(f'{by_name("container_network_receive_bytes_total")} * 8', "{{name}} received"), (f'{by_name("container_network_transmit_bytes_total")} * 8', "{{name}} sent")], "bps",
                  "No container has a network of its own.", negative="sent"),
            graph("Network errors and drops", "Packets broken or thrown away, by container.", [(f'{by_name("container_network_receive_errors_total")} + {by_name("container_network_receive_packets_dropped_total")}', "{{name}} received"),
                  (f'{by_name("container_network_transmit_errors_total")} + {by_name("container_network_transmit_packets_dropped_total")}', "{{name}} sent")], "pps", "No container has a network of its own."),
            graph("Disk throughput", "Bytes read (above) and written (below).", [(by_name("container_fs_reads_bytes_total"), "{{name}} read"), (by_name("container_fs_writes_bytes_total"), "{{name}} written")], "Bps",
                  "No container has used a disk, or the kernel counts no I/O for them.", negative="written"),
            graph("Pressure", "Share of time in which a container's tasks waited.", [(f"rate(container_pressure_{what}_waiting_seconds_total{{@}}[$__rate_interval])", f"{{{{name}}}} {what}") for what in ("cpu", "memory", "io")], "percentunit",
                  "Only cgroup v2 tells pressure by container."),
        ]),
        ("Space on disk", [
            graph("Logs", "Log files by container, those that were rotated away included. The line is the alert ContainerLogUnbounded.", [("container_log_size_bytes{@}", "{{name}}")], "bytes", "No container writes its log to a file, or sizes were not measured yet.", steps=above(LOG)),
            graph("Writable layers", "What containers wrote over their images, in blocks on disk. It goes with the container: what should stay belongs into a volume.", [("container_writable_layer_size_bytes{@}", "{{name}}")], "bytes", "The engine's storage driver keeps no layers apart, or sizes were not measured yet."),
            graph("Volumes", "Blocks on disk by volume.", [('docker_volume_size_bytes{job=~"$job",instance=~"$instance"}', "{{volume}}")], "bytes", "There is no volume, or sizes were not measured yet."),
            graph("Images", "All images of a host, layers that they share counted each time. docker image prune takes away those that nobody uses.", [('sum by (instance, engine) (docker_image_size_bytes{job=~"$job",instance=~"$instance"})', "{{instance}} {{engine}}")], "bytes", "No engine tells of images."),
        ]),
        ("What does not run", [
            table("Not running", "Containers that exist and do not run. A code other than 0 is an error; 137 was killed, 143 was asked to end.", [
                ("Exit code", f"max by (instance, name) (container_exit_code{{@}} and on (job, instance, name) {STOPPED})", "short", above(1)),
                ("Ended", f"max by (instance, name) (container_finish_time_seconds{{@}} and on (job, instance, name) {STOPPED}) * 1000", "dateTimeAsIso", None),
                ("Restarts", f"max by (instance, name) (container_restart_count{{@}} and on (job, instance, name) {STOPPED})", "short", above(1, 3)),
            ], ["instance", "name"], none="Every container runs.", size=(12, 8)),
            graph("OOM kills", "Kills for want of memory in five minutes, by container. None is right.", [("sum by (instance, name) (increase(container_oom_events_total{@}[5m]))", "{{name}}")], none=NONE),
            graph("Restarts by the engine", "How often the engine has started a container again since it was made. A staircase does not stay up.", [("container_restart_count{@}", "{{name}}")], none=NONE),
            graph("Failed health checks", "Failures in a row. At the check's own number of retries the container is unhealthy.", [("container_health_failing_streak{@}", "{{name}}")], none="No container has a health check."),
            table("Logs", "How each container's log is rotated. Without a size and a number of files, json-file fills the disk.", [("Containers", "count by (instance, name, driver, max_size, max_file) (container_log_rotation_info{@})", "short", None)],
                  ["instance", "name", "driver", "max_size", "max_file"], none=NONE, size=(24, 8)),
        ]),
        ("Each container", [
            table("Containers", "A row for each container.", [
                ("CPU", CPU, "short", None),
                ("CPU of limit", OF_CPU_LIMIT, "percentunit", above(0.8, 0.95)),
                ("Memory", "sum by (instance, name) (container_memory_working_set_bytes{@})", "bytes", None),
                ("Memory of limit", f"max by (instance, name) ({OF_LIMIT})", "percentunit", above(MEMORY - 0.1, MEMORY)),
                ("Up since", "max by (instance, name) (container_start_time_seconds{@}) * 1000", "dateTimeAsIso", None),
                ("Starts, 1 d", "sum by (instance, name) (changes(container_start_time_seconds{@}[1d]))", "short", above(1, 3)),
            ], ["instance", "name"], none=NONE, size=(24, 10)),
            timeline("Health", "What the container's own health check says.", "container_health_state{@}", "{{name}}", {1: ("healthy", GREEN), 0: ("not healthy", RED), -1: ("no check", "gray")}, NONE),
        ]),
    ],
    NAMED,
    [("Starts", "changes(container_start_time_seconds{@}[2m]) > 0", "{{name}} started again", "orange")],
)
