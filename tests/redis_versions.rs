//! The Redis part on real servers of every make and version at hand: alone, in pairs, in a cluster, under Sentinels.
//!
//! Debian's Redis is always there; tests/redis-versions fetches others and names them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

use support::exposition::Exposition;
use support::redis::{Redis, programs};
use support::{Agent, shared, wait_for};

/// The most that a server may take for what it does once a second or so.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent that watches one server, as redis_exporter would.
fn watch(server: &Redis) -> Agent {
    Agent::start(&["--no-host", "--no-containers", "--no-postgres"], &[("REDIS_ADDR", &server.addr())])
}

/// A page on which the server is up and nothing failed.
fn page(agent: &Agent, name: &str) -> Exposition {
    let page = agent.scrape("/metrics/redis");
    assert_eq!(page.value("redis_up", &[]), Some(1.0), "{name}: {}", agent.log());
    assert_eq!(page.value("redis_exporter_last_scrape_error", &[("err", "")]), Some(0.0), "{name}: {}", agent.log());
    page
}

/// The families of the contract that are one field of INFO each: family, section, field.
fn fields() -> Vec<(String, String, String)> {
    let contract = std::fs::read_to_string(shared("contract/redis.tsv")).unwrap();
    let plain = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let (section, field) = columns[3].strip_prefix("INFO ")?.split_once('.')?;
        let plain = field.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        (plain && columns[4] == "on").then(|| (columns[0].to_owned(), section.to_owned(), field.to_owned()))
    };
    let fields: Vec<_> = contract.lines().filter_map(plain).collect();
    assert!(fields.len() > 150, "{}", fields.len());
    fields
}

/// Holds every family that is one field to what the server itself says before and after the scrape; how many there were.
fn compare(agent: &Agent, server: &Redis, name: &str) -> usize {
    let (before, page, after) = (server.info(), page(agent, name), server.info());
    let number = |info: &BTreeMap<String, String>, field: &str| match info.get(field)?.as_str() {
        "ok" => Some(1.0),
        "err" => Some(0.0),
        value => value.parse::<f64>().ok(),
    };
    let (mut compared, mut differences) = (0, Vec::new());
    for (family, section, field) in fields() {
        let (Some(before), Some(after)) = (number(&before, &field), number(&after, &field)) else { continue };
        let scale = if field == "latest_fork_usec" { 1e6 } else { 1.0 };
        let (low, high) = (before.min(after) / scale, before.max(after) / scale);
        // What moves both ways may have been elsewhere in between; counters and settings may not.
        let slack = match (section.as_str(), page.types.get(&family).map(String::as_str)) {
            _ if field.starts_with("instantaneous_") || family == "redis_start_time_seconds" => f64::INFINITY,
            ("Memory", _) if !["maxmemory", "total_system_memory"].contains(&field.as_str()) => 0.3 * high.abs() + 3e6,
            ("Clients", _) if field.contains("clients") || field.contains("buffer") => 0.3 * high.abs() + 3.0,
            _ => 0.0,
        };
        compared += 1;
        match page.value(&family, &[]) {
            Some(value) if value >= low - slack && value <= high + slack => {}
            other => differences.push(format!("{family} is {other:?}, {field} from {low} to {high}")),
        }
    }
    assert!(differences.is_empty(), "{name}: {} of {compared} differ:\n{}", differences.len(), differences.join("\n"));
    compared
}

