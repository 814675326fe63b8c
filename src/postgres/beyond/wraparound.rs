//! How far each database is from the end of its transaction and multixact numbers, in the units they are counted in.

use crate::exposition::{Family, Samples};
use crate::postgres::collector::{Entry, Server, Statement};
use crate::postgres::table::Table;
use crate::settings::Flag;
use crate::system::Fault;

static XID: Family =
    Family::gauge("pg_database_xid_age_transactions", "Transactions since the oldest one not yet frozen, age(datfrozenxid).");
static MXID: Family =
    Family::gauge("pg_database_mxid_age_multixacts", "Multixacts since the oldest one still in use, mxid_age(datminmxid).");
static USED: Family = Family::gauge(
    "pg_wraparound_used_ratio",
    "Share of the 2^31 numbers that the oldest database has used up; the server takes no more writes shortly before 1.",
);
static AUTOVACUUM: Family = Family::gauge(
    "pg_wraparound_autovacuum_ratio",
    "Age of the oldest database against autovacuum_freeze_max_age or its like for multixacts: above 1, autovacuum runs even where it is off.",
);

pub(super) static ENTRY: Entry = Entry {
    name: "wraparound",
    enabled: Flag::switch("postgres.collector.wraparound", true, "Age of the oldest transaction and multixact."),
    statements: &[Statement::new(|_| Some(SQL.into()), emit)],
};

const SQL: &str = "SELECT datname, age(datfrozenxid), mxid_age(datminmxid), current_setting('autovacuum_freeze_max_age'), \
    current_setting('autovacuum_multixact_freeze_max_age') FROM pg_database";

/// Half of the circle of 32-bit numbers: what is older counts as the future.
const NUMBERS: f64 = 2_147_483_648.0;

fn emit(_: &Server, table: &Table, out: &mut Samples) -> Result<(), Fault> {
    let kinds = [("xid", &XID, 1, 3), ("multixact", &MXID, 2, 4)];
    for (_, family, at, _) in kinds {
        let mut rows = out.family(family);
        for (row, age) in table.rows().filter_map(|row| Some((row, row.number(at)?))) {
            rows.add([("datname", row.label(0))], age);
        }
    }
    let oldest = |at: usize| table.rows().filter_map(|row| row.number(at)).reduce(f64::max);
    let mut used = out.family(&USED);
    for (kind, _, at, _) in kinds {
        oldest(at).into_iter().for_each(|age| _ = used.add([("kind", kind)], age / NUMBERS));
    }
    let mut autovacuum = out.family(&AUTOVACUUM);
    for (kind, _, at, limit) in kinds {
        let limit = table.rows().next().and_then(|row| row.number(limit)).filter(|limit| *limit > 0.0);
        oldest(at).zip(limit).into_iter().for_each(|(age, limit)| _ = autovacuum.add([("kind", kind)], age / limit));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn the_oldest_database_counts() {
        let row = |name, xid, mxid| [Some(name), Some(xid), Some(mxid), Some("200000000"), Some("400000000")];
        let text =
            text(|out| emit(&Server::default(), &Table::of(&[row("a", "100000000", "0"), row("b", "1073741824", "7")]), out));
        assert!(text.contains("pg_database_xid_age_transactions{datname=\"a\"} 100000000\n"), "{text}");
        assert!(text.contains("pg_wraparound_used_ratio{kind=\"xid\"} 0.5\n"), "{text}");
        assert!(text.contains("pg_wraparound_autovacuum_ratio{kind=\"xid\"} 5.36870912\n"), "{text}");
        assert!(text.contains("pg_database_mxid_age_multixacts{datname=\"b\"} 7\n"), "{text}");
    }
}
