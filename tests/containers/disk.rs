//! Sizes on disk of real containers, beside `du`, `docker ps -s` and what lies in the engine's folders.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::docker::{Container, Daemon};
use crate::support::exposition::Exposition;
use crate::support::{Agent, wait_for};

const PAGE: &str = "/metrics/containers";
const BLOCK: f64 = 4096.0;
const ARGS: [&str; 4] = ["--no-host", "--no-postgres", "--no-redis", "--containers.disk-interval=1s"];

fn agent(daemon: &Daemon, more: &[&str]) -> Agent {
    Agent::start(&[&["--docker", &daemon.docker.host], &ARGS[..], more].concat(), &[])
}

/// `du -sx`, in bytes or in inodes.
pub(crate) fn du(folder: &str, unit: &str) -> f64 {
    let output = Command::new("du").args(["-sx", unit, folder]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

/// The engine's own folder of a container.
fn folder(container: &Container<'_>) -> String {
    let path = container.inspect("{{.HostnamePath}}");
    Path::new(&path).parent().unwrap().to_str().unwrap().to_owned()
}

/// Scrapes until the figures were measured after this moment.
fn measured(agent: &Agent, container: &Container<'_>) -> Exposition {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let (id, mut page) = (container.cgroup(), Exposition::default());
    wait_for("a measurement", Duration::from_secs(60), || {
        page = agent.scrape(PAGE);
        page.value("container_disk_measured_time_seconds", &[("id", &id)]).is_some_and(|at| at > now + 1.0)
    });
    page
}

#[test]
fn the_layer_is_what_du_says_and_goes_with_the_container() {
    let daemon = Daemon::start_with(&["--storage-driver=overlay2"]);
    let docker = &daemon.docker;
    // A file of known size, one with a second name, one with holes, a link that leads out, a folder of 200 files.
    let write = "dd if=/dev/zero of=/plain bs=4096 count=1000; sleep 600";
    let plain = docker.container(&["--network=none", "--name=plain"], &["sh", "-c", write]);
    let write = "dd if=/dev/zero of=/a bs=4096 count=100; busybox ln /a /b; dd if=/dev/zero of=/holes bs=1 count=1 seek=1000000000; \
        busybox ln -s /proc /out; busybox mkdir /many; i=0; while [ $i -lt 200 ]; do echo $i > /many/$i; i=$((i+1)); done; \
        cat /bin/busybox > /bin/copy; exec sleep 600";
    let mixed = docker.container(&["--network=none", "--name=mixed"], &["sh", "-c", write]);
    let agent = agent(&daemon, &[]);
    let upper = |container: &Container<'_>| container.inspect("{{.GraphDriver.Data.UpperDir}}");
    // The shell makes way for what sleeps once all is written.
    let comm = format!("/proc/{}/comm", mixed.inspect("{{.State.Pid}}"));
    wait_for("what is written", Duration::from_secs(30), || std::fs::read_to_string(&comm).unwrap() == "sleep\n");
    for container in [&plain, &mixed] {
        let page = measured(&agent, container);
        let value = |family: &str| page.value(family, &[("id", &container.cgroup()), ("image", "busybox:test")]).unwrap();
        let layer = du(&upper(container), "--block-size=1");
        assert_eq!(value("container_writable_layer_size_bytes"), layer);
        assert_eq!(value("container_fs_inodes_total"), du(&upper(container), "--inodes"));
        let whole = layer + du(&folder(container), "--block-size=1");
        assert!((value("container_fs_usage_bytes") - whole).abs() <= BLOCK, "{whole}");
        let device = page.all("container_fs_usage_bytes").find(|series| series.has(&[("id", &container.cgroup())])).unwrap();
        let df = Command::new("df").args(["-B1", "--output=source,size", &upper(container)]).output().unwrap();
        let df = String::from_utf8(df.stdout).unwrap();
        let mut df = df.lines().last().unwrap().split_whitespace();
        assert_eq!(device.labels["device"], df.next().unwrap());
        assert_eq!(value("container_fs_limit_bytes"), df.next().unwrap().parse::<f64>().unwrap());
        assert_eq!(page.all("container_fs_inodes_free").filter(|series| series.has(&[("id", &container.cgroup())])).count(), 0);
    }
    // The engine counts the lengths of files and no folders: of the plain one that is the layer's own folder, one block.
    let size = docker.run(&["inspect", "-s", "-f", "{{.SizeRw}}", "plain"]).parse::<f64>().unwrap();
    assert_eq!(size, 4096.0 * 1000.0);
    let page = agent.scrape(PAGE);
    let layer = page.value("container_writable_layer_size_bytes", &[("name", "plain")]).unwrap();
    assert!((size..=size + BLOCK).contains(&layer), "{layer}");
    assert_eq!(page.value("container_disk_stuck_walks", &[]), Some(0.0));

    // Stopped it is told of still, but not among those that run; removed it is forgotten.
    docker.run(&["stop", "-t", "0", "plain"]);
    let told = |family: &str| agent.scrape(PAGE).all(family).any(|series| series.has(&[("name", "plain")]));
    wait_for("the end of the container", Duration::from_secs(20), || !told("container_fs_usage_bytes"));
    assert!(told("container_writable_layer_size_bytes"));
    drop(plain);
    wait_for("the container to be forgotten", Duration::from_secs(20), || !told("container_writable_layer_size_bytes"));
}

#[test]
fn logs_are_counted_with_those_that_were_rotated_away() {
    let daemon = Daemon::start();
    let line = "busybox printf 'x%.0s' 1 2 3 4 5 6 7 8; echo a line of a log of a container that says much";
    let write = format!("i=0; while [ $i -lt 1000 ]; do {line} $i; i=$((i+1)); done; sleep 600");
    let run = |name: &str, options: &[&str]| {
        let name = format!("--name={name}");
        daemon.docker.container(&[&["--network=none", &name], options].concat(), &["sh", "-c", &write])
    };
    let rotated = ["--log-opt=max-size=20k", "--log-opt=max-file=3"];
    let all = [
        (run("endless", &[]), ""),
        (run("rotated", &rotated), ""),
        (run("packed", &[&rotated[..], &["--log-opt=compress=true"]].concat()), ""),
        (run("local", &[&["--log-driver=local"], &rotated[..]].concat()), "local-logs"),
        (run("none", &["--log-driver=none"]), "absent"),
    ];
    let agent = agent(&daemon, &[]);
    for (container, below) in &all {
        wait_for("all lines", Duration::from_secs(60), || {
            let of = |name: &str| daemon.docker.run(&["top", &container.id]).contains(name);
            of("sleep 600")
        });
        let folder = Path::new(&folder(container)).join(below);
        let files = || -> Vec<(String, u64)> {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap);
            let files = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()));
            files.filter(|(name, _)| name.contains(".log")).collect()
        };
        // Packing goes on for a moment.
        wait_for("the files to stay as they are", Duration::from_secs(20), || {
            let before = files();
            std::thread::sleep(Duration::from_secs(1));
            before == files()
        });
        let page = measured(&agent, container);
        let size = page.value("container_log_size_bytes", &[("id", &container.cgroup())]);
        let name = container.inspect("{{.Name}}");
        if *below == "absent" {
            assert_eq!(size, None, "{name}");
            continue;
        }
        let lengths: u64 = files().iter().map(|(_, length)| length).sum();
        assert_eq!(size, Some(lengths.to_string().parse().unwrap()), "{name}: {:?}", files());
        assert_eq!(files().len(), if name == "/endless" { 1 } else { 3 }, "{name}: {:?}", files());
    }
    // Growth is seen at the next look; a layer of vfs is not kept apart from the image.
    let before = agent.scrape(PAGE);
    let log = |page: &Exposition| page.value("container_log_size_bytes", &[("name", "endless")]).unwrap();
    daemon.docker.run(&["exec", "endless", "sh", "-c", "echo 0123456789 > /proc/1/fd/1"]);
    let after = measured(&agent, &all[0].0);
    assert!((log(&after) - log(&before) - 11.0).abs() < 100.0 && log(&after) > log(&before));
    assert_eq!(after.all("container_writable_layer_size_bytes").count(), 0);
}

