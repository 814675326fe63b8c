//! The host, by a generated tree and a file system that fills.

use std::time::Duration;

use crate::support::{Agent, wait_for};
use crate::{checks, found, write};

#[test]
fn the_host_is_judged_by_what_its_kernel_tells() {
    let tree = tempfile::tempdir().unwrap();
    let proc = tree.path().join("proc");
    let write = |path: &str, text: &str| write(&proc, path, text);
    let memory =
        |swap: u32| write("meminfo", &format!("MemTotal: 1000 kB\nMemAvailable: 10 kB\nSwapTotal: {swap} kB\nSwapFree: 0 kB\n"));
    let pressed = |micros: u64| {
        let line = |kind| format!("{kind} avg10=0.00 avg60=0.00 avg300=0.00 total={micros}\n");
        write("pressure/memory", &(line("some") + &line("full")));
        for other in ["cpu", "io"] {
            write(&format!("pressure/{other}"), &(line("some") + &line("full")));
        }
    };
    let swapped = |pages: u64| write("vmstat", &format!("pswpin {pages}\npswpout {pages}\n"));
    let overflows = |count: u64| write("1/net/netstat", &format!("TcpExt: ListenOverflows\nTcpExt: {count}\n"));
    let conntrack = |count: u32| write("sys/net/netfilter/nf_conntrack_count", &format!("{count}\n"));
    let mounts = |options: &str| write("1/mountinfo", &format!("27 1 254:0 / / {options} - ext4 /dev/vda {options}\n"));
    write("sys/net/netfilter/nf_conntrack_max", "100\n");
    write("1/net/snmp", "");
    memory(0);
    pressed(0);
    swapped(0);
    overflows(0);
    conntrack(10);
    mounts("rw,relatime");
    let path = format!("--path.procfs={}", proc.display());
    let thresholds = ["--audit.threshold=filesystem_full=1.1", "--audit.threshold=inodes_used_up=1.1"];
    let args = ["--docker=", "--no-containers", "--no-postgres", "--no-redis", "--audit.disable=clock_unsynchronised", &path];
    let agent = Agent::start(&[&args[..], &thresholds].concat(), &[]);
    let all = || found(&agent, "/metrics", None);
    assert_eq!(all(), checks([]), "{}", agent.log());

    let mut total = 0;
    let mut wait = |what: &str, wanted: &[&str], grows: u64| {
        wait_for(what, Duration::from_secs(30), || {
            total += grows;
            pressed(total * 1_000_000);
            swapped(total * 100_000);
            overflows(total);
            all() == checks(wanted.iter().copied())
        });
    };
    conntrack(90);
    mounts("ro,relatime");
    wait(
        "without swap",
        &["conntrack_near_limit", "filesystem_read_only", "listen_queue_overflows", "swap_off_under_pressure"],
        1,
    );
    memory(500);
    conntrack(10);
    mounts("rw,relatime");
    wait("with swap", &["listen_queue_overflows", "swap_under_pressure"], 1);
    wait("the end", &[], 0);

    let full = ["--audit.threshold=filesystem_full=0.000001", "--audit.threshold=inodes_used_up=0.0000001"];
    let agent = Agent::start(&[&args[..], &full].concat(), &[]);
    assert_eq!(found(&agent, "/metrics", Some("/")), checks(["filesystem_full", "inodes_used_up"]));
}

#[test]
fn a_disk_that_fills_is_told_by_its_trend() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(tree.path().join("proc/1")).unwrap();
    let disk = std::path::Path::new("/dev/shm").join(format!("audit-{}", std::process::id()));
    std::fs::create_dir(&disk).unwrap();
    std::fs::write(tree.path().join("proc/1/mountinfo"), "27 1 0:50 / /dev/shm rw - tmpfs /dev/shm rw\n").unwrap();
    let proc = format!("--path.procfs={}", tree.path().join("proc").display());
    let args = ["--docker=", "--no-containers", "--no-postgres", "--no-redis", "--audit.disk-interval=200ms", &proc];
    let agent = Agent::start(&[&args[..], &["--collector.filesystem.mount-points-exclude=^$"]].concat(), &[]);
    let fills = || found(&agent, "/metrics", Some("/dev/shm")).contains("disk_filling");
    assert!(!fills());
    let mut file = 0;
    wait_for("the trend", Duration::from_secs(30), || {
        std::fs::write(disk.join(file.to_string()), vec![1; 64 * 1024]).unwrap();
        file += 1;
        fills()
    });
    std::fs::remove_dir_all(&disk).unwrap();
    wait_for("its end", Duration::from_secs(60), || !fills());
}
