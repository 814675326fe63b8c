//! The rows of a query as samples.

use super::file::{Column, Query, Usage};
use super::value;
use crate::exposition::{Kind, Labels, Samples, is_label_name, is_metric_name};
use crate::postgres::table::{Row, Table};

/// How many series one query may have.
const MOST: usize = 10_000;

/// How many buckets a histogram may have.
const MOST_BUCKETS: usize = 100;

/// What a query answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The names of the columns.
    pub(super) names: Vec<String>,
    pub(super) table: Table,
    /// Rows beyond the cap.
    pub(super) dropped: usize,
}

/// What was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) rows: usize,
    pub(super) dropped: usize,
    /// A column that held something else than what the file says, if there was one.
    pub(super) odd: Option<String>,
}

/// What is done with one column of the answer.
enum Role<'a> {
    Label(String),
    /// A family, its help and type, and how a text becomes its value.
    Family(String, String, Kind, &'a Usage),
    Histogram(String, String),
    Nothing,
}

/// Writes the samples of `answer`. `labels` go on all of them; a column that has one of their names (`reserved`) is called `exported_...`.
pub(super) fn emit(
    query: &Query,
    answer: &Answer,
    version: &str,
    labels: &Labels,
    reserved: &[&str],
    out: &mut Samples,
) -> Written {
    let names = &answer.names;
    let roles: Vec<Role<'_>> = names.iter().enumerate().map(|(at, _)| role(query, names, at, version, reserved)).collect();
    let weight = |role: &Role<'_>| match role {
        Role::Family(..) => 1,
        Role::Histogram(..) => MOST_BUCKETS + 3,
        Role::Label(_) | Role::Nothing => 0,
    };
    let room = MOST / roles.iter().map(weight).sum::<usize>().max(1);
    let rows = || answer.table.rows().take(room);
    let entities: Vec<Labels> = rows().map(|row| entity(&row, &roles, labels)).collect();
    let mut odd = None;
    for (at, role) in roles.iter().enumerate() {
        let name = names.get(at).map_or("", String::as_str);
        for (row, entity) in rows().zip(&entities) {
            let written = match role {
                Role::Family(family, help, kind, usage) => match sample(row.text(at), usage) {
                    Some(sample) => {
                        out.named(family, help, *kind).line("", entity, &[], sample);
                        Some(())
                    }
                    // Nobody said that it would be a number.
                    None if *kind == Kind::Untyped => Some(()),
                    None => None,
                },
                Role::Histogram(family, help) => histogram(&row, names, name, (family, help), entity, out),
                Role::Label(_) | Role::Nothing => Some(()),
            };
            if written.is_none() && odd.is_none() {
                odd = Some(name.to_owned());
            }
        }
    }
    let shown = entities.len();
    Written { rows: shown, dropped: answer.dropped + answer.table.rows().count() - shown, odd }
}

fn role<'a>(query: &'a Query, names: &[String], at: usize, version: &str, reserved: &[&str]) -> Role<'a> {
    let Some(name) = names.get(at).filter(|name| !names.iter().take(at).any(|before| before == *name)) else {
        return Role::Nothing;
    };
    let family = format!("{}_{name}", query.name);
    let known = query.columns.iter().find(|column| column.name == *name);
    let part_of_histogram = |column: &Column| {
        let suffix = name.strip_prefix(column.name.as_str());
        column.usage == Usage::Histogram && matches!(suffix, Some("_bucket" | "_sum" | "_count"))
    };
    let Some(column) = known else {
        // postgres_exporter shows what the file does not speak of, untyped, where it is a number.
        let shown = is_metric_name(&family) && !query.columns.iter().any(part_of_histogram);
        return if shown { Role::Family(family, help(query, name, ""), Kind::Untyped, &Usage::Discard) } else { Role::Nothing };
    };
    let help = help(query, name, &column.help);
    match &column.usage {
        _ if !column.versions.holds(version) => Role::Nothing,
        Usage::Discard => Role::Nothing,
        Usage::Label if reserved.contains(&name.as_str()) => Role::Label(format!("exported_{name}")),
        Usage::Label => Role::Label(name.clone()),
        Usage::Counter => Role::Family(family, help, Kind::Counter, &column.usage),
        Usage::Gauge | Usage::Mapped(_) => Role::Family(family, help, Kind::Gauge, &column.usage),
        Usage::Duration => Role::Family(format!("{family}_milliseconds"), help, Kind::Gauge, &column.usage),
        Usage::Histogram => Role::Histogram(family, help),
    }
}

