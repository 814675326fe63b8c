//! node_exporter's command line: every flag of its Linux build, under the same name, with the same default and the same way to be given.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;

use Shape::{Hidden, List, Off, On, One};
use stack_exporter::agent;
use stack_exporter::host;
use stack_exporter::settings::{Default, Flag, Settings};

/// How a flag is given, and its default.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// `--x`, `--no-x`; on unless said otherwise.
    On,
    /// `--x`, `--no-x`; off unless said otherwise.
    Off,
    /// `--x=…` once.
    One(&'static str),
    /// `--x=…` any number of times.
    List(&'static str),
    /// `--x=…` once, not shown in `--help`.
    Hidden(&'static str),
}

/// What is not a collector's.
const GENERAL: &[(&str, Shape)] = &[
    ("web.listen-address", List(":9100")),
    ("web.systemd-socket", Off),
    ("web.config.file", One("")),
    ("web.telemetry-path", One("/metrics")),
    ("web.max-requests", One("40")),
    ("web.disable-exporter-metrics", Off),
    ("path.procfs", One("/proc")),
    ("path.sysfs", One("/sys")),
    ("path.rootfs", One("/")),
    ("path.udev.data", One("/run/udev/data")),
    ("log.level", One("info")),
    ("log.format", One("logfmt")),
    ("runtime.gomaxprocs", Hidden("1")),
    ("collector.disable-defaults", Off),
];

/// Collectors that are on by default, those that are off, and those that node_exporter is about to drop.
const ON: &str = "arp bcache bcachefs bonding btrfs conntrack cpu cpufreq diskstats dmi dmmultipath edac entropy fibrechannel filefd \
    filesystem hwmon infiniband ipvs kernel_hung loadavg mdadm meminfo netclass netdev netstat nfs nfsd nvme os powersupplyclass \
    pressure rapl schedstat selinux sockstat softnet stat tapestats textfile thermal_zone time timex udp_queues uname vmstat watchdog \
    xfs zfs";
const OFF: &str = "buddyinfo cgroups cpu_vulnerabilities drbd drm ethtool interrupts ksmd lnstat logind meminfo_numa mountstats \
    network_route nvmesubsystem pcidevice perf processes qdisc slabinfo softirqs swap sysctl systemd tcpstat wifi xfrm zoneinfo";
const GONE: &str = "ntp runit supervisord";

/// The flags of collectors, without `collector.`.
const OWN: &[(&str, Shape)] = &[
    ("arp.device-include", One("")),
    ("arp.device-exclude", One("")),
    ("arp.netlink", On),
    ("bcache.priorityStats", Off),
    ("cpu.guest", On),
    ("cpu.info", Off),
    ("cpu.info.flags-include", One("")),
    ("cpu.info.bugs-include", One("")),
    ("diskstats.device-exclude", One(r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$")),
    ("diskstats.device-include", One("")),
    ("diskstats.ignored-devices", Hidden("")),
    (
        "filesystem.mount-points-exclude",
        One("^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"),
    ),
    (
        "filesystem.fs-types-exclude",
        One(
            "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|\
             procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$",
        ),
    ),
    ("filesystem.mount-points-include", One("")),
    ("filesystem.fs-types-include", One("")),
    // node_exporter's 5s would let the scrape that first meets a dead mount wait as long.
    ("filesystem.mount-timeout", Hidden("500ms")),
    ("filesystem.stat-workers", Hidden("4")),
    ("filesystem.ignored-mount-points", Hidden("")),
    ("filesystem.ignored-fs-types", Hidden("")),
    ("netdev.device-include", One("")),
    ("netdev.device-exclude", One("")),
    ("netdev.netlink", On),
    ("netdev.address-info", Off),
    ("netdev.enable-detailed-metrics", Off),
    ("netdev.label-ifalias", Off),
    ("netdev.device-whitelist", Hidden("")),
    ("netdev.device-blacklist", Hidden("")),
    ("netclass.ignored-devices", One("^$")),
    ("netclass.ignore-invalid-speed", Off),
    ("netclass.netlink", Off),
    ("netclass_rtnl.with-stats", Off),
    (
        "netstat.fields",
        One("^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|TcpExt_(Listen.*|\
             Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|\
             RetransSegs|CurrEstab)|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$"),
    ),
    ("vmstat.fields", One("^(oom_kill|pgpg|pswp|pg.*fault).*")),
    ("stat.softirq", Off),
    ("textfile.directory", List("")),
    ("systemd.unit-include", One(".+")),
    ("systemd.unit-exclude", One(r".+\.(automount|device|mount|scope|slice)")),
    ("systemd.enable-task-metrics", Off),
    ("systemd.enable-restarts-metrics", Off),
    ("systemd.enable-start-time-metrics", Off),
    ("systemd.private", Off),
    ("systemd.unit-whitelist", Hidden("")),
    ("systemd.unit-blacklist", Hidden("")),
    ("hwmon.chip-include", One("")),
    ("hwmon.chip-exclude", One("")),
    ("hwmon.sensor-include", One("")),
    ("hwmon.sensor-exclude", One("")),
    ("ethtool.device-include", One("")),
    ("ethtool.device-exclude", One("")),
    ("ethtool.metrics-include", One(".*")),
    ("qdisc.device-include", One("")),
    ("qdisc.device-exclude", One("")),
    ("qdisc.fixtures", One("")),
    ("qdisk.device-include", Hidden("")),
    ("qdisk.device-exclude", Hidden("")),
    ("interrupts.name-include", One("")),
    ("interrupts.name-exclude", One("")),
    ("interrupts.include-zeros", On),
    ("slabinfo.slabs-include", One(".*")),
    ("slabinfo.slabs-exclude", One("")),
    ("ipvs.backend-labels", One("local_address,local_port,remote_address,remote_port,proto,local_mark")),
    ("infiniband.device-include", One("")),
    ("infiniband.device-exclude", One("")),
    ("ntp.server", One("127.0.0.1")),
    ("ntp.server-port", One("123")),
    ("ntp.protocol-version", One("4")),
    ("ntp.server-is-local", Off),
    ("ntp.ip-ttl", One("1")),
    ("ntp.max-distance", One("3.46608s")),
    ("ntp.local-offset-tolerance", One("1ms")),
    ("perf.cpus", One("")),
    ("perf.tracepoint", List("")),
    ("perf.hardware-profilers", List("")),
    ("perf.software-profilers", List("")),
    ("perf.cache-profilers", List("")),
    ("perf.disable-hardware-profilers", Off),
    ("perf.disable-software-profilers", Off),
    ("perf.disable-cache-profilers", Off),
    ("sysctl.include", List("")),
    ("sysctl.include-info", List("")),
    ("pcidevice.idsfile", One("")),
    ("pcidevice.names", Off),
    ("powersupply.ignored-supplies", One("^$")),
    ("rapl.enable-zone-label", Off),
    ("runit.servicedir", One("/etc/service")),
    ("supervisord.url", One("http://localhost:9001/RPC2")),
    ("tapestats.ignored-devices", One("^$")),
    ("wifi.fixtures", One("")),
];

/// The collector of a flag whose first word is not its name.
fn collector_of(flag: &str) -> &str {
    match flag.split('.').next().unwrap() {
        "powersupply" => "powersupplyclass",
        "netclass_rtnl" => "netclass",
        "qdisk" => "qdisc",
        word => word,
    }
}

/// All of node_exporter's flags.
fn expected() -> Vec<(String, Shape)> {
    let names = |list: &'static str, shape| list.split_whitespace().map(move |name| (name, shape));
    let collectors = names(ON, On).chain(names(OFF, Off)).chain(names(GONE, Off)).chain(OWN.iter().copied());
    let general = GENERAL.iter().map(|(name, shape)| ((*name).to_owned(), *shape));
    general.chain(collectors.map(|(name, shape)| (format!("collector.{name}"), shape))).collect()
}

fn flags() -> Vec<&'static Flag> {
    agent::flags()
}

fn run(args: &[&str]) -> Result<Settings, String> {
    let args = std::iter::once("stack-exporter").chain(args.iter().copied()).map(OsString::from);
    agent::settings(args).map_err(|error| error.to_string()).map(Result::unwrap)
}

/// The flags of collectors that are refused: shape and default do not matter.
fn is_gone(name: &str) -> bool {
    name.strip_prefix("collector.").is_some_and(|rest| GONE.split(' ').any(|gone| gone == collector_of(rest)))
}

#[test]
fn every_flag_has_node_exporters_name_shape_and_default() {
    for (name, shape) in expected() {
        let flag = flags().into_iter().find(|flag| flag.name == name).unwrap_or_else(|| panic!("--{name} is missing"));
        let shown = match flag.default {
            Default::Switch(on) => on.to_string(),
            Default::Text(text) => text.to_owned(),
            Default::List(list) => list.join(","),
            Default::Number(number) => number.to_string(),
            Default::Time(time) => format!("{time:?}"),
        };
        if is_gone(&name) {
            assert!(flag.hidden, "{name}");
            continue;
        }
        let (default, is_list, hidden) = match shape {
            On => ("true", false, false),
            Off => ("false", false, name == "collector.systemd.private"),
            One(default) => (default, false, false),
            List(default) => (default, true, false),
            Hidden(default) => (default, false, true),
        };
        assert_eq!((shown.as_str(), flag.hidden), (default, hidden), "--{name}");
        assert_eq!(matches!(flag.default, Default::List(_)), is_list, "--{name}");
        assert_eq!(matches!(flag.default, Default::Switch(_)), matches!(shape, On | Off), "--{name}");
    }
}

#[test]
fn every_flag_can_be_given_in_kingpins_ways() {
    for (name, shape) in expected() {
        let (with, twice) = match shape {
            On | Off => (vec![format!("--{name}")], vec![format!("--no-{name}"), format!("--no-{name}")]),
            One(default) | List(default) | Hidden(default) => {
                let (word, both) = (format!("--{name}"), format!("--{name}={default}"));
                (vec![word, default.to_owned()], vec![both.clone(), both])
            }
        };
        run(&with.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{with:?}: {error}"));
        run(&[twice[0].as_str()]).unwrap_or_else(|error| panic!("{}: {error}", twice[0]));
        let again = run(&[twice[0].as_str(), twice[1].as_str()]);
        assert_eq!(again.is_ok(), matches!(shape, List(_)), "{twice:?}");
    }
}

#[test]
fn the_collectors_are_node_exporters() {
    let known: BTreeSet<&str> = [ON, OFF].into_iter().flat_map(str::split_whitespace).collect();
    let here: BTreeSet<&str> = (host::MODULE.collectors)(&Settings::default()).into_iter().map(|(name, _)| name).collect();
    similar_asserts::assert_eq!(here, known);
}

#[test]
fn what_node_exporter_refuses_at_its_start_is_refused_in_one_line() {
    for (one, other) in [
        ("diskstats.device-include", "diskstats.device-exclude"),
        ("diskstats.ignored-devices", "diskstats.device-exclude"),
        ("filesystem.mount-points-include", "filesystem.mount-points-exclude"),
        ("filesystem.fs-types-include", "filesystem.fs-types-exclude"),
        ("filesystem.ignored-mount-points", "filesystem.mount-points-exclude"),
        ("filesystem.ignored-fs-types", "filesystem.fs-types-exclude"),
        ("netdev.device-include", "netdev.device-exclude"),
        ("netdev.device-whitelist", "netdev.device-include"),
        ("netdev.device-blacklist", "netdev.device-exclude"),
        ("qdisc.device-include", "qdisc.device-exclude"),
        ("systemd.unit-whitelist", "systemd.unit-include"),
        ("systemd.unit-blacklist", "systemd.unit-exclude"),
    ] {
        let collector = collector_of(one);
        let (switch, one_given, other_given) =
            (format!("--collector.{collector}"), format!("--collector.{one}=a"), format!("--collector.{other}=b"));
        let refusal = refusal(&[&switch, &one_given, &other_given]);
        assert!(refusal.contains(one) && refusal.contains(other) && refusal.contains("mutually exclusive"), "{refusal}");
    }
    for gone in GONE.split(' ') {
        assert!(refusal(&[&format!("--collector.{gone}")]).contains("deprecated"), "{gone}");
    }
    assert!(refusal(&["--collector.ntp.server=ntp"]).contains("deprecated"));
    assert!(refusal(&["--collector.netdev.device-include=a("]).contains("collector.netdev.device-include"));
}

/// The one line with which the program ends.
fn refusal(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
    let output = command.args(args).arg("--config.check").env_clear().output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.trim_end().lines().count()), (Some(2), 1), "{args:?}: {text}");
    text
}

#[test]
fn what_asks_for_nothing_is_accepted() {
    let quiet =
        ["--no-collector.ntp", "--no-collector.runit", "--no-collector.supervisord", "--runtime.gomaxprocs=4", "--config.check"];
    let output =
        Command::new(env!("CARGO_BIN_EXE_stack-exporter")).args(quiet).env_clear().env("GOMAXPROCS", "2").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
