//! What the server refused its users, counted from new entries of ACL LOG. Whom they were and why is told, not what they tried.

use hashbrown::HashMap;

use super::super::reply::{integer, pairs, text};
use super::super::resp::Value;
use crate::exposition::{Family, Samples};

static DENIED: Family = Family::counter(
    "redis_acl_denied_total",
    "Commands, keys, channels and logins refused, counted since the agent's start; other: beyond the first 64 users (ACL LOG).",
);

/// The most pairs of user and reason that are told apart: whoever logs in may call himself anything.
const MOST: usize = 64;

/// What was seen of a server's log.
#[derive(Debug, Default)]
pub(super) struct Denials {
    /// How often each entry had been repeated, by its id, when the log was last read. `None` before the first look, which counts
    /// nothing: those entries may be of last week.
    seen: Option<HashMap<i64, i64>>,
    counts: Vec<([String; 2], i64)>,
}

impl Denials {
    /// The answer to ACL LOG: `[[count, 2, reason, auth, …, username, eve, …, entry-id, 7, …], …]`. Equal refusals within a minute are
    /// one entry.
    ///
    /// Servers before 7.2 give entries no id: there is nothing to count by.
    pub(super) fn read(&mut self, reply: &Value) {
        let Value::Array(entries) = reply else { return };
        let mut now = HashMap::new();
        for entry in entries {
            let find = |of: &str| pairs(entry).find(|(name, _)| name == of).map(|(_, value)| value);
            let number = |of| find(of).and_then(integer);
            let (Some(id), Some(count)) = (number("entry-id"), number("count")) else { continue };
            now.insert(id, count);
            let Some(seen) = &self.seen else { continue };
            let new = count.saturating_sub(seen.get(&id).copied().unwrap_or(0));
            if new > 0 {
                let word = |of| find(of).and_then(text).unwrap_or_default().chars().take(64).collect();
                self.count([word("reason"), word("username")], new);
            }
        }
        self.seen = Some(now);
    }

    fn count(&mut self, [reason, user]: [String; 2], new: i64) {
        let known = |counts: &[([String; 2], i64)], key: &[String; 2]| counts.iter().position(|(known, _)| known == key);
        let mut key = [reason, user];
        if known(&self.counts, &key).is_none() && self.counts.len() >= MOST {
            key[1] = "other".to_owned();
        }
        match known(&self.counts, &key).and_then(|place| self.counts.get_mut(place)) {
            Some((_, count)) => *count = count.saturating_add(new),
            // `other` of each reason: there are five.
            None => self.counts.push((key, new)),
        }
    }

    pub(super) fn emit(&self, out: &mut Samples) {
        for ([reason, user], count) in &self.counts {
            out.family(&DENIED).add([("reason", reason), ("user", user)], *count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(entries: &[(i64, i64, &str)]) -> Value {
        let text = |text: &str| Value::Bulk(text.to_owned().into());
        let entry = |(id, count, user): &(i64, i64, &str)| {
            let pairs = [
                ("count", Value::Int(*count)),
                ("reason", text("auth")),
                ("username", text(user)),
                ("entry-id", Value::Int(*id)),
            ];
            Value::Array(pairs.into_iter().flat_map(|(name, value)| [text(name), value]).collect())
        };
        Value::Array(entries.iter().map(entry).collect())
    }

    #[test]
    fn new_refusals_are_counted_once() {
        let mut denials = Denials::default();
        denials.read(&log(&[(1, 5, "eve")]));
        assert!(denials.counts.is_empty(), "of last week");
        denials.read(&log(&[(2, 3, "mallory"), (1, 7, "eve")]));
        denials.read(&log(&[(2, 3, "mallory"), (1, 7, "eve")]));
        let counts: Vec<_> = denials.counts.iter().map(|([_, user], count)| (user.as_str(), *count)).collect();
        assert_eq!(counts, [("mallory", 3), ("eve", 2)]);
        denials.read(&log(&[]));
        (10..300).for_each(|id| denials.read(&log(&[(id, 1, &id.to_string())])));
        assert_eq!(denials.counts.len(), MOST + 1);
    }
}
