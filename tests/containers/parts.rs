//! Generated cgroups whose processes, and limits, are in a cgroup below their own.

use crate::tree_files::{V2, V2_SERIES};
use crate::trees::{ID, Machine, below, expect, net_dev, network, of_cgroup};

#[test]
fn what_crun_puts_below_a_scope_is_part_of_it() {
    for scope in [format!("/machine.slice/libpod-{ID}.scope"), format!("/kubepods.slice/kubepods-pod6e1c.slice/crio-{ID}.scope")]
    {
        let mut machine = Machine::new();
        let is_processes = |file: &str| file == "cgroup.procs";
        let own = V2.iter().copied().filter(|(file, _)| !is_processes(file)).chain([("cgroup.procs", "")]);
        let part = [("cgroup.procs", "42\n"), ("cpu.stat", "usage_usec 1\n"), ("memory.current", "1\n")];
        let files = [below(&scope, &own.collect::<Vec<_>>()), below(&format!("{scope}/container"), &part)].concat();
        let files: Vec<_> = files.iter().map(|(file, text)| (file.as_str(), *text)).collect();
        machine.mount("", "cgroup2", "nsdelegate", &files);
        machine.write("proc/42/net/dev", &net_dev("eth0", 100));
        let agent = machine.agent("");
        for _ in 0..2 {
            let page = agent.scrape("/metrics/containers");
            expect(&of_cgroup(&page, &scope), V2_SERIES, network("eth0", 100));
            assert!(page.all("container_last_seen").all(|series| !series.labels["id"].ends_with("/container")));
        }
    }
}

#[test]
fn a_quota_counts_where_it_stands() {
    // crun sets both; what sets one beside systemd sets it where the processes are.
    let scope = format!("/machine.slice/libpod-{ID}.scope");
    let own = |quota: &'static str| {
        let stat = "usage_usec 1500000\nnr_periods 7\nnr_throttled 1\nthrottled_usec 1000\n";
        below(&scope, &[("cpu.max", quota), ("cpu.stat", stat), ("cgroup.procs", "")])
    };
    let part = |quota: &'static str| {
        let stat = "usage_usec 1400000\nnr_periods 20\nnr_throttled 6\nthrottled_usec 750000\nnr_bursts 1\nburst_usec 500000\n";
        below(&format!("{scope}/container"), &[("cpu.max", quota), ("cpu.stat", stat), ("cgroup.procs", "42\n")])
    };
    let of_scope = [30_000.0, 50_000.0, 7.0, 1.0, 0.001];
    let of_part = [20_000.0, 40_000.0, 20.0, 6.0, 0.75];
    for (own, part, expected) in [
        (own("max 100000\n"), part("20000 40000\n"), Some(of_part)),
        (own("30000 50000\n"), part("20000 40000\n"), Some(of_scope)),
        (own("30000 50000\n"), part("max 100000\n"), Some(of_scope)),
        (own("max 100000\n"), part("max 100000\n"), None),
    ] {
        let mut machine = Machine::new();
        let files = [own, part].concat();
        let files: Vec<_> = files.iter().map(|(file, text)| (file.as_str(), *text)).collect();
        machine.mount("", "cgroup2", "nsdelegate", &files);
        let agent = machine.agent("");
        for _ in 0..2 {
            let found = of_cgroup(&agent.scrape("/metrics/containers"), &scope);
            assert_eq!(found["cpu_usage_seconds_total cpu=total"], 1.5, "the scope counts all of it");
            let names = [
                "spec_cpu_quota",
                "spec_cpu_period",
                "cpu_cfs_periods_total",
                "cpu_cfs_throttled_periods_total",
                "cpu_cfs_throttled_seconds_total",
            ];
            let shown = names.map(|name| found.get(name).copied());
            match expected {
                Some(expected) => assert_eq!(shown, expected.map(Some)),
                None => assert_eq!(shown, [None, Some(100_000.0), None, None, None]),
            }
        }
    }
}

#[test]
fn a_machine_whose_processes_are_all_below_it_has_a_network() {
    let mut machine = Machine::new();
    let files = [
        ("/machine.slice/machine-web.scope/cgroup.procs", ""),
        ("/machine.slice/machine-web.scope/payload/cgroup.procs", "42\n"),
        ("/machine.slice/systemd-nspawn@db.service/cgroup.procs", ""),
        ("/machine.slice/systemd-nspawn@db.service/payload/cgroup.procs", ""),
        ("/machine.slice/systemd-nspawn@db.service/payload/init.scope/cgroup.procs", "43\n"),
        ("/machine.slice/systemd-nspawn@db.service/supervisor/cgroup.procs", "1\n"),
        ("/lxc.payload.mail/cgroup.procs", ""),
        ("/lxc.payload.mail/init.scope/cgroup.procs", "44\n"),
        ("/lxc.payload.empty/cgroup.procs", ""),
    ];
    machine.mount("", "cgroup2", "nsdelegate", &files);
    for pid in 42..45 {
        machine.write(&format!("proc/{pid}/net/dev"), &net_dev("host0", pid));
    }
    let agent = machine.agent("");
    for _ in 0..2 {
        let page = agent.scrape("/metrics/containers");
        let of = |name| page.value("container_network_receive_bytes_total", &[("name", name), ("interface", "host0")]);
        assert_eq!(["web", "db", "mail", "empty"].map(of), [Some(42.0), Some(43.0), Some(44.0), None]);
    }
}
