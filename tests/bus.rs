//! systemd and logind over a message bus of the test's own: what is shown, against what the service answers and against
//! node_exporter on the same bus; one connection; what happens when nobody answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use support::bus::{Daemon, Objects, Service};
use support::exposition::{Exposition, Series};
use support::node::Reference;
use support::{Agent, signal};

const SWITCHES: [&str; 6] = [
    "--no-containers",
    "--no-postgres",
    "--no-redis",
    "--collector.disable-defaults",
    "--collector.systemd",
    "--collector.logind",
];
const ALL: [&str; 4] = [
    "--collector.systemd.enable-task-metrics",
    "--collector.systemd.enable-restarts-metrics",
    "--collector.systemd.enable-start-time-metrics",
    "--collector.systemd.unit-exclude=daily.*|.+[.]slice",
];

fn objects() -> Objects {
    let mut objects = Objects {
        units: vec![
            ("ssh.service", "loaded", "active"),
            ("broken@1.service", "loaded", "failed"),
            ("gone.service", "loaded", "active"),
            ("missing.service", "not-found", "inactive"),
            ("docker.socket", "loaded", "active"),
            ("old.socket", "loaded", "inactive"),
            ("daily.timer", "loaded", "active"),
            ("home.mount", "loaded", "active"),
            ("odd.target", "loaded", "reloading"),
        ],
        seats: vec!["seat0"],
        sessions: vec![("1", "seat0"), ("c2", ""), ("3", ""), ("4", "seat0")],
        ..Objects::default()
    };
    objects.manager("Version", "252.30-1~deb12u2");
    objects.manager("Virtualization", "kvm");
    objects.manager("SystemState", "degraded");
    for (unit, kind, restarts, tasks) in [("ssh.service", "notify", 3u32, 5u64), ("broken@1.service", "simple", 0, u64::MAX)] {
        objects.unit(unit, "Service", "Type", kind);
        objects.unit(unit, "Service", "NRestarts", restarts);
        objects.unit(unit, "Service", "TasksCurrent", tasks);
        objects.unit(unit, "Service", "TasksMax", tasks.saturating_mul(100));
    }
    for unit in ["ssh.service", "docker.socket", "daily.timer", "home.mount"] {
        objects.unit(unit, "Unit", "ActiveEnterTimestamp", 1_700_000_000_250_000u64);
    }
    for (name, count) in [("NAccepted", 7u32), ("NConnections", 2), ("NRefused", 1)] {
        objects.unit("docker.socket", "Socket", name, count);
    }
    objects.unit("old.socket", "Socket", "NAccepted", 4u32);
    objects.unit("daily.timer", "Timer", "LastTriggerUSec", 1_700_000_000_500_000u64);
    objects.unit("home.mount", "Mount", "Type", "ext4");
    for (id, kind, class, remote) in [("1", "tty", "user", false), ("c2", "tty", "user", true), ("4", "hologram", "", false)] {
        objects.session(id, "Type", kind);
        objects.session(id, "Class", class);
        objects.session(id, "Remote", remote);
    }
    objects
}

fn shown(page: &Exposition, prefix: &str, leave_out: impl Fn(&Series) -> bool) -> BTreeMap<String, f64> {
    let text = |series: &Series| {
        let labels: Vec<_> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {}", series.name.strip_prefix(prefix).unwrap(), labels.join(" "))
    };
    let series = page.series.iter().filter(|series| series.name.starts_with(prefix) && !leave_out(series));
    series.map(|series| (text(series).trim_end().to_owned(), series.value)).collect()
}

fn expect(lines: &str) -> BTreeMap<String, f64> {
    let pair = |line: &str| {
        let (series, value) = line.rsplit_once(" : ").unwrap();
        (series.trim().to_owned(), value.parse().unwrap())
    };
    lines.lines().filter(|line| !line.trim().is_empty()).map(pair).collect()
}

struct Stage {
    folder: tempfile::TempDir,
    daemon: Daemon,
    service: Service,
}

fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let service = Service::start(&daemon, objects());
    Stage { folder, daemon, service }
}

impl Stage {
    fn agent(&self, more: &[&str]) -> Agent {
        let args: Vec<&str> = SWITCHES.iter().chain(more).copied().collect();
        Agent::start(&args, &[("DBUS_SYSTEM_BUS_ADDRESS", &self.daemon.address())])
    }
}

