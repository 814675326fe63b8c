//! Which file systems there are, by /proc/1/mountinfo: for the host's own series, and to name what a container's layer lies on.

use std::path::{Path, PathBuf};

use crate::system::text::{fields, lines, utf8};

/// A mount of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// `254:0`
    number: String,
    /// By the host's paths.
    pub(super) point: PathBuf,
    kind: String,
    source: String,
}

/// File systems that keep files, in cAdvisor's choice.
const KINDS: [&str; 12] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "vfat", "squashfs", "nfs", "nfs4"];

/// Mounts that engines make for single containers and pods: what lies on them is told of those.
const OF_ENGINES: [&str; 6] =
    ["/var/lib/docker/", "/var/lib/containers/", "/var/lib/containerd/", "/var/lib/kubelet/", "/run/containerd/", "/run/docker/"];

impl Mount {
    /// Its name in the label `device`: a tmpfs has no device and goes by its mount point.
    pub(super) fn device(&self) -> String {
        match self.kind.as_str() {
            "tmpfs" => self.point.to_string_lossy().into_owned(),
            "overlay" => format!("overlay_{}", self.number.replace(':', "-")),
            _ => self.source.clone(),
        }
    }
}

/// `27 1 254:0 / /var/lib/with\040space rw,relatime shared:1 - ext4 /dev/vda rw`
pub(super) fn parse(mountinfo: &[u8]) -> Vec<Mount> {
    let mount = |line| {
        let mut all = fields(line).skip(2);
        let (number, _, point) = (all.next()?, all.next()?, all.next()?);
        let mut rest = all.skip_while(|field| *field != b"-").skip(1);
        let (kind, source) = (utf8(rest.next()?).into_owned(), unescape(rest.next()?));
        Some(Mount { number: utf8(number).into_owned(), point: unescape(point).into(), kind, source })
    };
    lines(mountinfo).filter_map(mount).collect()
}

/// Those that the host's own series tell of: each file system once, where it was mounted first.
pub(super) fn shown(all: Vec<Mount>) -> Vec<Mount> {
    let mut shown: Vec<Mount> = Vec::new();
    for mount in all {
        let keeps_files = KINDS.contains(&mount.kind.as_str())
            || mount.kind == "tmpfs"
            || (mount.kind == "overlay" && mount.point == Path::new("/"));
        let of_engine = OF_ENGINES.iter().any(|prefix| mount.point.as_os_str().as_encoded_bytes().starts_with(prefix.as_bytes()));
        let is_known = shown.iter().any(|known| known.number == mount.number || known.device() == mount.device());
        if keeps_files && !of_engine && !is_known {
            shown.push(mount);
        }
    }
    shown
}

/// The mount that `path` lies on: the longest mount point before it, and of several at one place the last.
pub(super) fn holds<'a>(all: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    all.iter().filter(|mount| path.starts_with(&mount.point)).max_by_key(|mount| mount.point.as_os_str().len())
}

/// The folder of what a container wrote, of the mountinfo of a process in it.
///
/// `630 559 0:52 / / rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=/var/lib/docker/overlay2/0af3/diff,workdir=/c`
pub(super) fn upper(mountinfo: &[u8]) -> Option<PathBuf> {
    let root = lines(mountinfo).find(|line| fields(line).nth(4) == Some(b"/"))?;
    let mut rest = fields(root).skip_while(|field| *field != b"-").skip(1);
    let options = rest.next().filter(|kind| *kind == b"overlay").and_then(|_| rest.nth(1))?;
    let path = options.split(|byte| *byte == b',').find_map(|option| option.strip_prefix(b"upperdir="))?;
    Some(PathBuf::from(unescape(path))).filter(|path| path.is_absolute())
}

/// The kernel writes blanks, backslashes and line breaks as `\040`.
fn unescape(text: &[u8]) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match rest {
            [b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', tail @ ..] => {
                plain.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
                rest = tail;
            }
            _ => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    utf8(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"22 27 0:21 / /proc rw - proc proc rw\n\
        27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        28 27 254:0 /data /mnt/again rw - ext4 /dev/vda rw\n\
        29 27 0:24 / /dev/shm rw - tmpfs tmpfs rw\n\
        30 27 0:25 / /run rw - tmpfs tmpfs rw\n\
        31 27 8:1 / /var/lib/docker\\040x rw shared:1 - xfs /dev/sda1 rw\n\
        32 27 0:52 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw,upperdir=/u\n\
        33 27 0:53 / /var/lib/docker/containers/a/mounts/shm rw - tmpfs shm rw\n\
        34 27 0:54 / /mnt/nfs rw - nfs4 server:/x rw\nshort\n";

    #[test]
    fn each_file_system_is_told_once() {
        let all = parse(MOUNTS);
        assert_eq!(all.len(), 9);
        let devices: Vec<String> = shown(all.clone()).iter().map(Mount::device).collect();
        assert_eq!(devices, ["/dev/vda", "/dev/shm", "/run", "/dev/sda1", "server:/x"]);
        let device = |path: &str| holds(&all, Path::new(path)).map(Mount::device);
        assert_eq!(device("/var/lib/docker x/overlay2/b/diff").as_deref(), Some("/dev/sda1"));
        assert_eq!(device("/var/lib/docker/overlay2/b/diff").as_deref(), Some("/dev/vda"));
        assert_eq!(device("relative"), None);
    }

    #[test]
    fn the_layer_is_found_by_a_process() {
        let of = |line: &str| upper(line.as_bytes()).map(|path| path.to_str().unwrap().to_owned());
        let line = "1 2 0:52 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l,upperdir=/var/a\\040b/fs,workdir=/w\n";
        assert_eq!(of(line).as_deref(), Some("/var/a b/fs"));
        assert_eq!(
            of("1 2 254:0 /docker/vfs/dir/a / rw - ext4 /dev/vda rw\n2 1 0:1 / /x rw - overlay overlay rw,upperdir=/u\n"),
            None
        );
        assert_eq!(of("1 2 0:52 / / rw - overlay overlay rw,lowerdir=/l\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_mountinfo_is_survived(bytes: Vec<u8>, near in "([0-9]{1,3}| |/|-|:|overlay|upperdir=|,|\\\\[0-9]{0,3}|\n){0,40}") {
            for text in [&bytes[..], near.as_bytes()] {
                shown(parse(text));
                upper(text);
            }
        }
    }
}
