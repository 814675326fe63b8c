//! Where the host's trees are: the only place that joins their paths.

use std::path::{Path, PathBuf};

use crate::settings::{Flag, Settings};

static PROCFS: Flag = Flag::text("path.procfs", "/proc", "Mount point of the host's procfs.");
static SYSFS: Flag = Flag::text("path.sysfs", "/sys", "Mount point of the host's sysfs.");
static ROOTFS: Flag = Flag::text("path.rootfs", "/", "Mount point of the host's root file system.");
static UDEV: Flag = Flag::text("path.udev.data", "/run/udev/data", "Directory of udev's database.");
static BUS: Flag = Flag::text("dbus.address", "unix:path=/run/dbus/system_bus_socket", "Address of the host's message bus.")
    .env("DBUS_SYSTEM_BUS_ADDRESS");

/// The flags that say where the trees and the bus are.
pub static FLAGS: [&Flag; 5] = [&PROCFS, &SYSFS, &ROOTFS, &UDEV, &BUS];

/// The four trees that host and container collectors read, and the bus that they ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// `--path.procfs`
    pub proc: PathBuf,
    /// `--path.sysfs`
    pub sys: PathBuf,
    /// `--path.rootfs`
    pub root: PathBuf,
    /// `--path.udev.data`
    pub udev: PathBuf,
    /// `--dbus.address`
    pub bus: String,
}

impl Default for Roots {
    fn default() -> Self {
        Roots::of(&Settings::default())
    }
}

impl Roots {
    /// The trees as set.
    pub fn of(settings: &Settings) -> Self {
        let path = |flag| PathBuf::from(settings.text(flag));
        Roots { proc: path(&PROCFS), sys: path(&SYSFS), root: path(&ROOTFS), udev: path(&UDEV), bus: settings.text(&BUS) }
    }

    /// `/proc/<path>`
    pub fn proc(&self, path: impl AsRef<Path>) -> PathBuf {
        self.proc.join(path)
    }

    /// `/sys/<path>`
    pub fn sys(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sys.join(path)
    }

    /// `path`, which may be absolute, below the host's root directory.
    pub fn root(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// `/run/udev/data/<name>`
    pub fn udev(&self, name: impl AsRef<Path>) -> PathBuf {
        self.udev.join(name)
    }

    /// The path below /proc of a per-namespace network file such as `dev`.
    ///
    /// `/proc/net` is the namespace of whoever reads it; in a container that would silently be the container's own, so
    /// the host's init process is asked wherever it can be seen.
    pub fn net(&self, file: &str) -> PathBuf {
        let of_init = self.proc.join("1/net").join(file);
        if of_init.exists() { of_init } else { self.proc.join("net").join(file) }
    }

    /// A mount point of the host as the host calls it, or `None` where `path` lies outside the host's root.
    pub fn strip_root<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        if self.root == Path::new("/") {
            return Some(path);
        }
        match path.strip_prefix(&self.root) {
            Ok(rest) if rest.as_os_str().is_empty() => Some(Path::new("/")),
            // `strip_prefix` gives a relative rest; the byte before it is the slash that makes it absolute again.
            Ok(rest) => {
                let whole = path.as_os_str().as_encoded_bytes();
                let start = whole.len().checked_sub(rest.as_os_str().len() + 1)?;
                std::str::from_utf8(whole.get(start..)?).ok().map(Path::new)
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rootfs_prefix_is_stripped() {
        let roots = Roots { root: "/host".into(), ..Roots::default() };
        assert_eq!(roots.strip_root(Path::new("/host")), Some(Path::new("/")));
        assert_eq!(roots.strip_root(Path::new("/host/var/lib")), Some(Path::new("/var/lib")));
        assert_eq!(roots.strip_root(Path::new("/etc/hosts")), None);
        assert_eq!(Roots::default().strip_root(Path::new("/var")), Some(Path::new("/var")));
        assert_eq!(roots.root("/etc/os-release"), PathBuf::from("/host/etc/os-release"));
    }
}
