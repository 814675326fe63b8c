//! Statements that a PostgreSQL server refuses for good: asked once, told, and free of charge from then on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::Agent;
use support::postgres::Postgres;

const PAGE: &str = "/metrics/postgres";

const ONLY: [&str; 3] = ["--no-host", "--no-containers", "--no-redis"];

/// A proxy in front of `port`: its own port, and how many queries (messages `Q`) have passed it.
fn counting(port: u16) -> (u16, Arc<AtomicUsize>) {
    let (listener, queries) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(AtomicUsize::new(0)));
    let (own, count) = (listener.local_addr().unwrap().port(), queries.clone());
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            let count = count.clone();
            std::thread::spawn(move || forward(client, server, &count));
        }
    });
    (own, queries)
}

/// Passes on what the client sends, message by message: the first has no type.
fn forward(mut client: TcpStream, mut server: TcpStream, queries: &AtomicUsize) -> Option<()> {
    let mut typed = false;
    loop {
        let mut head = vec![0; if typed { 5 } else { 4 }];
        client.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes(head[head.len() - 4..].try_into().unwrap());
        let mut body = vec![0; length as usize - 4];
        client.read_exact(&mut body).ok()?;
        if typed && head[0] == b'Q' {
            queries.fetch_add(1, Ordering::SeqCst);
        }
        typed = true;
        server.write_all(&[head, body].concat()).ok()?;
    }
}

#[test]
fn what_is_refused_for_good_costs_no_round_trip_and_is_told() {
    let server = Postgres::start(&[]);
    server.sql("postgres", "CREATE ROLE nobody LOGIN");
    let (port, queries) = counting(server.port);
    // The extension is not there, and nobody may look into the folder of WAL.
    let on = ["--postgres.collector.stat_statements"];
    let agent = Agent::start(
        &[&ONLY[..], &on[..]].concat(),
        &[("DATA_SOURCE_NAME", &format!("postgresql://nobody@127.0.0.1:{port}/postgres?sslmode=disable"))],
    );
    let refused = |page: &support::exposition::Exposition| -> Vec<(String, String)> {
        page.all("pg_agent_query_refused")
            .map(|series| (series.labels["collector"].clone(), series.labels["sqlstate"].clone()))
            .collect()
    };
    let wanted: Vec<_> = [("archive_status", "42501"), ("stat_statements", "42883"), ("wal", "42501")]
        .map(|(collector, state)| (collector.to_owned(), state.to_owned()))
        .into_iter()
        .collect();
    let first = agent.scrape(PAGE);
    let asked = |server: &Postgres| server.log().matches("ERROR:").count();
    let (mut told, mut errors, mut before) = (refused(&first), asked(&server), queries.load(Ordering::SeqCst));
    for _ in 0..5 {
        let page = agent.scrape(PAGE);
        told = [told, refused(&page)].concat();
        assert_eq!(page.value("pg_up", &[]), Some(1.0));
        let failed: Vec<_> = page.all("pg_scrape_collector_success").filter(|series| series.value == 0.0).collect();
        let failed: Vec<_> = failed.iter().map(|series| series.labels["collector"].as_str()).collect();
        for (collector, _) in &wanted {
            assert!(failed.contains(&collector.as_str()), "{collector}: {failed:?}");
        }
        let reasons: Vec<_> = page.all("stack_exporter_collector_last_error_info").collect();
        assert!(reasons.iter().any(|series| series.labels["error"].contains("SQLSTATE 42501")), "{reasons:?}");
        let now = queries.load(Ordering::SeqCst);
        assert_eq!(now - before, 1, "round trips of one scrape");
        before = now;
        let lines = asked(&server);
        assert_eq!(lines, errors, "nothing new in the server's log");
        errors = lines;
    }
    told.sort();
    told.dedup();
    let mut sorted = wanted.clone();
    sorted.sort();
    assert_eq!(told, sorted);
    // Each was refused once, and that outlives the session.
    let failures = |page: &support::exposition::Exposition, query: &str, reason: &str| {
        page.value("pg_agent_query_failures_total", &[("query", query), ("reason", reason)])
    };
    let page = agent.scrape(PAGE);
    assert_eq!(failures(&page, "wal", "permission"), Some(1.0));
    assert_eq!(failures(&page, "stat_statements", "error"), Some(1.0));
    assert!(page.value("pg_agent_query_duration_seconds", &[("query", "sessions")]).is_some_and(|time| time > 0.0));
    // A new session asks once more, and finds what was granted meanwhile.
    server.sql("postgres", "GRANT pg_monitor TO nobody");
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'nobody'");
    let page = agent.scrape(PAGE);
    assert!(page.value("pg_wal_segments", &[]).is_some_and(|segments| segments > 0.0));
    assert!(!refused(&page).iter().any(|(collector, _)| collector == "wal"));
    assert_eq!(failures(&page, "wal", "permission"), Some(1.0));
    assert!(page.value("pg_agent_connections", &[]).is_some_and(|count| count >= 1.0));
}

