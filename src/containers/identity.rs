//! Which container a cgroup is, by its path.
//!
//! | engine | cgroup |
//! | --- | --- |
//! | Docker | `/docker/<id>`, `/system.slice/docker-<id>.scope`, or below any `--cgroup-parent` |
//! | kubelet | `/kubepods/burstable/pod<uid>/<id>`, `.../cri-containerd-<id>.scope`, `.../crio-<id>.scope` |
//! | Podman | `/machine.slice/libpod-<id>.scope`, `/libpod_parent/libpod-<id>` |
//! | nerdctl | `/default/<id>`, `/system.slice/nerdctl-<id>.scope` |

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

    proptest::proptest! {
        #[test]
        fn any_text_will_do(path: String) {
            container_id(&path);
        }
    }
}
