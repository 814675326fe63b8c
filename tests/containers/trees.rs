//! Cgroup trees of our own making: what each file says must stand on the page, and nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::support::Agent;
use crate::support::exposition::Exposition;
use crate::tree_files::{V1, V2, V2_SERIES};

pub(crate) const ID: &str = "10fa44541b0d1b167cdb6a2300c4536157403232852e2badc3c15c0c3a1c3386";

/// A machine: /proc, /sys and the cgroup trees that its mountinfo names.
pub(crate) struct Machine {
    dir: tempfile::TempDir,
    mountinfo: String,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        let machine = Machine { dir: tempfile::tempdir().unwrap(), mountinfo: String::new() };
        machine.write("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nSwapTotal: 20 kB\nSwapFree: 5 kB\n");
        machine.write("proc/1/net/dev", &net_dev("eth0", 1));
        machine.write("sys/devices/system/cpu/online", "0-1\n");
        for cpu in 0..2 {
            machine.write(&format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"), "0\n");
            machine.write(&format!("sys/devices/system/cpu/cpu{cpu}/topology/core_id"), "0\n");
        }
        machine.write("sys/dev/block/8:0/uevent", "MAJOR=8\nMINOR=0\nDEVNAME=sda\n");
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        std::fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        std::fs::write(self.path(path), text).unwrap();
    }

    /// A link that leads nowhere, as those of /proc do.
    pub(crate) fn link(&self, path: &str, target: &str) {
        std::fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, self.path(path)).unwrap();
    }

    /// Mounts a cgroup tree, and writes `files` below it.
    pub(crate) fn mount(&mut self, name: &str, kind: &str, options: &str, files: &[(&str, &str)]) {
        let path = format!("sys/fs/cgroup{name}");
        std::fs::create_dir_all(self.path(&path)).unwrap();
        writeln!(self.mountinfo, "3 2 0:3 / {} rw shared:1 - {kind} {kind} rw,{options}", self.path(&path).display()).unwrap();
        self.write("proc/self/mountinfo", &self.mountinfo);
        for (file, text) in files {
            self.write(&format!("{path}/{file}"), text);
        }
    }

    /// An agent over this machine, with `docker` as its engine's address.
    pub(crate) fn agent(&self, docker: &str) -> Agent {
        self.agent_with(docker, &[])
    }

    pub(crate) fn agent_with(&self, docker: &str, more: &[&str]) -> Agent {
        let roots = [("procfs", self.path("proc")), ("sysfs", self.path("sys")), ("rootfs", self.path(""))];
        let flags = roots.map(|(name, path)| format!("--path.{name}={}", path.display()));
        Agent::start(&[&[&*flags[0], &*flags[1], &*flags[2], "--docker", docker], more].concat(), &[])
    }

    /// The series of the cgroup `id` on the page, without its id; times of day left out.
    fn series(&self, id: &str) -> BTreeMap<String, f64> {
        of_cgroup(&self.agent("").scrape("/metrics/containers"), id)
    }
}

pub(crate) fn of_cgroup(page: &Exposition, id: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for series in page.series.iter().filter(|series| series.has(&[("id", id)]) && !series.name.contains("_time_")) {
        let mut text = series.name.trim_start_matches("container_").to_owned();
        for (name, value) in series.labels.iter().filter(|(name, _)| *name != "id") {
            write!(text, " {name}={value}").unwrap();
        }
        found.insert(text, series.value);
    }
    assert!(found.remove("last_seen").is_some(), "no {id} on the page");
    found
}

pub(crate) fn net_dev(interface: &str, first: u64) -> String {
    let row: Vec<String> = (first..first + 16).map(|column| column.to_string()).collect();
    format!("Inter-| Receive | Transmit\n face |bytes |bytes\n    lo: {0}\n{interface}: {0}\n veth12: {0}\n", row.join(" "))
}

