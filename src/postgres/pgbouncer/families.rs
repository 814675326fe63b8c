//! What becomes of each command's columns. They are looked up by their names: newer versions have more of them, and in other places.

use crate::exposition::{Family, Labels, Samples};
use crate::postgres::table::{Row, Table};

/// A command, and what is written of its answer: the names of the columns, and the rows.
pub(super) struct Shown {
    pub(super) command: &'static str,
    pub(super) emit: fn(&[String], &Table, &mut Samples),
}

pub(super) static ALL: &[Shown] = &[
    Shown { command: "SHOW VERSION", emit: version },
    Shown { command: "SHOW STATS_TOTALS", emit: |names, table, out| by_column(&["database"], &TOTALS, names, table, out) },
    Shown { command: "SHOW POOLS", emit: |names, table, out| by_column(&["database", "user"], &POOLS, names, table, out) },
    Shown { command: "SHOW DATABASES", emit: |names, table, out| by_column(&PLACE, &DATABASES, names, table, out) },
    Shown { command: "SHOW LISTS", emit: |names, table, out| by_row(&LISTS, ("list", "items"), names, table, out) },
    Shown { command: "SHOW CONFIG", emit: |names, table, out| by_row(&CONFIG, ("key", "value"), names, table, out) },
];

/// A column, or a row, its family, and how many of the family's units one of its own is.
struct Figure {
    name: &'static str,
    family: Family,
    unit: f64,
}

const fn counter(name: &'static str, family: &'static str, help: &'static str) -> Figure {
    Figure { name, family: Family::counter(family, help), unit: 1.0 }
}

/// A counter of microseconds, told in seconds.
const fn micros(name: &'static str, family: &'static str, help: &'static str) -> Figure {
    Figure { unit: 1e-6, ..counter(name, family, help) }
}

const fn gauge(name: &'static str, family: &'static str, help: &'static str) -> Figure {
    Figure { name, family: Family::gauge(family, help), unit: 1.0 }
}

static VERSION: Family = Family::gauge("pgbouncer_version_info", "1, with the text of SHOW VERSION as a label.");

/// The last three came with 1.24.
static TOTALS: [Figure; 10] = [
    counter("query_count", "pgbouncer_stats_totals_queries_pooled_total", "SHOW STATS_TOTALS.query_count."),
    micros("query_time", "pgbouncer_stats_totals_queries_duration_seconds_total", "SHOW STATS_TOTALS.query_time, in seconds."),
    counter("bytes_received", "pgbouncer_stats_totals_received_bytes_total", "SHOW STATS_TOTALS.bytes_received."),
    counter("bytes_sent", "pgbouncer_stats_totals_sent_bytes_total", "SHOW STATS_TOTALS.bytes_sent."),
    micros("wait_time", "pgbouncer_stats_totals_client_wait_seconds_total", "SHOW STATS_TOTALS.wait_time, in seconds."),
    counter("xact_count", "pgbouncer_stats_totals_sql_transactions_pooled_total", "SHOW STATS_TOTALS.xact_count."),
    micros("xact_time", "pgbouncer_stats_totals_server_in_transaction_seconds_total", "SHOW STATS_TOTALS.xact_time, in seconds."),
    counter("client_parse_count", "pgbouncer_stats_totals_client_parses_total", "SHOW STATS_TOTALS.client_parse_count."),
    counter("server_parse_count", "pgbouncer_stats_totals_server_parses_total", "SHOW STATS_TOTALS.server_parse_count."),
    counter("bind_count", "pgbouncer_stats_totals_binds_total", "SHOW STATS_TOTALS.bind_count."),
];

/// What has to do with cancellation has come and changed from 1.16 to 1.18.
static POOLS: [Figure; 12] = [
    gauge("cl_active", "pgbouncer_pools_client_active_connections", "SHOW POOLS.cl_active."),
    gauge("cl_active_cancel_req", "pgbouncer_pools_client_active_cancel_connections", "SHOW POOLS.cl_active_cancel_req."),
    gauge("cl_waiting", "pgbouncer_pools_client_waiting_connections", "SHOW POOLS.cl_waiting."),
    gauge("cl_waiting_cancel_req", "pgbouncer_pools_client_waiting_cancel_connections", "SHOW POOLS.cl_waiting_cancel_req."),
    gauge("sv_active", "pgbouncer_pools_server_active_connections", "SHOW POOLS.sv_active."),
    gauge("sv_active_cancel", "pgbouncer_pools_server_active_cancel_connections", "SHOW POOLS.sv_active_cancel."),
    gauge("sv_being_canceled", "pgbouncer_pools_server_being_canceled_connections", "SHOW POOLS.sv_being_canceled."),
    gauge("sv_idle", "pgbouncer_pools_server_idle_connections", "SHOW POOLS.sv_idle."),
    gauge("sv_used", "pgbouncer_pools_server_used_connections", "SHOW POOLS.sv_used."),
    gauge("sv_tested", "pgbouncer_pools_server_testing_connections", "SHOW POOLS.sv_tested."),
    gauge("sv_login", "pgbouncer_pools_server_login_connections", "SHOW POOLS.sv_login."),
    gauge("maxwait", "pgbouncer_pools_client_maxwait_seconds", "SHOW POOLS.maxwait: how long the client at the head has waited."),
];

const PLACE: [&str; 6] = ["name", "host", "port", "database", "force_user", "pool_mode"];

