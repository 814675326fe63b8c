//! What is kept of the engine's description of a container.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use super::answer::{Binding, Inspection, NetworkSettings};
use super::container::{Container, Environment, Health, LABELS, Network, Published};
use super::docker::plain;
use super::instant;
use crate::settings::Secret;

/// The most addresses, names, ports and mounts that are kept of one container.
const MOST: usize = 64;

/// The longest value that is kept of an environment.
const LONGEST: usize = 512;

/// What we keep of an inspection. Of environment and command line that is two names; passwords only for `secrets`.
pub(super) fn container(id: String, answer: Inspection, secrets: bool) -> Container {
    let state = answer.state.unwrap_or_default();
    let config = answer.config.unwrap_or_default();
    let mode = answer.host_config.and_then(|config| config.network_mode).unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let settings = labels.iter().filter(|(key, _)| key.starts_with(LABELS)).map(|(key, value)| (key.clone(), value.clone()));
    let mut container = Container {
        id,
        name: plain(&answer.name.unwrap_or_default()).to_owned(),
        image: config.image.unwrap_or_default(),
        settings: settings.take(MOST).collect(),
        labels,
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0),
        created: answer.created.as_deref().and_then(instant::seconds),
        started: state.started_at.as_deref().and_then(instant::seconds),
        health: Some(match state.health.and_then(|health| health.status).as_deref() {
            None => Health::Unchecked,
            Some("healthy") => Health::Healthy,
            Some(_) => Health::Unhealthy,
        }),
        network: match mode.strip_prefix("container:") {
            Some(other) => Network::Of(other.to_owned()),
            None if mode == "host" => Network::Host,
            None => Network::Own,
        },
        exposed: ports(config.exposed_ports.unwrap_or_default().keys()),
        environment: environment(&config.env.unwrap_or_default(), &config.cmd.unwrap_or_default(), secrets),
        ..Container::default()
    };
    let mounts = answer.mounts.unwrap_or_default().into_iter();
    container.mounts = mounts.filter_map(|mount| mount.destination.zip(mount.source)).take(MOST).collect();
    container.mounts.sort_unstable();
    network(&mut container, answer.network_settings.unwrap_or_default());
    container
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

fn environment(variables: &[String], command: &[String], secrets: bool) -> Environment {
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
