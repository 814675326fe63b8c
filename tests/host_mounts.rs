//! A file system that stops answering: it costs its own lines, no scrape's time, and one thread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod support;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use support::exposition::Exposition;
use support::{Agent, signal, wait_for};

/// A FUSE file system, in a mount namespace of its own: nobody else on the machine shall hang at it.
struct Fuse {
    child: Child,
    folder: tempfile::TempDir,
}

impl Fuse {
    fn mount() -> Fuse {
        let folder = tempfile::tempdir().unwrap();
        let [source, point] = ["source", "point"].map(|name| folder.path().join(name));
        for path in [&source, &point] {
            std::fs::create_dir(path).unwrap();
        }
        let found = Command::new("bindfs").arg("--version").output();
        assert!(found.is_ok(), "this test needs Debian's package bindfs, which is not installed");
        let mut command = Command::new("unshare");
        let child = command.args(["--mount", "bindfs", "-f"]).args([&source, &point]).spawn().unwrap();
        let fuse = Fuse { child, folder };
        let mountinfo = format!("/proc/{}/mountinfo", fuse.child.id());
        let mounted = || std::fs::read_to_string(&mountinfo).is_ok_and(|text| text.contains(point.to_str().unwrap()));
        wait_for("bindfs mounts (is /dev/fuse there?)", Duration::from_secs(20), mounted);
        // The source is on the same file system as the folder, so this also waits until statfs is answered.
        wait_for("bindfs answers", Duration::from_secs(20), || {
            nix::sys::statfs::statfs(&fuse.root().join(point.strip_prefix("/").unwrap())).is_ok()
        });
        fuse
    }

    fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.child.id()))
    }

    /// A /proc in which process 1 sees this file system.
    fn proc(&self) -> PathBuf {
        let proc = self.folder.path().join("proc");
        std::fs::create_dir_all(proc.join("1")).unwrap();
        symlink(format!("/proc/{}/mountinfo", self.child.id()), proc.join("1/mountinfo")).unwrap();
        proc
    }

    fn point(&self) -> String {
        self.folder.path().join("point").to_str().unwrap().to_owned()
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn open_files(agent: &Agent) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count()
}

/// The helper threads called `name` that ask mounts: each lives as long as its questions, so a little longer than a scrape.
fn helpers(agent: &Agent, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap().flatten();
    tasks.filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)).count()
}

fn error_of(page: &Exposition, point: &str) -> (f64, String) {
    let found: Vec<_> = page.all("node_filesystem_device_error").filter(|series| series.has(&[("mountpoint", point)])).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    (found[0].value, found[0].labels["device_error"].clone())
}

fn path(flag: &str, path: &Path) -> String {
    format!("--path.{flag}={}", path.display())
}

#[test]
fn a_stopped_file_system_costs_no_scrape_and_one_thread() {
    let fuse = Fuse::mount();
    let paths = [path("procfs", &fuse.proc()), path("rootfs", &fuse.root())];
    let switches = ["--no-containers", "--no-postgres", "--no-redis", "--collector.disable-defaults", "--collector.filesystem"];
    let arguments: Vec<&str> = switches.into_iter().chain(paths.iter().map(String::as_str)).collect();
    let (agent, point) = (Agent::start(&arguments, &[]), fuse.point());
    let sizes = |page: &Exposition| page.all("node_filesystem_size_bytes").count();

    let healthy = agent.scrape("/metrics/node");
    assert_eq!(error_of(&healthy, &point), (0.0, String::new()));
    wait_for("no question is left", Duration::from_secs(10), || helpers(&agent, "statfs") == 0);

    signal(fuse.child.id(), "STOP");
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        let start = Instant::now();
        let page = agent.scrape("/metrics/node");
        longest = longest.max(start.elapsed());
        assert_eq!(error_of(&page, &point), (1.0, "mountpoint timeout".to_owned()));
        assert_eq!(sizes(&page), sizes(&healthy) - 1, "other mounts are shown as before");
        assert_eq!(page.value("node_scrape_collector_success", &[("collector", "filesystem")]), Some(1.0));
    }
    println!("100 scrapes, the longest took {longest:?}");
    assert!(longest < Duration::from_secs(1), "a scrape took {longest:?}");
    wait_for("one thread waits", Duration::from_secs(10), || helpers(&agent, "statfs") == 1);
    let settled = open_files(&agent);
    for _ in 0..20 {
        agent.scrape("/metrics/node");
    }
    wait_for("open files are as before", Duration::from_secs(5), || open_files(&agent) <= settled);

    signal(fuse.child.id(), "CONT");
    wait_for("the recovery is noticed", Duration::from_secs(10), || error_of(&agent.scrape("/metrics/node"), &point).0 == 0.0);
    wait_for("the thread ends", Duration::from_secs(10), || helpers(&agent, "statfs") == 0);
}

/// A btrfs cannot be stopped, so one that is none is passed off as such.
#[test]
fn a_btrfs_that_does_not_answer_costs_no_scrape_and_one_thread() {
    let fuse = Fuse::mount();
    let write = |file: &str, text: String| {
        let file = fuse.folder.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("fake/proc/1/mountinfo", format!("36 1 0:9 / {} rw - btrfs /dev/sda rw\n", fuse.point()));
    write("fake/sys/fs/btrfs/a-b/devices/sda/size", "2\n".to_owned());
    let [proc, sys] = ["proc", "sys"].map(|tree| fuse.folder.path().join("fake").join(tree));
    let paths = [path("procfs", &proc), path("sysfs", &sys), path("rootfs", &fuse.root())];
    let off = ["--no-containers", "--no-postgres", "--no-redis", "--collector.disable-defaults"];
    let switches = off.into_iter().chain(["--collector.btrfs", "--collector.filesystem"]);
    let agent = Agent::start(&switches.chain(paths.iter().map(String::as_str)).collect::<Vec<_>>(), &[]);
    let scrape = || {
        let start = Instant::now();
        let page = agent.scrape("/metrics/node");
        let size = page.value("node_btrfs_device_size_bytes", &[("device", "sda"), ("uuid", "a-b")]);
        assert_eq!(size, Some(1024.0), "what sysfs tells is shown all the same");
        assert!(start.elapsed() < Duration::from_secs(1), "a scrape took {:?}", start.elapsed());
    };

    scrape();
    let helpers = || helpers(&agent, "btrfs") + helpers(&agent, "statfs");
    wait_for("no question is left", Duration::from_secs(10), || helpers() == 0);
    signal(fuse.child.id(), "STOP");
    for _ in 0..20 {
        scrape();
    }
    // Whichever collector asked first: the other does not hang at the same mount.
    assert_eq!(helpers(), 1);
    assert_eq!(error_of(&agent.scrape("/metrics/node"), &fuse.point()).0, 1.0);
    signal(fuse.child.id(), "CONT");
    wait_for("the thread ends", Duration::from_secs(10), || helpers() == 0);
}
