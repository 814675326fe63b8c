"""Makes the /proc and cgroup v2 tree of a host with many containers: cgroups.py FOLDER CONTAINERS"""

import os
import sys

# What a container's cgroup has; the same for all, so that ten thousand of them fit into memory as links.
FILES = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250000",
    "cpu.max": "50000 100000", "cpu.weight": "39", "memory.current": "5000000", "memory.peak": "9000000", "memory.max": "67108864",
    "memory.swap.max": "max", "memory.swap.current": "0", "memory.low": "0", "memory.min": "0", "pids.current": "3", "pids.max": "max",
    "memory.events": "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0",
    "memory.stat": "\n".join(f"{key} {number * 4096}" for number, key in enumerate(
        "anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem zswap zswapped file_mapped file_dirty "
        "file_writeback swapcached anon_thp file_thp shmem_thp inactive_anon active_anon inactive_file active_file unevictable "
        "slab_reclaimable slab_unreclaimable slab workingset_refault_anon workingset_refault_file workingset_activate_anon pgscan "
        "pgsteal pgfault pgmajfault pgrefill pgactivate pgdeactivate pglazyfree".split())),
    "io.stat": "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0", "cgroup.procs": "", "cgroup.events": "populated 1\nfrozen 0",
    **{f"{name}.pressure": "\n".join(f"{kind} avg10=0.00 avg60=0.00 avg300=0.00 total=1000" for kind in ("some", "full"))
       for name in ("cpu", "memory", "io")},
}
DEV = "Inter-|   Receive                                                |  Transmit\n" \
      " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n" \
      "    lo: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n  eth0: 1296 16 0 0 0 0 0 0 936 12 0 0 0 0 0 0\n"


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def main():
    folder, containers = sys.argv[1], int(sys.argv[2])
    root = f"{folder}/sys/fs/cgroup"
    write(f"{folder}/proc/self/mountinfo", f"30 23 0:26 / {root} rw - cgroup2 cgroup2 rw\n")
    write(f"{folder}/proc/meminfo", "MemTotal: 24684084 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    write(f"{folder}/proc/1/net/dev", DEV)
    write(f"{folder}/sys/dev/block/8:0/uevent", "DEVNAME=sda\n")
    write(f"{root}/cgroup.controllers", "cpu io memory pids\n")
    for name, text in FILES.items():
        write(f"{folder}/kinds/{name}", text + "\n")
    for number in range(containers):
        # No two have the same file `net/dev`, by which namespaces are told apart.
        pid = 1000 + number
        scope = f"{root}/system.slice/docker-{number:064x}.scope"
        os.makedirs(scope)
        for name in FILES:
            if name != "cgroup.procs":
                os.link(f"{folder}/kinds/{name}", f"{scope}/{name}")
        write(f"{scope}/cgroup.procs", f"{pid}\n")
        write(f"{folder}/proc/{pid}/net/dev", DEV)


main()
