//! What is kept of the engine's description of a container.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::answer::{Binding, Graph, HealthCheck, HostConfig, Inspection, LogConfig, NetworkSettings};
use super::container::{Container, Environment, LABELS, Network, Published};
use super::docker::plain;
use super::facts::{Health, Limits, Log, State, Storage};
use super::instant;
use crate::settings::Secret;

/// The most addresses, names, ports and mounts that are kept of one container.
pub(super) const MOST: usize = 64;

/// The longest value that is kept of an environment.
const LONGEST: usize = 512;

/// What we keep of an inspection. Of environment and command line that is two names; passwords only for `secrets`.
pub(super) fn container(id: String, answer: Inspection, secrets: bool) -> Container {
    let state = answer.state.unwrap_or_default();
    let config = answer.config.unwrap_or_default();
    let host = answer.host_config.unwrap_or_default();
    let mode = host.network_mode.clone().unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let settings = labels.iter().filter(|(key, _)| key.starts_with(LABELS)).map(|(key, value)| (key.clone(), value.clone()));
    let mut container = Container {
        id,
        name: plain(&answer.name.unwrap_or_default()).to_owned(),
        image: config.image.unwrap_or_default(),
        image_id: answer.image.unwrap_or_default(),
        settings: settings.take(MOST).collect(),
        labels,
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0),
        created: answer.created.as_deref().and_then(instant::seconds),
        started: state.started_at.as_deref().and_then(instant::seconds),
        finished: state.finished_at.as_deref().and_then(instant::seconds),
        state: state.status.as_deref().and_then(State::of),
        exit_code: state.exit_code,
        oom_killed: state.oom_killed.unwrap_or_default(),
        restart_count: answer.restart_count.and_then(|count| u64::try_from(count).ok()),
        // An engine that was told none writes an empty word, and does not restart.
        restart_policy: host.restart_policy.as_ref().map_or_else(String::new, |policy| {
            policy.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "no".to_owned())
        }),
        health: Some(Health::Unchecked),
        health_check: config.healthcheck.is_some_and(checks),
        privileged: host.privileged.unwrap_or_default(),
        limits: limits(&host),
        network: match mode.strip_prefix("container:") {
            Some(other) => Network::Of(other.to_owned()),
            None if mode == "host" => Network::Host,
            None => Network::Own,
        },
        exposed: ports(config.exposed_ports.unwrap_or_default().keys()),
        environment: environment(&config.env.unwrap_or_default(), &config.cmd.unwrap_or_default(), secrets),
        ..Container::default()
    };
    if let Some(health) = state.health {
        container.health = health.status.as_deref().and_then(Health::of).or(container.health);
        container.failing_streak = health.failing_streak.and_then(|streak| u64::try_from(streak).ok()).unwrap_or(0);
    }
    // Of one that never ended or runs again, engines say 0.
    let ended = container.finished.is_some() && !container.state.is_some_and(State::is_alive);
    container.exit_code = container.exit_code.filter(|_| ended);
    let folder = folder(&container.id, [&answer.log_path, &answer.hostname_path, &answer.resolv_conf_path]);
    container.log = log(host.log_config.unwrap_or_default(), answer.log_path);
    container.storage = Storage { folder, ..storage(answer.driver, answer.graph_driver) };
    let mounts = answer.mounts.unwrap_or_default();
    let volumes = mounts.iter().filter_map(|mount| mount.name.clone()).filter(|name| !name.is_empty());
    container.volumes = volumes.take(MOST).collect();
    container.volumes.sort_unstable();
    let mounts = mounts.into_iter();
    container.mounts = mounts.filter_map(|mount| mount.destination.zip(mount.source)).take(MOST).collect();
    container.mounts.sort_unstable();
    network(&mut container, answer.network_settings.unwrap_or_default());
    container
}

