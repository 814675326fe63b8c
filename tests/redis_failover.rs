//! The Redis part when an address leads to another server than before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use support::redis::Redis;
use support::{Agent, wait_for};

/// An address whose new connections go to the port that is set, as those of a name do after a failover; where it listens. Open
/// connections stay where they are. Its threads end with the test program.
fn lead_to(port: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port.load(Ordering::SeqCst))) else { continue };
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    address
}

#[test]
fn the_address_of_the_master_is_followed_to_the_new_one() {
    let old = Redis::start(&[]);
    let new = Redis::start(&["--replicaof", "127.0.0.1", &old.port.to_string()]);
    wait_for("the replica", Duration::from_secs(60), || old.send(&["INFO", "replication"]).contains("state=online"));
    let leads = Arc::new(AtomicU16::new(old.port));
    let addr = format!("redis://127.0.0.1:{}", lead_to(leads.clone()));
    let agent = Agent::start(&["--no-host", "--no-containers", "--no-postgres"], &[("REDIS_ADDR", &addr)]);
    let told = || {
        let page = agent.scrape("/metrics/redis");
        assert_eq!(page.value("redis_up", &[]), Some(1.0), "{}", agent.log());
        let identity = &page.all("redis_instance_info").next().unwrap().labels;
        (identity["role"].clone(), identity["process_id"].clone())
    };
    for _ in 0..3 {
        assert_eq!(told(), ("master".to_owned(), old.pid().to_string()));
    }
    // The old master lives on as a replica, and so does our connection to it.
    assert_eq!(new.send(&["REPLICAOF", "NO", "ONE"]), "+OK\r\n");
    leads.store(new.port, Ordering::SeqCst);
    assert_eq!(old.send(&["REPLICAOF", "127.0.0.1", &new.port.to_string()]), "+OK\r\n");
    assert_eq!(told(), ("slave".to_owned(), old.pid().to_string()));
    assert_eq!(told(), ("master".to_owned(), new.pid().to_string()));
}
