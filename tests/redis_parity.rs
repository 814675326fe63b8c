//! The Redis part against redis_exporter: its recorded pages for recorded replies, and Debian's on a live server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::exposition::{Exposition, parse};
use support::redis::{Redis, Stub};
use support::{Agent, shared, wait_for};

/// Our page of one server, watched as redis_exporter would.
fn watch(addr: &str) -> Agent {
    Agent::start(&["--no-host", "--no-containers", "--no-postgres"], &[("REDIS_ADDR", addr)])
}

fn page(agent: &Agent) -> Exposition {
    agent.scrape("/metrics/redis")
}

// --- The oracle ---

/// What redis_exporter was started with for a recorded page, in our words.
const FLAGS: [&str; 5] = [
    "--redis.export-client-list",
    "--redis.include-config-metrics",
    "--redis.include-system-metrics",
    "--redis.include-modules-metrics",
    "--redis.ping-on-connect",
];

/// And for those of the states named standalone-busy.
const KEYS: [&str; 3] = [
    "--redis.check-single-keys=user:1,counter,build,ratio,uniq,h,queue:mail,tags,board,orders,absent",
    "--redis.check-single-streams=orders",
    "--redis.count-keys=session:*,user:1?",
];

/// As redis_exporter has it, its plain mistakes included.
const COMPAT: &str = "--redis.compat=redis_exporter";

/// Depends on the clock or on the run, not on the replies (the fixtures' README).
const OF_THE_RUN: [&str; 5] = [
    "redis_exporter_",
    "redis_start_time_seconds",
    "redis_connected_client_created_at_timestamp",
    "redis_connected_client_idle_since_timestamp",
    "redis_rdb_current_size_bytes",
];

/// Where we deliberately show something else: why, a server on which it makes a difference, and whether it concerns a series, theirs or
/// ours. `redis.md`, section (e).
type Repair = (&'static str, &'static str, fn(&str) -> bool);
const REPAIRS: [Repair; 5] = [
    ("cached_keys by name: subexpiry and keys_with_volatile_items are none", "valkey-9.1", |series| {
        series.starts_with("redis_db_keys_cached{")
    }),
    ("a Sentinel has no databases", "redis-7.0", |series| {
        series.starts_with("redis_db_keys{") || series.starts_with("redis_db_keys_expiring{")
    }),
    ("sums of commands whose names hold _, - or .", "redis-8.0", |series| {
        let name = series.split(r#""cmd": ""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        series.starts_with("redis_commands_latencies_usec_sum{") && name.contains(['_', '-', '.'])
    }),
    ("redis_mode of Valkey is its server_mode", "valkey-8.1", |series| series.starts_with("redis_instance_info{")),
    ("lag and entries-read that are nil are unknown, not 0", "redis-8.0", |series| {
        series.starts_with("redis_stream_group_lag{") || series.starts_with("redis_stream_group_entries_read{")
    }),
];

/// Series by name and labels, with the value, and types by family; of what the replies determine.
fn determined(page: &Exposition) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let of_the_run = |name: &str| OF_THE_RUN.iter().any(|prefix| name.starts_with(prefix));
    let wanted = |name: &str| name.starts_with("redis_") && !of_the_run(name) && !support::redis::is_beyond(name);
    let series = page.series.iter().filter(|series| wanted(&series.name));
    let series = series.map(|series| (format!("{}{:?}", series.name, series.labels), series.value)).collect();
    let types = page.types.iter().filter(|(name, _)| wanted(name)).map(|(name, kind)| (name.clone(), kind.clone())).collect();
    (series, types)
}

/// The page that redis_exporter gave; its HELP lines are not recorded, and the parser insists on them.
fn recorded(page: &Path) -> Exposition {
    let text = std::fs::read_to_string(page).unwrap();
    let help = |line: &str| match line.strip_prefix("# TYPE ") {
        Some(rest) => format!("# HELP {} -\n{line}\n", rest.split(' ').next().unwrap()),
        None => format!("{line}\n"),
    };
    parse(&text.lines().map(help).collect::<String>()).unwrap()
}

