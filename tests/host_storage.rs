//! File systems of the tests' own making, mounted from a file: the collectors `btrfs` and `xfs` against Debian's node_exporter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod support;

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use support::exposition::{Exposition, Series};
use support::node::Reference;
use support::{Agent, wait_for};

/// A mounted file system, in a mount namespace of its own: nobody else on the machine shall find it.
struct Mounted {
    child: Child,
    folder: tempfile::TempDir,
}

impl Mounted {
    /// Fails where the machine lacks `mkfs.<kind>`, the kernel the file system, or the test the right to mount.
    fn new(kind: &str) -> Mounted {
        let folder = tempfile::tempdir().unwrap();
        let [image, point] = ["image", "point"].map(|name| folder.path().join(name));
        std::fs::File::create(&image).unwrap().set_len(320 << 20).unwrap();
        std::fs::create_dir(&point).unwrap();
        let make = Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image).output();
        let made = make.as_ref().is_ok_and(|output| output.status.success());
        assert!(made, "this test needs mkfs.{kind}, which tests/run installs: {make:?}");
        let script =
            "mount -o loop image point && echo text >point/file && sync -f point && mkdir point/ready && exec sleep 1000";
        let mut command = Command::new("unshare");
        let mut child = command.args(["--mount", "sh", "-c", script]).current_dir(folder.path()).spawn().unwrap();
        let mountinfo = format!("/proc/{}/mountinfo", child.id());
        let mut failed = false;
        wait_for("mount(8) ends", Duration::from_secs(30), || {
            failed = child.try_wait().unwrap().is_some();
            let text = std::fs::read_to_string(&mountinfo).unwrap_or_default();
            failed || (text.contains(point.to_str().unwrap()) && is_ready(child.id(), &point))
        });
        assert!(!failed, "this test mounts a {kind}: as root, on a kernel that has it");
        Mounted { child, folder }
    }

    /// The paths that show this file system to an exporter: a /proc whose process 1 has it, and that process's root.
    fn paths(&self) -> [String; 2] {
        let (proc, process) = (self.folder.path().join("proc"), format!("/proc/{}", self.child.id()));
        std::fs::create_dir_all(proc.join("1")).unwrap();
        for file in ["mountinfo", "mounts"] {
            symlink(format!("{process}/{file}"), proc.join("1").join(file)).unwrap();
        }
        [format!("--path.procfs={}", proc.display()), format!("--path.rootfs={process}/root")]
    }
}

fn is_ready(process: u32, point: &std::path::Path) -> bool {
    let root = PathBuf::from(format!("/proc/{process}/root"));
    root.join(point.strip_prefix("/").unwrap()).join("ready").exists()
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All that is shown with `prefix`, each as its text.
fn shown(page: &Exposition, prefix: &str) -> Vec<String> {
    let text = |series: &Series| format!("{}{:?} {}", series.name, series.labels, series.value);
    page.series.iter().filter(|series| series.name.starts_with(prefix)).map(text).collect()
}

/// What node_exporter shows of a file system that nobody uses is what we show.
fn compare(kind: &str) -> Exposition {
    let mounted = Mounted::new(kind);
    let switches = ["--collector.disable-defaults".to_owned(), format!("--collector.{kind}")];
    let arguments: Vec<String> = switches.into_iter().chain(mounted.paths()).collect();
    let host_only = ["--no-containers", "--no-postgres", "--no-redis"];
    let agent = Agent::start(&host_only.into_iter().chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>(), &[]);
    let (reference, prefix) = (Reference::start(&arguments), format!("node_{kind}_"));
    let mut last = (Vec::new(), Vec::new());
    // The kernel may still be writing.
    wait_for("both show the same", Duration::from_secs(20), || {
        last = (shown(&reference.scrape(), &prefix), shown(&agent.scrape("/metrics/node"), &prefix));
        last.0.iter().all(|series| last.1.contains(series))
    });
    assert!(last.0.len() > 10, "{last:#?}");
    println!("{} series of {kind} are those of node_exporter, {} are shown", last.0.len(), last.1.len());
    agent.scrape("/metrics/node")
}

#[test]
fn a_btrfs_and_its_device() {
    let page = compare("btrfs");
    let errors: Vec<_> = page.all("node_btrfs_device_errors_total").collect();
    assert_eq!(errors.len(), 5, "{errors:?}");
    assert!(errors.iter().all(|series| series.labels["btrfs_dev_uuid"].len() == 36), "{errors:?}");
    let [size, unused] =
        ["size", "unused"].map(|name| page.all(&format!("node_btrfs_device_{name}_bytes")).next().unwrap().value);
    assert!(size == f64::from(320 << 20) && unused > 0.0 && unused < size, "{unused} of {size}");
    assert!(page.all("node_btrfs_commits_total").any(|series| series.value > 0.0));
}

#[test]
fn an_xfs() {
    let page = compare("xfs");
    assert!(page.all("node_xfs_directory_operation_create_total").any(|series| series.value > 0.0));
}