/// The variables of the environment that are `wanted`, by their exact names.
///
/// `["PATH=/bin", "STAGE=production"]`
pub(super) fn variables(answer: &Inspection, wanted: &[String]) -> BTreeMap<String, String> {
    let all = answer.config.as_ref().and_then(|config| config.env.as_deref()).unwrap_or_default();
    let pairs = all.iter().filter_map(|pair| pair.split_once('='));
    let is_wanted = |name: &str| wanted.iter().any(|wanted| wanted == name);
    pairs.filter(|(name, _)| is_wanted(name)).take(MOST).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// `["CMD-SHELL", "curl -f http://localhost"]`; `["NONE"]` switches an image's own check off.
fn checks(check: HealthCheck) -> bool {
    check.test.is_some_and(|test| test.first().is_some_and(|word| word != "NONE"))
}

/// Docker writes 0 for "not set", and -1 for "no limit" where 0 would mean something.
fn limits(host: &HostConfig) -> Limits {
    let positive = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value != 0);
    // Microseconds; a quota without a period is one of the kernel's usual 100 ms.
    let quota = || {
        let (quota, period) = (positive(host.cpu_quota)?, positive(host.cpu_period).unwrap_or(100_000));
        quota.checked_mul(1_000_000_000)?.checked_div(period)
    };
    Limits {
        memory: positive(host.memory),
        memory_reservation: positive(host.memory_reservation),
        memory_swap: host.memory_swap.filter(|bytes| *bytes != 0),
        nano_cpus: positive(host.nano_cpus).or_else(quota),
        cpu_shares: positive(host.cpu_shares),
        pids: positive(host.pids_limit),
    }
}

/// `{"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}`
fn log(config: LogConfig, path: Option<String>) -> Log {
    let options = config.config.unwrap_or_default();
    let option = |name| options.get(name).filter(|text| text.len() <= LONGEST).cloned().unwrap_or_default();
    Log {
        driver: config.kind.unwrap_or_default(),
        max_size: option("max-size"),
        max_file: option("max-file"),
        path: path.unwrap_or_default(),
    }
}

/// The folder called as the container's id that one of its files lies in: `/var/lib/docker/containers/<id>/<id>-json.log`.
fn folder(id: &str, files: [&Option<String>; 3]) -> Option<String> {
    let folders = |path| Path::new(path).ancestors().skip(1);
    let mut all = files.into_iter().flatten().filter(|path| path.starts_with('/')).flat_map(folders);
    Some(all.find(|folder| folder.file_name().is_some_and(|name| name == id))?.to_str()?.to_owned())
}

/// `{"Name": "overlay2", "Data": {"UpperDir": "/var/lib/docker/overlay2/0af3/diff"}}`; with containerd's image store there is a name alone.
fn storage(driver: Option<String>, graph: Option<Graph>) -> Storage {
    let mut storage = Storage { driver: driver.unwrap_or_default(), ..Storage::default() };
    if let Some(graph) = graph {
        storage.upper = graph.data.and_then(|mut data| data.remove("UpperDir")).filter(|path| path.starts_with('/'));
        if storage.driver.is_empty() {
            storage.driver = graph.name.unwrap_or_default();
        }
    }
    storage
}

fn network(container: &mut Container, settings: NetworkSettings) {
    let mut networks: Vec<_> = settings.networks.unwrap_or_default().into_iter().take(MOST).collect();
    networks.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for (_, endpoint) in networks {
        let addresses = [endpoint.address, endpoint.address_v6];
        container.addresses.extend(addresses.into_iter().flatten().filter_map(|text| text.parse::<IpAddr>().ok()));
        container.aliases.extend(endpoint.aliases.unwrap_or_default().into_iter().chain(endpoint.dns_names.unwrap_or_default()));
    }
    container.addresses.truncate(MOST);
    container.aliases.sort_unstable();
    container.aliases.dedup();
    container.aliases.truncate(MOST);
    container.published = published(settings.ports.unwrap_or_default());
}

/// `5432/tcp`
fn port(text: &str) -> Option<u16> {
    text.strip_suffix("/tcp").unwrap_or(text).parse().ok().filter(|port| *port != 0)
}

fn ports<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<u16> {
    let mut ports: Vec<u16> = texts.filter_map(|text| port(text)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.truncate(MOST);
    ports
}

/// `"5432/tcp": [{"HostIp": "0.0.0.0", "HostPort": "15432"}]`
fn published(map: HashMap<String, Option<Vec<Binding>>>) -> Vec<Published> {
    let mut all = Vec::new();
    for (inside, bindings) in map {
        let Some(inside) = port(&inside) else { continue };
        for binding in bindings.unwrap_or_default() {
            let Some(host_port) = binding.host_port.as_deref().and_then(port) else { continue };
            let address = binding.host_ip.as_deref().and_then(|text| text.parse().ok());
            all.push(Published { port: inside, address: address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), host_port });
        }
    }
    all.sort_unstable();
    all.truncate(MOST);
    all
}

