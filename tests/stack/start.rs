//! docker/start/ and docker/size-services: settings that fit the memory, as real servers take them.

use std::collections::BTreeMap;
use std::process::Command;

use crate::{project, quiet, run};

/// What docker/start/`server` gives the server in a container with these limits.
fn settings(server: &str, mib: u64, cpus: u64) -> BTreeMap<String, String> {
    let mut command = Command::new(project("docker/start").join(server));
    let printed =
        String::from_utf8(quiet(command.arg("--print").env("MEMORY_MIB", mib.to_string()).env("CPUS", cpus.to_string())))
            .unwrap();
    printed
        .lines()
        .map(|line| line.split_once(['=', ' ']).unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// `64MB` or `2097kB` in KiB.
fn kib(text: &str) -> u64 {
    match (text.strip_suffix("MB"), text.strip_suffix("kB")) {
        (Some(number), _) => number.parse::<u64>().unwrap() * 1024,
        (_, Some(number)) => number.parse().unwrap(),
        _ => panic!("no size: {text}"),
    }
}

#[test]
fn postgresql_is_sized_for_any_memory() {
    let mut before = 0;
    for (mib, cpus) in [(256, 1), (512, 1), (1024, 2), (1400, 2), (2048, 2), (8192, 4), (32_768, 16), (262_144, 96)] {
        let settings = settings("postgres", mib, cpus);
        let size = |name: &str| kib(&settings[name]);
        let number = |name: &str| settings[name].parse::<u64>().unwrap();
        let (memory, buffers) = (mib * 1024, size("shared_buffers"));
        // A quarter, up to where more buffers are of no more use.
        assert!(buffers == memory / 4 || buffers == 16 << 20, "{mib} MiB: {buffers}");
        assert!(buffers >= before && size("effective_cache_size") == memory * 3 / 4, "{mib} MiB");
        before = buffers;
        // Every connection sorts, and three workers vacuum: it still fits.
        let worst = buffers + number("max_connections") * size("work_mem") + 3 * size("maintenance_work_mem");
        assert!(worst <= memory * 9 / 10, "{mib} MiB: {worst} KiB at the worst");
        assert!(size("work_mem") >= 2000 && size("maintenance_work_mem") >= 12 << 10, "{mib} MiB");
        assert_eq!(number("max_parallel_workers"), cpus);
        assert!((1..=4).contains(&number("max_parallel_workers_per_gather")) && number("max_worker_processes") >= cpus);
    }
}

#[test]
fn postgresql_takes_the_settings() {
    let bin = std::fs::read_dir("/usr/lib/postgresql").unwrap().next().unwrap().unwrap().path().join("bin");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let as_postgres = |program: &str, args: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(bin.join(program))
            .args(args)
            .current_dir("/");
        String::from_utf8(run(&mut command).stdout).unwrap()
    };
    run(Command::new("chown").arg("postgres").arg(folder.path()));
    as_postgres("initdb", &["--no-sync", "-A", "trust", "-D", data.to_str().unwrap()]);
    let given: Vec<String> = settings("postgres", 1400, 2).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let set: Vec<&str> = given.iter().flat_map(|setting| ["-c", setting.as_str()]).collect();
    // -C reads all of them, checks each, and prints one.
    for (name, expected) in
        [("shared_buffers", "44800"), ("work_mem", "5734"), ("max_connections", "100"), ("max_slot_wal_keep_size", "20480")]
    {
        let printed = as_postgres("postgres", &[&["-D", data.to_str().unwrap()], &set[..], &["-C", name]].concat());
        assert_eq!(printed.trim(), expected, "{name}");
    }
}

#[test]
fn redis_leaves_room_for_a_save() {
    for (mib, expected) in [(96, "57mb"), (400, "240mb"), (16_384, "9830mb")] {
        assert_eq!(settings("redis", mib, 1)["maxmemory"], expected);
    }
}

#[test]
fn the_databases_users_are_those_that_the_agent_asks_for() {
    let told = |args: &[&str]| String::from_utf8(quiet(Command::new(env!("CARGO_BIN_EXE_stack-exporter")).args(args))).unwrap();
    let statements = |text: &str| -> Vec<String> { text.lines().filter(|line| line.ends_with(';')).map(str::to_owned).collect() };
    let ours = statements(&std::fs::read_to_string(project("docker/postgres/monitoring.sql")).unwrap());
    let asked = statements(&told(&["postgres", "grants"]));
    assert!(asked.len() >= 3);
    assert_eq!(ours[..asked.len()], asked);
    let rest = [r#"ALTER ROLE "stack_exporter" PASSWORD :'password';"#, "CREATE EXTENSION pg_stat_statements;"];
    assert_eq!(ours[asked.len()..], rest);
    let script = std::fs::read_to_string(project("docker/start/redis")).unwrap();
    let user = format!("user stack_exporter on #$(hash monitoring_password) {}", told(&["redis", "acl"]).trim());
    assert!(script.lines().any(|line| line == user), "{user}");
}

#[test]
fn the_hosts_memory_is_shared_out() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("size-services");
    std::fs::create_dir(folder.path().join("start")).unwrap();
    for file in ["size-services", "start/limits.sh"] {
        std::fs::copy(project("docker").join(file), folder.path().join(file)).unwrap();
    }
    let written = || std::fs::read_to_string(folder.path().join(".env")).unwrap();
    for (mib, cpus, postgres) in [(2048, 1, 716), (4096, 2, 1433), (16_384, 8, 5734), (131_072, 32, 45_875)] {
        quiet(Command::new(&script).args([mib.to_string(), cpus.to_string()]));
        let limits: BTreeMap<String, String> = written()
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(
            (limits["POSTGRES_MEMORY"].as_str(), &limits["APP_CPUS"]),
            (format!("{postgres}m").as_str(), &cpus.to_string())
        );
        let sum: u64 = limits
            .iter()
            .filter(|(name, _)| name.ends_with("_MEMORY"))
            .map(|(_, size)| size.trim_end_matches('m').parse::<u64>().unwrap())
            .sum();
        // The agent and the gateway have 64 MiB each.
        assert!(sum + 128 <= mib, "{mib} MiB: {sum}");
    }
    // This host, by what the kernel says.
    run(&mut Command::new(&script));
    assert!(written().contains("POSTGRES_MEMORY="), "{}", written());
    for wrong in [&["0"][..], &["x"], &["2048", "-1"]] {
        assert_eq!(Command::new(&script).args(wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}