/// The states of a server of which there is such a page.
fn states(server: &str, page: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(shared("fixtures/redis").join(server)).unwrap();
    let mut states: Vec<_> = folder.map(|state| state.unwrap().path()).collect();
    states.retain(|state| state.join("expected").join(page).exists());
    states.sort();
    states
}

/// Our page of a recorded state. What is counted in the background may take some scrapes to show.
fn ours(state: &Path, flags: &[&str]) -> Exposition {
    let stub = Stub::recorded(state);
    let args = [&["--no-host", "--no-containers", "--no-postgres"], flags].concat();
    let agent = Agent::start(&args, &[("REDIS_ADDR", &stub.addr())]);
    let mut found = page(&agent);
    if flags.iter().any(|flag| flag.contains("count-keys")) {
        wait_for("keys to be counted", Duration::from_secs(20), || {
            found = page(&agent);
            found.all("redis_keys_count").count() == 2
        });
    }
    found
}

/// Compares one server's recorded states with our pages: at least `floor` samples, all of them equal and no other, but for
/// deliberate repairs; with `compat` there are none.
fn compare(server: &str, floor: usize, compat: bool) {
    let (mut equal, mut used) = (0, [false; REPAIRS.len()]);
    let mut differences = Vec::new();
    for (file, flags) in [("head-default.prom", &[][..]), ("head-flags.prom", &FLAGS)] {
        let states = states(server, file);
        assert!(states.len() >= if flags.is_empty() { 16 } else { 5 }, "{states:?}");
        for state in states {
            let busy = !flags.is_empty() && state.ends_with("standalone-busy");
            let flags = [flags, if busy { &KEYS } else { &[] }, if compat { &[COMPAT] } else { &[] }].concat();
            let name = format!("{} {file}", state.file_name().unwrap().to_string_lossy());
            let (theirs, their_types) = determined(&recorded(&state.join("expected").join(file)));
            let (ours, our_types) = determined(&ours(&state, &flags));
            let mut differ =
                |series: &str, what: String| match REPAIRS.iter().position(|(.., concerns)| !compat && concerns(series)) {
                    Some(repair) => used[repair] = true,
                    None => differences.push(format!("{name}: {what}")),
                };
            for (series, value) in &theirs {
                match ours.get(series) {
                    Some(own) if own == value => equal += 1,
                    own => differ(series, format!("{series} is {own:?}, should be {value}")),
                }
            }
            ours.keys().filter(|key| !theirs.contains_key(*key)).for_each(|key| differ(key, format!("{key} is too much")));
            let both = their_types.iter().filter(|(family, kind)| our_types.get(*family).is_some_and(|own| own != *kind));
            differences.extend(both.map(|(family, kind)| format!("{name}: {family} should be a {kind}")));
        }
    }
    assert!(differences.is_empty(), "{} differences, {equal} samples equal:\n{}", differences.len(), differences.join("\n"));
    assert!(equal >= floor, "only {equal} samples were compared");
    let idle = REPAIRS.iter().zip(used).find(|((_, on, _), used)| *on == server && !used && !compat);
    assert!(idle.is_none(), "a repair that makes no difference: {:?}", idle.map(|((reason, ..), _)| reason));
}

macro_rules! oracle {
    ($($repaired:ident, $exact:ident: $server:literal $floor:literal;)*) => {$(
        #[test]
        fn $repaired() {
            compare($server, $floor, false);
        }

        #[test]
        fn $exact() {
            compare($server, $floor, true);
        }
    )*};
}

oracle! {
    repairs_redis_exporter_on_redis_7_0, equals_redis_exporter_on_redis_7_0: "redis-7.0" 5_015;
    repairs_redis_exporter_on_redis_8_0, equals_redis_exporter_on_redis_8_0: "redis-8.0" 5_387;
    repairs_redis_exporter_on_valkey_8_1, equals_redis_exporter_on_valkey_8_1: "valkey-8.1" 5_523;
    repairs_redis_exporter_on_valkey_9_1, equals_redis_exporter_on_valkey_9_1: "valkey-9.1" 5_759;
}

// --- redis_exporter itself, on a live server ---

/// Debian's redis_exporter, watching one server. Ends with the value.
struct Theirs {
    child: std::process::Child,
    port: u16,
}

