//! A throw-away PostgreSQL: own data folder, own socket folder, free loopback port, ended by process id.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::exposition::{self, Exposition};
use super::pki::Pki;
use super::{free_port, shared, signal, wait_for};

/// Where Debian 12 has its server.
pub const DEBIAN: &str = "/usr/lib/postgresql/15/bin";

/// A running server, or one that is stopped for the moment.
pub struct Postgres {
    pub port: u16,
    bin: PathBuf,
    settings: Vec<String>,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Postgres {
    /// Debian's server with `settings` (`name=value`), ready to answer.
    pub fn start(settings: &[&str]) -> Postgres {
        Postgres::start_from(Path::new(DEBIAN), settings)
    }

    /// The server in the folder `bin`.
    pub fn start_from(bin: &Path, settings: &[&str]) -> Postgres {
        let mut server = Postgres::create(bin, settings);
        server.initialize(&[]);
        server.resume();
        server
    }

    /// The server in the folder `bin`, whose pages have checksums.
    pub fn start_with_checksums(bin: &Path, settings: &[&str]) -> Postgres {
        let mut server = Postgres::create(bin, settings);
        server.initialize(&["--data-checksums"]);
        server.resume();
        server
    }

    /// Debian's server, which speaks TLS with one of the certificates of `pki` and takes its CA's from clients.
    pub fn start_with_tls(pki: &Pki, certificate: &str, settings: &[&str]) -> Postgres {
        let mut server = Postgres::create(Path::new(DEBIAN), &[settings, &["ssl=on", "ssl_ca_file=ca.crt"]].concat());
        server.initialize(&[]);
        let (cert, key) = (format!("{certificate}.crt"), format!("{certificate}.key"));
        for (from, to) in [(cert.as_str(), "server.crt"), (&key, "server.key"), ("ca.crt", "ca.crt")] {
            std::fs::copy(pki.path(from), server.data().join(to)).unwrap();
            own(&server.data().join(to));
        }
        server.resume();
        server
    }

    fn initialize(&self, more: &[&str]) {
        let mut initdb = self.command("initdb");
        initdb.args(more).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]);
        succeed(initdb.arg(self.data()));
    }

    /// The folder of its socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// A standby of `self` with the same settings, streaming through the slot `slot`.
    pub fn standby(&self, slot: &str) -> Postgres {
        let mut server = Postgres::create(&self.bin, &self.settings.iter().map(String::as_str).collect::<Vec<_>>());
        self.sql("postgres", &format!("SELECT pg_create_physical_replication_slot('{slot}')"));
        // pg_basebackup copies from servers of its own age and older only, so the files are copied as its manual describes it.
        let (start, stop) = match self.major() {
            15.. => ("pg_backup_start('copy', true)", "pg_backup_stop()"),
            _ => ("pg_start_backup('copy', true, false)", "pg_stop_backup(false)"),
        };
        let copy = format!(
            "SELECT {start};\n\\! cp -a {from}/. {to}/ && rm -rf {to}/postmaster.pid {to}/pg_replslot/*\n\\o {to}/backup_label\nSELECT labelfile FROM {stop};\n",
            from = self.data().display(),
            to = server.data().display(),
        );
        std::fs::create_dir_all(server.data()).unwrap();
        own(&server.data());
        let script = self.folder.path().join("copy.sql");
        std::fs::write(&script, copy).unwrap();
        succeed(self.psql("postgres").args(["-f", script.to_str().unwrap()]));
        let upstream = format!("host=127.0.0.1 port={} user=postgres application_name={slot}", self.port);
        if self.major() >= 12 {
            std::fs::write(server.data().join("standby.signal"), "").unwrap();
            server.settings.extend([format!("primary_conninfo={upstream}"), format!("primary_slot_name={slot}")]);
        } else {
            let recovery = format!("standby_mode = on\nprimary_conninfo = '{upstream}'\nprimary_slot_name = '{slot}'\n");
            std::fs::write(server.data().join("recovery.conf"), recovery).unwrap();
        }
        server.resume();
        server
    }

    fn create(bin: &Path, settings: &[&str]) -> Postgres {
        assert!(bin.join("postgres").exists(), "this test needs a PostgreSQL server in {} (Debian: postgresql)", bin.display());
        let folder = tempfile::Builder::new().prefix("stack-exporter-pg").tempdir().unwrap();
        own(folder.path());
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Postgres { port: free_port(), bin: bin.to_owned(), settings, folder, child: None }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of the server's folder, run as a user that it accepts.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir("/");
        if let Some((user, group)) = server_user() {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts it (again) on its port and waits until it answers.
    pub fn resume(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        let fixed = ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=30", "autovacuum_naptime=1d"];
        let socket = format!("unix_socket_directories={}", self.folder.path().display());
        for setting in fixed.iter().copied().chain([socket.as_str()]).chain(self.settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        wait_for("the server to start", Duration::from_secs(60), || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {}", self.log());
            // At its port another server could answer, for whose sake this one is about to end.
            let folder = self.psql("postgres").args(["-c", "SHOW data_directory"]).output().unwrap().stdout;
            String::from_utf8_lossy(&folder).trim_end() == self.data().display().to_string()
        });
    }

    /// Gives the pages of a server that is stopped checksums, which it checks from then on.
    pub fn enable_checksums(&self) {
        succeed(self.command("pg_checksums").args(["--enable", "--no-sync", "-D"]).arg(self.data()));
    }

    /// What the server logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it: `INT` is a fast shutdown, `QUIT` an immediate one, `KILL` a crash.
    pub fn stop(&mut self, how: &str) {
        if let Some(mut child) = self.child.take() {
            signal(child.id(), how);
            let end = Instant::now() + Duration::from_secs(20);
            while child.try_wait().unwrap().is_none() {
                if Instant::now() > end {
                    let _ = child.kill();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The process ids of the postmaster and all its children.
    pub fn pids(&self) -> Vec<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = std::fs::read_to_string(children).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).chain([self.pid()]).collect()
    }

    /// psql as superuser. Of Debian's package, which reads every version.
    pub fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(Path::new(DEBIAN).join("psql"));
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir("/");
        if let Some((user, group)) = server_user() {
            command.uid(user).gid(group);
        }
        command.args([
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-p",
            &self.port.to_string(),
            "-d",
            database,
            "-h",
            "127.0.0.1",
        ]);
        command
    }

    /// Runs SQL, and what it returned.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = succeed(self.psql(database).args(["-c", sql]));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub fn number(&self, database: &str, sql: &str) -> f64 {
        let text = self.sql(database, sql);
        text.parse().unwrap_or_else(|_| panic!("{sql}: {text:?} is no number"))
    }

    pub fn major(&self) -> u32 {
        self.sql("postgres", "SHOW server_version_num").parse::<u32>().unwrap() / 10_000
    }

    /// A session that stays open.
    pub fn session(&self, database: &str) -> Session {
        let mut psql = self.psql(database);
        Session(psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// The connection string of the superuser.
    pub fn dsn(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Replaces pg_hba.conf and has it read.
    pub fn hba(&self, lines: &str) {
        std::fs::write(self.data().join("pg_hba.conf"), lines).unwrap();
        self.sql("postgres", "SELECT pg_reload_conf()");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            // One that a test has stopped cannot end.
            signal(child.id(), "CONT");
            self.stop("QUIT");
        }
    }
}

/// A psql that waits for more. It ends with the value, and so does its transaction.
pub struct Session(Child);

impl Session {
    /// Runs SQL, which must return one line, and waits for that line.
    pub fn run(&mut self, sql: &str) -> String {
        writeln!(self.0.stdin.as_mut().unwrap(), "{sql};").unwrap();
        let (mut line, stdout) = (Vec::new(), self.0.stdout.as_mut().unwrap());
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "the session ended in {sql}");
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }
}

impl Session {
    /// Has SQL run, and does not wait for it.
    pub fn send(&mut self, sql: &str) {
        writeln!(self.0.stdin.as_mut().unwrap(), "{sql};").unwrap();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who runs the server: not root, which it refuses.
pub fn server_user() -> Option<(u32, u32)> {
    let me = std::fs::metadata("/proc/self").unwrap();
    if std::os::unix::fs::MetadataExt::uid(&me) != 0 {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .expect("these tests need the user postgres (Debian: postgresql)");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    Some((fields.next().unwrap(), fields.next().unwrap()))
}

fn own(path: &Path) {
    if let Some((user, group)) = server_user() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
    }
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The folder of the servers of one version.
pub fn bin(major: u32) -> PathBuf {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/postgres-versions").join(major.to_string()).join("bin");
    if major == 15 { PathBuf::from(DEBIAN) } else { kept }
}

/// The versions that tests/postgres-versions wants tested.
pub fn versions() -> Vec<u32> {
    let list = std::env::var("STACK_EXPORTER_POSTGRES_VERSIONS").expect("run this by tests/postgres-versions");
    list.split_whitespace().map(|major| major.parse().unwrap()).collect()
}

/// Fills a server with something of everything: a database with tables and extensions (shared_preload_libraries=pg_stat_statements).
pub fn furnish(server: &Postgres) {
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders SELECT i, repeat('x', 100) FROM generate_series(1, 5000) i; \
         DELETE FROM orders WHERE id % 10 = 0; ANALYZE orders; CREATE TABLE \"odd \"\"name\" (a int); \
         CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_buffercache",
    );
    server.sql("shop", "SELECT count(*) FROM orders; SELECT pg_stat_get_live_tuples('orders'::regclass)");
}

/// Adds a slot of each kind, which takes wal_level=logical.
pub fn add_slots(server: &Postgres) {
    server.sql("postgres", "SELECT pg_create_physical_replication_slot('pslot', true)");
    server.sql("postgres", "SELECT pg_create_logical_replication_slot('lslot', 'test_decoding')");
}

/// The flags that switch on what is off by default.
pub fn every_collector() -> Vec<String> {
    let off = [
        "buffercache_summary",
        "database_wraparound",
        "long_running_transactions",
        "postmaster",
        "process_idle",
        "stat_activity_autovacuum",
        "stat_checkpointer",
        "stat_statements",
        "stat_wal_receiver",
        "statio_user_indexes",
    ];
    off.iter().map(|name| format!("--postgres.collector.{name}")).collect()
}

/// A page of postgres_exporter, taken from the folder of fixtures. Those pages have no HELP.
pub fn fixture(name: &str) -> Exposition {
    let text = std::fs::read_to_string(shared("fixtures/postgres").join(name)).unwrap();
    let mut page = String::new();
    for line in text.lines().filter(|line| !line.starts_with("# HELP")) {
        if let Some(family) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split(' ').next()) {
            page += &format!("# HELP {family} .\n");
        }
        page += &format!("{line}\n");
    }
    exposition::parse(&page).unwrap()
}

/// Type and sets of label names by family.
pub type Shape = BTreeMap<String, (String, BTreeSet<Vec<String>>)>;

/// The shape of the `pg_*` families.
pub fn shape(page: &Exposition) -> Shape {
    let mut shape = Shape::new();
    for series in page.series.iter().filter(|series| series.name.starts_with("pg_")) {
        let family = page.family(&series.name).to_owned();
        let entry = shape.entry(family.clone()).or_insert_with(|| (page.types[&family].clone(), BTreeSet::new()));
        entry.1.insert(series.labels.keys().cloned().collect());
    }
    shape
}
