//! The operator's page: what is wrong first, then what is watched, then the figures.

use super::html::{Cell, Html, bytes, time};
use super::{Count, MOST, PAUSED, Status, is_target, is_up, style};
use crate::exposition::{from_u64, from_usize};
use crate::scrape::{Last, Part, State, Watched};

/// Writes the page. It is refreshed by a header, not by the document, and can be stopped: who reads it slowly, or by ear, must be able to.
pub(super) fn write(status: &Status<'_>, paused: bool) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>stack-exporter");
    if !status.host.is_empty() {
        html.raw(" on ").text(&status.host);
    }
    html.raw("</title>\n<style>").raw(style::SHEET).raw("</style>\n</head>\n<body>\n");
    html.raw("<a class=\"skip\" href=\"#findings\">Skip to the findings</a>\n");
    header(status, paused, &mut html);
    html.raw("<main>\n");
    findings(status, &mut html);
    parts(status, &mut html);
    databases(status, &mut html);
    containers(status, &mut html);
    cost(status, &mut html);
    collectors(status, &mut html);
    html.raw("</main>\n</body>\n</html>\n");
    html.finish()
}

fn header(status: &Status<'_>, paused: bool, html: &mut Html) {
    html.raw("<header>\n<h1>stack-exporter</h1>\n<p>").text(&status.host).raw(" · version ").raw(status.version());
    if !status.revision().is_empty() {
        html.raw(" (").raw(status.revision()).raw(")");
    }
    html.raw(" · up ").text(&time(status.uptime.as_secs_f64())).raw("</p>\n<nav aria-label=\"Pages\"><ul>\n<li>");
    html.link(&status.pages.metrics, "Metrics").raw("</li>\n");
    for part in &status.pages.parts {
        let path = status.path(*part);
        html.raw("<li>").link(&path, &path).raw("</li>\n");
    }
    for path in ["/api/v1/status", "/-/healthy", "/-/ready"] {
        let path = format!("{}{path}", status.pages.prefix);
        html.raw("<li>").link(&path, &path).raw("</li>\n");
    }
    html.raw("</ul></nav>\n<p class=\"soft\">");
    match &status.report.page {
        Some(page) => html.raw("As the last scrape told ").text(&age(page.at)).raw(" ago. "),
        None => html.raw("Not scraped yet: what is told here comes with scrapes, and opening this page makes none. "),
    };
    let here = format!("{}/status", status.pages.prefix);
    if paused {
        html.raw("This page stands still. ").link(&here, "Refresh it every 15 seconds");
    } else {
        html.raw("Refreshed every 15 seconds. ").link(&format!("{here}?{PAUSED}"), "Stop refreshing");
    }
    html.raw("</p>\n</header>\n");
}

fn findings(status: &Status<'_>, html: &mut Html) {
    html.section("findings", "Findings");
    if status.findings.is_empty() {
        html.raw("<p>None.</p>\n</section>\n");
        return;
    }
    let rows = status.findings.iter().map(|finding| {
        vec![
            Cell::state(finding.severity),
            Cell::text(finding.part),
            Cell::text(finding.subject.as_str()),
            Cell::text(finding.what.as_str()),
            Cell::text(finding.remedy.as_str()),
        ]
    });
    html.table("Findings", &["Severity", "Part", "Subject", "What is wrong", "What to do"], rows).raw("</section>\n");
}

fn parts(status: &Status<'_>, html: &mut Html) {
    let rows = Part::ALL.into_iter().map(|part| {
        let count = status.sources(part).fold(Count::default(), |sum, source| sum.plus(&Count::of(source)));
        vec![
            Cell::text(part.name()),
            Cell::state(status.state(part)),
            Cell::number(status.sources(part).count().to_string()),
            Cell::number(count.ok.to_string()),
            Cell::number(count.absent.to_string()),
            Cell::number((count.failed + count.skipped).to_string()),
            Cell::number(count.series.to_string()),
        ]
    });
    let head = ["Part", "State", "Sources", "Collectors fine", "Nothing to collect", "Failed or skipped", "Series"];
    html.section("parts", "Parts").table("Parts", &head, rows).raw("</section>\n");
}

