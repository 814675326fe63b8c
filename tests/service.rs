//! What a service manager is told, and the unit file that it is started with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_manager_hears_that_we_are_ready_alive_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let hear = || {
        let mut text = [0; 256];
        let length = manager.recv(&mut text).expect("the manager hears nothing");
        String::from_utf8(text[..length].to_vec()).unwrap().trim().to_owned()
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_stack-exporter"));
    command.env_clear().env("NOTIFY_SOCKET", folder.path().join("notify")).env("WATCHDOG_USEC", "400000");
    let socket = format!("--web.listen-address=unix://{}/agent", folder.path().display());
    command.args(["--no-containers", "--no-postgres", "--no-redis", "--no-host", &socket]);
    let child = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    assert_eq!(hear(), "READY=1");
    assert!(folder.path().join("agent").exists(), "ready before it listens");
    for _ in 0..3 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    assert!(Command::new("kill").arg(child.0.id().to_string()).status().unwrap().success());
    let last = std::iter::repeat_with(hear).find(|said| said != "WATCHDOG=1").unwrap();
    assert_eq!(last, "STOPPING=1");
}

#[test]
fn systemd_understands_the_unit_and_finds_little_exposed() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/stack-exporter.service");
    let folder = tempfile::tempdir().unwrap();
    // The program need not be installed here.
    let text = std::fs::read_to_string(unit).unwrap().replace("/usr/local/bin/stack-exporter", "/bin/true");
    let copy = folder.path().join("stack-exporter.service");
    std::fs::write(&copy, text).unwrap();
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&copy).output();
        let output = output.expect("systemd-analyze; tests/run installs what the tests need");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        said
    };
    assert_eq!(analyze(&["verify", "--man=no"]), "");
    // Of 100; a service that says nothing of its sandbox has 96.
    let said = analyze(&["security", "--offline=true", "--no-pager", "--threshold=35"]);
    assert!(said.contains("Overall exposure level"), "{said}");
}
