//! `pg_settings`: every setting that is a number or a switch, in its base unit.
//!
//! Family names follow from name and unit: `checkpoint_timeout` in `s` becomes `pg_settings_checkpoint_timeout_seconds`, `shared_buffers` in
//! `8kB` becomes `pg_settings_shared_buffers_bytes`. -1 stays -1 whatever the unit: it means "off" or "as elsewhere". Texts and
//! enumerations have no number and no family.
//!
//! Some 350 rows are more than all others together, and they change when the files are read again or a standby is promoted: until then, or until
//! `--postgres.settings-interval` is over, what was read holds.
//!
//! The view shows the session that asks, so what our own statements set for themselves is read as any other session would have it.

use crate::exposition::{Family, Kind, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::schedule::Schedule;
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static PENDING: Family = Family::gauge(
    "pg_settings_pending_restart",
    "Settings of any type that were changed in a file and take effect only when the server is restarted.",
);

pub(super) static ENTRY: Entry = Entry {
    name: "settings",
    enabled: Flag::switch("postgres.collector.settings", true, "Settings that are numbers or switches."),
    statements: &[Statement::stamp(|_| Some(STAMP.into())), Statement::kept(Schedule::Settings, |_| Some(SQL.into()), emit)],
};

/// Other rows once the files were read again, or a standby was promoted.
pub(in crate::postgres) const STAMP: &str = "SELECT pg_conf_load_time(), pg_is_in_recovery()";

const SQL: &str = "SELECT name, CASE WHEN name IN ('statement_timeout', 'lock_timeout') THEN reset_val \
    WHEN name = 'transaction_read_only' AND NOT pg_is_in_recovery() THEN current_setting('default_transaction_read_only') \
    ELSE setting END, unit, vartype, pending_restart FROM pg_settings WHERE vartype IN ('bool', 'integer', 'real') OR pending_restart";

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let (mut name, mut help, mut pending) = (String::new(), String::new(), 0);
    for row in table.rows() {
        let (setting, text, unit) = (row.label(0), row.label(1), row.label(2));
        let (suffix, factor, spoken) = base(unit);
        pending += u32::from(row.text(4) == Some("t"));
        let value = match (row.label(3), row.number(1)) {
            ("string" | "enum", _) => continue,
            ("bool", _) => f64::from(u8::from(text == "on")),
            (_, Some(-1.0)) => -1.0,
            (_, Some(number)) => number * factor,
            // Some clouds have settings whose value is not of the type they claim.
            (_, None) => continue,
        };
        name.clear();
        name.push_str("pg_settings_");
        name.extend(setting.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
        name.push_str(suffix);
        help.clear();
        for part in ["pg_settings.", setting, spoken] {
            help.push_str(part);
        }
        out.named(&name, &help, Kind::Gauge).add([], value);
    }
    out.family(&PENDING).add([], pending);
    Ok(())
}

/// Suffix of the family's name, factor to the base unit, and the unit in words, of `ms`, `8kB` and the like.
fn base(unit: &str) -> (&'static str, f64, &'static str) {
    let digits = unit.find(|c: char| !c.is_ascii_digit()).unwrap_or(unit.len());
    let (times, unit) = unit.split_at(digits);
    let times = times.parse().unwrap_or(1.0);
    let seconds = |factor: f64| ("_seconds", times * factor, ", in seconds.");
    let bytes = |power: i32| ("_bytes", times * 1024f64.powi(power), ", in bytes.");
    match unit {
        "us" => seconds(1e-6),
        "ms" => seconds(1e-3),
        "s" => seconds(1.0),
        "min" => seconds(60.0),
        "h" => seconds(3_600.0),
        "d" => seconds(86_400.0),
        "B" => bytes(0),
        "kB" => bytes(1),
        "MB" => bytes(2),
        "GB" => bytes(3),
        "TB" => bytes(4),
        _ => ("", 1.0, "."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    fn of(name: &str, setting: &str, unit: Option<&str>, kind: &str) -> String {
        let row = [Some(name), Some(setting), unit, Some(kind), Some("f")];
        let text = text(|out| emit(&Server::default(), &Table::of(&[row]), out));
        text.replace("pg_settings_pending_restart 0\n", "")
    }

    #[test]
    fn what_waits_for_a_restart_is_counted_whatever_its_type() {
        let row = |name, kind, pending| [Some(name), Some("1"), None, Some(kind), Some(pending)];
        let table = Table::of(&[row("wal_level", "enum", "t"), row("a", "string", "t"), row("b", "integer", "f")]);
        let text = text(|out| emit(&Server::default(), &table, out));
        assert_eq!(text, "pg_settings_b 1\npg_settings_pending_restart 2\n");
    }

    #[test]
    fn names_and_values_follow_from_name_unit_and_type() {
        assert_eq!(of("shared_buffers", "16384", Some("8kB"), "integer"), "pg_settings_shared_buffers_bytes 134217728\n");
        assert_eq!(of("deadlock_timeout", "1000", Some("ms"), "integer"), "pg_settings_deadlock_timeout_seconds 1\n");
        assert_eq!(of("bgwriter_delay", "200", Some("ms"), "integer"), "pg_settings_bgwriter_delay_seconds 0.2\n");
        assert_eq!(of("log_rotation_age", "1440", Some("min"), "integer"), "pg_settings_log_rotation_age_seconds 86400\n");
        assert_eq!(of("autovacuum_work_mem", "-1", Some("kB"), "integer"), "pg_settings_autovacuum_work_mem_bytes -1\n");
        assert_eq!(of("fsync", "on", None, "bool"), "pg_settings_fsync 1\n");
        assert_eq!(of("unix_socket_permissions", "0777", None, "integer"), "pg_settings_unix_socket_permissions 777\n");
        assert_eq!(of("pg_stat-x.max", "5", None, "integer"), "pg_settings_pg_stat_x_max 5\n");
        assert_eq!(of("odd", "-", None, "integer"), "");
    }

    proptest::proptest! {
        #[test]
        fn any_row_will_do(name: String, setting: Option<String>, unit: Option<String>, kind: String) {
            let table = Table::of(&[[Some(name.as_str()), setting.as_deref(), unit.as_deref(), Some(kind.as_str())]]);
            text(|out| emit(&Server::default(), &table, out));
        }
    }
}