impl Theirs {
    fn start(addr: &str) -> Theirs {
        let port = support::free_port();
        let child = std::process::Command::new("prometheus-redis-exporter")
            .args(["-redis-only-metrics", "-web.listen-address", &format!("127.0.0.1:{port}"), "-redis.addr", addr])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("redis_exporter (Debian's package prometheus-redis-exporter) is needed for this test");
        let theirs = Theirs { child, port };
        wait_for("redis_exporter to listen", Duration::from_secs(20), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        theirs
    }

    fn page(&self) -> Exposition {
        parse(&support::http("GET", self.port, "/metrics", &[]).text()).unwrap()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where 1.45 differs from the contract, which is a later redis_exporter, or from us by what it is.
const ASIDE: [(&str, &str); 5] = [
    ("redis_instance_info", "1.45 lacks the label master_replid"),
    ("redis_expired_time_cap_reached_total", "1.45 calls it a gauge"),
    ("redis_exporter_", "tells of the exporter, not of the server"),
    ("redis_connected_clients", "it counts its own connection of the moment"),
    ("redis_start_time_seconds", "the clock's second may turn between two scrapes"),
];

#[test]
fn shows_all_that_debians_redis_exporter_shows() {
    let master = Redis::start(&[
        "--latency-monitor-threshold",
        "1",
        "--enable-debug-command",
        "yes",
        "--appendonly",
        "yes",
        "--repl-diskless-sync-delay",
        "0",
    ]);
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    for database in ["0", "1", "7"] {
        let set: Vec<String> = (0..100).map(|key| format!("key{key}")).collect();
        let words: Vec<[&str; 5]> = set.iter().map(|key| ["SET", key, "value", "EX", "1000"]).collect();
        let select = ["SELECT", database];
        let mut commands: Vec<&[&str]> = vec![&select];
        commands.extend(words.iter().map(|words| &words[..]));
        master.send_all(&commands);
    }
    for command in [&["LPUSH", "key1", "x"][..], &["NONSENSE"], &["GET", "nothing"], &["DEBUG", "SLEEP", "0.02"]] {
        master.send(command);
    }
    wait_for("the replica", Duration::from_secs(20), || master.send(&["INFO", "replication"]).contains("state=online"));

    for server in [&master, &replica] {
        let (theirs, ours) = (Theirs::start(&server.addr()), watch(&server.addr()));
        let (_, _) = (theirs.page(), page(&ours));
        let (before, own, after) = (theirs.page(), page(&ours), theirs.page());
        let (mut compared, mut missing, mut off) = (0, Vec::new(), Vec::new());
        for series in before.series.iter().filter(|series| !ASIDE.iter().any(|(name, _)| series.name.starts_with(name))) {
            compared += 1;
            let same = |page: &Exposition| {
                page.series.iter().find(|other| other.name == series.name && other.labels == series.labels).cloned()
            };
            let kind = |page: &Exposition| page.types.get(page.family(&series.name)).cloned();
            let later = same(&after).map_or(series.value, |series| series.value);
            let (low, high) = (series.value.min(later), series.value.max(later));
            // Two processes do not ask at the same moment: memory and counters of the asking itself move a little.
            let slack = (0.05 * high.abs()).max(0.01);
            match same(&own) {
                Some(found) if kind(&own) != kind(&before) => missing.push(format!("{found:?} has another type")),
                Some(found) if found.value >= low - slack && found.value <= high + slack => {}
                Some(found) => off.push(format!("{series:?} ..{later}: {}", found.value)),
                None => missing.push(format!("{series:?}")),
            }
        }
        assert!(compared > 200, "only {compared} series were compared");
        assert!(missing.is_empty(), "{} of {compared} are not there:\n{}", missing.len(), missing.join("\n"));
        // What the two of them cost the server while they ask is part of what they show: a few values cannot agree.
        assert!(off.len() * 100 <= compared * 3, "{} of {compared} do not agree:\n{}", off.len(), off.join("\n"));
        for (name, reason) in &ASIDE[..2] {
            let theirs = before.all(name).next().unwrap();
            let differs = own.value(name, &[]).is_some()
                && (own.types[*name] != before.types[*name] || !own.all(name).any(|series| series.labels == theirs.labels));
            assert!(differs, "{name} is set aside for nothing: {reason}");
        }
    }
}