/// What [`net_dev`] shows, as series.
pub(crate) fn network(interface: &str, first: u32) -> Vec<(String, f64)> {
    let columns = [
        ("receive_bytes", 0),
        ("receive_packets", 1),
        ("receive_errors", 2),
        ("receive_packets_dropped", 3),
        ("transmit_bytes", 8),
        ("transmit_packets", 9),
        ("transmit_errors", 10),
        ("transmit_packets_dropped", 11),
    ];
    columns.map(|(name, column)| (format!("network_{name}_total interface={interface}"), f64::from(first + column))).into()
}

pub(crate) fn expect(found: &BTreeMap<String, f64>, singles: &[(&str, f64)], network: Vec<(String, f64)>) {
    let expected: BTreeMap<String, f64> =
        singles.iter().map(|(name, value)| ((*name).to_owned(), *value)).chain(network).collect();
    similar_asserts::assert_eq!(found, &expected);
}

pub(crate) fn below<'a>(path: &str, files: &[(&str, &'a str)]) -> Vec<(String, &'a str)> {
    files.iter().map(|(file, text)| (format!("{path}/{file}"), *text)).collect()
}

pub(crate) fn v2() -> Machine {
    let mut machine = Machine::new();
    let container = below(&format!("/system.slice/docker-{ID}.scope"), V2);
    let mut files: Vec<(&str, &str)> = container.iter().map(|(file, text)| (file.as_str(), *text)).collect();
    files.extend([
        ("/cpu.stat", "usage_usec 9000000\nuser_usec 6000000\nsystem_usec 3000000\n"),
        ("/memory.stat", "anon 300\nfile 400\ninactive_file 50\n"),
        ("/system.slice/ssh.service/pids.current", "1\n"),
        ("/system.slice/ssh.service/cpu.max", "max 100000\n"),
        ("/system.slice/ssh.service/cpu.stat", "usage_usec 0\nnr_periods 0\n"),
        ("/system.slice/var-lib-docker.mount/pids.current", "9\n"),
    ]);
    machine.mount("", "cgroup2", "nsdelegate", &files);
    machine.write("proc/42/net/dev", &net_dev("eth0", 100));
    machine
}

#[test]
fn v2_with_the_systemd_driver() {
    let machine = v2();
    let page = machine.agent("").scrape("/metrics/containers");
    expect(&of_cgroup(&page, &format!("/system.slice/docker-{ID}.scope")), V2_SERIES, network("eth0", 100));
    let unit = [("cpu_usage_seconds_total cpu=total", 0.0), ("spec_cpu_period", 100_000.0), ("threads", 1.0)];
    expect(&of_cgroup(&page, "/system.slice/ssh.service"), &unit, vec![]);
    let root = [
        ("cpu_system_seconds_total", 3.0),
        ("cpu_usage_seconds_total cpu=total", 9.0),
        ("cpu_user_seconds_total", 6.0),
        ("memory_cache", 400.0),
        ("memory_rss", 300.0),
        ("memory_swap", 15.0 * 1024.0),
        ("memory_total_inactive_file_bytes", 50.0),
        ("memory_usage_bytes", 700.0),
        ("memory_working_set_bytes", 650.0),
        ("spec_memory_limit_bytes", 1_024_000.0),
        ("spec_memory_reservation_limit_bytes", 0.0),
        ("spec_memory_swap_limit_bytes", 20_480.0),
    ];
    expect(&of_cgroup(&page, "/"), &root, network("eth0", 1));
    let ids: Vec<_> = page.all("container_last_seen").map(|series| series.labels["id"].as_str()).collect();
    assert_eq!(ids, ["/", "/system.slice", &format!("/system.slice/docker-{ID}.scope"), "/system.slice/ssh.service"]);
    assert_eq!(page.value("machine_cpu_cores", &[]), Some(2.0));
    assert_eq!(page.value("machine_cpu_physical_cores", &[]), Some(1.0));
    assert_eq!(page.value("machine_memory_bytes", &[]), Some(1_024_000.0));
    assert_eq!((page.value("container_scrape_error", &[]), page.value("machine_scrape_error", &[])), (Some(0.0), Some(0.0)));
    assert!(page.all("container_engine_up").next().is_none(), "an empty --docker asks no engine");
}

