//! Sets of families that are switched by cAdvisor's names: over trees of our own making, and by the contract.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::exposition::Exposition;
use crate::support::{shared, wait_for};
use crate::trees::{ID, Machine, of_cgroup, v1, v2};

const OFF: &str = "percpu,sched,process,referenced_memory,hugetlb,memory_numa,cpuset,tcp,udp,advtcp,cpu_topology";

/// The contract's families of each set.
fn contract() -> BTreeMap<String, BTreeSet<String>> {
    let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in std::fs::read_to_string(shared("contract/cadvisor.tsv")).unwrap().lines().skip(1) {
        let columns: Vec<_> = line.split('\t').collect();
        sets.entry(columns[3].to_owned()).or_default().insert(columns[0].to_owned());
    }
    sets
}

/// A process of the container: what it has open, how it was scheduled, its namespace's sockets.
fn process(machine: &Machine, pid: u32) {
    let write = |file: &str, text: &str| machine.write(&format!("proc/{pid}/{file}"), text);
    machine.link(&format!("proc/{pid}/fd/0"), "/dev/null");
    machine.link(&format!("proc/{pid}/fd/1"), "socket:[4711]");
    machine.link(&format!("proc/{pid}/fd/2"), "pipe:[1]");
    write("schedstat", "1500000000 250000000 7\n");
    write("smaps_rollup", "55d0-7ffc ---p 00000000 00:00 0  [rollup]\nRss:  884 kB\nReferenced:   716 kB\n");
    write(
        "limits",
        "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n",
    );
    let heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let row = |state: &str| {
        format!("   0: 0100007F:1F90 00000000:0000 {state} 00000010:00000020 00:00000000 00000000 0 0 35 2 ffff 9\n")
    };
    write("net/tcp", &format!("{heading}{}{}{}", row("0A"), row("01"), row("01")));
    write("net/tcp6", heading);
    write("net/udp", &format!("{heading}{}", row("07")));
    write("net/snmp", "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm ActiveOpens\nTcp: 1 42\n");
    write("net/netstat", "TcpExt: SyncookiesSent TCPLostRetransmit\nTcpExt: 3 4\nIpExt: InOctets\nIpExt: 5\n");
}

/// [`v1`] with the files that only sets which are off by default ask for.
fn full_v1() -> Machine {
    let mut machine = v1();
    let at = |file: &str| format!("/docker/{ID}/{file}");
    machine.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n");
    for (tree, file, text) in [
        ("cpu,cpuacct", "cpuacct.usage_percpu", "2000000000 500000000 0 \n"),
        ("memory", "memory.numa_stat", "total=5 N0=5\nfile=3 N0=3 N1=1\nanon=2 N0=2\nhierarchical_file=6 N0=6\n"),
    ] {
        machine.write(&format!("sys/fs/cgroup/{tree}{}", at(file)), text);
    }
    let pages = [
        (at("hugetlb.2MB.usage_in_bytes"), "2097152\n"),
        (at("hugetlb.2MB.rsvd.usage_in_bytes"), "4194304\n"),
        (at("hugetlb.2MB.max_usage_in_bytes"), "6291456\n"),
        (at("hugetlb.2MB.failcnt"), "3\n"),
    ];
    let pages: Vec<_> = pages.iter().map(|(file, text)| (file.as_str(), *text)).collect();
    machine.mount("/hugetlb", "cgroup", "hugetlb", &pages);
    machine.mount("/cpuset", "cgroup", "cpuset", &[(&at("cpuset.memory_migrate"), "1\n")]);
    process(&machine, 42);
    machine
}

/// [`of_cgroup`] with the sets, once the thread that looks at processes is done.
fn with(machine: &Machine, flags: &[&str], id: &str) -> (Exposition, BTreeMap<String, f64>) {
    let agent = machine.agent_with("", flags);
    let mut page = Exposition::default();
    wait_for("the processes' figures", Duration::from_secs(10), || {
        page = agent.scrape("/metrics/containers");
        page.all("container_processes").next().is_some()
    });
    let found = of_cgroup(&page, id);
    (page, found)
}

const OF_PROCESSES: &[(&str, f64)] = &[
    ("cpu_schedstat_run_periods_total", 7.0),
    ("cpu_schedstat_run_seconds_total", 1.5),
    ("cpu_schedstat_runqueue_seconds_total", 0.25),
    ("file_descriptors", 3.0),
    ("network_advance_tcp_stats_total tcp_state=activeopens", 42.0),
    ("network_advance_tcp_stats_total tcp_state=rtoalgorithm", 1.0),
    ("network_advance_tcp_stats_total tcp_state=syncookiessent", 3.0),
    ("network_advance_tcp_stats_total tcp_state=tcplostretransmit", 4.0),
    ("network_tcp6_usage_total tcp_state=established", 0.0),
    ("network_tcp_usage_total tcp_state=closing", 0.0),
    ("network_tcp_usage_total tcp_state=established", 2.0),
    ("network_tcp_usage_total tcp_state=listen", 1.0),
    ("network_udp_usage_total udp_state=dropped", 9.0),
    ("network_udp_usage_total udp_state=listen", 1.0),
    ("network_udp_usage_total udp_state=rxqueued", 32.0),
    ("network_udp_usage_total udp_state=txqueued", 16.0),
    ("processes", 1.0),
    ("referenced_bytes", 716.0 * 1024.0),
    ("sockets", 1.0),
    ("ulimits_soft ulimit=max_open_files", 1024.0),
];

