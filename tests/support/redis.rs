//! Redis servers for tests: the real one on a free loopback port, and a stub that answers what a test tells it to.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{free_port, wait_for};

/// A program to test.
pub struct Program {
    pub name: String,
    pub path: PathBuf,
}

impl Program {
    /// Whether it was built with TLS: without, it does not know the setting, or (Valkey) misses what it is for; with it, it misses a
    /// certificate. It ends in either case.
    pub fn has_tls(&self) -> bool {
        let output = Command::new(&self.path).args(["--port", "0", "--tls-port", &free_port().to_string()]).output().unwrap();
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        !told.contains("'tls-port") && !told.contains("Failed finding TLS support")
    }

    pub fn start(&self, args: &[&str]) -> Redis {
        Redis::start_from(&self.path, args)
    }
}

/// Debian's Redis, or those that tests/redis-versions names.
pub fn programs() -> Vec<Program> {
    let Ok(list) = std::env::var("STACK_EXPORTER_REDIS_SERVERS") else {
        return vec![Program { name: "Debian's".to_owned(), path: "redis-server".into() }];
    };
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/redis-servers");
    list.split_whitespace().map(|name| Program { name: name.to_owned(), path: kept.join(name).join("server") }).collect()
}

/// A real redis-server with a data folder of its own. Ends with the value.
pub struct Redis {
    child: Child,
    program: PathBuf,
    pub port: u16,
    pub dir: tempfile::TempDir,
    args: Vec<String>,
}

impl Redis {
    /// Starts it without a file of settings, with `args`, and waits until it listens.
    pub fn start(args: &[&str]) -> Redis {
        Redis::start_from(Path::new("redis-server"), args)
    }

    /// As [`start`](Self::start), another program than Debian's. A file of settings may be the first of `args`.
    pub fn start_from(program: &Path, args: &[&str]) -> Redis {
        let (port, dir) = (free_port_for_a_cluster(), tempfile::tempdir().unwrap());
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let redis = Redis { child: spawn(program, port, dir.path(), &args), program: program.into(), port, dir, args };
        redis.wait();
        redis
    }

    /// Starts it again after [`stop`](Self::stop), on the same port or another one that `port` was set to.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.program, self.port, self.dir.path(), &self.args);
        self.wait();
    }

    /// Starts it again, without a password, and waits until it has read its data.
    pub fn restart(&mut self) {
        self.start_again();
        // It listens before it has read its data.
        wait_for("redis-server to load", Duration::from_secs(20), || !self.send(&["INFO", "persistence"]).contains("loading:1"));
    }

    fn wait(&self) {
        wait_for("redis-server to listen", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn addr(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The fields that INFO ALL holds now.
    pub fn info(&self) -> BTreeMap<String, String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(b"*2\r\n$4\r\nINFO\r\n$3\r\nALL\r\n").unwrap();
        let (mut reader, mut length) = (BufReader::new(stream), String::new());
        reader.read_line(&mut length).unwrap();
        let length: usize = length.trim_end().strip_prefix('$').unwrap_or_else(|| panic!("INFO gave {length}")).parse().unwrap();
        let mut text = vec![0; length];
        reader.read_exact(&mut text).unwrap();
        let fields = std::str::from_utf8(&text).unwrap().lines().filter_map(|line| line.split_once(':'));
        fields.map(|(name, value)| (name.to_owned(), value.trim_end().to_owned())).collect()
    }

    /// Sends one command on a connection of its own and returns what comes back first, as it comes.
    pub fn send(&self, words: &[&str]) -> String {
        self.send_all(&[words])
    }

    /// Sends commands on one connection and returns all that comes back within a moment of silence.
    pub fn send_all(&self, commands: &[&[&str]]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answers = String::new();
        for words in commands {
            let mut request = format!("*{}\r\n", words.len());
            for word in *words {
                request += &format!("${}\r\n{word}\r\n", word.len());
            }
            stream.write_all(request.as_bytes()).unwrap();
            let mut buffer = vec![0; 64 * 1024];
            let length = stream.read(&mut buffer).unwrap();
            answers += &String::from_utf8_lossy(&buffer[..length]);
        }
        answers
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A free port for a server and another one for its cluster bus, which is 10,000 above it.
pub fn free_port_for_a_cluster() -> u16 {
    let free = |port: &u16| port.checked_add(10_000).is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok());
    std::iter::repeat_with(free_port).find(free).unwrap()
}

fn spawn(program: &Path, port: u16, dir: &Path, args: &[String]) -> Child {
    let (file, args) = args.split_at(usize::from(args.first().is_some_and(|arg| !arg.starts_with("--"))));
    Command::new(program)
        .args(file)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir", dir.to_str().unwrap(), "--save", ""])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server (Debian's package redis-server) is needed for this test")
}

/// What a stub does with a command.
pub enum Answer {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes and closes the connection.
    SendAndClose(Vec<u8>),
    /// Sends the first bytes, then the others again and again for as long as they are taken.
    Flood(Vec<u8>, Vec<u8>),
    /// Says nothing any more.
    Hang,
}

/// A server that answers by rule.
pub struct Stub {
    pub port: u16,
    /// Connections accepted, and batches of commands received: a batch is what came between two answers.
    pub connections: Arc<AtomicUsize>,
    pub batches: Arc<AtomicUsize>,
    /// All commands received, words joined by blanks.
    pub commands: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// Starts a stub. Its threads end with the test program.
    pub fn start(rule: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stub = Stub {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            batches: Arc::default(),
            commands: Arc::default(),
        };
        let (rule, connections) = (Arc::new(rule), stub.connections.clone());
        let (batches, commands) = (stub.batches.clone(), stub.commands.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::SeqCst);
                let (rule, batches, commands) = (rule.clone(), batches.clone(), commands.clone());
                std::thread::spawn(move || serve(stream, &*rule, &batches, &commands));
            }
        });
        stub
    }

    /// A stub that answers with the recorded replies of one state of `../shared/fixtures/redis`, and to all else with an error.
    pub fn recorded(state: &Path) -> Stub {
        let table = std::fs::read_to_string(state.join("replies.tsv")).unwrap();
        let lines = table.lines().skip(1).filter_map(|line| line.split_once('\t'));
        let replies: HashMap<String, Vec<u8>> =
            lines.map(|(command, file)| (command.to_owned(), std::fs::read(state.join("replies").join(file)).unwrap())).collect();
        Stub::start(move |command| {
            let unknown = || b"-ERR unknown command\r\n".to_vec();
            Answer::Send(replies.get(command).cloned().unwrap_or_else(unknown))
        })
    }

    pub fn addr(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn batches(&self) -> usize {
        self.batches.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, rule: &dyn Fn(&str) -> Answer, batches: &AtomicUsize, commands: &Mutex<Vec<String>>) {
    let (mut pending, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let Ok(length @ 1..) = stream.read(&mut buffer) else { return };
        pending.extend_from_slice(&buffer[..length]);
        let mut answers = Vec::new();
        let mut batch = false;
        while let Some((command, rest)) = take_command(&pending) {
            pending = rest;
            batch = true;
            commands.lock().unwrap().push(command.clone());
            match rule(&command) {
                Answer::Send(bytes) => answers.extend(bytes),
                Answer::SendAndClose(bytes) => {
                    answers.extend(bytes);
                    let _ = stream.write_all(&answers);
                    return;
                }
                Answer::Flood(start, bytes) => {
                    let _ = stream.write_all(&[answers, start].concat());
                    while stream.write_all(&bytes).is_ok() {}
                    return;
                }
                Answer::Hang => {
                    let _ = stream.write_all(&answers);
                    while matches!(stream.read(&mut buffer), Ok(1..)) {}
                    return;
                }
            }
        }
        batches.fetch_add(usize::from(batch), Ordering::SeqCst);
        if stream.write_all(&answers).is_err() {
            return;
        }
    }
}

/// `*2\r\n$4\r\nINFO\r\n$3\r\nALL\r\n` as `INFO ALL`, and what follows it; `None` while it is not whole.
fn take_command(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let (count, mut rest) = take_number(b'*', bytes)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, word) = take_number(b'$', rest)?;
        words.push(String::from_utf8_lossy(word.get(..length)?).into_owned());
        rest = word.get(length + 2..)?;
    }
    Some((words.join(" "), rest.to_vec()))
}