#[test]
fn a_server_alone() {
    for program in programs() {
        let name = &program.name;
        let mut server = program.start(&["--slowlog-log-slower-than", "0", "--appendonly", "yes", "--maxmemory", "100mb"]);
        for key in ["a", "b", "c"] {
            server.send(&["SET", key, "value"]);
        }
        server.send_all(&[&["SELECT", "3"], &["SET", "a", "value", "EX", "1000"]]);
        server.send(&["GET", "a"]);
        server.send(&["LPUSH", "a", "x"]);
        server.send(&["NONSENSE"]);
        let agent = watch(&server);
        let compared = compare(&agent, &server, name);
        assert!(compared > 90, "{name}: only {compared} families were compared");
        let page_of = page(&agent, name);
        let value = |family: &str, labels: &[(&str, &str)]| page_of.value(family, labels);
        for (database, keys, expiring) in [("db0", 3.0, 0.0), ("db3", 1.0, 1.0), ("db15", 0.0, 0.0)] {
            assert_eq!(value("redis_db_keys", &[("db", database)]), Some(keys), "{name}: {database}");
            assert_eq!(value("redis_db_keys_expiring", &[("db", database)]), Some(expiring), "{name}: {database}");
        }
        wait_for("the server to estimate the time to live", PATIENCE, || {
            let ttl = page(&agent, name).value("redis_db_avg_ttl_seconds", &[("db", "db3")]).unwrap();
            (900.0..=1_000.0).contains(&ttl)
        });
        assert_eq!(value("redis_commands_total", &[("cmd", "set")]), Some(4.0), "{name}");
        assert_eq!(value("redis_commands_failed_calls_total", &[("cmd", "lpush")]), Some(1.0), "{name}");
        assert_eq!(value("redis_errors_total", &[("err", "WRONGTYPE")]), Some(1.0), "{name}");
        assert!(value("redis_slowlog_length", &[]).unwrap() >= 6.0, "{name}");
        assert_eq!(value("redis_config_maxmemory", &[]), Some(104_857_600.0), "{name}");
        assert_eq!(value("redis_config_maxclients", &[]), value("redis_max_clients", &[]), "{name}");
        let info = server.info();
        let identity = page_of.all("redis_instance_info").next().unwrap();
        for label in ["role", "redis_version", "os", "tcp_port", "run_id", "process_id", "master_replid"] {
            assert_eq!(identity.labels[label], info[label], "{name}: {label}");
        }
        // From 7.0 on there are histograms; their counts are those of the commands.
        let histogram = value("redis_commands_latencies_usec_count", &[("cmd", "set")]);
        assert_eq!(histogram, info.contains_key("latency_percentiles_usec_set").then_some(4.0), "{name}");
        // Valkey has logs beside the slow log since 8.1.
        let logs = value("redis_commandlog_large_reply_length", &[]).is_some();
        assert_eq!(logs, info.contains_key("valkey_version"), "{name}");

        // Started anew it is another server: its counters begin again, and so does its time.
        let (run_id, commands) = (identity.labels["run_id"].clone(), value("redis_commands_processed_total", &[]).unwrap());
        server.stop();
        server.restart();
        let page_of = page(&agent, name);
        let identity = page_of.all("redis_instance_info").next().unwrap();
        assert_ne!(identity.labels["run_id"], run_id, "{name}");
        assert_eq!(identity.labels["process_id"], server.pid().to_string(), "{name}");
        assert!(page_of.value("redis_commands_processed_total", &[]).unwrap() < commands, "{name}");
        assert_eq!(page_of.value("redis_db_keys", &[("db", "db0")]), Some(3.0), "{name}");
        assert_eq!(page_of.value("redis_commands_total", &[("cmd", "set")]), None, "{name}");
        assert_eq!(page_of.value("redis_config_maxmemory", &[]), Some(104_857_600.0), "{name}");
        compare(&agent, &server, name);
    }
}