#[test]
fn v1_with_all_sets() {
    let (_, found) = with(&full_v1(), &["--containers.enable", OFF], &format!("/docker/{ID}"));
    let of_files = [
        ("cpu_usage_seconds_total cpu=cpu00", 2.0),
        ("cpu_usage_seconds_total cpu=cpu01", 0.5),
        ("hugetlb_failcnt pagesize=2MB", 3.0),
        ("hugetlb_max_usage_bytes pagesize=2MB", 6_291_456.0),
        ("hugetlb_usage_bytes pagesize=2MB", 4_194_304.0),
        ("memory_migrate", 1.0),
        ("memory_numa_pages node=0 scope=container type=anon", 2.0),
        ("memory_numa_pages node=0 scope=container type=file", 3.0),
        ("memory_numa_pages node=0 scope=hierarchy type=file", 6.0),
        ("memory_numa_pages node=1 scope=container type=file", 1.0),
    ];
    for (name, value) in of_files.iter().chain(OF_PROCESSES) {
        assert_eq!(found.get(*name), Some(value), "{name} of {found:#?}");
    }
    assert!(!found.contains_key("cpu_usage_seconds_total cpu=total"), "dashboards sum over cpu");
    assert!(!found.contains_key("network_udp6_usage_total udp_state=listen"), "no such file");
}

#[test]
fn v2_with_all_sets() {
    let machine = v2();
    machine.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n");
    let scope = format!("system.slice/docker-{ID}.scope");
    for (file, text) in [
        ("memory.numa_stat", "anon N0=8192\nfile N0=4096 N1=0\nfile_mapped N0=4096\n"),
        ("hugetlb.2MB.current", "2097152\n"),
        ("hugetlb.2MB.rsvd.current", "4194304\n"),
        ("hugetlb.2MB.events", "max 3\n"),
    ] {
        machine.write(&format!("sys/fs/cgroup/{scope}/{file}"), text);
    }
    process(&machine, 42);
    let (page, found) = with(&machine, &["--containers.enable", OFF], &format!("/{scope}"));
    let of_files = [
        ("cpu_usage_seconds_total cpu=total", 1.5),
        ("hugetlb_failcnt pagesize=2MB", 3.0),
        ("hugetlb_usage_bytes pagesize=2MB", 4_194_304.0),
        ("memory_numa_pages node=0 scope=hierarchy type=anon", 2.0),
        ("memory_numa_pages node=1 scope=hierarchy type=file", 0.0),
    ];
    for (name, value) in of_files.iter().chain(OF_PROCESSES) {
        assert_eq!(found.get(*name), Some(value), "{name} of {found:#?}");
    }
    for name in ["hugetlb_max_usage_bytes pagesize=2MB", "memory_migrate"] {
        assert!(!found.contains_key(name), "v2 does not tell {name}");
    }
    // Processes are this very cgroup's; time on the run queue counts with all below.
    let slice = of_cgroup(&page, "/system.slice");
    assert_eq!((slice.get("processes"), slice.get("cpu_schedstat_run_seconds_total")), (None, Some(&1.5)));
    let zeros = ["--containers.enable", OFF, "--containers.compat=cadvisor"];
    let (_, found) = with(&machine, &zeros, &format!("/{scope}"));
    assert_eq!(found.get("hugetlb_max_usage_bytes pagesize=2MB"), Some(&0.0));
    assert_eq!(found.get("memory_migrate"), Some(&0.0));
}

#[test]
fn each_set_has_the_contracts_families() {
    let (machine, contract) = (full_v1(), contract());
    let all = ["--containers.enable", OFF, "--containers.compat=cadvisor"];
    let (page, _) = with(&machine, &all, "/");
    let is_known = |name: &&String| contract.values().any(|promised| promised.contains(*name));
    let families = |page: &Exposition| -> BTreeSet<String> { page.types.keys().filter(is_known).cloned().collect() };
    let everything = families(&page);
    for (set, promised) in &contract {
        if ["always", "perf_event", "resctrl"].contains(&set.as_str()) {
            continue;
        }
        let without = machine.agent_with("", &[&all[..], &["--containers.disable", set]].concat());
        // Without the set's thread there is nothing to wait for; with another's, its families may come a scrape later.
        let mut gone = BTreeSet::new();
        // Threads are told by the same file as container_pids, and cost nothing.
        let expected = promised.iter().filter(|name| everything.contains(*name) && !name.starts_with("container_threads"));
        let expected: BTreeSet<String> = expected.cloned().collect();
        wait_for(&format!("the families without {set}"), Duration::from_secs(10), || {
            gone = &everything - &families(&without.scrape("/metrics/containers"));
            gone == expected || {
                std::thread::sleep(Duration::from_millis(50));
                false
            }
        });
        assert!(!expected.is_empty() || ["disk"].contains(&set.as_str()), "no family of {set} on the page");
    }
}