pub(crate) fn v1() -> Machine {
    let mut machine = Machine::new();
    let at = |file: &str| format!("/docker/{ID}/{file}");
    let write = |machine: &mut Machine, name: &str, options: &str, files: &[(&str, &str)]| {
        let files: Vec<_> = files.iter().map(|(file, text)| (at(file), *text)).collect();
        let files: Vec<_> = files.iter().map(|(file, text)| (file.as_str(), *text)).collect();
        machine.mount(name, "cgroup", options, &files);
    };
    let cpu = [
        ("cpuacct.usage", "2500000000\n"),
        ("cpuacct.stat", "user 170\nsystem 80\n"),
        ("cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_time 250000000\n"),
        ("cpu.shares", "512\n"),
        ("cpu.cfs_period_us", "100000\n"),
        ("cpu.cfs_quota_us", "-1\n"),
        ("cgroup.procs", "42\n"),
    ];
    write(&mut machine, "/cpu,cpuacct", "cpu,cpuacct", &cpu);
    let memory = [
        ("memory.usage_in_bytes", "5000\n"),
        ("memory.max_usage_in_bytes", "9000\n"),
        ("memory.failcnt", "6\n"),
        ("memory.limit_in_bytes", "9223372036854771712\n"),
        ("memory.soft_limit_in_bytes", "4096\n"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"),
        (
            "memory.stat",
            "cache 1\nrss 1\npgfault 109\npgmajfault 110\ntotal_cache 102\ntotal_rss 101\ntotal_mapped_file 104\ntotal_dirty 105\n\
             total_writeback 106\ntotal_pgfault 900\ntotal_inactive_file 6000\ntotal_active_file 108\n",
        ),
    ];
    write(&mut machine, "/memory", "memory", &memory);
    let blkio = [
        ("blkio.bfq.io_service_bytes_recursive", "Total 0\n"),
        (
            "blkio.throttle.io_service_bytes_recursive",
            "8:0 Read 4096\n8:0 Write 0\n8:0 Sync 4096\n8:0 Async 0\n8:0 Discard 0\n8:0 Total 4096\nTotal 4096\n",
        ),
        ("blkio.throttle.io_serviced_recursive", "8:0 Read 2\n8:0 Write 0\n8:0 Total 2\nTotal 2\n"),
    ];
    write(&mut machine, "/blkio", "blkio", &blkio);
    write(&mut machine, "/pids", "pids", &[("pids.current", "3\n"), ("pids.max", "100\n")]);
    write(&mut machine, "/systemd", "xattr,name=systemd", &[("cgroup.procs", "42\n")]);
    machine.write("sys/fs/cgroup/systemd/only.service/cgroup.procs", "43\n");
    machine.write("proc/42/net/dev", &net_dev("eth0", 100));
    machine
}

#[test]
fn v1_with_a_tree_for_each_controller() {
    let machine = v1();
    expect(&machine.series(&format!("/docker/{ID}")), V1, network("eth0", 100));
    let page = machine.agent("").scrape("/metrics/containers");
    assert!(page.series.iter().all(|series| !series.has(&[("id", "/only.service")])), "a named tree has no numbers");
}

#[test]
fn hybrid_takes_from_v2_what_v1_has_not() {
    let mut machine = v1();
    let unified = [
        (format!("/docker/{ID}/cpu.stat"), "usage_usec 1\nnr_bursts 1\n"),
        (format!("/docker/{ID}/io.pressure"), "some avg10=0.00 avg60=0.00 avg300=0.00 total=3000000\n"),
        ("/init.scope/cpu.stat".to_owned(), "usage_usec 4000000\n"),
    ];
    let unified: Vec<_> = unified.iter().map(|(file, text)| (file.as_str(), *text)).collect();
    machine.mount("/unified", "cgroup2", "nsdelegate", &unified);
    let page = machine.agent("").scrape("/metrics/containers");
    let mut expected = V1.to_vec();
    expected.push(("pressure_io_waiting_seconds_total", 3.0));
    expect(&of_cgroup(&page, &format!("/docker/{ID}")), &expected, network("eth0", 100));
    expect(&of_cgroup(&page, "/init.scope"), &[("cpu_usage_seconds_total cpu=total", 4.0)], vec![]);
}

#[test]
fn zeros_are_shown_to_whoever_asks_for_them() {
    let machine = v1();
    let page = machine.agent_with("", &["--containers.compat=cadvisor"]).scrape("/metrics/containers");
    let found = of_cgroup(&page, &format!("/docker/{ID}"));
    for name in
        ["pressure_cpu_waiting_seconds_total", "memory_events_max_total", "cpu_load_average_10s", "tasks_state state=running"]
    {
        assert_eq!(found.get(name), Some(&0.0), "{name}");
    }
    // What the kernel does tell stays, and there are no bursts without a quota.
    assert_eq!(found.get("memory_failcnt"), Some(&6.0));
    assert_eq!(found.get("cpu_cfs_burst_periods_total"), None);
    // Nor is there one of what cAdvisor has not.
    assert_eq!(found.get("memory_slab_reclaimable_bytes"), None);
    // All else is as without the flag.
    for (name, value) in V1 {
        assert_eq!(found.get(*name), Some(value), "{name}");
    }
}

#[test]
fn a_shared_network_is_shown_once() {
    let machine = v1();
    let [joined, hosted] = ["20fa", "30fa"].map(|start| ID.replace("10fa", start));
    for (id, pid) in [(&joined, 43), (&hosted, 44)] {
        machine.write(&format!("sys/fs/cgroup/cpu,cpuacct/docker/{id}/cgroup.procs"), &format!("{pid}\n"));
        std::fs::create_dir_all(machine.path(&format!("proc/{pid}/net"))).unwrap();
    }
    // The same namespace is the same file.
    std::fs::hard_link(machine.path("proc/42/net/dev"), machine.path("proc/43/net/dev")).unwrap();
    std::fs::hard_link(machine.path("proc/1/net/dev"), machine.path("proc/44/net/dev")).unwrap();
    let page = machine.agent("").scrape("/metrics/containers");
    let owners: Vec<_> = page.all("container_network_receive_bytes_total").map(|series| series.labels["id"].clone()).collect();
    // Which of two is the older one does not show in a tree of files.
    let either = [ID, &joined].map(|id| vec!["/".to_owned(), format!("/docker/{id}")]);
    assert!(either.contains(&owners), "{owners:?}");
}

#[test]
fn without_a_cgroup_tree_the_rest_of_the_page_comes() {
    let machine = Machine::new();
    machine.write("proc/self/mountinfo", "22 27 0:21 / /proc rw - proc proc rw\n");
    let page = machine.agent("").scrape("/metrics/containers");
    assert_eq!(page.value("container_scrape_error", &[]), Some(1.0));
    assert_eq!(page.value("machine_memory_bytes", &[]), Some(1_024_000.0));
}

#[test]
fn nonsense_in_a_file_costs_its_numbers_only() {
    let machine = v2();
    let scope = format!("sys/fs/cgroup/system.slice/docker-{ID}.scope");
    for (file, _) in V2.iter().filter(|(file, _)| *file != "memory.current") {
        std::fs::write(machine.path(&format!("{scope}/{file}")), b"\xff\x00 total= rbytes=\n-1 8:0 =\n\n99999999999999999999999")
            .unwrap();
    }
    let found = machine.series(&format!("/system.slice/docker-{ID}.scope"));
    expect(&found, &[("memory_usage_bytes", 5000.0)], vec![]);
}