#[test]
fn a_pair_and_its_change_of_roles() {
    for program in programs() {
        let name = &program.name;
        let master = program.start(&["--repl-diskless-sync-delay", "0"]);
        let port = master.port.to_string();
        let replica = program.start(&["--replicaof", "127.0.0.1", &port]);
        master.send(&["SET", "a", "value"]);
        wait_for("the replica", PATIENCE, || master.info().get("slave0").is_some_and(|line| line.contains("state=online")));
        let (of_master, of_replica) = (watch(&master), watch(&replica));
        wait_for("the replica to acknowledge", PATIENCE, || {
            let acknowledged = page(&of_master, name).all("redis_connected_slave_offset_bytes").next().map(|series| series.value);
            acknowledged.is_some_and(|offset| offset > 0.0)
        });
        compare(&of_master, &master, name);
        compare(&of_replica, &replica, name);

        let (ours, theirs) = (page(&of_master, name), page(&of_replica, name));
        assert_eq!(ours.value("redis_connected_slaves", &[]), Some(1.0), "{name}");
        assert_eq!(ours.value("redis_replica_resyncs_full", &[]), Some(1.0), "{name}");
        assert_eq!(ours.all("redis_master_link_up").count(), 0, "{name}");
        let labels = [("slave_ip", "127.0.0.1"), ("slave_port", &replica.port.to_string()), ("slave_state", "online")];
        let lag = ours.value("redis_connected_slave_lag_seconds", &labels).unwrap();
        assert!((0.0..60.0).contains(&lag), "{name}: {lag}");
        let labels = [("master_host", "127.0.0.1"), ("master_port", &*port)];
        assert_eq!(theirs.value("redis_master_link_up", &labels), Some(1.0), "{name}");
        assert_eq!(theirs.value("redis_master_sync_in_progress", &labels), Some(0.0), "{name}");
        assert_eq!(theirs.value("redis_slave_info", &labels), Some(1.0), "{name}");
        let offset = theirs.value("redis_slave_repl_offset", &labels).unwrap();
        assert!(offset > 0.0 && offset <= page(&of_master, name).value("redis_master_repl_offset", &[]).unwrap(), "{name}");
        let last_io = theirs.value("redis_master_last_io_seconds_ago", &labels).unwrap();
        assert!((0.0..60.0).contains(&last_io), "{name}: {last_io}");
        assert_eq!(theirs.value("redis_db_keys", &[("db", "db0")]), Some(1.0), "{name}");

        // The replica becomes a master of its own: nothing of its old life stays on the page.
        replica.send(&["REPLICAOF", "NO", "ONE"]);
        let page_of = page(&of_replica, name);
        for family in ["redis_slave_info", "redis_master_link_up", "redis_slave_repl_offset", "redis_master_last_io_seconds_ago"]
        {
            assert_eq!(page_of.all(family).count(), 0, "{name}: {family}");
        }
        assert_eq!(page_of.all("redis_instance_info").next().unwrap().labels["role"], "master", "{name}");
        wait_for("the master to miss its replica", PATIENCE, || {
            let page = page(&of_master, name);
            page.value("redis_connected_slaves", &[]) == Some(0.0) && page.all("redis_connected_slave_lag_seconds").count() == 0
        });
        compare(&of_replica, &replica, name);
    }
}

#[test]
fn a_cluster_of_three() {
    for program in programs() {
        let name = &program.name;
        let args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let mut nodes: Vec<Redis> = (0..3).map(|_| program.start(&args)).collect();
        for (node, slots) in nodes.iter().zip([0..5_461, 5_461..10_922, 10_922..16_384]) {
            let slots: Vec<String> = slots.map(|slot| slot.to_string()).collect();
            let words: Vec<&str> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
            assert_eq!(node.send(&words), "+OK\r\n", "{name}");
        }
        for (epoch, node) in nodes.iter().enumerate() {
            node.send(&["CLUSTER", "SET-CONFIG-EPOCH", &(epoch + 1).to_string()]);
        }
        for node in &nodes[1..] {
            assert_eq!(nodes[0].send(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string()]), "+OK\r\n", "{name}");
        }
        let agents: Vec<Agent> = nodes.iter().map(watch).collect();
        for agent in &agents {
            wait_for("the cluster to stand", PATIENCE, || {
                let page = page(agent, name);
                let is = |family: &str, value: f64| page.value(family, &[]) == Some(value);
                is("redis_cluster_state", 1.0) && is("redis_cluster_known_nodes", 3.0) && is("redis_cluster_size", 3.0)
            });
        }
        for (agent, node) in agents.iter().zip(&nodes) {
            compare(agent, node, name);
            let page = page(agent, name);
            assert_eq!(page.value("redis_cluster_enabled", &[]), Some(1.0), "{name}");
            for family in ["redis_cluster_slots_assigned", "redis_cluster_slots_ok"] {
                assert_eq!(page.value(family, &[]), Some(16_384.0), "{name}: {family}");
            }
            assert_eq!(page.value("redis_cluster_slots_fail", &[]), Some(0.0), "{name}");
            for family in ["redis_cluster_messages_sent_total", "redis_cluster_stats_messages_ping_sent"] {
                assert!(page.value(family, &[]).unwrap() > 0.0, "{name}: {family}");
            }
            assert_eq!(page.all("redis_db_keys").count(), 1, "{name}: a cluster has one database");
        }
        nodes[2].stop();
        wait_for("the loss of a node to show", PATIENCE, || {
            let page = page(&agents[0], name);
            page.value("redis_cluster_state", &[]) == Some(0.0) && page.value("redis_cluster_slots_fail", &[]) == Some(5_462.0)
        });
        assert_eq!(agents[2].scrape("/metrics/redis").value("redis_up", &[]), Some(0.0), "{name}");
    }
}