fn help(query: &Query, column: &str, told: &str) -> String {
    if told.trim().is_empty() {
        format!("Column {column} of the query {} of --postgres.queries.", query.name)
    } else {
        told.to_owned()
    }
}

fn entity(row: &Row<'_>, roles: &[Role<'_>], labels: &Labels) -> Labels {
    let mut entity = labels.clone();
    let mut used: Vec<&str> = Vec::new();
    for (at, role) in roles.iter().enumerate() {
        if let Role::Label(name) = role
            && is_label_name(name)
            && !used.contains(&name.as_str())
        {
            entity.push(name, row.label(at));
            used.push(name);
        }
    }
    entity
}

/// The value of a cell, or `None` where it is not what the file says. NULL is not a number.
fn sample(text: Option<&str>, usage: &Usage) -> Option<f64> {
    match (usage, text) {
        (Usage::Mapped(mapping), Some(text)) => mapping.get(text).copied(),
        (Usage::Duration, Some(text)) => value::milliseconds(text),
        (_, Some(text)) => value::number(text),
        (_, None) => Some(f64::NAN),
    }
}

/// Writes one row's histogram: bounds in the column itself, what they hold, the sum and the count beside it.
fn histogram(
    row: &Row<'_>,
    names: &[String],
    name: &str,
    family: (&str, &str),
    entity: &Labels,
    out: &mut Samples,
) -> Option<()> {
    let cell = |suffix: &str| {
        let beside = names.iter().position(|other| other.strip_prefix(name) == Some(suffix))?;
        row.text(beside)
    };
    let (bounds, buckets) = (value::array(cell("")?)?, value::array(cell("_bucket")?)?);
    let (sum, count) = (value::number(cell("_sum")?)?, value::number(cell("_count")?)?);
    let mut pairs: Vec<(f64, f64)> = bounds.into_iter().zip(buckets).filter(|(bound, _)| bound.is_finite()).collect();
    pairs.sort_by(|one, other| one.0.total_cmp(&other.0));
    pairs.dedup_by(|one, other| one.0 == other.0);
    let mut rows = out.named(family.0, family.1, Kind::Histogram);
    for (bound, held) in pairs.into_iter().take(MOST_BUCKETS) {
        rows.line("_bucket", entity, &[("le", &bound.to_string())], held);
    }
    rows.line("_bucket", entity, &[("le", "+Inf")], count);
    rows.line("_sum", entity, &[], sum);
    rows.line("_count", entity, &[], count);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::queries::file;
    use crate::postgres::testing::text;

    fn answer<const N: usize>(names: [&str; N], rows: &[[Option<&str>; N]]) -> Answer {
        Answer { names: names.map(str::to_owned).to_vec(), table: Table::of(rows), dropped: 0 }
    }

    /// The lines and the outcome of one query that the file calls `pg_q`.
    fn lines<const N: usize>(columns: &str, names: [&str; N], rows: &[[Option<&str>; N]]) -> (String, Written) {
        let queries = file::parse(&format!("pg_q: {{query: SELECT 1, metrics: [{columns}]}}")).unwrap();
        let mut written = None;
        let labels = Labels::of(&[("server", "db:5432")]);
        let text = text(|out| {
            written = Some(emit(&queries[0], &answer(names, rows), "15.0.0", &labels, &["server"], out));
            Ok(())
        });
        (text, written.unwrap())
    }

    #[test]
    fn every_usage_becomes_what_postgres_exporter_makes_of_it() {
        let columns = "{who: {usage: LABEL}}, {n: {usage: COUNTER}}, {g: {usage: GAUGE}}, {m: {usage: MAPPEDMETRIC, metric_mapping: {on: 7}}}, \
                       {d: {usage: DURATION}}, {x: {usage: DISCARD}}, {server: {usage: LABEL}}";
        let names = ["who", "n", "g", "m", "d", "x", "server", "unknown", "words"];
        let row = [Some("a\"b"), Some("2"), None, Some("on"), Some("1.5s"), Some("9"), Some("s"), Some("3"), Some("text")];
        let (text, written) = lines(columns, names, &[row]);
        let labels = "{server=\"db:5432\",who=\"a\\\"b\",exported_server=\"s\"}";
        assert_eq!(
            text,
            format!(
                "pg_q_d_milliseconds{labels} 1500\npg_q_g{labels} NaN\npg_q_m{labels} 7\npg_q_n{labels} 2\npg_q_unknown{labels} 3\n"
            )
        );
        assert_eq!(written, Written { rows: 1, dropped: 0, odd: None });
    }

    #[test]
    fn what_is_no_number_is_left_out_and_told() {
        let (text, written) = lines("{a: {usage: GAUGE}}", ["a", "b"], &[[Some("x"), Some("1")], [Some("2"), Some("2")]]);
        assert!(text.starts_with("pg_q_a{server=\"db:5432\"} 2\npg_q_b"), "{text}");
        assert_eq!(written.odd.as_deref(), Some("a"));
        let (text, written) = lines("{a: {usage: MAPPEDMETRIC, metric_mapping: {on: 1}}}", ["a"], &[[Some("off")]]);
        assert_eq!((text.as_str(), written.odd.as_deref()), ("", Some("a")));
    }

    #[test]
    fn a_histogram_is_put_together_of_four_columns() {
        let names = ["s", "s_bucket", "s_sum", "s_count"];
        let row = [Some("{5,1,2.5}"), Some("{3,1,2}"), Some("12.5"), Some("4")];
        let (text, written) = lines("{s: {usage: HISTOGRAM}}", names, &[row]);
        let of = |le: &str, held: u8| format!("pg_q_s_bucket{{server=\"db:5432\",le=\"{le}\"}} {held}\n");
        let own = "pg_q_s_sum{server=\"db:5432\"} 12.5\npg_q_s_count{server=\"db:5432\"} 4\n";
        assert_eq!(text, format!("{}{}{}{}{own}", of("1", 1), of("2.5", 2), of("5", 3), of("+Inf", 4)));
        assert_eq!(written.odd, None);
        let (text, written) = lines("{s: {usage: HISTOGRAM}}", ["s"], &[[Some("{1}")]]);
        assert_eq!((text.as_str(), written.odd.as_deref()), ("", Some("s")));
    }

    #[test]
    fn series_have_a_cap() {
        let rows: Vec<[Option<&str>; 2]> = vec![[Some("1"); 2]; MOST];
        let (text, written) = lines("", ["a", "b"], &rows);
        assert_eq!((text.lines().count(), written.rows, written.dropped), (2, MOST / 2, MOST / 2));
    }

    #[test]
    fn columns_of_one_name_and_of_odd_names_are_taken_once_or_not() {
        let (text, _) = lines(
            "{a: {usage: LABEL}}",
            ["a", "a", "v", "v", "?column?"],
            &[[Some("x"), Some("y"), Some("1"), Some("2"), Some("3")]],
        );
        assert_eq!(text, "pg_q_v{server=\"db:5432\",a=\"x\"} 1\n");
    }

    proptest::proptest! {
        #[test]
        fn any_answer_will_do(names: [String; 3], cells: [Option<String>; 3]) {
            let queries = file::parse("pg_q: {query: SELECT 1, metrics: [{a: {usage: HISTOGRAM}}, {b: {usage: LABEL}}]}").unwrap();
            let row = [cells[0].as_deref(), cells[1].as_deref(), cells[2].as_deref()];
            let answer = Answer { names: names.to_vec(), table: Table::of(&[row]), dropped: 0 };
            emit(&queries[0], &answer, "15.0.0", &Labels::new(), &[], &mut Samples::new());
        }
    }
}
