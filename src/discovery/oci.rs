//! What is kept of a container's OCI runtime specification (`config.json`).

use serde::Deserialize;

use super::container::{Container, Network};
use super::inspection::{MOST, environment};

#[derive(Debug, Default, Deserialize)]
struct Spec {
    process: Option<Process>,
    linux: Option<Linux>,
    mounts: Option<Vec<Mount>>,
}

#[derive(Debug, Default, Deserialize)]
struct Process {
    args: Option<Vec<String>>,
    env: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
struct Linux {
    #[serde(rename = "cgroupsPath")]
    cgroup: Option<String>,
    namespaces: Option<Vec<Namespace>>,
}

#[derive(Debug, Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Mount {
    destination: Option<String>,
    source: Option<String>,
}

/// Puts into `container` what its specification says: network, mounts, the little of its environment; and, where its id is not one that
/// stands in a cgroup's name, its cgroup's path in the place of that. What cannot be read says nothing.
pub(super) fn complete(container: &mut Container, spec: &[u8], secrets: bool) {
    let spec: Spec = serde_json::from_slice(spec).unwrap_or_default();
    let linux = spec.linux.unwrap_or_default();
    if let Some(namespaces) = linux.namespaces
        && namespaces.iter().all(|namespace| namespace.kind.as_deref() != Some("network"))
    {
        container.network = Network::Host;
    }
    let process = spec.process.unwrap_or_default();
    container.environment = environment(&process.env.unwrap_or_default(), &process.args.unwrap_or_default(), secrets);
    let mounts = spec.mounts.unwrap_or_default().into_iter();
    let mounts = mounts.filter_map(|mount| mount.destination.zip(mount.source.filter(|source| source.starts_with('/'))));
    container.mounts = mounts.take(MOST).collect();
    container.mounts.sort_unstable();
    let is_long = container.id.len() == 64 && container.id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if let (false, Some(path)) = (is_long, linux.cgroup.filter(|path| !path.is_empty())) {
        container.id = cgroup(&path);
    }
}

/// The path of a cgroup: `/default/redis1`, or `system.slice:nerdctl:redis1` for `/system.slice/nerdctl-redis1.scope`.
fn cgroup(path: &str) -> String {
    match path.splitn(3, ':').collect::<Vec<_>>()[..] {
        [slice, prefix, name] => {
            let slice = if slice.is_empty() { "system.slice" } else { slice };
            let plain = slice.strip_suffix(".slice").unwrap_or(slice);
            // Slices lie in one another by their names: a-b.slice in a.slice.
            let ends = plain.match_indices('-').map(|(at, _)| at).chain([plain.len()]);
            let slices: String = ends.filter_map(|end| Some(format!("/{}.slice", plain.get(..end)?))).collect();
            let scope = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}.scope") };
            format!("{slices}/{scope}")
        }
        _ => format!("/{}", path.trim_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    #[test]
    fn cgroups_are_found_by_both_drivers() {
        for (path, expected) in [
            ("/default/redis1", "/default/redis1"),
            ("default/redis1/", "/default/redis1"),
            ("/", "/"),
            ("system.slice:nerdctl:x", "/system.slice/nerdctl-x.scope"),
            (":ctr:x", "/system.slice/ctr-x.scope"),
            ("a-b-c.slice:cri:x", "/a.slice/a-b.slice/a-b-c.slice/cri-x.scope"),
        ] {
            assert_eq!(cgroup(path), expected, "{path}");
        }
    }

    #[test]
    fn a_specification_tells_network_mounts_and_environment() {
        let spec = br#"{"process":{"args":["redis-server","--requirepass","pw"],"env":["POSTGRES_USER=me"]},
            "linux":{"cgroupsPath":"/default/web","namespaces":[{"type":"pid"}]},
            "mounts":[{"destination":"/run/x","type":"bind","source":"/srv/x"},{"destination":"/proc","source":"proc"}]}"#;
        let mut container = Container { id: "web".into(), ..Container::default() };
        complete(&mut container, spec, true);
        assert_eq!((container.id.as_str(), &container.network), ("/default/web", &Network::Host));
        assert_eq!(container.mounts, [("/run/x".to_owned(), "/srv/x".to_owned())]);
        assert_eq!(container.environment.postgres_user.as_deref(), Some("me"));
        assert_eq!(container.environment.redis_password.as_ref().map(Secret::reveal), Some("pw"));
        let mut container = Container { id: "a".repeat(64), ..Container::default() };
        complete(&mut container, br#"{"linux":{"cgroupsPath":"/x","namespaces":[{"type":"network"}]}}"#, false);
        assert_eq!((container.id, container.network), ("a".repeat(64), Network::Own));
        let mut container = Container { id: "a".into(), ..Container::default() };
        complete(&mut container, b"\0nonsense", true);
        assert_eq!(container, Container { id: "a".into(), ..Container::default() });
    }

    proptest::proptest! {
        #[test]
        fn any_path_will_do(path: String) {
            proptest::prop_assert!(cgroup(&path).starts_with('/'));
        }
    }
}
