//! What the operator should look at, in one list: figures that are not what they seem, what failed, what cannot be reached.

use super::{is_target, is_up};
use crate::scrape::{Finding as Found, Part, Product, Report, State};

/// The most findings that are listed; the rest is counted.
const MOST: usize = 200;

/// Something to look at.
pub(super) struct Finding {
    /// `critical`, `warning` or `info`.
    pub(super) severity: &'static str,
    /// The part that it is about.
    pub(super) part: &'static str,
    /// What it is about: a collector, a target, a container.
    pub(super) subject: String,
    /// What is wrong.
    pub(super) what: String,
    /// What to do about it.
    pub(super) remedy: String,
    /// What the audit says beside: the check's name, its figure, and where the facts come from.
    pub(super) audit: Option<(&'static str, String, &'static str)>,
}

/// All findings, the worst first.
pub(super) fn of(report: &Report) -> Vec<Finding> {
    let mut findings = Vec::new();
    engines(report, &mut findings);
    met(report, &mut findings);
    sources(report, &mut findings);
    findings.extend(report.audited.iter().map(audited));
    for warning in &report.warnings {
        let what = "figures are not what they seem".to_owned();
        let subject = warning.missing.to_owned();
        findings.push(Finding {
            severity: "warning",
            part: warning.part.name(),
            subject,
            what,
            remedy: warning.advice.clone(),
            audit: None,
        });
    }
    findings.sort_by_key(|finding| ["critical", "warning"].iter().position(|word| *word == finding.severity).unwrap_or(2));
    let more = findings.len().saturating_sub(MOST);
    findings.truncate(MOST);
    if more > 0 {
        let what = format!("{more} more findings are left out here");
        let remedy = "mend those above first".to_owned();
        findings.push(Finding { severity: "info", part: "agent", subject: "findings".to_owned(), what, remedy, audit: None });
    }
    findings
}

/// What the audit found.
fn audited(found: &Found) -> Finding {
    let figure = if found.figure.is_empty() { String::new() } else { format!(": {}", found.figure) };
    Finding {
        severity: found.severity,
        part: found.part.name(),
        subject: found.subject.clone(),
        what: format!("{}: {}{figure}", found.advice.check, found.advice.what),
        remedy: found.advice.remedy.to_owned(),
        audit: Some((found.advice.check, found.figure.clone(), found.source)),
    }
}

/// Engines that do not answer, and containers without a name.
fn engines(report: &Report, findings: &mut Vec<Finding>) {
    let part = Part::Containers.name();
    for engine in report.engines.iter().filter(|engine| !engine.up) {
        let Some(why) = &engine.last_error else { continue };
        findings.push(Finding {
            severity: "warning",
            part,
            subject: format!("{} at {}", engine.product.word(), engine.address),
            what: format!("does not answer: {why}"),
            remedy: match engine.product {
                Product::Docker => {
                    "mount its socket read-only and let the agent's group read it, or set --docker; empty for none"
                }
                _ => "mount its socket read-only and let the agent's group read it, or leave it out of --containers.engines",
            }
            .to_owned(),
            audit: None,
        });
    }
    if report.nameless.count > 0 {
        findings.push(Finding {
            severity: "warning",
            part,
            subject: format!("{} containers", report.nameless.count),
            what: format!("have no name: {}", why_nameless(report)),
            remedy: "let the agent ask the engine that runs them: --docker, --containers.engines".to_owned(),
            audit: None,
        });
    }
}

/// Why containers have no name.
pub(super) fn why_nameless(report: &Report) -> &'static str {
    match &report.engines[..] {
        [] => "no container engine is asked",
        engines if engines.iter().all(|engine| !engine.up) => "the container engine does not answer",
        engines if engines.iter().any(|engine| !engine.up) => {
            "one container engine does not answer, and the others do not know them"
        }
        _ => "the container engine does not know them: another engine runs them",
    }
}

/// Databases that were found and are not watched.
fn met(report: &Report, findings: &mut Vec<Finding>) {
    for met in &report.met {
        let Some((missing, advice)) = met.missing else { continue };
        findings.push(Finding {
            severity: "warning",
            part: met.part,
            subject: met.name.clone(),
            what: format!("was found and cannot be reached: {missing}"),
            remedy: advice.replace("<part>", met.part),
            audit: None,
        });
    }
}

/// Targets that are down, collectors that failed.
fn sources(report: &Report, findings: &mut Vec<Finding>) {
    for source in &report.sources {
        let part = source.part.name();
        let down = is_target(source) && is_up(source) == Some(false);
        let told = report.met.iter().any(|met| met.missing.is_some() && met.part == part && met.name == source.name);
        if down && told {
            continue;
        }
        for (collector, last) in &source.collectors {
            let Some(last) = last.as_ref().filter(|last| last.state == State::Failed) else { continue };
            let Some(trouble) = &last.trouble else { continue };
            let subject = match (is_target(source), down) {
                (true, true) => source.name.clone(),
                (true, false) => format!("{}: {collector}", source.name),
                (false, _) => (*collector).to_owned(),
            };
            let (severity, remedy) = (if down { "critical" } else { "warning" }, trouble.advice.to_owned());
            findings.push(Finding { severity, part, subject, what: trouble.text.clone(), remedy, audit: None });
        }
    }
}