/// A fork, as its users see it: a view without a column, a function that is not supported, an extension without its library.
#[test]
fn what_a_fork_lacks_is_asked_once_and_is_on_the_status_page() {
    let server = Postgres::start(&[]);
    server.sql(
        "postgres",
        "CREATE SCHEMA fork; CREATE VIEW fork.pg_stat_archiver AS SELECT archived_count FROM pg_catalog.pg_stat_archiver; \
         CREATE FUNCTION fork.pg_ls_waldir(OUT name text, OUT size int8) RETURNS SETOF record LANGUAGE plpgsql \
         AS 'BEGIN RAISE EXCEPTION USING ERRCODE = ''0A000'', MESSAGE = ''not on this cloud''; END'; \
         CREATE EXTENSION pg_stat_statements; CREATE ROLE fork LOGIN IN ROLE pg_monitor; GRANT USAGE ON SCHEMA fork TO fork; \
         GRANT SELECT ON fork.pg_stat_archiver TO fork; ALTER ROLE fork SET search_path = fork, pg_catalog, public",
    );
    let dsn = server.dsn("postgres").replace("postgres@", "fork@");
    let agent = Agent::start(&[&ONLY[..], &["--postgres.collector.stat_statements"]].concat(), &[("DATA_SOURCE_NAME", &dsn)]);
    let (mut before, mut lacking) = (None, Vec::new());
    for _ in 0..3 {
        let page = agent.scrape(PAGE);
        assert_eq!(page.value("pg_up", &[]), Some(1.0));
        let refused = page.all("pg_agent_query_refused");
        lacking = refused.map(|series| (series.labels["collector"].clone(), series.labels["sqlstate"].clone())).collect();
        lacking.sort();
        // One round of asking, one line each in the server's log.
        let errors = server.log().matches("ERROR:").count();
        assert_eq!(*before.get_or_insert(errors), errors);
    }
    let wanted = [("archiver", "42703"), ("stat_archiver", "42703"), ("stat_statements", "55000"), ("wal", "0A000")];
    let lacking: Vec<_> = lacking.iter().map(|(collector, state)| (collector.as_str(), state.as_str())).collect();
    assert_eq!(lacking, wanted);
    let status: serde_json::Value = serde_json::from_str(&agent.get("/api/v1/status")).unwrap();
    let page = agent.get("/");
    for (name, state) in wanted {
        let all = status["collectors"].as_array().unwrap();
        let of = all.iter().find(|collector| collector["collector"] == name && collector["part"] == "postgres").unwrap();
        let text = of["last_error"]["text"].as_str().unwrap();
        assert!(of["state"] == "failed" && text.ends_with(&format!("(SQLSTATE {state})")), "{of}");
        assert!(of["last_error"]["advice"].as_str().unwrap().contains("turn the collector off"), "{of}");
        assert!(page.contains(&format!("(SQLSTATE {state})")), "{state}");
    }
}
