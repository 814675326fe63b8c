//! Reads `/proc/1/mountinfo` and asks statfs(2) of each mount: how full the file systems are. Emits `node_filesystem_*`.
//!
//! A mount that does not answer costs its own lines only: `node_filesystem_device_error` 1 with
//! `device_error="mountpoint timeout"`, until its call comes back ([`Patience`]).

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::statfs::statfs;

use super::filter::Pair;
use super::mounts::{Mount, Mounts, Place, ask, until};
use crate::exposition::{Family, Labels, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, Patience, System};

static SIZE: Family = Family::gauge("node_filesystem_size_bytes", "Size of the file system: f_blocks of statfs, in bytes.");
static FREE: Family =
    Family::gauge("node_filesystem_free_bytes", "Free space, root's reserve included: f_bfree of statfs, in bytes.");
static AVAILABLE: Family = Family::gauge("node_filesystem_avail_bytes", "Free space for everyone: f_bavail of statfs, in bytes.");
static FILES: Family = Family::gauge("node_filesystem_files", "Inodes of the file system: f_files of statfs.");
static FILES_FREE: Family = Family::gauge("node_filesystem_files_free", "Free inodes: f_ffree of statfs.");
static PURGEABLE: Family = Family::gauge(
    "node_filesystem_purgeable_bytes",
    "Space that the system could free by itself; Linux has no such notion: always 0.",
);
static READ_ONLY: Family =
    Family::gauge("node_filesystem_readonly", "1 for a read-only mount or file system: the options of /proc/1/mountinfo.");
static DEVICE_ERROR: Family = Family::gauge(
    "node_filesystem_device_error",
    "1 if statfs failed or did not return, with the reason in the label device_error.",
);
static MOUNT: Family =
    Family::gauge("node_filesystem_mount_info", "Device numbers of the mount, from /proc/1/mountinfo; always 1.");

const IGNORED_MOUNT_POINTS: Flag =
    Flag::text("collector.filesystem.ignored-mount-points", "", "Old name of mount-points-exclude.").hidden();
const IGNORED_TYPES: Flag = Flag::text("collector.filesystem.ignored-fs-types", "", "Old name of fs-types-exclude.").hidden();
const MOUNT_POINTS: Pair = Pair {
    old_exclude: Some(IGNORED_MOUNT_POINTS),
    ..Pair::new(
        Flag::text("collector.filesystem.mount-points-include", "", "Pattern of mount points to show."),
        Flag::text(
            "collector.filesystem.mount-points-exclude",
            "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
            "Pattern of mount points not to show.",
        ),
    )
};
const TYPES: Pair = Pair {
    old_exclude: Some(IGNORED_TYPES),
    ..Pair::new(
        Flag::text("collector.filesystem.fs-types-include", "", "Pattern of file system types to show."),
        Flag::text(
            "collector.filesystem.fs-types-exclude",
            "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|\
             procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$",
            "Pattern of file system types not to show.",
        ),
    )
};
/// node_exporter's 5 s would make the scrape that first meets a dead mount wait as long.
const TIMEOUT: Flag = Flag::time(
    "collector.filesystem.mount-timeout",
    Duration::from_millis(500),
    "How long a scrape waits for statfs; a mount that takes longer is shown with an error.",
)
.hidden();
const WORKERS: Flag =
    Flag::number("collector.filesystem.stat-workers", 4, "Accepted and not needed: every slow mount gets a helper.").hidden();

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "filesystem",
    enabled: Flag::switch("collector.filesystem", true, "Space and inodes of mounted file systems."),
    flags: &[
        MOUNT_POINTS.include,
        MOUNT_POINTS.exclude,
        IGNORED_MOUNT_POINTS,
        TYPES.include,
        TYPES.exclude,
        IGNORED_TYPES,
        TIMEOUT,
        WORKERS,
    ],
    new: |settings| Ok(Box::new(FileSystem::new(settings)?)),
};

struct FileSystem {
    mounts: Mounts,
    timeout: Duration,
    patience: Patience<Place, Result<Usage, String>>,
}

/// What statfs tells.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Usage {
    size: f64,
    free: f64,
    available: f64,
    files: f64,
    files_free: f64,
}

type Figure = fn(&Usage) -> f64;

/// The families of a mount that answered.
static FIGURES: [(&Family, Figure); 6] = [
    (&SIZE, |usage| usage.size),
    (&FREE, |usage| usage.free),
    (&AVAILABLE, |usage| usage.available),
    (&FILES, |usage| usage.files),
    (&FILES_FREE, |usage| usage.files_free),
    (&PURGEABLE, |_| 0.0),
];

