//! The text writer against two that know nothing of it: the strict parser of the test support, and the `prometheus` crate's encoder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;

use prometheus::{Encoder, Opts, Registry, TextEncoder};
use proptest::prelude::*;
use stack_exporter::exposition::{Cursor, Family, Kind, Labels, Page, Samples};
use support::exposition::parse;

static COUNTER: Family = Family::counter("t_counter_total", "A \\ and a\nnewline.");
static GAUGE: Family = Family::gauge("t_gauge", "Plain.");
static UNTYPED: Family = Family::untyped("t_untyped", "Odd.");
static HISTOGRAM: Family = Family::histogram("t_histogram", "Buckets.");
static FAMILIES: [&Family; 3] = [&COUNTER, &GAUGE, &UNTYPED];

/// A series: which family, which label values, which value, and which source writes it.
type Row = (usize, String, String, f64, usize);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((0..4usize, any::<String>(), "[ -~\n]{0,8}", any::<f64>(), 0..3usize), 0..60)
}

proptest! {
    /// Whatever is written by whichever source in whatever order: each series once (the first one wins), under its family, read back the same.
    #[test]
    fn what_is_written_is_read_back(rows in rows()) {
        let mut sources: Vec<Samples> = (0..3).map(|source| Samples::with_common(Labels::of(&[("source", &source.to_string())]))).collect();
        let mut expected = BTreeMap::new();
        for (family, a, b, value, source) in &rows {
            let (name, help, kind) = FAMILIES.get(*family).map_or(("t_named", "From input.", Kind::Gauge), |f| (f.name, f.help, f.kind));
            match FAMILIES.get(*family) {
                Some(family) => sources[*source].family(family).add([("a", a), ("b", b)], *value),
                None => sources[*source].named(name, help, kind).add([("a", a), ("b", b)], *value),
            };
            expected.entry((name, source.to_string(), a.clone(), b.clone())).or_insert((*value, help, kind));
        }
        let page = Page::new(sources);
        prop_assert_eq!(page.series(), expected.len());
        prop_assert_eq!(page.duplicates(), rows.len() - expected.len());
        let read = parse(&String::from_utf8(page.to_vec()).unwrap()).map_err(TestCaseError::fail)?;
        prop_assert_eq!(read.series.len(), expected.len());
        for series in &read.series {
            let key = (series.name.as_str(), series.labels["source"].clone(), series.labels["a"].clone(), series.labels["b"].clone());
            let (value, help, kind) = expected.iter().find(|(k, _)| **k == key).unwrap().1;
            prop_assert!(series.value == *value || (series.value.is_nan() && value.is_nan()), "{} {}", series.value, value);
            prop_assert_eq!(&read.help[&series.name], help);
            prop_assert_eq!(&read.types[&series.name], kind.word());
        }
    }

    /// Line for line what the `prometheus` crate writes for the same gauges, but for the spelling of numbers.
    #[test]
    fn it_agrees_with_the_prometheus_crate(rows in prop::collection::btree_map(any::<String>(), any::<i32>(), 1..20)) {
        let gauges = prometheus::GaugeVec::new(Opts::new("t_gauge", "Plain."), &["a"]).unwrap();
        let mut samples = Samples::new();
        for (label, value) in &rows {
            gauges.with_label_values(&[label]).set(f64::from(*value));
            samples.family(&GAUGE).add([("a", label)], *value);
        }
        let registry = Registry::new();
        registry.register(Box::new(gauges)).unwrap();
        let mut theirs = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut theirs).unwrap();
        let ours = Page::new(vec![samples]).to_vec();
        let sorted = |text: Vec<u8>| {
            let mut lines: Vec<String> = String::from_utf8(text).unwrap().split_inclusive('\n').map(str::to_owned).collect();
            lines.sort();
            lines
        };
        prop_assert_eq!(sorted(ours), sorted(theirs));
    }
}

#[test]
fn a_family_stands_once_whoever_wrote_to_it() {
    let (mut one, mut two) = (Samples::new(), Samples::new());
    one.family(&GAUGE).add([("a", "1")], 1u8);
    one.family(&COUNTER).add([], 7u64);
    one.family(&GAUGE).add([("a", "2")], 2u8);
    two.family(&GAUGE).add([("a", "1")], 9u8).add([("a", "3")], 3u8);
    two.named("t_counter_total", "Another type.", Kind::Gauge).add([("a", "x")], 8u8);
    two.family(&HISTOGRAM).line("_bucket", &Labels::new(), &[("le", "+Inf")], 2u8).line("_sum", &Labels::new(), &[], 0.5).line(
        "_count",
        &Labels::new(),
        &[],
        2u8,
    );
    let page = Page::new(vec![one, two]);
    assert_eq!((page.series(), page.duplicates()), (7, 2));
    let expected = "# HELP t_counter_total A \\\\ and a\\nnewline.\n# TYPE t_counter_total counter\nt_counter_total 7\n\
                    # HELP t_gauge Plain.\n# TYPE t_gauge gauge\nt_gauge{a=\"1\"} 1\nt_gauge{a=\"2\"} 2\nt_gauge{a=\"3\"} 3\n\
                    # HELP t_histogram Buckets.\n# TYPE t_histogram histogram\nt_histogram_bucket{le=\"+Inf\"} 2\nt_histogram_sum 0.5\n\
                    t_histogram_count 2\n";
    assert_eq!(String::from_utf8(page.to_vec()).unwrap(), expected);
}

#[test]
fn chunks_are_bounded_and_make_up_the_whole() {
    let mut samples = Samples::new();
    for number in 0..30_000 {
        samples.family(&GAUGE).add([("a", &number.to_string())], number);
    }
    let page = Page::new(vec![samples]);
    let (mut cursor, mut whole, mut chunks) = (Cursor::default(), Vec::new(), 0);
    loop {
        let mut chunk = Vec::new();
        let more = page.chunk(&mut cursor, &mut chunk);
        assert!(chunk.len() <= 128 * 1024 + 1024, "{}", chunk.len());
        chunks += 1;
        whole.extend(chunk);
        if !more {
            break;
        }
    }
    assert!(chunks > 5);
    assert_eq!(whole, page.to_vec());
    assert_eq!(parse(&String::from_utf8(whole).unwrap()).unwrap().series.len(), 30_000);
}

#[test]
fn no_series_allocates() {
    let labels: Vec<Labels> =
        (0..500).map(|n| Labels::of(&[("id", &format!("/docker/{n}")), ("name", "b"), ("image", "c")])).collect();
    let page = |families: usize| {
        let mut samples = Samples::new();
        for family in 0..families {
            let mut rows = samples.named(["t_a", "t_b", "t_c", "t_d"][family % 4], "Help.", Kind::Gauge);
            for (number, labels) in labels.iter().enumerate() {
                let round = [("round", ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"][family / 4])];
                rows.add_to(labels, [round[0], ("x", "y"), ("z", "")], number);
            }
        }
        let (page, mut cursor) = (Page::new(vec![samples]), Cursor::default());
        let mut chunk = Vec::with_capacity(160 * 1024);
        while page.chunk(&mut cursor, &mut chunk) {
            chunk.clear();
        }
        page.series()
    };
    let count = |families: usize| {
        let info = allocation_counter::measure(|| assert_eq!(page(families), families * 500));
        info.count_total
    };
    let (few, many) = (count(4), count(40));
    // 18,000 series more cost a few doublings of the buffers.
    assert!(many < few + 40, "{few} allocations for 2,000 series, {many} for 20,000");
}
