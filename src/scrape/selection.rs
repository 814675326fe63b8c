//! Which collectors a request asks for.

use super::Part;

/// The collectors of one scrape. Two requests with equal selections share one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    parts: Vec<Part>,
    filter: Filter,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    All,
    Only(Vec<String>),
    Without(Vec<String>),
}

/// Why a request's filter cannot be served: 400 with this text, in node_exporter's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No collector has that name.
    #[error("missing collector: {0}")]
    Missing(String),
    /// The collector is switched off.
    #[error("disabled collector: {0}")]
    Disabled(String),
    /// `collect[]` and `exclude[]` in one request.
    #[error("combined collect and exclude queries are not allowed")]
    Combined,
}

impl Selection {
    /// All collectors of `parts`.
    pub fn of(parts: &[Part]) -> Self {
        Selection { parts: parts.to_vec(), filter: Filter::All }
    }

    /// All collectors of `parts` that `collect` names, or all that `exclude` does not name.
    ///
    /// `state` tells for a name whether such a collector exists and is on. As with node_exporter, an unknown name in `exclude` is ignored.
    pub fn filtered(
        parts: &[Part],
        mut collect: Vec<String>,
        mut exclude: Vec<String>,
        state: impl Fn(&str) -> Option<bool>,
    ) -> Result<Self, Refusal> {
        let filter = match (collect.is_empty(), exclude.is_empty()) {
            (false, false) => return Err(Refusal::Combined),
            (true, true) => Filter::All,
            (true, false) => {
                exclude.sort_unstable();
                exclude.dedup();
                Filter::Without(exclude)
            }
            (false, true) => {
                collect.sort_unstable();
                collect.dedup();
                for name in &collect {
                    match state(name) {
                        None => return Err(Refusal::Missing(name.clone())),
                        Some(false) => return Err(Refusal::Disabled(name.clone())),
                        Some(true) => {}
                    }
                }
                Filter::Only(collect)
            }
        };
        Ok(Selection { parts: parts.to_vec(), filter })
    }

    /// Whether all collectors of its parts are asked for.
    pub fn is_whole(&self) -> bool {
        self.filter == Filter::All
    }

    /// Whether anything of `part` may be asked for.
    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Whether `collector` of `part` is asked for.
    pub fn wants(&self, part: Part, collector: &str) -> bool {
        self.has(part)
            && match &self.filter {
                Filter::All => true,
                Filter::Only(names) => names.iter().any(|name| name == collector),
                Filter::Without(names) => !names.iter().any(|name| name == collector),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(collect: &[&str], exclude: &[&str]) -> Result<Selection, Refusal> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Selection::filtered(&[Part::Host], owned(collect), owned(exclude), |name| match name {
            "cpu" | "stat" => Some(true),
            "perf" => Some(false),
            _ => None,
        })
    }

    #[test]
    fn filters_as_node_exporter_does() {
        assert_eq!(select(&["nonsense"], &[]), Err(Refusal::Missing("nonsense".into())));
        assert_eq!(select(&["perf"], &[]), Err(Refusal::Disabled("perf".into())));
        assert_eq!(select(&["cpu"], &["stat"]), Err(Refusal::Combined));
        let only = select(&["cpu"], &[]).unwrap();
        assert!(only.wants(Part::Host, "cpu") && !only.wants(Part::Host, "stat") && !only.wants(Part::Redis, "cpu"));
        let without = select(&[], &["cpu", "nonsense"]).unwrap();
        assert!(!without.wants(Part::Host, "cpu") && without.wants(Part::Host, "stat"));
        assert_eq!(select(&["cpu", "stat"], &[]), select(&["stat", "cpu", "cpu"], &[]));
    }
}