#[test]
fn two_sentinels() {
    for program in programs() {
        let name = &program.name;
        let master = program.start(&["--repl-diskless-sync-delay", "0"]);
        let port = master.port.to_string();
        let mut replica = program.start(&["--replicaof", "127.0.0.1", &port]);
        let dir = tempfile::tempdir().unwrap();
        let sentinels = ["first", "second"].map(|sentinel| {
            let file = dir.path().join(sentinel);
            let text = format!("sentinel monitor mymaster 127.0.0.1 {port} 2\nsentinel down-after-milliseconds mymaster 1500\n");
            std::fs::write(&file, text).unwrap();
            program.start(&[file.to_str().unwrap(), "--sentinel"])
        });
        let agents = [watch(&sentinels[0]), watch(&sentinels[1])];
        let address = format!("127.0.0.1:{port}");
        let master_of = [("master_name", "mymaster"), ("master_address", &*address)];
        for agent in &agents {
            wait_for("the Sentinels to know each other and the replica", PATIENCE, || {
                let page = page(agent, name);
                let is = |family: &str, value: f64| page.value(family, &master_of) == Some(value);
                is("redis_sentinel_master_sentinels", 2.0)
                    && is("redis_sentinel_master_ok_sentinels", 2.0)
                    && is("redis_sentinel_master_slaves", 1.0)
                    && is("redis_sentinel_master_ok_slaves", 1.0)
            });
        }
        for (agent, sentinel) in agents.iter().zip(&sentinels) {
            compare(agent, sentinel, name);
            let page = page(agent, name);
            assert_eq!(page.value("redis_sentinel_masters", &[]), Some(1.0), "{name}");
            assert_eq!(page.value("redis_sentinel_master_status", &[("master_status", "ok")]), Some(1.0), "{name}");
            assert_eq!(page.value("redis_sentinel_master_setting_ckquorum", &master_of), Some(2.0), "{name}");
            let after = page.value("redis_sentinel_master_setting_down_after_milliseconds", &master_of);
            assert_eq!(after, Some(1_500.0), "{name}");
            assert_eq!(page.value("redis_sentinel_master_ckquorum_status", &[("master_name", "mymaster")]), Some(1.0), "{name}");
            let ping = page.value("redis_sentinel_master_last_ok_ping_reply_seconds", &master_of).unwrap();
            assert!((0.0..60.0).contains(&ping), "{name}: {ping}");
            for family in ["redis_slowlog_length", "redis_config_maxmemory", "redis_memory_used_bytes"] {
                assert_eq!(page.all(family).count(), 0, "{name}: {family}");
            }
        }
        // Removed and added again is how a Sentinel gets another address for a master: no alarm, and nothing missing afterwards.
        assert_eq!(sentinels[1].send(&["SENTINEL", "REMOVE", "mymaster"]), "+OK\r\n", "{name}");
        let empty = page(&agents[1], name);
        assert_eq!(empty.value("redis_sentinel_masters", &[]), Some(0.0), "{name}");
        let told: Vec<_> = empty.series.iter().filter(|series| series.name.starts_with("redis_sentinel_master_")).collect();
        assert!(told.is_empty(), "{name}: {told:?}");
        assert_eq!(sentinels[1].send(&["SENTINEL", "MONITOR", "mymaster", "127.0.0.1", &port, "2"]), "+OK\r\n", "{name}");
        wait_for("the master to be watched again", PATIENCE, || {
            let page = page(&agents[1], name);
            let is = |family: &str, value: f64| page.value(family, &master_of) == Some(value);
            is("redis_sentinel_master_ok_sentinels", 2.0) && is("redis_sentinel_master_ok_slaves", 1.0)
        });

        replica.stop();
        wait_for("the loss of the replica to show", PATIENCE, || {
            page(&agents[0], name).value("redis_sentinel_master_ok_slaves", &master_of) == Some(0.0)
        });
    }
}