impl FileSystem {
    fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(FileSystem {
            mounts: Mounts::new(MOUNT_POINTS.one(settings)?, TYPES.one(settings)?),
            timeout: settings.time(&TIMEOUT),
            patience: Patience::new("statfs"),
        })
    }
}

impl Collector for FileSystem {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let until = until(system.deadline, self.timeout);
        let result = self.mounts.read(system);
        let mounts = self.mounts.list();
        let places = mounts.iter().map(Mount::place);
        let answers = ask(&mut self.patience, places, until, system, |place| usage(&place.path));
        let usages: Vec<Result<Usage, String>> =
            answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err("mountpoint timeout".to_owned()))).collect();
        emit(mounts, &usages, out);
        result
    }
}

fn usage(path: &Path) -> Result<Usage, String> {
    let found = statfs(path).map_err(error_text)?;
    // f_bsize, as node_exporter takes it; f_frsize differs from it on no file system of Linux but some network ones.
    let block = u64::try_from(found.block_size()).map_or(0.0, from_u64);
    Ok(Usage {
        size: from_u64(found.blocks()) * block,
        free: from_u64(found.blocks_free()) * block,
        available: from_u64(found.blocks_available()) * block,
        files: from_u64(found.files()),
        files_free: from_u64(found.files_free()),
    })
}

/// The C library's text in lower case, as the label has always had it.
fn error_text(error: Errno) -> String {
    match error {
        Errno::ESTALE => "stale NFS file handle".to_owned(),
        other => other.desc().to_ascii_lowercase(),
    }
}

/// Family by family, so that each one's lines stand together.
fn emit(mounts: &[Mount], usages: &[Result<Usage, String>], out: &mut Samples) {
    let labels = mounts.iter().zip(usages).map(|(mount, usage)| match usage {
        Ok(_) => Cow::Borrowed(&mount.labels),
        Err(error) => Cow::Owned(mount.labels_with(error)),
    });
    let labels: Vec<Cow<'_, Labels>> = labels.collect();
    for (labels, usage) in labels.iter().zip(usages) {
        out.family(&DEVICE_ERROR).add_to(labels, [], usage.is_err());
    }
    for (labels, mount) in labels.iter().zip(mounts) {
        out.family(&READ_ONLY).add_to(labels, [], mount.read_only);
    }
    let answered = || mounts.iter().zip(usages).filter_map(|(mount, usage)| Some((mount, usage.as_ref().ok()?)));
    for (family, figure) in &FIGURES {
        for (mount, usage) in answered() {
            out.family(family).add_to(&mount.labels, [], figure(usage));
        }
    }
    for (mount, _) in answered() {
        out.family(&MOUNT).add_to(&mount.numbers, [], 1u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    fn collect(mountinfo: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/1")).unwrap();
        std::fs::create_dir_all(dir.path().join("host/data")).unwrap();
        std::fs::write(dir.path().join("proc/1/mountinfo"), mountinfo).unwrap();
        let roots = Roots { proc: dir.path().join("proc"), root: dir.path().join("host"), ..Roots::default() };
        let (mut collector, mut out) = (FileSystem::new(&Settings::default()).unwrap(), Samples::new());
        collector.collect(&mut System::new(roots), &mut out).unwrap();
        String::from_utf8(Page::new(vec![out]).to_vec()).unwrap()
    }

    #[test]
    fn mounts_are_asked_below_the_hosts_root() {
        let page = collect("27 1 254:0 / /data rw,relatime - ext4 /dev/vda ro\n28 1 254:1 / /gone rw - xfs /dev/vdb rw\n");
        let data = r#"device="/dev/vda",device_error="",fstype="ext4",mountpoint="/data""#;
        let gone = r#"device="/dev/vdb",device_error="no such file or directory",fstype="xfs",mountpoint="/gone""#;
        for line in [
            format!("node_filesystem_readonly{{{data}}} 1"),
            format!("node_filesystem_device_error{{{data}}} 0"),
            format!("node_filesystem_purgeable_bytes{{{data}}} 0"),
            r#"node_filesystem_mount_info{device="/dev/vda",major="254",minor="0",mountpoint="/data"} 1"#.to_owned(),
            format!("node_filesystem_device_error{{{gone}}} 1"),
            format!("node_filesystem_readonly{{{gone}}} 0"),
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert_eq!(page.matches("/gone").count(), 2, "{page}");
        let size = page.lines().find(|line| line.starts_with("node_filesystem_size_bytes{")).unwrap();
        assert!(size.rsplit(' ').next().unwrap().parse::<f64>().unwrap() > 0.0, "{size}");
    }
}
