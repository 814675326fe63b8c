//! Slow commands by name, from the new entries of the slow log. Of their arguments only the command's name is looked at.

use super::super::resp::Value;

use super::super::reply::{integer, list, text};
use crate::exposition::{Family, Labels, Samples, from_i64};

static ENTRIES: Family = Family::counter(
    "redis_slowlog_entries_total",
    "Commands that have gone into the slow log since the server's start: the newest entry's id and one (SLOWLOG GET).",
);
static DURATION: Family = Family::histogram(
    "redis_slowlog_command_duration_seconds",
    "Durations of the slow log's entries by command, counted since the agent's start; other: beyond the first 64 (SLOWLOG GET).",
);
static MISSED: Family = Family::counter(
    "redis_slowlog_missed_total",
    "Entries of the slow log that came and went, or came in too great a number, between two scrapes.",
);

/// The most entries that one scrape reads; each of them may hold 4 KiB of arguments.
const ENTRIES_AT_ONCE: i64 = 128;

/// The most commands that are told apart.
const COMMANDS: usize = 64;

/// Upper limits in microseconds, with their labels.
const LIMITS: [(i64, &str); 10] = [
    (1_000, "0.001"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
];

/// What was seen of a server's slow log.
#[derive(Debug, Default)]
pub(super) struct Slowlog {
    /// Whether the log could be read at all.
    read: bool,
    /// Entries counted so far: one more than the newest id. `None` before an entry was seen: the first look counts nothing, for those
    /// entries may be of last week.
    next: Option<i64>,
    /// The first look found the log empty: all that comes is new, but at which id it begins only the oldest entry tells.
    anew: bool,
    /// One more than the newest id there is.
    end: i64,
    missed: i64,
    commands: Vec<(String, Durations)>,
}

#[derive(Debug, Default)]
struct Durations {
    buckets: [u64; LIMITS.len()],
    microseconds: i64,
    count: u64,
}

impl Slowlog {
    /// How many entries to read, if there are new ones.
    pub(super) fn wanted(&self) -> Option<i64> {
        let new = self.end - self.next?;
        (new > 0).then_some(new.min(ENTRIES_AT_ONCE))
    }

    /// The answer to SLOWLOG GET 1: `[[id, time, microseconds, [argument, …], …]]`
    pub(super) fn newest(&mut self, reply: &Value) {
        let Value::Array(entries) = reply else { return };
        self.read = true;
        let end = entries.first().and_then(|entry| integer(list(entry).first()?)).map(|id| id.clamp(0, i64::MAX - 1) + 1);
        // An empty log tells nothing: ids go on after SLOWLOG RESET.
        let Some(end) = end else {
            self.anew |= self.next.is_none();
            return;
        };
        match self.next {
            None => self.next = Some(if self.anew { 0 } else { end }),
            // After a restart the ids begin anew.
            Some(_) if end < self.end => self.next = Some(0),
            Some(_) => {}
        }
        self.end = end;
    }

    /// The answer to SLOWLOG GET with as many entries as were [`wanted`](Self::wanted), newest first.
    pub(super) fn add(&mut self, reply: &Value) {
        let Some(mut next) = self.next else { return };
        if std::mem::take(&mut self.anew) {
            next = list(reply).last().and_then(|entry| integer(list(entry).first()?)).unwrap_or(next);
        }
        let (mut end, mut counted) = (self.end, 0);
        for entry in list(reply) {
            let [id, _, microseconds, words, ..] = list(entry) else { continue };
            let (Some(id), Some(microseconds)) = (integer(id), integer(microseconds)) else { continue };
            if id < next || id == i64::MAX {
                continue;
            }
            end = end.max(id + 1);
            counted += 1;
            self.count(&name(words), microseconds.max(0));
        }
        self.missed = self.missed.saturating_add(end.saturating_sub(next).saturating_sub(counted).max(0));
        (self.next, self.end) = (Some(end), end);
    }

    fn count(&mut self, name: &str, microseconds: i64) {
        let full = self.commands.len() >= COMMANDS;
        let known = self.commands.iter().position(|(known, _)| known == name);
        let name = if known.is_none() && full { "other" } else { name };
        let place = self.commands.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.commands.push((name.to_owned(), Durations::default()));
            self.commands.len() - 1
        });
        let Some((_, durations)) = self.commands.get_mut(place) else { return };
        durations.count += 1;
        durations.microseconds = durations.microseconds.saturating_add(microseconds);
        for (bucket, _) in durations.buckets.iter_mut().zip(LIMITS).filter(|(_, (limit, _))| microseconds <= *limit) {
            *bucket += 1;
        }
    }

    pub(super) fn emit(&self, out: &mut Samples) {
        if !self.read {
            return;
        }
        out.family(&ENTRIES).add([], self.end);
        out.family(&MISSED).add([], self.missed);
        let none = Labels::new();
        for (name, durations) in &self.commands {
            let mut rows = out.family(&DURATION);
            for (count, (_, limit)) in durations.buckets.iter().zip(LIMITS) {
                rows.line("_bucket", &none, &[("cmd", name), ("le", limit)], *count);
            }
            rows.line("_bucket", &none, &[("cmd", name), ("le", "+Inf")], durations.count);
            rows.line("_sum", &none, &[("cmd", name)], from_i64(durations.microseconds) / 1e6);
            rows.line("_count", &none, &[("cmd", name)], durations.count);
        }
    }
}