pub(super) fn environment(variables: &[String], command: &[String], secrets: bool) -> Environment {
    let find = |name: &str| {
        let mut values = variables.iter().filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        values.next_back().filter(|value| !value.is_empty() && value.len() <= LONGEST).map(str::to_owned)
    };
    let mut environment =
        Environment { postgres_user: find("POSTGRES_USER"), postgres_database: find("POSTGRES_DB"), ..Environment::default() };
    if secrets {
        environment.postgres_password = find("POSTGRES_PASSWORD").map(Secret::new);
        environment.redis_password = find("REDIS_PASSWORD").or_else(|| required(command)).map(Secret::new);
    }
    environment
}

/// `redis-server --requirepass secret`, in words or in one text for a shell.
fn required(command: &[String]) -> Option<String> {
    let mut words = command.iter().flat_map(|word| word.split_ascii_whitespace());
    words.find(|word| *word == "--requirepass")?;
    let word = words.next()?.trim_matches(['"', '\'']);
    (!word.is_empty() && word.len() <= LONGEST).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, secrets: bool) -> Container {
        container("id".to_owned(), serde_json::from_str(text).unwrap(), secrets)
    }

    const ANSWER: &str = r#"{"Name":"/db","Image":"sha256:1","State":{"Pid":7,"Running":true},
        "Config":{"Image":"postgres:14","Env":["PATH=/bin","POSTGRES_USER=me","POSTGRES_DB=shop","POSTGRES_PASSWORD=hunter2","REDIS_PASSWORD="],
            "Cmd":["sh","-c","redis-server --requirepass 'pw' --port 1"],"ExposedPorts":{"5432/tcp":{},"53/udp":{},"0/tcp":{}},
            "Labels":{"stack-exporter.postgres":"true","other":"x"}},
        "HostConfig":{"NetworkMode":"shop"},
        "Mounts":[{"Type":"volume","Source":"/var/lib/docker/volumes/s/_data","Destination":"/run/x"}],
        "NetworkSettings":{"Ports":{"5432/tcp":[{"HostIp":"127.0.0.1","HostPort":"15432"},{"HostIp":"x","HostPort":"99999"}],"53/udp":null},
            "Networks":{"b":{"IPAddress":"172.18.0.2","Aliases":["db"],"GlobalIPv6Address":""},"a":{"IPAddress":"172.17.0.2","DNSNames":["db","x"]}}}}"#;

    #[test]
    fn facts_are_docker_s_own() {
        let container = read(
            r#"{"Image":"sha256:1","RestartCount":3,"Driver":"overlay2","LogPath":"/var/lib/docker/containers/a/a-json.log",
            "State":{"Status":"exited","ExitCode":137,"OOMKilled":true,"StartedAt":"1970-01-01T00:00:01Z","FinishedAt":"1970-01-01T00:00:02Z",
                "Health":{"Status":"starting","FailingStreak":2}},
            "Config":{"Healthcheck":{"Test":["CMD","true"]}},
            "HostConfig":{"Privileged":true,"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":5},"Memory":64,"MemoryReservation":32,
                "MemorySwap":-1,"CpuQuota":50000,"CpuPeriod":0,"PidsLimit":-1,"CpuShares":0,
                "LogConfig":{"Type":"json-file","Config":{"max-size":"10m"}}},
            "GraphDriver":{"Name":"overlay2","Data":{"UpperDir":"/var/lib/docker/overlay2/a/diff"}},
            "Mounts":[{"Type":"volume","Name":"b","Source":"/b","Destination":"/x"},{"Type":"bind","Source":"/c","Destination":"/y"}]}"#,
            false,
        );
        assert_eq!((container.state, container.exit_code, container.oom_killed), (Some(State::Exited), Some(137), true));
        assert_eq!((container.started, container.finished, container.restart_count), (Some(1), Some(2), Some(3)));
        assert_eq!((container.health, container.failing_streak, container.health_check), (Some(Health::Starting), 2, true));
        assert_eq!((container.restart_policy.as_str(), container.privileged), ("on-failure", true));
        let limits = Limits {
            memory: Some(64),
            memory_reservation: Some(32),
            memory_swap: Some(-1),
            nano_cpus: Some(500_000_000),
            ..Limits::default()
        };
        assert_eq!(container.limits, limits);
        let path = "/var/lib/docker/containers/a/a-json.log".to_owned();
        assert_eq!(container.log, Log { driver: "json-file".into(), max_size: "10m".into(), max_file: String::new(), path });
        assert_eq!(
            container.storage,
            Storage { driver: "overlay2".into(), upper: Some("/var/lib/docker/overlay2/a/diff".into()), folder: None }
        );
        assert_eq!((container.volumes, container.image_id), (vec!["b".to_owned()], "sha256:1".to_owned()));
        let fresh = read(
            r#"{"State":{"Status":"created","ExitCode":0,"FinishedAt":"0001-01-01T00:00:00Z"},"Config":{"Healthcheck":{"Test":["NONE"]}},
            "HostConfig":{"RestartPolicy":{"Name":""}}}"#,
            false,
        );
        assert_eq!((fresh.state, fresh.exit_code, fresh.health_check), (Some(State::Created), None, false));
        assert_eq!(fresh.restart_policy, "no");
    }

    #[test]
    fn the_folder_is_the_container_s_own() {
        let (log, own, other) =
            ("/d/containers/a/a-json.log", "/d/containers/a/userdata/resolv.conf", "/d/containers/b/hostname");
        let of = |files: [&str; 3]| {
            let [log, hostname, resolv] = files.map(|path| Some(path.to_owned()));
            folder("a", [&log, &hostname, &resolv])
        };
        let found = Some("/d/containers/a".to_owned());
        assert_eq!([of([log, other, other]), of(["", other, own])], [found.clone(), found]);
        assert_eq!([of(["", other, other]), of(["a/x", "", "a"])], [None, None]);
    }

    #[test]
    fn variables_are_kept_by_exact_names() {
        let answer = serde_json::from_str(ANSWER).unwrap();
        let kept = |names: &[&str]| variables(&answer, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(kept(&["POSTGRES_USER", "POSTGRES", "", "path"]), [("POSTGRES_USER".to_owned(), "me".to_owned())].into());
        assert_eq!(kept(&[]), BTreeMap::new());
    }

    #[test]
    fn no_more_is_kept_than_needed() {
        let container = read(ANSWER, false);
        assert_eq!(container.addresses, ["172.17.0.2", "172.18.0.2"].map(|text| text.parse::<IpAddr>().unwrap()));
        assert_eq!((container.exposed, container.aliases), (vec![5432], vec!["db".to_owned(), "x".to_owned()]));
        let published = Published { port: 5432, address: "127.0.0.1".parse().unwrap(), host_port: 15432 };
        assert_eq!(container.published, [published]);
        assert_eq!(container.settings.len(), 1);
        let of = &container.environment;
        assert_eq!((of.postgres_user.as_deref(), of.postgres_database.as_deref()), (Some("me"), Some("shop")));
        assert_eq!((&of.postgres_password, &of.redis_password), (&None, &None));
        let of = read(ANSWER, true).environment;
        assert_eq!((of.postgres_password.unwrap().reveal(), of.redis_password.unwrap().reveal()), ("hunter2", "pw"));
        assert_eq!(read("{}", true), Container { id: "id".into(), health: Some(Health::Unchecked), ..Container::default() });
    }

    proptest::proptest! {
        #[test]
        fn any_texts_are_read(texts in proptest::collection::vec("[0-9]{0,6}(/tcp|/udp)?|[0-9.:a-f]{0,20}|.{0,9}|(POSTGRES_USER|POSTGRES_DB)=.{0,5}|--requirepass", 8)) {
            let text = |at: usize| serde_json::Value::from(texts[at].clone());
            let answer = serde_json::json!({
                "Name": text(0), "Image": text(1), "State": {"Pid": i64::try_from(texts[2].len()).unwrap() - 1},
                "Config": {"Env": texts, "Cmd": texts, "ExposedPorts": {texts[3].as_str(): {}}, "Labels": {texts[4].as_str(): text(5)}},
                "HostConfig": {"NetworkMode": text(6)},
                "NetworkSettings": {"Networks": {texts[7].as_str(): {"IPAddress": text(0), "Aliases": texts}},
                    "Ports": {texts[1].as_str(): [{"HostIp": text(2), "HostPort": text(3)}]}},
            });
            let container = read(&answer.to_string(), true);
            proptest::prop_assert!(!container.exposed.contains(&0) && container.published.iter().all(|port| port.port != 0 && port.host_port != 0));
        }
    }

    #[test]
    fn networks_of_others() {
        let network = |mode: &str| read(&format!(r#"{{"HostConfig":{{"NetworkMode":"{mode}"}}}}"#), false).network;
        assert_eq!([network("host"), network("none"), network("bridge")], [Network::Host, Network::Own, Network::Own]);
        assert_eq!(network("container:abc"), Network::Of("abc".into()));
    }
}