#[test]
fn an_unknown_set_is_refused_in_one_line() {
    for (flag, set) in [
        ("--containers.enable=nope", "nope"),
        ("--containers.disable=diskio", "diskio"),
        ("--containers.enable=resctrl", "resctrl"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stack-exporter")).arg(flag).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.trim_end().lines().count() == 1, "{text}");
        assert!(text.contains(set) && text.contains("referenced_memory, cpuset, disk, diskIO"), "{text}");
    }
}

#[test]
fn the_machine_in_detail() {
    let machine = v2();
    for (cpu, core) in [(0, 0), (1, 1)] {
        let at = |file: &str| format!("sys/devices/system/cpu/cpu{cpu}/{file}");
        machine.write(&at("topology/core_id"), &format!("{core}\n"));
        for (index, kind, level, size, shared) in [
            (0, "Data", 1, "48K", &*cpu.to_string()),
            (1, "Unified", 2, "2048K", &*cpu.to_string()),
            (2, "Unified", 3, "300M", "0-1"),
        ] {
            for (file, text) in [("type", kind), ("level", &*level.to_string()), ("size", size), ("shared_cpu_list", shared)] {
                machine.write(&at(&format!("cache/index{index}/{file}")), &format!("{text}\n"));
            }
        }
    }
    machine.write("sys/devices/system/node/online", "0,2\n");
    for (node, cpus, distance) in [(0, "0-1\n", "10 21\n"), (2, "\n", "21 10\n")] {
        let at = |file: &str| format!("sys/devices/system/node/node{node}/{file}");
        machine.write(&at("cpulist"), cpus);
        machine.write(&at("distance"), distance);
        machine.write(&at("meminfo"), &format!("Node {node} MemTotal:       1000 kB\nNode {node} MemFree: 1 kB\n"));
        machine.write(&at("hugepages/hugepages-2048kB/nr_hugepages"), "5\n");
    }
    let page = machine.agent_with("", &["--containers.enable=cpu_topology"]).scrape("/metrics/containers");
    let value = |family: &str, labels: &[(&str, &str)]| page.value(&format!("machine_{family}"), labels);
    let cache = "cpu_cache_capacity_bytes";
    assert_eq!(value(cache, &[("core_id", "1"), ("node_id", "0"), ("type", "Data"), ("level", "1")]), Some(48.0 * 1024.0));
    assert_eq!(value(cache, &[("node_id", "0"), ("type", "Unified"), ("level", "3")]), Some(300.0 * 1024.0 * 1024.0));
    assert_eq!(page.all("machine_cpu_cache_capacity_bytes").count(), 5);
    assert_eq!(value("thread_siblings_count", &[("core_id", "1"), ("node_id", "0"), ("thread_id", "1")]), Some(1.0));
    assert_eq!(value("node_memory_capacity_bytes", &[("node_id", "2")]), Some(1_024_000.0));
    assert_eq!(value("node_hugepages_count", &[("node_id", "0"), ("page_size", "2048")]), Some(5.0));
    assert_eq!(value("node_distance", &[("node_id", "0"), ("target_node_id", "2")]), Some(21.0));
    let zeros = machine.agent_with("", &["--containers.compat=cadvisor"]).scrape("/metrics/containers");
    for family in ["machine_cpu_books", "machine_nvm_avg_power_budget_watts"] {
        assert_eq!(zeros.value(family, &[]), Some(0.0), "{family}");
    }
    assert!(page.all("machine_cpu_books").next().is_none() && page.all("machine_nvm_capacity").next().is_none());
}

#[test]
fn without_the_memory_controller_its_families_are_missing_and_one_warning_says_why() {
    let mut machine = Machine::new();
    let files = [("/cgroup.controllers", "cpuset cpu io pids\n"), ("/a.service/pids.current", "1\n")];
    machine.mount("", "cgroup2", "nsdelegate", &files);
    let agent = machine.agent_with("", &[]);
    for _ in 0..3 {
        let page = agent.scrape("/metrics/containers");
        let of_memory = |name: &str| name.starts_with("container_memory_") || name.starts_with("container_spec_memory_");
        assert!(page.series.iter().all(|series| !of_memory(&series.name) || series.has(&[("id", "/")])));
        let warnings: Vec<_> =
            page.all("stack_exporter_warning").filter(|series| series.has(&[("part", "containers")])).collect();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].labels["advice"].contains("cgroup_enable=memory"), "{warnings:?}");
        assert_eq!(warnings[0].labels["missing"], "memory");
    }
    assert_eq!(agent.log().matches("cgroup_enable=memory").count(), 1, "{}", agent.log());
    // With the controller nothing is said.
    let quiet = v2();
    quiet.write("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
    assert!(quiet.agent_with("", &[]).scrape("/metrics/containers").all("stack_exporter_warning").next().is_none());
}
