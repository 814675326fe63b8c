//! Which container a cgroup is, by its path.
//!
//! | engine | cgroup |
//! | --- | --- |
//! | Docker | `/docker/<id>`, `/system.slice/docker-<id>.scope`, or below any `--cgroup-parent` |
//! | kubelet | `/kubepods/burstable/pod<uid>/<id>`, `.../cri-containerd-<id>.scope`, `.../crio-<id>.scope` |
//! | Podman | `/machine.slice/libpod-<id>.scope`, its processes in `.../container` below ([`holder`]); `/libpod_parent/libpod-<id>` |
//! | nerdctl | `/default/<id>`, `/system.slice/nerdctl-<id>.scope` |
//! | LXC | `/lxc.payload.<name>`, before LXC 4 `/lxc/<name>` and `/lxc.payload/<name>` |
//! | systemd-nspawn, libvirt | `/machine.slice/machine-<name>.scope`, `/machine.slice/systemd-nspawn@<name>.service` |

/// Length of a container's id: 32 bytes in hexadecimal.
const LENGTH: usize = 64;

/// The container's id in a cgroup's path: the first run of 64 hexadecimal digits in its last name.
///
/// Monitors (`libpod-conmon-<id>.scope`, `crio-conmon-<id>.scope`) carry their container's id but are not it, nor are mount
/// units of its layers.
pub(super) fn container_id(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    if name.ends_with(".mount") || name.contains("conmon") {
        return None;
    }
    let mut start = 0;
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'0'..=b'9' | b'a'..=b'f' if at + 1 - start == LENGTH => return name.get(start..=at),
            b'0'..=b'9' | b'a'..=b'f' => {}
            _ => start = at + 1,
        }
    }
    None
}

/// The container's cgroup that this one is but a part of: on v2 crun puts the processes of Podman's and CRI-O's containers into a cgroup
/// `container` below their scope, so that systemd has the scope and the container what is below. The scope counts all of it.
pub(super) fn holder(path: &str) -> Option<&str> {
    let above = path.strip_suffix("/container")?;
    let name = above.rsplit('/').next()?;
    let is_crun = name.starts_with("libpod-") || name.starts_with("crio-");
    container_id(above).filter(|_| is_crun).and(Some(above))
}

/// The name of a container or machine that no engine runs, by its cgroup's path.
pub(super) fn machine(path: &str) -> Option<String> {
    let (above, name) = path.rsplit_once('/')?;
    let of_unit = |prefix, suffix| name.strip_prefix(prefix).and_then(|name: &str| name.strip_suffix(suffix));
    let lxc = || name.strip_prefix("lxc.payload.").or_else(|| Some(name).filter(|_| matches!(above, "/lxc" | "/lxc.payload")));
    let unit = of_unit("machine-", ".scope").or_else(|| of_unit("systemd-nspawn@", ".service"));
    unit.map(unescape).or_else(|| lxc().map(str::to_owned)).filter(|name| !name.is_empty())
}

/// A name as systemd writes it in a unit's: `web\x2d1` is `web-1`.
fn unescape(name: &str) -> String {
    let mut parts = name.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.split_at_checked(2).and_then(|(digits, rest)| Some((u8::from_str_radix(digits, 16).ok()?, rest))) {
            Some((byte, rest)) => {
                bytes.push(byte);
                bytes.extend_from_slice(rest.as_bytes());
            }
            None => bytes.extend_from_slice(format!("\\x{part}").as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_all_engines() {
        let id = "10fa44541b0d1b167cdb6a2300c4536157403232852e2badc3c15c0c3a1c3386";
        for path in [
            "/docker/ID",
            "/ecs/task/ID",
            "/system.slice/docker-ID.scope",
            "/a.slice/a-b.slice/docker-ID.scope",
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
            "/kubepods/burstable/pod6e1c/ID",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod6e1c.slice/cri-containerd-ID.scope",
            "/kubepods.slice/crio-ID.scope",
            "/machine.slice/libpod-ID.scope",
            "/libpod_parent/libpod-ID",
            "/default/ID",
            "/system.slice/nerdctl-ID.scope",
            "/docker/0000000000000000000000000000000000000000000000000000000000000000/docker/ID",
        ] {
            assert_eq!(container_id(&path.replace("ID", id)), Some(id), "{path}");
        }
        for path in [
            "/",
            "/docker",
            "/system.slice/ssh.service",
            "/docker/ID/init.scope",
            "/machine.slice/libpod-conmon-ID.scope",
            "/kubepods.slice/crio-conmon-ID.scope",
            "/system.slice/var-lib-docker-overlay2-ID-merged.mount",
            "/docker/10fa44541b0d1b167cdb6a2300c4536157403232852e2badc3c15c0c3a1c338",
            "/x/10fa44541b0d1b167cdb6a2300c4536-57403232852e2badc3c15c0c3a1c3386",
        ] {
            assert_eq!(container_id(&path.replace("ID", id)), None, "{path}");
        }
    }

    #[test]
    fn what_crun_puts_below_a_scope_is_part_of_it() {
        let id = "10fa44541b0d1b167cdb6a2300c4536157403232852e2badc3c15c0c3a1c3386";
        for scope in [
            "/machine.slice/libpod-ID.scope",
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
            "/kubepods.slice/kubepods-pod6e1c.slice/crio-ID.scope",
            "/libpod_parent/libpod-ID",
        ] {
            let scope = scope.replace("ID", id);
            assert_eq!(holder(&format!("{scope}/container")), Some(&*scope));
            assert_eq!([holder(&scope), holder(&format!("{scope}/container/init.scope"))], [None, None]);
        }
        // Whoever else calls a cgroup so has one of their own; a monitor has none.
        for path in
            ["/container", "/docker/ID/container", "/machine.slice/libpod-conmon-ID.scope/container", "/libpod-x/container"]
        {
            assert_eq!(holder(&path.replace("ID", id)), None, "{path}");
        }
    }

    #[test]
    fn machines_are_called_by_their_paths() {
        for (path, name) in [
            ("/lxc.payload.web", Some("web")),
            ("/lxc/101", Some("101")),
            ("/lxc.payload/web", Some("web")),
            ("/machine.slice/machine-web\\x2d1.scope", Some("web-1")),
            ("/machine.slice/systemd-nspawn@web.service", Some("web")),
            ("/machine.slice/machine-a\\xzz.scope", Some("a\\xzz")),
            ("/lxc.payload.web/system.slice", None),
            ("/lxc/101/ns", None),
            ("/lxc.monitor.web", None),
            ("/lxc.pivot", None),
            ("/lxc.payload.", None),
            ("/machine.slice", None),
            ("/system.slice/ssh.service", None),
            ("/", None),
        ] {
            assert_eq!(machine(path).as_deref(), name, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_will_do(path: String, name: String) {
            container_id(&path);
            machine(&path);
            holder(&path);
            let escaped = format!("\\x2d{name}");
            proptest::prop_assert!(!unescape(&escaped).is_empty());
        }
    }
}