/// The command of an entry in small letters. What does not look like one is no label: `other`.
fn name(words: &Value) -> String {
    let name = list(words).first().and_then(text).map(|name| name.to_ascii_lowercase());
    let is_name = |name: &String| {
        (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    name.filter(is_name).unwrap_or_else(|| "other".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(ids: std::ops::RangeInclusive<i64>, command: &str) -> Value {
        let entry = |id| {
            let words = [command, "secret"].map(|word| Value::Bulk(word.to_owned().into()));
            Value::Array(vec![Value::Int(id), Value::Int(0), Value::Int(20_000), Value::Array(words.to_vec())])
        };
        Value::Array(ids.rev().map(entry).collect())
    }

    fn count(log: &Slowlog) -> u64 {
        log.commands.iter().map(|(_, durations)| durations.count).sum()
    }

    #[test]
    fn each_entry_is_counted_once() {
        let mut log = Slowlog::default();
        log.newest(&entries(5..=5, "GET"));
        assert_eq!((log.wanted(), log.end), (None, 6), "what was there before is not ours to count");
        log.newest(&entries(8..=8, "GET"));
        assert_eq!(log.wanted(), Some(3));
        // Two more have come meanwhile, and pushed the first ones out.
        log.add(&entries(8..=10, "GET"));
        assert_eq!((count(&log), log.missed, log.wanted(), log.end), (3, 2, None, 11));
        log.newest(&Value::Array(Vec::new()));
        assert_eq!((log.wanted(), log.end), (None, 11), "SLOWLOG RESET");
        log.newest(&entries(1..=1, "GET"));
        assert_eq!((log.wanted(), log.end), (Some(2), 2), "a restart");
        log.newest(&entries(1_000..=1_000, "GET"));
        assert_eq!(log.wanted(), Some(ENTRIES_AT_ONCE));
    }

    #[test]
    fn a_log_that_was_reset_before_the_first_look_misses_nothing() {
        let mut log = Slowlog::default();
        log.newest(&Value::Array(Vec::new()));
        log.newest(&entries(700..=701, "GET"));
        assert_eq!(log.wanted(), Some(ENTRIES_AT_ONCE));
        log.add(&entries(700..=701, "GET"));
        assert_eq!((count(&log), log.missed, log.wanted(), log.end), (2, 0, None, 702));
        log.newest(&entries(705..=705, "GET"));
        log.add(&entries(704..=705, "GET"));
        assert_eq!((count(&log), log.missed), (4, 2), "pushed out");
    }

    #[test]
    fn no_argument_and_no_odd_name_becomes_a_label() {
        let mut log = Slowlog::default();
        log.newest(&Value::Array(Vec::new()));
        for command in ["GeT", "a b", "", &"x".repeat(33)] {
            log.count(&name(&Value::Array(vec![Value::Bulk(command.to_owned().into()), Value::Bulk("secret".into())])), 30_000);
        }
        (0..200).for_each(|number| log.count(&format!("c{number}"), 1));
        assert!(log.commands.len() <= COMMANDS + 1);
        assert_eq!(
            log.commands.first().map(|(name, durations)| (name.as_str(), durations.buckets)),
            Some(("get", [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]))
        );
        assert_eq!(log.commands.get(1).unwrap().0, "other");
        let mut out = Samples::new();
        log.emit(&mut out);
        assert!(!String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap().contains("secret"));
    }
}
