//! The collectors of network interfaces and disks on this machine, with interfaces of the tests' own making, against Debian's
//! node_exporter; and what netlink must not do: answer for another network namespace, or fail over an interface that goes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use support::exposition::{Exposition, Series};
use support::node::Reference;
use support::{Agent, wait_for};

const COLLECTORS: [&str; 6] = ["diskstats", "hwmon", "netclass", "netdev", "netstat", "sockstat"];

const SUCCESS: &str = "node_scrape_collector_success";

fn arguments(more: &[&str]) -> Vec<String> {
    let only = std::iter::once("--collector.disable-defaults".to_owned());
    let named = COLLECTORS.iter().map(|name| format!("--collector.{name}"));
    only.chain(named).chain(more.iter().map(|more| (*more).to_owned())).collect()
}

fn agent(arguments: &[String]) -> Agent {
    let host_only = ["--no-containers", "--no-postgres", "--no-redis"];
    Agent::start(&host_only.into_iter().chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>(), &[])
}

/// The tests change the machine's interfaces, and one that comes and goes costs node_exporter its whole netclass: one at a time.
static MACHINE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs commands of ip(8).
fn ip(namespace: Option<&str>, commands: &str) {
    let mut ip = Command::new("ip");
    if let Some(name) = namespace {
        ip.args(["-netns", name]);
    }
    let mut child =
        ip.args(["-force", "-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("this test needs ip(8)");
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    child.wait().unwrap();
}

/// Pairs of virtual interfaces, removed at the end.
struct Pairs {
    prefix: String,
    count: usize,
}

impl Pairs {
    /// In several states: up on both ends, on one, on none; with an alias, promiscuous, in a group, of another size.
    fn add(letter: char, count: usize) -> Pairs {
        let pairs = Pairs { prefix: format!("{letter}{}x", std::process::id() % 100_000), count };
        let mut commands = String::new();
        for number in 0..count {
            let [a, b] = pairs.names(number);
            commands += &format!("link add {a} type veth peer name {b}\n");
            if number % 3 > 0 {
                commands += &format!("link set {a} up\n");
            }
            if number % 3 > 1 {
                commands += &format!("link set {b} up\n");
            }
            commands += &match number % 5 {
                0 => format!("link set {a} alias 'a \"quoted\" name {number}'\n"),
                1 => format!("link set {a} promisc on allmulticast on\n"),
                2 => format!("link set {a} mtu 1400 group 7 txqueuelen 13\n"),
                3 => format!("link set {a} address 02:00:00:00:00:{number:02x}\n"),
                _ => format!("link set {b} mode dormant\n"),
            };
        }
        ip(None, &commands);
        pairs
    }

    fn names(&self, number: usize) -> [String; 2] {
        ["a", "b"].map(|end| format!("{}{number}{end}", self.prefix))
    }

    fn remove(&self) {
        ip(None, &(0..self.count).map(|number| format!("link del {}\n", self.names(number)[0])).collect::<String>());
    }
}

impl Drop for Pairs {
    fn drop(&mut self) {
        self.remove();
    }
}

fn identity(series: &Series) -> String {
    format!("{}{:?}", series.name, series.labels)
}

/// The `node_*` series but the scrape's own.
fn shaped(page: &Exposition, dropped: &[&str]) -> BTreeMap<String, (Series, String)> {
    let of_node = page.series.iter().filter(|series| series.name.starts_with("node_"));
    let own = ["node_scrape_", "node_exporter_"];
    of_node
        .filter(|series| !own.iter().any(|own| series.name.starts_with(own)) && !series.has(&[("device", "zram0")]))
        .map(|series| {
            let mut series = series.clone();
            dropped.iter().for_each(|label| drop(series.labels.remove(*label)));
            let kind = page.types.get(&series.name).cloned().unwrap_or_default();
            (identity(&series), (series, kind))
        })
        .collect()
}

/// What of `before` and `after` the page between them lacks or has otherwise, and how many were compared.
fn misses(before: &Exposition, ours: &Exposition, after: &Exposition, dropped: &[&str]) -> (Vec<String>, usize) {
    let [before, ours, after] = [before, ours, after].map(|page| shaped(page, dropped));
    let (mut misses, mut compared) = (Vec::new(), 0);
    for (identity, (series, kind)) in &before {
        let Some((later, _)) = after.get(identity) else { continue };
        compared += 1;
        let (low, high) = (series.value.min(later.value), series.value.max(later.value));
        match ours.get(identity) {
            None => misses.push(format!("missing: {identity}")),
            Some((_, of)) if of != kind => misses.push(format!("{of}, not {kind}: {identity}")),
            Some((our, _)) if !(low..=high).contains(&our.value) => {
                misses.push(format!("{identity}: {} not in {low}..{high}", our.value));
            }
            Some(_) => {}
        }
    }
    (misses, compared)
}

/// What node_exporter, started with the same arguments, shows otherwise than we do between two of its readings that are complete, and how
/// much was compared; with our page.
fn compare(arguments: &[String], collectors: &[&str], dropped: &[&str]) -> (Vec<String>, usize, Exposition) {
    let (reference, agent) = (Reference::start(arguments), agent(arguments));
    let _ = (reference.scrape(), agent.scrape("/metrics/node"));
    let mut readings = None;
    wait_for("node_exporter finds all interfaces twice in a row", Duration::from_secs(30), || {
        let (before, ours, after) = (reference.scrape(), agent.scrape("/metrics/node"), reference.scrape());
        let worked = |page: &Exposition| collectors.iter().all(|name| page.value(SUCCESS, &[("collector", name)]) == Some(1.0));
        let complete = worked(&before) && worked(&after);
        readings = Some((before, ours, after));
        complete
    });
    let (before, ours, after) = readings.unwrap();
    let (misses, compared) = misses(&before, &ours, &after, dropped);
    println!("{} of {compared} series differ: {misses:#?}", misses.len());
    (misses, compared, ours)
}

#[test]
fn interfaces_and_disks_are_those_of_node_exporter() {
    let (_alone, pairs) = (alone(), Pairs::add('p', 12));
    // 1.5.0 had no labels adminstate and rotational, and showed zram0.
    let (misses, compared, ours) = compare(&arguments(&[]), &["netclass", "netdev"], &["adminstate", "rotational"]);
    let aliased = ours.value("node_network_info", &[("device", &pairs.names(0)[0]), ("ifalias", "a \"quoted\" name 0")]);
    assert_eq!(aliased, Some(1.0));
    assert!(compared > 1000 && misses.len() * 100 <= compared, "{} of {compared} differ: {misses:#?}", misses.len());
}

#[test]
fn the_other_shapes_are_those_of_node_exporter() {
    let (_alone, _pairs) = (alone(), Pairs::add('t', 5));
    let shapes: [(&str, &[&str]); 3] = [
        ("netclass", &["--collector.netclass.netlink", "--collector.netclass_rtnl.with-stats"]),
        ("netdev", &["--collector.netdev.enable-detailed-metrics", "--collector.netdev.address-info"]),
        ("netdev", &["--no-collector.netdev.netlink"]),
    ];
    for (collector, more) in shapes {
        let only = ["--collector.disable-defaults", &format!("--collector.{collector}")].map(str::to_owned);
        let arguments: Vec<String> = only.into_iter().chain(more.iter().map(|more| (*more).to_owned())).collect();
        let (mut misses, compared, _) = compare(&arguments, &[collector], &[]);
        // A speed that the driver does not know, -1, is 536,870,911,875,000 bytes a second there, and nothing here.
        misses.retain(|miss| !(collector == "netclass" && miss.starts_with("missing: node_network_speed_bytes")));
        assert!(compared > 150 && misses.is_empty(), "{more:?}: {} of {compared} differ: {misses:#?}", misses.len());
    }
}

/// What is asked of netlink and of drivers, and no file of the host tells.
const ASKED: [&str; 3] = ["ethtool", "network_route", "qdisc"];

#[test]
fn routes_queues_sockets_and_drivers_are_those_of_node_exporter() {
    let (_alone, pairs) = (alone(), Pairs::add('n', 6));
    let ([near, _], [other, _]) = (pairs.names(2), pairs.names(5));
    ip(
        None,
        &format!(
            "addr add 10.211.1.1/24 dev {near}\naddr add 10.211.2.1/24 dev {other}\naddr add fd00:211::1/64 dev {near} nodad\n\
             route add 10.212.0.0/16 via 10.211.1.2 metric 7\n\
             route add 10.213.0.0/16 proto static nexthop via 10.211.1.2 weight 3 nexthop via 10.211.2.2\n\
             route add 10.214.0.0/16 dev {near} src 10.211.1.1 table 211\nroute add blackhole 10.215.0.0/16\n\
             route add fd00:212::/48 via fd00:211::2\n"
        ),
    );
    let queue = Command::new("tc").args(["qdisc", "replace", "dev", &near, "root", "pfifo", "limit", "10"]).status();
    assert!(queue.expect("this test needs tc(8)").success());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let _accepted = listener.accept().unwrap();
    client.write_all(&[1; 5_000]).unwrap();

    let collectors: Vec<&str> = ASKED.into_iter().chain(["tcpstat"]).collect();
    let named = collectors.iter().map(|name| format!("--collector.{name}"));
    let arguments: Vec<String> = std::iter::once("--collector.disable-defaults".to_owned()).chain(named).collect();
    let (mut misses, compared, ours) = compare(&arguments, &collectors, &[]);
    // The connections to the two exporters themselves come and go.
    misses.retain(|miss| !miss.contains("node_tcp_connection_states"));
    assert!(compared > 100 && misses.is_empty(), "{} of {compared} differ: {misses:#?}", misses.len());
    for state in ["listen", "established", "rx_queued_bytes", "tx_queued_bytes"] {
        assert!(ours.value("node_tcp_connection_states", &[("state", state)]) >= Some(1.0), "{state}");
    }
    assert!(ours.value("node_tcp_connection_states", &[("state", "rx_queued_bytes")]) >= Some(5_000.0));
    let route = |labels: &[(&str, &str)]| ours.value("node_network_route_info", labels);
    let of_several = [("device", near.as_str()), ("dest", "10.213.0.0/16"), ("gw", "10.211.1.2"), ("weight", "3")];
    assert_eq!(route(&of_several), Some(1.0));
    assert_eq!(route(&[("dest", "10.214.0.0/16"), ("src", "10.211.1.1")]), Some(1.0));
    assert_eq!(
        (route(&[("dest", "fd00:212::/48"), ("gw", "fd00:211::2")]), route(&[("dest", "10.215.0.0/16")])),
        (Some(1.0), None)
    );
    assert_eq!(ours.value("node_qdisc_drops_total", &[("device", &near), ("kind", "pfifo")]), Some(0.0));
    assert_eq!(ours.value("node_ethtool_info", &[("device", &near), ("driver", "veth")]), Some(1.0));
}

#[test]
fn netlink_tells_what_the_files_tell() {
    let (_alone, _pairs) = (alone(), Pairs::add('q', 12));
    let netlink = agent(&arguments(&[]));
    // A sysfs reached by another path is the same; that netlink could tell of it is found out, so it takes another /proc to forbid it.
    let other = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(other.path().join("1/net")).unwrap();
    std::fs::write(other.path().join("1/net/netlink"), "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n").unwrap();
    let files = agent(&[
        "--collector.disable-defaults".to_owned(),
        "--collector.netclass".to_owned(),
        format!("--path.procfs={}", other.path().display()),
    ]);
    let only = "/metrics/node?collect[]=netclass";
    let (before, ours, after) = (files.scrape(only), netlink.scrape(only), files.scrape(only));
    let (misses, compared) = misses(&before, &ours, &after, &[]);
    assert!(compared > 400 && misses.is_empty(), "{} of {compared} differ: {misses:#?}", misses.len());
    let shown = |page: &Exposition| shaped(page, &[]).len();
    assert_eq!(shown(&ours), shown(&after), "netlink adds series");
}

#[test]
fn interfaces_that_come_and_go_cost_no_collector() {
    let (_alone, agent, stop) = (alone(), agent(&arguments(&[])), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                drop(Pairs::add('r', 4));
            }
        });
        let mut seen = 0;
        for _ in 0..60 {
            let page = agent.scrape("/metrics/node");
            for collector in ["netclass", "netdev"] {
                let success = page.value(SUCCESS, &[("collector", collector)]);
                assert_eq!(success, Some(1.0), "{collector}: {}", agent.log());
            }
            assert_eq!(page.value("node_network_up", &[("device", "lo")]), Some(0.0));
            seen += usize::from(page.all("node_network_up").any(|series| series.labels["device"].starts_with('r')));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(seen > 5, "only {seen} scrapes met an interface that comes and goes");
    });
}