/// 1.24 calls the reserve by its size.
static DATABASES: [Figure; 7] = [
    gauge("pool_size", "pgbouncer_databases_pool_size", "SHOW DATABASES.pool_size."),
    gauge("reserve_pool", "pgbouncer_databases_reserve_pool", "SHOW DATABASES.reserve_pool, from 1.24 on reserve_pool_size."),
    gauge(
        "reserve_pool_size",
        "pgbouncer_databases_reserve_pool",
        "SHOW DATABASES.reserve_pool, from 1.24 on reserve_pool_size.",
    ),
    gauge("max_connections", "pgbouncer_databases_max_connections", "SHOW DATABASES.max_connections."),
    gauge("current_connections", "pgbouncer_databases_current_connections", "SHOW DATABASES.current_connections."),
    gauge("paused", "pgbouncer_databases_paused", "SHOW DATABASES.paused."),
    gauge("disabled", "pgbouncer_databases_disabled", "SHOW DATABASES.disabled."),
];

static LISTS: [Figure; 11] = [
    gauge("databases", "pgbouncer_databases", "SHOW LISTS: databases."),
    gauge("users", "pgbouncer_users", "SHOW LISTS: users."),
    gauge("pools", "pgbouncer_pools", "SHOW LISTS: pools."),
    gauge("free_clients", "pgbouncer_free_clients", "SHOW LISTS: free_clients."),
    gauge("used_clients", "pgbouncer_used_clients", "SHOW LISTS: used_clients."),
    gauge("login_clients", "pgbouncer_login_clients", "SHOW LISTS: login_clients."),
    gauge("free_servers", "pgbouncer_free_servers", "SHOW LISTS: free_servers."),
    gauge("used_servers", "pgbouncer_used_servers", "SHOW LISTS: used_servers."),
    gauge("dns_names", "pgbouncer_cached_dns_names", "SHOW LISTS: dns_names."),
    gauge("dns_zones", "pgbouncer_cached_dns_zones", "SHOW LISTS: dns_zones."),
    gauge("dns_queries", "pgbouncer_in_flight_dns_queries", "SHOW LISTS: dns_queries."),
];

static CONFIG: [Figure; 2] = [
    gauge("max_client_conn", "pgbouncer_config_max_client_connections", "SHOW CONFIG: max_client_conn."),
    gauge("max_user_connections", "pgbouncer_config_max_user_connections", "SHOW CONFIG: max_user_connections."),
];

fn version(_: &[String], table: &Table, out: &mut Samples) {
    table.rows().for_each(|row| _ = out.family(&VERSION).add([("version", row.label(0))], 1u8));
}

/// One sample for each row and column of `figures`; `labels` are columns as well.
fn by_column(labels: &[&str], figures: &'static [Figure], names: &[String], table: &Table, out: &mut Samples) {
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let of_row = |row: Row<'_>| {
        let mut own = Labels::new();
        labels.iter().for_each(|label| own.push(label, place(label).map_or("", |at| row.label(at))));
        own
    };
    let own: Vec<Labels> = table.rows().map(of_row).collect();
    for figure in figures {
        let Some(at) = place(figure.name) else { continue };
        let mut rows = out.family(&figure.family);
        for (value, own) in table.rows().map(|row| row.number(at)).zip(&own) {
            value.into_iter().for_each(|value| _ = rows.add_to(own, [], value * figure.unit));
        }
    }
}

/// One sample for each row whose `key` is one of `figures`.
fn by_row(figures: &'static [Figure], (key, value): (&str, &str), names: &[String], table: &Table, out: &mut Samples) {
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let Some((key, value)) = place(key).zip(place(value)) else { return };
    for figure in figures {
        let row = table.rows().find(|row| row.text(key) == Some(figure.name));
        row.and_then(|row| row.number(value)).into_iter().for_each(|value| _ = out.family(&figure.family).add([], value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    fn shown(command: &str, names: &[&str], table: &Table) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let shown = ALL.iter().find(|shown| shown.command == command).unwrap();
        text(|out| {
            (shown.emit)(&names, table, out);
            Ok(())
        })
    }

    #[test]
    fn columns_count_by_their_names() {
        let old = ["database", "user", "cl_active", "cl_waiting", "sv_active", "maxwait", "maxwait_us", "pool_mode"];
        let row = [Some("shop"), Some("app"), Some("2"), Some("1"), Some("2"), Some("3"), Some("0"), Some("session")];
        let text = shown("SHOW POOLS", &old, &Table::of(&[row]));
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("pgbouncer_pools_client_maxwait_seconds{database=\"shop\",user=\"app\"} 3\n"), "{text}");
        for reserve in ["reserve_pool", "reserve_pool_size"] {
            let text = shown("SHOW DATABASES", &["paused", "name", reserve], &Table::of(&[[Some("1"), Some("shop"), Some("5")]]));
            let labels = "{name=\"shop\",host=\"\",port=\"\",database=\"\",force_user=\"\",pool_mode=\"\"}";
            assert_eq!(text, format!("pgbouncer_databases_paused{labels} 1\npgbouncer_databases_reserve_pool{labels} 5\n"));
        }
    }

    #[test]
    fn microseconds_become_seconds_and_rows_count_by_their_keys() {
        let text = shown("SHOW STATS_TOTALS", &["database", "wait_time"], &Table::of(&[[Some("shop"), Some("2500000")]]));
        assert_eq!(text, "pgbouncer_stats_totals_client_wait_seconds_total{database=\"shop\"} 2.5\n");
        let rows = Table::of(&[[Some("max_client_conn"), Some("100"), None], [Some("logfile"), Some("/x"), None]]);
        assert_eq!(shown("SHOW CONFIG", &["key", "value", "default"], &rows), "pgbouncer_config_max_client_connections 100\n");
        assert_eq!(shown("SHOW LISTS", &["list"], &rows), "");
    }
}
