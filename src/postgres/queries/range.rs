//! `runonserver`: for which server versions a query is meant, as `>=10.0.0 <14.0.0 || 9.6.x`.

/// Alternatives, each a list of conditions that hold together. Empty: every version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Range(Vec<Vec<Condition>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    comparison: Comparison,
    /// One to three numbers; what is missing, or an `x`, is as good as any.
    version: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

/// The signs, longer ones before those that they begin with.
const SIGNS: [(&str, Comparison); 9] = [
    (">=", Comparison::GreaterOrEqual),
    ("<=", Comparison::LessOrEqual),
    ("!=", Comparison::NotEqual),
    ("==", Comparison::Equal),
    (">", Comparison::Greater),
    ("<", Comparison::Less),
    ("=", Comparison::Equal),
    ("!", Comparison::NotEqual),
    ("", Comparison::Equal),
];

impl Range {
    pub(super) fn parse(text: &str) -> Result<Range, String> {
        if text.trim().is_empty() {
            return Ok(Range::default());
        }
        let alternatives = text.split("||").map(|alternative| {
            let mut rest = alternative.trim();
            let mut conditions = Vec::new();
            while !rest.is_empty() {
                let (condition, behind) = condition(rest).ok_or_else(|| format!("{text:?} is no range of versions"))?;
                conditions.push(condition);
                rest = behind.trim_start();
            }
            if conditions.is_empty() { Err(format!("{text:?} is no range of versions")) } else { Ok(conditions) }
        });
        Ok(Range(alternatives.collect::<Result<_, _>>()?))
    }

    /// Whether a server of `version` (`15.18.0`) is meant.
    pub(super) fn holds(&self, version: &str) -> bool {
        let version: Vec<u32> = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        self.0.is_empty() || self.0.iter().any(|conditions| conditions.iter().all(|condition| condition.holds(&version)))
    }
}

/// `>= 10.0.0 ...`: the first condition, and what follows it.
fn condition(text: &str) -> Option<(Condition, &str)> {
    let (sign, comparison) = *SIGNS.iter().find(|(sign, _)| text.starts_with(sign))?;
    let text = text.get(sign.len()..)?.trim_start();
    let (version, behind) = text.split_at(text.find([' ', '\t', '\n', '<', '>', '=', '!']).unwrap_or(text.len()));
    let mut numbers = Vec::new();
    let mut parts = version.split('.');
    for part in parts.by_ref() {
        if part == "x" && !numbers.is_empty() {
            break;
        }
        numbers.push(part.parse().ok()?);
    }
    let whole = parts.all(|part| part == "x") && version.split('.').count() <= 3;
    whole.then_some((Condition { comparison, version: numbers }, behind))
}

impl Condition {
    fn holds(&self, version: &[u32]) -> bool {
        let order = version.iter().take(self.version.len()).cmp(self.version.iter());
        match self.comparison {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::GreaterOrEqual => order.is_ge(),
            Comparison::Greater => order.is_gt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_as_semver_has_it() {
        for (range, inside, outside) in [
            ("", "15.18.0", None),
            (">=10.0.0", "10.0.0", Some("9.6.24")),
            (">= 10.0.0 <14.0.0", "13.23.0", Some("14.0.0")),
            (">=10.0.0<14.0.0", "13.23.0", Some("14.0.0")),
            ("<10.0.0 || >=17.0.0", "17.10.0", Some("16.14.0")),
            ("15.x", "15.18.0", Some("16.0.0")),
            (">15.x", "16.0.0", Some("15.18.0")),
            ("!=15.18.0", "15.17.0", Some("15.18.0")),
            ("!15.18.0", "15.17.0", Some("15.18.0")),
            ("=15.18.0", "15.18.0", Some("15.17.0")),
            (">15.17.0 <=15.18.0", "15.18.0", Some("15.17.0")),
        ] {
            let parsed = Range::parse(range).unwrap();
            assert!(parsed.holds(inside), "{range} {inside}");
            assert!(outside.is_none_or(|outside| !parsed.holds(outside)), "{range} {outside:?}");
        }
        for wrong in ["new", ">=", "10..0", "x", "||", "10 ||", "1.2.3.4", ">=a.0.0", "10.x.5"] {
            assert!(Range::parse(wrong).is_err(), "{wrong}");
        }
    }
}