fn databases(status: &Status<'_>, html: &mut Html) {
    html.section("databases", "Databases");
    let watched = status.targets().map(|source| {
        let last = source.collectors.first().and_then(|(_, last)| last.as_ref());
        let state = match is_up(source) {
            Some(true) => "up",
            Some(false) => "down",
            None => "not asked yet",
        };
        let trouble = last.and_then(|last| last.trouble.as_ref());
        let error = trouble.map(|trouble| format!("{} ({} ago)", trouble.text, age(trouble.at)));
        let advice = match status.missing(source) {
            Some((missing, advice)) => format!("{missing}: {}", advice.replace("<part>", source.part.name())),
            None if state == "down" => trouble.map(|trouble| trouble.advice.to_owned()).unwrap_or_default(),
            None => missing_collectors(source),
        };
        vec![
            Cell::text(source.name.as_str()),
            Cell::text(source.part.name()),
            Cell::state(state),
            Cell::text(found(source.how)),
            Cell::text(source.address.as_str()),
            Cell::number(last.map(|last| format!("{} ago", age(last.at))).unwrap_or_default()),
            Cell::text(error.unwrap_or_default()),
            Cell::text(advice),
        ]
    });
    let unwatched = status.unwatched().map(|met| {
        let (missing, advice) = met.missing.unwrap_or_default();
        let mut row = vec![Cell::text(met.name.as_str()), Cell::text(met.part), Cell::state("not watched")];
        row.push(Cell::text(found(met.how)));
        row.extend(["", "", ""].map(Cell::text));
        row.push(Cell::text(format!("{missing}: {}", advice.replace("<part>", met.part))));
        row
    });
    let rows: Vec<_> = watched.chain(unwatched).take(MOST.0).collect();
    if rows.is_empty() {
        html.raw("<p>None is known: name some in the settings, or let the agent look for them.</p>\n");
    } else {
        let head = ["Target", "Part", "State", "Found", "Address", "Last asked", "Last error", "What is missing"];
        html.table("Databases", &head, rows);
        more(status, MOST.0, html);
    }
    html.raw("</section>\n");
}

/// Says that there are more databases than were listed.
fn more(status: &Status<'_>, listed: usize, html: &mut Html) {
    let rest = (status.targets().count() + status.unwatched().count()).saturating_sub(listed);
    if rest > 0 {
        html.raw("<p>").text(&rest.to_string()).raw(" more databases are left out here.</p>\n");
    }
}

/// The collectors of a target that failed, though it is up.
fn missing_collectors(source: &Watched) -> String {
    let failed = |last: &Option<Last>| last.as_ref().is_some_and(|last| last.state == State::Failed);
    let names: Vec<_> = source.collectors.iter().filter(|(_, last)| failed(last)).map(|(name, _)| *name).collect();
    if names.is_empty() { String::new() } else { format!("collectors: {}", names.join(", ")) }
}

/// Who told of a target, in words.
fn found(how: &str) -> &str {
    match how {
        "settings" => "named in the settings",
        "topology" => "told of by another server",
        "local" => "found on this host",
        "socket" => "in a container, by its socket",
        "network" => "in a container, by its network",
        "host" => "in a container, in the host's network",
        "published" => "in a container, by its published port",
        "none" => "in a container, out of reach",
        other => other,
    }
}