/// A network namespace of its own, as a container has.
struct Namespace(String);

impl Namespace {
    fn add() -> Namespace {
        let namespace = Namespace(format!("stack{}", std::process::id()));
        assert!(Command::new("ip").args(["netns", "add", &namespace.0]).status().unwrap().success());
        ip(Some(&namespace.0), "link set lo up\nlink add inside0 type dummy\n");
        namespace
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

#[test]
fn in_a_network_namespace_of_its_own_the_agent_shows_the_hosts_interfaces() {
    let (_alone, namespace, pairs) = (alone(), Namespace::add(), Pairs::add('s', 1));
    let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = support::free_port();
    // nsenter changes the network alone: /proc and /sys stay the host's, as where a container has them mounted.
    let mut child = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", namespace.0))
        .arg(env!("CARGO_BIN_EXE_stack-exporter"))
        .args([&format!("--web.listen-address=127.0.0.1:{port}"), "--no-containers", "--no-postgres", "--no-redis"])
        .args(arguments(&["--collector.tcpstat"]))
        .args(ASKED.map(|name| format!("--collector.{name}")))
        .env_clear()
        .stderr(Stdio::null())
        .spawn()
        .expect("this test needs nsenter(1)");
    let get = || {
        let address = format!("http://127.0.0.1:{port}/metrics/node");
        let inside = ["netns", "exec", &namespace.0, "curl", "-sf", &address];
        let output = Command::new("ip").args(inside).output().expect("this test needs curl(1)");
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    let mut page = None;
    wait_for("the agent answers inside", Duration::from_secs(20), || {
        page = get();
        page.is_some()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let page = support::exposition::parse(&page.unwrap()).unwrap();
    let [outside, _] = pairs.names(0);
    for name in ["node_network_up", "node_network_receive_bytes_total"] {
        assert!(page.value(name, &[("device", &outside)]).is_some(), "{name} lacks the host's {outside}");
        assert_eq!(page.value(name, &[("device", "inside0")]), None, "{name} shows the agent's own inside0");
    }
    let own = page.series.iter().find(|series| series.labels.get("device").is_some_and(|device| device == "inside0"));
    assert!(own.is_none(), "{own:?}");
    for collector in ASKED {
        assert_eq!(page.value(SUCCESS, &[("collector", collector)]), Some(0.0), "{collector}");
        let told = page.all("stack_exporter_collector_last_error_info").find(|series| series.labels["collector"] == collector);
        assert!(told.is_some_and(|series| series.labels["error"].contains("network_mode: host")), "{collector}: {told:?}");
    }
    // The files of the host tell of its sockets.
    let listening = page.value("node_tcp_connection_states", &[("state", "listen")]);
    assert!(listening >= Some(1.0) && page.value(SUCCESS, &[("collector", "tcpstat")]) == Some(1.0), "{listening:?}");
}