#[test]
fn a_user_who_may_only_ask_for_info() {
    for program in programs() {
        let name = &program.name;
        let server = program.start(&[]);
        server.send(&["ACL", "SETUSER", "mon", "on", ">p", "resetkeys", "resetchannels", "-@all", "+info"]);
        server.send(&["SET", "a", "value"]);
        let env = [("REDIS_ADDR", &*server.addr()), ("REDIS_USER", "mon"), ("REDIS_PASSWORD", "p")];
        let agent = Agent::start(&["--no-host", "--no-containers", "--no-postgres"], &env);
        compare(&agent, &server, name);
        let page = page(&agent, name);
        assert_eq!(page.value("redis_db_keys", &[("db", "db0")]), Some(1.0), "{name}");
        for family in
            ["redis_config_maxmemory", "redis_slowlog_length", "redis_latency_spike_last", "redis_commands_latencies_usec_count"]
        {
            assert_eq!(page.all(family).count(), 0, "{name}: {family}");
        }
    }
}

#[test]
fn a_server_that_takes_no_more_clients() {
    for program in programs() {
        let name = &program.name;
        let server = program.start(&["--maxclients", "1"]);
        let mut taken = None;
        wait_for("the only place", PATIENCE, || {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            let mut answer = [0; 5];
            let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer));
            taken = Some(stream);
            asked.is_ok() && &answer == b"+PONG"
        });
        for password in ["", "p"] {
            let env = [("REDIS_ADDR", &*server.addr()), ("REDIS_PASSWORD", password)];
            let agent = Agent::start(&["--no-host", "--no-containers", "--no-postgres"], &env);
            let page = agent.scrape("/metrics/redis");
            let error = page.all("redis_exporter_last_scrape_error").next().unwrap();
            assert_eq!(error.labels["err"], "ERR max number of clients reached", "{name}");
            assert_eq!(page.value("redis_up", &[]), Some(0.0), "{name}");
        }
        drop(taken);
        let agent = watch(&server);
        wait_for("a free place", PATIENCE, || agent.scrape("/metrics/redis").value("redis_up", &[]) == Some(1.0));
    }
}

#[test]
fn costly_slots_and_refusals_by_flag() {
    for program in programs() {
        let name = &program.name;
        let node = program.start(&["--cluster-enabled", "yes"]);
        let words: Vec<String> = (0..16_384).map(|slot| slot.to_string()).collect();
        let all: Vec<&str> = ["CLUSTER", "ADDSLOTS"].into_iter().chain(words.iter().map(String::as_str)).collect();
        assert!(node.send(&all).starts_with("+OK"), "{name}");
        wait_for("the cluster", PATIENCE, || node.send(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
        // Only servers that have them know the setting; 12182 is the slot of foo.
        let counts = node.send(&["CONFIG", "SET", "cluster-slot-stats-enabled", "yes"]).starts_with("+OK");
        let args = ["--no-host", "--no-containers", "--no-postgres", "--redis.cluster-slots=3", "--redis.acl-log"];
        let agent = Agent::start(&args, &[("REDIS_ADDR", &node.addr())]);
        page(&agent, name);
        for _ in 0..200 {
            node.send_all(&[&["SET", "foo", "bar"], &["SET", "foo", "bar"]]);
        }
        node.send_all(&[&["AUTH", "eve", "wrong"], &["AUTH", "eve", "wrong"]]);
        let page = page(&agent, name);
        let slot = page.value("redis_cluster_slot_cpu_seconds_total", &[("slot", "12182")]);
        let bytes = page.value("redis_cluster_slot_network_bytes_total", &[("slot", "12182"), ("direction", "in")]);
        assert_eq!((slot.is_some_and(|cpu| cpu > 0.0), bytes.is_some_and(|bytes| bytes > 10_000.0)), (counts, counts), "{name}");
        let knows_shards = !node.send(&["CLUSTER", "SHARDS"]).starts_with('-');
        assert_eq!(page.value("redis_cluster_shard_replicas", &[("shard", "0-16383")]), knows_shards.then_some(0.0), "{name}");
        let ids = node.send(&["ACL", "LOG"]).contains("entry-id");
        assert_eq!(page.value("redis_acl_denied_total", &[("reason", "auth"), ("user", "eve")]), ids.then_some(2.0), "{name}");
        eprintln!("{name}: slot statistics {counts}, ids of refusals {ids}");
    }
}