fn containers(status: &Status<'_>, html: &mut Html) {
    let report = &status.report;
    html.section("containers", "Containers");
    if report.engines.is_empty() {
        html.raw("<p>No container engine is asked.</p>\n");
    } else {
        let rows = report.engines.iter().map(|engine| {
            vec![
                Cell::text(engine.product.word()),
                Cell::text(engine.address.as_str()),
                Cell::text(if engine.up { "answers" } else { "does not answer" }),
                Cell::text(engine.version.as_deref().unwrap_or_default()),
                Cell::text(engine.last_error.as_deref().unwrap_or_default()),
            ]
        });
        html.table("Container engines", &["Engine", "Address", "State", "Version", "Last error"], rows);
    }
    if report.nameless.count > 0 {
        html.raw("<p>").text(&report.nameless.count.to_string()).raw(" containers have no name: ");
        html.raw(super::findings::why_nameless(report)).raw(".</p>\n");
        let rows = report.nameless.cgroups.iter().map(|path| vec![Cell::text(path.as_str())]);
        html.table("Containers without a name", &["Cgroup"], rows);
    }
    html.raw("</section>\n");
}

fn cost(status: &Status<'_>, html: &mut Html) {
    let (cost, page) = (&status.cost, status.report.page);
    let cpu = cost.cpu_seconds.map(|seconds| {
        let share = 100.0 * seconds / status.uptime.as_secs_f64().max(1.0);
        format!("{seconds:.2} s, {share:.2} % of one core")
    });
    let files = cost.open_files.map(|open| match cost.most_files {
        Some(most) => format!("{open} of {most}"),
        None => open.to_string(),
    });
    let duplicates = page.map(|page| page.duplicates).filter(|count| *count > 0);
    let figures = [
        ("CPU time", cpu),
        ("Resident memory", cost.resident_bytes.map(|count| bytes(from_u64(count)))),
        ("Open files", files),
        ("Last scrape", page.map(|page| format!("{}, {} ago", time(page.duration.as_secs_f64()), age(page.at)))),
        ("Series", page.map(|page| page.series.to_string())),
        ("Page", page.map(|page| bytes(from_usize(page.bytes)))),
        ("Series left out as duplicates", duplicates.map(|count| count.to_string())),
    ];
    let rows = figures.into_iter().filter_map(|(name, value)| Some(vec![Cell::text(name), Cell::number(value?)]));
    html.section("cost", "What the agent costs").table("What the agent costs", &["Figure", "Value"], rows).raw("</section>\n");
}

fn collectors(status: &Status<'_>, html: &mut Html) {
    html.section("collectors", "Collectors");
    let others = status.report.sources.iter().filter(|source| !is_target(source));
    for source in others.chain(status.targets().take(MOST.1)) {
        let count = Count::of(source);
        let title = if is_target(source) { format!("{} {}", source.part.name(), source.name) } else { source.name.clone() };
        html.raw(if is_target(source) { "<details><summary>" } else { "<details open><summary>" }).text(&title).raw(": ");
        html.text(&format!("{} fine, {} failed, {} series", count.ok, count.failed, count.series)).raw("</summary>\n");
        let rows = source.collectors.iter().map(|(name, last)| row(name, last.as_ref()));
        let head = ["Collector", "State", "Duration", "Series", "Age", "Last error", "What to do"];
        html.table(&format!("Collectors of {title}"), &head, rows).raw("</details>\n");
    }
    more(status, MOST.1, html);
    html.raw("</section>\n");
}

fn row(name: &'static str, last: Option<&Last>) -> Vec<Cell> {
    let Some(last) = last else { return vec![Cell::text(name), Cell::state("not asked yet")] };
    let (error, advice) = match &last.trouble {
        // What works again needs no advice.
        Some(trouble) if last.state == State::Failed => (trouble.text.clone(), trouble.advice),
        Some(trouble) => (format!("{} ago: {}", age(trouble.at), trouble.text), ""),
        None => (String::new(), ""),
    };
    vec![
        Cell::text(name),
        Cell::state(last.state.word()),
        Cell::number(time(last.duration.as_secs_f64())),
        Cell::number(last.series.to_string()),
        Cell::number(age(last.at)),
        Cell::text(error),
        Cell::text(advice),
    ]
}

fn age(at: std::time::Instant) -> String {
    time(at.elapsed().as_secs_f64().floor().max(1.0))
}
