//! What the README says is so: the first command's page, the lists of flags and of the audit's checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use stack_exporter::settings::{Default, Flag};
use support::exposition;

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

/// A machine that runs Docker, PostgreSQL and Redis as Debian sets them up: network, /run and /srv of its own, the rest is this one's.
/// Prints the page of the agent, which is started without any setting.
const MACHINE: &str = r#"
set -eu
agent=$1 docker=$2
bin=$(dirname "$(find /usr/lib/postgresql -name initdb | sort -V | tail -n 1)")
ip link set lo up
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /srv
ln -s "$docker" /run/docker.sock
install -d -o postgres /run/postgresql /srv/postgres
runuser -u postgres -- "$bin/initdb" -D /srv/postgres --auth-local=peer --auth-host=reject >/srv/initdb.log
setpriv --reuid postgres --regid postgres --init-groups "$bin/postgres" -D /srv/postgres -k /run/postgresql >/srv/postgres.log 2>&1 &
postgres=$!
redis-server --dir /srv --save '' >/srv/redis.log &
redis=$!
for attempt in $(seq 300); do
  if "$bin/pg_isready" -q && redis-cli ping >/dev/null 2>&1; then break; fi
  sleep 0.1
done
env -i "$agent" >/srv/agent.log 2>&1 &
agent=$!
trap 'kill $agent $redis $postgres; wait' EXIT
for attempt in $(seq 200); do
  sleep 0.1
  curl -sf localhost:9100/metrics >/srv/page || continue
  if grep -q '^pg_up.* 1$' /srv/page && grep -q '^redis_up.* 1$' /srv/page && grep -q 'name="readme"' /srv/page; then
    break
  fi
done
cat /srv/agent.log >&2
cat /srv/page
"#;

#[test]
fn the_first_command_shows_all_four_parts() {
    assert!(fs::read_to_string(readme()).unwrap().contains("\ncargo run --release\n"), "the README's first command is another");
    let daemon = std::env::var("STACK_EXPORTER_TEST_DOCKER").expect("no Docker daemon to test with: tests/run starts one");
    let docker = |args: &[&str]| Command::new("docker").arg("-H").arg(&daemon).args(args).output().unwrap();
    docker(&["rm", "-f", "readme"]);
    assert!(docker(&["run", "-d", "--network=none", "--name=readme", "busybox:test", "sleep", "600"]).status.success());
    let socket = daemon.trim_start_matches("unix://");
    let machine = ["--mount", "--net", "bash", "-c", MACHINE, "machine", env!("CARGO_BIN_EXE_stack-exporter"), socket];
    let output = Command::new("unshare").args(machine).output().expect("this test needs unshare(1)");
    docker(&["rm", "-f", "readme"]);
    let (page, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let page = exposition::parse(&page).unwrap_or_else(|error| panic!("{error}: {log}"));
    for (up, prefix, least) in [("pg_up", "pg_", 300), ("redis_up", "redis_", 150)] {
        assert_eq!(page.value(up, &[]), Some(1.0), "{up}: {log}");
        let series = page.series.iter().filter(|series| series.name.starts_with(prefix)).count();
        assert!(series >= least, "{series} of {prefix}: {log}");
    }
    assert!(page.series.iter().any(|series| series.name == "container_last_seen" && series.has(&[("name", "readme")])), "{log}");
    assert!(page.all("node_cpu_seconds_total").count() >= 8, "{log}");
}

/// Holds the README's table called `name` to what it should be, or writes it.
fn table_is(name: &str, table: &str) {
    let begin = format!("<!-- {name}: UPDATE_README=1 cargo test --test readme writes this table -->\n");
    let end = format!("<!-- end of {name} -->\n");
    let text = fs::read_to_string(readme()).unwrap();
    let (before, rest) = text.split_once(&begin).expect("the README has the table's first mark");
    let (written, after) = rest.split_once(&end).expect("the README has the table's last mark");
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(readme(), format!("{before}{begin}\n{table}\n{end}{after}")).unwrap();
    } else {
        similar_asserts::assert_eq!(written.trim(), table.trim(), "UPDATE_README=1 cargo test --test readme writes the table");
    }
}

#[test]
fn every_flag_is_listed() {
    let help = Command::new(env!("CARGO_BIN_EXE_stack-exporter")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    // A flag stands six columns in, its explanation ten.
    let lines = help.lines().filter_map(|line| line.strip_prefix("      --"));
    let shown: Vec<_> = lines.map(|line| line.split(' ').next().unwrap()).collect();
    let flags: Vec<_> = stack_exporter::agent::flags().into_iter().filter(|flag| !flag.hidden).collect();
    assert_eq!(flags.iter().map(|flag| flag.name).collect::<Vec<_>>(), shown);

    let table: String = flags.iter().map(|flag| row(flag)).collect();
    let table = format!("| flag | what it does | default | environment |\n| --- | --- | --- | --- |\n{table}");
    table_is("flags", &table);
}

#[test]
fn every_check_of_the_audit_is_listed() {
    let rows = stack_exporter::audit::checks().into_iter().map(|check| {
        let threshold = check.threshold.map_or(String::new(), |number| format!("`{number}`"));
        let (what, remedy) = (check.advice.what.replace('|', "\\|"), check.advice.remedy.replace('|', "\\|"));
        format!(
            "| `{}` | {} | {} | {what} | {remedy} | {threshold} | {} |\n",
            check.advice.check,
            check.part.name(),
            check.severity,
            check.source
        )
    });
    let table: String = rows.collect();
    let head = "| check | of | severity | what is wrong | what to do | compares with | by |\n| --- | --- | --- | --- | --- | --- | --- |\n";
    table_is("checks", &format!("{head}{table}"));
}

fn row(flag: &Flag) -> String {
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{}`", text.replace('|', "\\|")) };
    let default = match flag.default {
        Default::Switch(true) => "on".to_owned(),
        Default::Switch(false) => "off".to_owned(),
        Default::Text(text) => code(text),
        Default::List(list) => code(&list.join(", ")),
        Default::Number(number) => number.to_string(),
        Default::Time(time) => format!("{time:?}"),
    };
    let name = match flag.default {
        Default::Switch(true) => format!("`--[no-]{}`", flag.name),
        Default::List(_) => format!("`--{}` (repeatable)", flag.name),
        _ => format!("`--{}`", flag.name),
    };
    let help = flag.help.replace('|', "\\|").replace('<', "&lt;");
    format!("| {name} | {help} | {default} | {} |\n", flag.env.map(code).unwrap_or_default())
}