fn works(agent: &Agent, collector: &str) -> bool {
    let page = agent.scrape("/metrics/node");
    page.value("node_scrape_collector_success", &[("collector", collector)]) == Some(1.0)
}

#[test]
fn units_are_shown_as_systemd_tells_of_them() {
    let stage = stage();
    let page = stage.agent(&[]).scrape("/metrics/node");
    let is_zero = |series: &Series| series.name.ends_with("_unit_state") && series.value == 0.0;
    let expected = "version version=252.30-1~deb12u2 : 252.3
        virtualization_info virtualization_type=kvm : 1
        system_running : 0
        units state=activating : 0
        units state=active : 5
        units state=deactivating : 0
        units state=failed : 1
        units state=inactive : 2
        units state=reloading : 1
        unit_state name=ssh.service state=active type=notify : 1
        unit_state name=broken@1.service state=failed type=simple : 1
        unit_state name=gone.service state=active type= : 1
        unit_state name=docker.socket state=active type= : 1
        unit_state name=old.socket state=inactive type= : 1
        unit_state name=daily.timer state=active type= : 1
        socket_accepted_connections_total name=docker.socket : 7
        socket_current_connections name=docker.socket : 2
        socket_refused_connections_total name=docker.socket : 1
        socket_accepted_connections_total name=old.socket : 4
        timer_last_trigger_seconds name=daily.timer : 1700000000.5";
    similar_asserts::assert_eq!(shown(&page, "node_systemd_", is_zero), expect(expected));
    // Seven units are loaded and pass; each has five states.
    assert_eq!(page.all("node_systemd_unit_state").count(), 7 * 5);
}

#[test]
fn more_is_shown_where_flags_ask_for_it() {
    let stage = stage();
    let page = stage.agent(&ALL).scrape("/metrics/node");
    let usual = |series: &Series| {
        !["_start_time_seconds", "_tasks_current", "_tasks_max", "_restart_total"].iter().any(|end| series.name.ends_with(end))
    };
    let expected = "unit_start_time_seconds name=ssh.service : 1700000000.25
        unit_start_time_seconds name=broken@1.service : 0
        unit_start_time_seconds name=docker.socket : 1700000000.25
        unit_start_time_seconds name=old.socket : 0
        unit_start_time_seconds name=home.mount : 1700000000.25
        unit_start_time_seconds name=odd.target : 0
        unit_tasks_current name=ssh.service : 5
        unit_tasks_max name=ssh.service : 500
        service_restart_total name=ssh.service : 3
        service_restart_total name=broken@1.service : 0";
    similar_asserts::assert_eq!(shown(&page, "node_systemd_", usual), expect(expected));
    let mount = [("name", "home.mount"), ("state", "active"), ("type", "ext4")];
    assert_eq!(page.value("node_systemd_unit_state", &mount), Some(1.0));
    assert!(!page.series.iter().any(|series| series.has(&[("name", "daily.timer")])));
}

#[test]
fn sessions_are_counted_by_seat_and_kind() {
    let stage = stage();
    let page = stage.agent(&[]).scrape("/metrics/node");
    // Session 3 has ended since it was listed.
    let expected = "sessions class=user remote=false seat=seat0 type=tty : 1
        sessions class=user remote=true seat= type=tty : 1
        sessions class=other remote=false seat=seat0 type=other : 1";
    similar_asserts::assert_eq!(shown(&page, "node_logind_", |series| series.value == 0.0), expect(expected));
    assert_eq!(page.all("node_logind_sessions").count(), 5 * 2 * 2 * 7);
}

#[test]
fn node_exporter_shows_the_same_of_the_same_bus() {
    let stage = stage();
    let own: Vec<String> = SWITCHES[3..].iter().chain(&ALL).map(|arg| (*arg).to_owned()).collect();
    let reference = Reference::start_with(&own, &[("DBUS_SYSTEM_BUS_ADDRESS", &stage.daemon.address())]);
    let (theirs, ours) = (reference.scrape(), stage.agent(&ALL).scrape("/metrics/node"));
    for prefix in ["node_systemd_", "node_logind_"] {
        // Version 1.5.0 did not know it yet.
        let newer = |series: &Series| series.name == "node_systemd_virtualization_info";
        let (expected, found) = (shown(&theirs, prefix, newer), shown(&ours, prefix, newer));
        assert!(expected.len() > 50, "{} series of {prefix}", expected.len());
        similar_asserts::assert_eq!(found, expected);
        for family in theirs.types.keys().filter(|family| family.starts_with(prefix)) {
            assert_eq!(ours.types.get(family), theirs.types.get(family), "{family}");
        }
    }
}

