"""One host: what is used up, who waits, what fails."""

from kit import *

REAL = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"'
CARDS = 'device!~"lo|veth.*|br-.*|docker.*"'
FULL = 1 - alert("HostDiskAlmostFull")
MEMORY = 1 - alert("HostMemoryLow")
INODES = 1 - alert("HostInodesLow")
WAITING = above(0.1, 0.3)

DASHBOARD = dashboard(
    "stack-host", "Host", "Utilisation, saturation and errors of a machine's CPU, memory, disks and network.",
    instances("node_uname_info"),
    [
        ("Now", [
            stat("CPU busy", "Share of CPU time that is not idle. Near 100 % for minutes: look at Pressure for who waits.",
                 '1 - avg(rate(node_cpu_seconds_total{@,mode="idle"}[$__rate_interval]))', "percentunit", above(0.8, 0.95)),
            stat("Memory used", "Memory that is not available to programs. Red as in the alert HostMemoryLow.",
                 '1 - min(node_memory_MemAvailable_bytes{@} / (node_memory_MemTotal_bytes{@} > 0))', "percentunit", above(MEMORY - 0.1, MEMORY)),
            stat("Fullest disk", "The fullest file system. Red as in the alert HostDiskAlmostFull.",
                 f'1 - min(node_filesystem_avail_bytes{{@,{REAL}}} / (node_filesystem_size_bytes{{@,{REAL}}} > 0))', "percentunit", above(FULL - 0.1, FULL)),
            stat("Load per core", "Tasks that run or wait, for each core. Above 1, some wait.",
                 'max(node_load5{@} / on (job, instance) count by (job, instance) (rate(node_cpu_seconds_total{@,mode="idle"}[$__rate_interval])))', "short", above(1, 2), decimals=2),
            stat("OOM kills, 24 h", "Processes that the kernel killed for want of memory in a day. Any is one too many.",
                 'sum(increase(node_vmstat_oom_kill{@}[24h]))', "short", BAD_IF_ANY),
            stat("Uptime", "Time since the machine started; a small figure that nobody planned is a crash.",
                 'min(node_time_seconds{@} - node_boot_time_seconds{@})', "dtdurations"),
        ]),
        ("CPU", [
            graph("CPU by mode", "Where CPU time goes. steal: the hypervisor gave it to others. iowait: idle, waiting for disks.",
                  [('avg by (mode) (rate(node_cpu_seconds_total{@,mode!="idle"}[$__rate_interval]))', "{{mode}}")], "percentunit", stack=True, ceiling=1),
            graph("Pressure", "Share of time in which tasks waited for CPU, memory or disks. Memory or I/O above 10 % is felt by users.",
                  [(f'rate(node_pressure_{name}_waiting_seconds_total{{@}}[$__rate_interval])', f"{{{{instance}}}} {name}") for name in ("cpu", "memory", "io")],
                  "percentunit", none="This kernel tells no pressure: it lacks CONFIG_PSI, or psi=1 on its command line."),
            graph("Load", "Tasks that run or wait. Bad: above the number of cores for long.",
                  [("node_load1{@}", "{{instance}} 1 min"), ("node_load15{@}", "{{instance}} 15 min"),
                   ('count by (instance) (rate(node_cpu_seconds_total{@,mode="idle"}[$__rate_interval]))', "{{instance}} cores")]),
            graph("Processes", "Processes that run, and that wait for a disk and cannot be interrupted. Blocked ones that stay: a disk or NFS hangs.",
                  [("node_procs_running{@}", "{{instance}} running"), ("node_procs_blocked{@}", "{{instance}} blocked")]),
        ]),
        ("Memory", [
            graph("Memory", "What memory holds. Cache is given back when it is needed; the rest is not.",
                  [("node_memory_MemTotal_bytes{@} - node_memory_MemFree_bytes{@} - node_memory_Buffers_bytes{@} - node_memory_Cached_bytes{@} - node_memory_SReclaimable_bytes{@}", "{{instance}} programs"),
                   ("node_memory_Buffers_bytes{@} + node_memory_Cached_bytes{@} + node_memory_SReclaimable_bytes{@}", "{{instance}} cache"),
                   ("node_memory_MemFree_bytes{@}", "{{instance}} free")], "bytes", stack=True),
            graph("Paging", "Pages from and to swap, and faults that need a disk. Swapping in all the time: memory is too small.",
                  [("rate(node_vmstat_pswpin{@}[$__rate_interval])", "{{instance}} swapped in"), ("rate(node_vmstat_pswpout{@}[$__rate_interval])", "{{instance}} swapped out"),
                   ("rate(node_vmstat_pgmajfault{@}[$__rate_interval])", "{{instance}} major faults")], "ops"),
            graph("Swap", "Swap in use. Full swap and little memory is the last step before OOM kills.",
                  [("node_memory_SwapTotal_bytes{@} - node_memory_SwapFree_bytes{@}", "{{instance}} used"), ("node_memory_SwapTotal_bytes{@}", "{{instance}} size")], "bytes",
                  none="This host has no swap."),
            graph("File descriptors", "Open files of the host as a share of its limit. The line is the alert HostFileDescriptorsNearLimit.",
                  [("node_filefd_allocated{@} / (node_filefd_maximum{@} > 0)", "{{instance}}")], "percentunit", steps=above(alert("HostFileDescriptorsNearLimit"))),
        ]),
        ("Disks", [
            bars("File systems", "How full each file system is. Red as in the alert HostDiskAlmostFull.",
                 f'1 - node_filesystem_avail_bytes{{@,{REAL}}} / (node_filesystem_size_bytes{{@,{REAL}}} > 0)', "{{instance}} {{mountpoint}}", "percentunit",
                 none="No file system but those in memory is mounted.", steps=above(FULL - 0.1, FULL), ceiling=1),
            table("File systems in figures", "Space, inodes and days until full by the last 6 hours' trend. Used inodes are red as in the alert HostInodesLow.", [
                ("Size", f'node_filesystem_size_bytes{{@,{REAL}}}', "bytes", None),
                ("Available", f'node_filesystem_avail_bytes{{@,{REAL}}}', "bytes", None),
                ("Inodes used", f'1 - node_filesystem_files_free{{@,{REAL}}} / (node_filesystem_files{{@,{REAL}}} > 0)', "percentunit", above(INODES - 0.1, INODES)),
                ("Read-only", f'node_filesystem_readonly{{@,{REAL}}}', "short", BAD_IF_ANY),
                ("Full in", f'node_filesystem_avail_bytes{{@,{REAL}}} / (-deriv(node_filesystem_avail_bytes{{@,{REAL}}}[6h]) > 0)', "s", below(7 * 86400, 86400)),
            ], ["instance", "mountpoint"], none="No file system but those in memory is mounted.", size=(12, 8)),
            graph("Disk throughput", "Bytes read (above) and written (below).",
                  [("rate(node_disk_read_bytes_total{@}[$__rate_interval])", "{{instance}} {{device}} read"),
                   ("rate(node_disk_written_bytes_total{@}[$__rate_interval])", "{{instance}} {{device}} written")], "Bps", negative="written", size=(8, 8)),
            graph("Disk wait", "Time that a request takes, queue and all. Above 20 ms on an SSD: it is overloaded or broken.",
                  [("rate(node_disk_read_time_seconds_total{@}[$__rate_interval]) / (rate(node_disk_reads_completed_total{@}[$__rate_interval]) > 0)", "{{instance}} {{device}} read"),
                   ("rate(node_disk_write_time_seconds_total{@}[$__rate_interval]) / (rate(node_disk_writes_completed_total{@}[$__rate_interval]) > 0)", "{{instance}} {{device}} write")], "s",
                  none="No disk did anything in this time range.", size=(8, 8)),
            graph("Disk busy", "Share of time with at least one request under way. 100 % is full only for disks that serve one at a time.",
                  [("rate(node_disk_io_time_seconds_total{@}[$__rate_interval])", "{{instance}} {{device}}")], "percentunit", size=(8, 8)),
        ]),
        ("Network", [
            graph("Traffic", "Bits received (above) and sent (below), containers' own interfaces left out.",
                  [(f'rate(node_network_receive_bytes_total{{@,{CARDS}}}[$__rate_interval]) * 8', "{{instance}} {{device}} received"),
                   (f'rate(node_network_transmit_bytes_total{{@,{CARDS}}}[$__rate_interval]) * 8', "{{instance}} {{device}} sent")], "bps", negative="sent"),
            graph("Errors and drops", "Packets that were broken or thrown away. Anything steady is a cable, a driver or an overload.",
                  [(f'rate(node_network_{way}_{what}_total{{@,{CARDS}}}[$__rate_interval])', f"{{{{instance}}}} {{{{device}}}} {way} {what}")
                   for way in ("receive", "transmit") for what in ("errs", "drop")], "pps"),
            graph("TCP", "Connections now, and segments sent again. Many of the latter: packets get lost.",
                  [("node_netstat_Tcp_CurrEstab{@}", "{{instance}} connections"), ("node_sockstat_TCP_tw{@}", "{{instance}} time-wait"),
                   ("rate(node_netstat_Tcp_RetransSegs{@}[$__rate_interval])", "{{instance}} sent again/s")]),
            graph("Connection table", "Entries of the firewall's table as a share of its limit. The line is the alert HostConntrackNearLimit.",
                  [("node_nf_conntrack_entries{@} / (node_nf_conntrack_entries_limit{@} > 0)", "{{instance}}")], "percentunit",
                  none="The firewall tracks no connections here.", steps=above(alert("HostConntrackNearLimit"))),
        ]),
        ("Clock and services", [
            graph("Clock", "How far the clock is off, and how far it may be at most.",
                  [("node_timex_offset_seconds{@}", "{{instance}} offset"), ("node_timex_maxerror_seconds{@}", "{{instance}} at most")], "s", floor=None),
            table("Failed systemd units", "Units in state failed.", [("Failed", 'node_systemd_unit_state{@,state="failed"} == 1', "short", BAD_IF_ANY)],
                  ["instance", "name"], none="None failed, or the collector systemd is off (--collector.systemd).", size=(12, 8)),
        ]),
    ],
    annotations=[("Restarts", "changes(node_boot_time_seconds{@}[2m]) > 0", "{{instance}} restarted", "red")],
)