fn take_number(mark: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    assert_eq!(bytes[0], mark, "not a command: {:?}", String::from_utf8_lossy(bytes));
    Some((std::str::from_utf8(&bytes[1..end]).unwrap().parse().unwrap(), &bytes[end + 2..]))
}

/// Families that redis_exporter does not have.
pub const BEYOND: [&str; 56] = [
    "redis_acl_denied_total",
    "redis_active_defrag_time_seconds_total",
    "redis_aof_rewrite_consecutive_failures",
    "redis_aof_rewrites_total",
    "redis_audit_finding",
    "redis_bigkey_bytes",
    "redis_client_connections",
    "redis_client_idle_seconds_max",
    "redis_client_output_buffer_bytes_max",
    "redis_cluster_shard_replicas",
    "redis_cluster_slot_cpu_seconds_total",
    "redis_cluster_slot_network_bytes_total",
    "redis_command_latency_seconds",
    "redis_connected_slave_lag_bytes",
    "redis_current_cow_size_bytes",
    "redis_current_fork_progress_ratio",
    "redis_db_keys_with_expiring_items",
    "redis_forks_total",
    "redis_hotkey_share",
    "redis_io_thread_clients",
    "redis_io_thread_reads_total",
    "redis_io_thread_writes_total",
    "redis_key_prefix_bytes",
    "redis_key_prefix_keys",
    "redis_key_size_distribution",
    "redis_keys_check_age_seconds",
    "redis_keys_check_duration_seconds",
    "redis_keys_check_failure",
    "redis_keys_check_keys",
    "redis_keys_check_left_off",
    "redis_keys_check_round_trips_seconds",
    "redis_keys_check_success",
    "redis_keys_sample_ratio",
    "redis_keys_without_ttl_ratio",
    "redis_latency_percentiles_age_seconds",
    "redis_latency_spike_max_seconds",
    "redis_loading_eta_seconds",
    "redis_loading_loaded_bytes",
    "redis_loading_total_bytes",
    "redis_master_failover_in_progress",
    "redis_master_link_down_since_seconds",
    "redis_master_sync_left_bytes",
    "redis_master_sync_read_bytes",
    "redis_memory_limit_bytes",
    "redis_min_slaves_good_slaves",
    "redis_rdb_last_save_age_seconds",
    "redis_rss_overhead_bytes",
    "redis_scrape_command_duration_seconds",
    "redis_scrape_command_ok",
    "redis_scrape_failure",
    "redis_server_info",
    "redis_slowlog_command_duration_seconds",
    "redis_slowlog_entries_total",
    "redis_slowlog_missed_total",
    "redis_tls_cert_expires_seconds",
    "redis_writes_blocked",
];

/// Whether a series is of such a family.
pub fn is_beyond(name: &str) -> bool {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    BEYOND.contains(&name) || BEYOND.contains(&base)
}
