//! The least role that serves the collectors that are on: `stack-exporter postgres grants | psql`.

use super::collector::Entry;
use super::{entries, options, targets};
use crate::scrape::Command;
use crate::settings::{Error, Settings};

/// `stack-exporter postgres grants`
pub(super) const COMMAND: Command = Command {
    words: "postgres grants",
    help: "Print the SQL of the least PostgreSQL role that serves the collectors that are on.",
    text,
};

/// The name of the role where the settings name none.
const ROLE: &str = "stack_exporter";

/// Collectors that list files of the server or look into its buffers, which takes more than reading statistics.
const MONITOR: [&str; 3] = ["wal", "archive_status", "buffercache_summary"];

/// Collectors that show the other sessions' activity, other users' statements, sizes or positions: NULL or refused without the right.
const STATISTICS: [&str; 20] = [
    "backend_group",
    "blocking",
    "database",
    "long_running_transactions",
    "process_idle",
    "receiver",
    "replication",
    "session_samples",
    "sessions",
    "slots",
    "standbys",
    "stat_activity",
    "stat_activity_autovacuum",
    "stat_progress_vacuum",
    "stat_replication",
    "stat_statements",
    "stat_wal_receiver",
    "statement_costs",
    "xmin_horizon",
    "progress",
];

/// Collectors that read an extension.
const EXTENSIONS: [(&str, &[&str]); 2] =
    [("pg_stat_statements", &["stat_statements", "statement_costs"]), ("pg_buffercache", &["buffercache_summary"])];

fn text(settings: &Settings) -> Result<String, Error> {
    let on: Vec<&Entry> = entries().filter(|entry| options::is_on(entry, settings)).collect();
    let named = targets::named(settings)?;
    let dsn = named.iter().find(|named| !named.access.dsn.pgbouncer).map(|named| &named.access.dsn);
    let role = dsn.and_then(|dsn| dsn.user.as_deref()).filter(|user| !user.is_empty()).unwrap_or(ROLE);
    let database = dsn.and_then(|dsn| dsn.database.as_deref()).filter(|name| !name.is_empty()).unwrap_or("postgres");
    Ok(sql(&on.iter().map(|entry| entry.name).collect::<Vec<_>>(), role, database))
}

fn sql(on: &[&str], role: &str, database: &str) -> String {
    let wants = |names: &[&str]| on.iter().any(|name| names.contains(name));
    let (shown, role, database) = (one_line(role), quoted(role), quoted(database));
    let mut sql = format!(
        "-- As a superuser, once for each server. Then give it a password: \\password {shown}\n\
         CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 5;\n\
         GRANT CONNECT ON DATABASE {database} TO {role};\n"
    );
    if on.contains(&"databases") {
        sql += "-- Tables of the other databases are read as well. Where CONNECT was taken from PUBLIC, grant it on each.\n";
    }
    if on.contains(&"sequences") {
        sql += "-- A sequence is told only where the role may read it (GRANT SELECT ON SEQUENCE).\n";
    }
    if on.contains(&"bloat") {
        sql +=
            "-- Bloat is told only of tables that the role may read (GRANT SELECT, or pg_read_all_data since PostgreSQL 14).\n";
    }
    if wants(&MONITOR) {
        let which: Vec<_> = MONITOR.into_iter().filter(|name| on.contains(name)).collect();
        sql += &format!("-- Without the collector {} pg_read_all_stats would do.\n", which.join(" and "));
        sql += &format!("GRANT pg_monitor TO {role};\n");
    } else if wants(&STATISTICS) {
        sql += &format!("GRANT pg_read_all_stats TO {role};\n");
    }
    for (extension, readers) in EXTENSIONS {
        let Some(collector) = readers.iter().find(|name| on.contains(name)) else { continue };
        sql += &format!(
            "-- The collector {collector} reads the extension {extension}, in the database that the agent connects to:\n"
        );
        sql += &format!("-- CREATE EXTENSION IF NOT EXISTS {extension};\n");
    }
    sql
}

/// A name as SQL writes it whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// A name for a comment, which a line break would end.
fn one_line(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_collectors() {
        let all: Vec<_> = entries().map(|entry| entry.name).collect();
        for name in MONITOR.iter().chain(&STATISTICS).chain(EXTENSIONS.iter().flat_map(|(_, readers)| *readers)) {
            assert!(all.contains(name), "{name}");
        }
    }

    #[test]
    fn less_is_granted_for_less() {
        let of = |on: &[&str]| sql(on, "mon", "postgres");
        assert!(of(&["wal", "locks"]).contains("GRANT pg_monitor TO \"mon\";"));
        assert!(
            of(&["sessions"]).contains("GRANT pg_read_all_stats TO \"mon\";") && !of(&["sessions"]).contains("pg_monitor TO")
        );
        assert!(!of(&["locks"]).contains("GRANT pg_") && !of(&["locks"]).contains("other databases"));
        assert!(of(&["databases"]).contains("CONNECT was taken") && of(&["sequences"]).contains("GRANT SELECT ON SEQUENCE"));
        assert!(of(&["bloat"]).contains("pg_read_all_data") && !of(&["indexes"]).contains("pg_read_all_data"));
        assert!(of(&["stat_statements"]).contains("CREATE EXTENSION IF NOT EXISTS pg_stat_statements"));
    }

    #[test]
    fn a_hostile_name_is_a_name() {
        let text = sql(&["locks"], "a\";\nDROP ROLE x;--", "d\"b");
        assert!(text.contains("CREATE ROLE \"a\"\";\nDROP ROLE x;--\" LOGIN"), "{text}");
        assert!(text.lines().next().unwrap().ends_with("\\password a\";DROP ROLE x;--"), "{text}");
        assert!(text.contains("DATABASE \"d\"\"b\" TO"), "{text}");
    }
}
