//! `/api/v1/status`.

use serde_json::{Map, Value};

use super::findings::Finding;
use super::{Count, MOST, Status, is_up};
use crate::scrape::{Last, Part, Watched};

/// Times are seconds; ages are measured when the answer is written.
pub(super) fn write(status: &Status<'_>) -> String {
    let report = &status.report;
    let collectors = report
        .sources
        .iter()
        .flat_map(|source| source.collectors.iter().map(move |(name, last)| collector(source, name, last.as_ref())));
    let total: usize = report.sources.iter().map(|source| source.collectors.len()).sum();
    let engines = report.engines.iter().map(|engine| {
        object([
            ("engine", engine.product.word().into()),
            ("address", engine.address.clone().into()),
            ("up", engine.up.into()),
            ("version", engine.version.clone().into()),
            ("last_error", engine.last_error.clone().into()),
        ])
    });
    let containers = object([
        ("engines", engines.collect()),
        ("nameless", report.nameless.cgroups.clone().into()),
        ("nameless_total", report.nameless.count.into()),
        ("nameless_reason", (report.nameless.count > 0).then(|| super::findings::why_nameless(report)).into()),
    ]);
    let last_page = report.page.map(|page| {
        object([
            ("age_seconds", page.at.elapsed().as_secs_f64().into()),
            ("duration_seconds", page.duration.as_secs_f64().into()),
            ("series", page.series.into()),
            ("bytes", page.bytes.into()),
            ("duplicates", page.duplicates.into()),
        ])
    });
    let cost = object([
        ("cpu_seconds", status.cost.cpu_seconds.into()),
        ("resident_bytes", status.cost.resident_bytes.into()),
        ("open_files", status.cost.open_files.into()),
        ("max_files", status.cost.most_files.into()),
    ]);
    let whole = object([
        ("version", status.version().into()),
        ("revision", status.revision().into()),
        ("host", status.host.as_str().into()),
        ("uptime_seconds", status.uptime.as_secs_f64().into()),
        ("parts", list(Part::ALL.into_iter().map(|one| part(status, one)))),
        ("collectors", list(collectors.take(MOST.2))),
        ("collectors_total", total.into()),
        ("targets", list(status.targets().map(|source| target(status, source)).chain(unwatched(status)))),
        ("containers", containers),
        ("findings", list(status.findings.iter().map(finding))),
        ("last_scrape", last_page.into()),
        ("cost", cost),
    ]);
    format!("{whole}\n")
}

fn finding(finding: &Finding) -> Value {
    let audit = finding.audit.as_ref();
    object([
        ("severity", finding.severity.into()),
        ("part", finding.part.into()),
        ("subject", finding.subject.as_str().into()),
        ("what", finding.what.as_str().into()),
        ("remedy", finding.remedy.as_str().into()),
        ("check", audit.map(|(check, ..)| *check).into()),
        ("figure", audit.map(|(_, figure, _)| figure.as_str()).into()),
        ("source", audit.map(|(.., source)| *source).into()),
    ])
}

fn part(status: &Status<'_>, part: Part) -> Value {
    let count = status.sources(part).fold(Count::default(), |sum, source| sum.plus(&Count::of(source)));
    let on = status.pages.parts.contains(&part);
    object([
        ("part", part.name().into()),
        ("state", status.state(part).into()),
        ("path", on.then(|| status.path(part)).into()),
        ("ok", count.ok.into()),
        ("absent", count.absent.into()),
        ("skipped", count.skipped.into()),
        ("failed", count.failed.into()),
        ("series", count.series.into()),
    ])
}

fn collector(source: &Watched, name: &str, last: Option<&Last>) -> Value {
    object([
        ("part", source.part.name().into()),
        ("source", source.name.as_str().into()),
        ("collector", name.into()),
        ("state", last.map_or("not asked yet", |last| last.state.word()).into()),
        ("age_seconds", last.map(|last| last.at.elapsed().as_secs_f64()).into()),
        ("duration_seconds", last.map(|last| last.duration.as_secs_f64()).into()),
        ("series", last.map(|last| last.series).into()),
        ("last_error", error(last)),
    ])
}

fn error(last: Option<&Last>) -> Value {
    let trouble = last.and_then(|last| last.trouble.as_ref()).map(|trouble| {
        let age = trouble.at.elapsed().as_secs_f64();
        object([("text", trouble.text.as_str().into()), ("advice", trouble.advice.into()), ("age_seconds", age.into())])
    });
    trouble.into()
}

fn target(status: &Status<'_>, source: &Watched) -> Value {
    let (missing, first) = (status.missing(source), source.collectors.first().and_then(|(_, last)| last.as_ref()));
    object([
        ("part", source.part.name().into()),
        ("name", source.name.as_str().into()),
        ("watched", true.into()),
        ("found", source.how.into()),
        ("address", source.address.as_str().into()),
        ("up", is_up(source).into()),
        ("age_seconds", first.map(|last| last.at.elapsed().as_secs_f64()).into()),
        ("last_error", error(first)),
        ("missing", missing.map(|(word, _)| word).into()),
        ("advice", missing.map(|(_, advice)| advice.replace("<part>", source.part.name())).into()),
        ("failed_collectors", Count::of(source).failed.into()),
    ])
}

/// Databases that were found and never reached.
fn unwatched<'a>(status: &'a Status<'_>) -> impl Iterator<Item = Value> + 'a {
    status.unwatched().map(|met| {
        object([
            ("part", met.part.into()),
            ("name", met.name.as_str().into()),
            ("watched", false.into()),
            ("found", met.how.into()),
            ("address", Value::Null),
            ("up", false.into()),
            ("age_seconds", Value::Null),
            ("last_error", Value::Null),
            ("missing", met.missing.map(|(word, _)| word).into()),
            ("advice", met.missing.map(|(_, advice)| advice.replace("<part>", met.part)).into()),
            ("failed_collectors", 0.into()),
        ])
    })
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::Array(values.collect())
}