/// CPU seconds and I/O class of the agent's thread that measures.
fn thread(agent: &Agent) -> Option<(f64, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", agent.pid())).unwrap();
    let task = tasks
        .map(|entry| entry.unwrap().path())
        .find(|task| std::fs::read(task.join("comm")).is_ok_and(|name| name == b"disk\n"))?;
    // In nanoseconds, unlike stat.
    let run = std::fs::read_to_string(task.join("schedstat")).unwrap();
    let seconds = run.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9;
    let class = Command::new("ionice").args(["-p", task.file_name().unwrap().to_str().unwrap()]).output().unwrap();
    Some((seconds, String::from_utf8(class.stdout).unwrap().trim().to_owned()))
}

#[test]
fn a_large_layer_is_walked_slowly_and_no_scrape_waits_for_it() {
    let daemon = Daemon::start_with(&["--storage-driver=overlay2"]);
    let container = daemon.docker.container(&["--network=none", "--name=large"], &["sleep", "600"]);
    let layer = container.inspect("{{.GraphDriver.Data.UpperDir}}");
    for folder in 0..100 {
        let folder = Path::new(&layer).join(folder.to_string());
        std::fs::create_dir(&folder).unwrap();
        (0..500).for_each(|file| std::fs::write(folder.join(file.to_string()), "x").unwrap());
    }
    // A container is left alone in its first 10 s, which are not to be counted below.
    std::thread::sleep(Duration::from_secs(11));
    let start = Instant::now();
    let agent = agent(&daemon, &[]);
    let mut slowest = Duration::ZERO;
    let mut used = (0.0, String::new());
    wait_for("the walk", Duration::from_secs(240), || {
        let asked = Instant::now();
        let page = agent.scrape(PAGE);
        slowest = slowest.max(asked.elapsed());
        used = thread(&agent).unwrap_or_default();
        page.value("container_fs_inodes_total", &[("name", "large")]).is_some_and(|inodes| inodes >= 50_101.0)
    });
    let (took, (used, class)) = (start.elapsed(), used);
    assert!(used / took.as_secs_f64() < 0.0205 && used > 0.05, "{used} of {took:?}");
    assert_eq!(class, "idle");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}