#[test]
fn one_connection_is_kept_for_all() {
    let stage = stage();
    let agent = stage.agent(&[]);
    for _ in 0..5 {
        assert!(works(&agent, "systemd") && works(&agent, "logind"));
    }
    assert_eq!(stage.service.callers(), 1);
}

#[test]
fn a_bus_that_is_not_there_is_no_error() {
    let agent = Agent::start(&SWITCHES, &[("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/bus")]);
    let page = agent.scrape("/metrics/node");
    for collector in ["systemd", "logind"] {
        assert_eq!(page.value("node_scrape_collector_success", &[("collector", collector)]), Some(0.0));
    }
    assert_eq!(page.all("stack_exporter_collector_last_error_info").count(), 0);
    // Nor is one on which nobody is called systemd.
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let agent = Agent::start(&SWITCHES, &[("DBUS_SYSTEM_BUS_ADDRESS", &daemon.address())]);
    let page = agent.scrape("/metrics/node");
    assert_eq!(page.all("stack_exporter_collector_last_error_info").count(), 0);
    assert_eq!(page.value("node_scrape_collector_success", &[("collector", "systemd")]), Some(0.0));
}

#[test]
fn no_answer_costs_the_collector_and_is_over_when_answers_come() {
    let stage = stage();
    let agent = stage.agent(&["--collector.loadavg"]);
    let fails = |what: &str| {
        let begin = Instant::now();
        let page = agent.scrape("/metrics/node");
        assert!(begin.elapsed() < Duration::from_secs(6), "{what}: the page took {:?}", begin.elapsed());
        assert!(page.all("node_load1").next().is_some());
        let errors: Vec<_> = page.all("stack_exporter_collector_last_error_info").collect();
        assert!(errors.iter().any(|series| series.has(&[("collector", "systemd")])), "{what}");
    };
    assert!(works(&agent, "systemd") && works(&agent, "logind"));
    stage.service.be_silent(true);
    fails("a service that is silent");
    stage.service.be_silent(false);
    assert!(works(&agent, "systemd") && works(&agent, "logind"));
    signal(stage.daemon.pid(), "STOP");
    fails("a bus that is stopped");
    fails("a bus that is still stopped");
    signal(stage.daemon.pid(), "CONT");
    assert!(works(&agent, "systemd") && works(&agent, "logind"));
}

#[test]
fn a_bus_that_was_started_anew_costs_no_scrape() {
    let Stage { folder, daemon, service: _ } = stage();
    let agent = Agent::start(&SWITCHES, &[("DBUS_SYSTEM_BUS_ADDRESS", &daemon.address())]);
    assert!(works(&agent, "systemd") && works(&agent, "logind"));
    drop(daemon);
    let daemon = Daemon::start(folder.path());
    let _service = Service::start(&daemon, objects());
    assert!(works(&agent, "systemd") && works(&agent, "logind"));
}

#[test]
fn below_the_hosts_root_the_bus_is_found_and_systemds_own_socket() {
    let root = tempfile::tempdir().unwrap();
    let (bus, own) = (root.path().join("nowhere/dbus"), root.path().join("run/systemd"));
    std::fs::create_dir_all(&bus).unwrap();
    std::fs::create_dir_all(&own).unwrap();
    let daemon = Daemon::start(&bus);
    let _service = Service::start(&daemon, objects());
    let root_flag = format!("--path.rootfs={}", root.path().display());
    let env = [("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/dbus/bus")];
    let args: Vec<&str> = SWITCHES.iter().copied().chain([root_flag.as_str()]).collect();
    assert!(works(&Agent::start(&args, &env), "systemd"));

    let listening = {
        let socket = own.join("private");
        std::thread::spawn(move || Service::listen(&socket, objects()))
    };
    support::wait_for("the private socket", Duration::from_secs(5), || own.join("private").exists());
    let args: Vec<&str> = args.into_iter().chain(["--collector.systemd.private"]).collect();
    assert!(works(&Agent::start(&args, &env), "systemd"));
    let _service = listening.join().unwrap();
}
