//! LATENCY HISTOGRAM, read only for commands that have run: what the server spends on it is most of what a scrape costs it.
//!
//! The server goes through all buckets of every command it is asked about, 2-3 us each, whether the command ran or not. So
//! each histogram is kept with the count of calls that INFO gave when it was read. Of a command that has run once since, INFO tells how
//! long that took: the call is added here. Others that ran lately are asked about in the same round trip as INFO; if INFO then shows
//! that another command has run too, it is asked about in a second one. So no histogram shown is older than the INFO beside it: a
//! command that did not run has the histogram it had.

use super::super::resp::Value;
use hashbrown::HashMap;

use super::super::commands::Command;
use super::super::info::{Info, some_items};
use super::super::reply::{integer, list, pairs};
use crate::exposition::{Family, Labels, Samples};

static LATENCY: Family = Family::histogram(
    "redis_command_latency_seconds",
    "Latency of the command, in the same buckets for all commands and servers (LATENCY HISTOGRAM; the sum is INFO's cmdstat usec).",
);

/// Upper limits in microseconds, with their labels: every second one of the server's own, so that no bucket is cut. The
/// server counts everything above a second as a second.
const LADDER: [(i64, &str); 9] = [
    (16, "0.000016"),
    (66, "0.000066"),
    (264, "0.000264"),
    (1_056, "0.001056"),
    (4_227, "0.004227"),
    (16_908, "0.016908"),
    (67_633, "0.067633"),
    (270_532, "0.270532"),
    (541_065, "0.541065"),
];

/// All limits that the server has, in microseconds: the ends of the steps of its histogram at 1,024 ns and each doubling.
const LIMITS: [i64; 20] =
    [1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1_056, 2_113, 4_227, 8_454, 16_908, 33_816, 67_633, 135_266, 270_532, 541_065];

/// Commands that may block a client: they are counted when they begin, and their latency when they end. Those of modules may, too.
const BLOCKING: [&str; 8] = ["auth", "bl", "br", "bz", "hello", "shutdown", "wait", "xread"];

/// For this many scrapes after it was asked about and had run, a command is asked about along with INFO.
const LATELY: u32 = 10;

/// The most commands and buckets of which anything is kept: more than any server has.
const COMMANDS: usize = 1_024;
const BUCKETS: usize = 64;

/// One command's histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Histogram {
    pub(in super::super) calls: i64,
    /// Microseconds and how many calls took at most that long, as the server sends them.
    pub(in super::super) buckets: Vec<(i64, i64)>,
}

impl Histogram {
    /// Adds one call, as the server would: its answer lists a limit where the count is larger than at the limit before. What took longer
    /// than the last of [`LIMITS`] is left to the server.
    fn add(&mut self, microseconds: i64) -> bool {
        let Some(limit) = LIMITS.iter().copied().find(|limit| microseconds <= *limit) else { return false };
        if let Err(place) = self.buckets.binary_search_by_key(&limit, |(limit, _)| *limit) {
            let before = place.checked_sub(1).and_then(|place| self.buckets.get(place)).map_or(0, |(_, count)| *count);
            self.buckets.insert(place, (limit, before));
        }
        self.buckets.iter_mut().filter(|(own, _)| *own >= limit).for_each(|(_, count)| *count += 1);
        self.calls += 1;
        true
    }
}

/// What INFO counts of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    calls: i64,
    usec: i64,
}

impl Count {
    /// `calls=4,usec=312,usec_per_call=78.00,rejected_calls=0,failed_calls=0`
    fn parse(list: &str) -> Option<Self> {
        let number = |text: Option<&str>| text?.parse::<i64>().ok().filter(|number| (0..i64::MAX).contains(number));
        let [calls, usec] = some_items(list, ["calls", "usec"]);
        Some(Count { calls: number(calls)?, usec: number(usec)? })
    }
}

/// What is kept of one command.
#[derive(Debug)]
struct Seen {
    /// What INFO counted when the histogram was as it is.
    count: Count,
    /// Scrapes since it was last asked about and had run.
    idle: u32,
    /// `None`: the server has none. A command that only ever blocked has not.
    histogram: Option<Histogram>,
}

impl Seen {
    /// Takes in what INFO counts of the command now; whether the histogram is then as the server's.
    fn follow(&mut self, name: &str, now: Count, steady: bool) -> bool {
        let (calls, usec) = (now.calls - self.count.calls, now.usec - self.count.usec);
        let own = self.histogram.as_ref().map(|histogram| histogram.calls);
        let may_block = name.contains('.') || BLOCKING.iter().any(|start| name.starts_with(start));
        let followed = match &mut self.histogram {
            _ if calls == 0 => usec == 0,
            // The histogram was read after INFO, and is ahead of it.
            Some(_) if own == Some(now.calls) => true,
            Some(histogram) => {
                steady && !may_block && calls == 1 && usec >= 0 && own == Some(self.count.calls) && histogram.add(usec)
            }
            None => false,
        };
        if followed {
            self.count = now;
            self.idle = self.idle.saturating_add(1);
        }
        followed
    }
}

/// All histograms of a server.
#[derive(Debug, Default)]
pub(in super::super) struct Histograms {
    /// In the order in which the server sent them.
    order: Vec<String>,
    seen: HashMap<String, Seen>,
    /// Counts of the commands that INFO shows to have run since they were read, in this scrape.
    changed: HashMap<String, Count>,
    /// Whether INFO was learnt in this scrape.
    told: bool,
    /// Whether all have been read once.
    whole: bool,
    /// Asked about by name and not answered: looked for when all are read.
    doubted: Vec<String>,
    /// The server knows a command by another name in the question than in the answer (rename-command): all are asked about.
    by_name_fails: bool,
    refused: bool,
}

impl Histograms {
    /// A scrape begins.
    pub(in super::super) fn begin(&mut self) {
        self.told = false;
        self.changed.clear();
    }

    /// The commands to ask about now; none listed: all. `None`: nothing to ask.
    pub(in super::super) fn wanted(&self) -> Option<Vec<String>> {
        if self.refused {
            return None;
        }
        if !self.whole || self.by_name_fails {
            return (!self.told || !self.whole || !self.changed.is_empty()).then(Vec::new);
        }
        let mut names: Vec<String> = if self.told {
            self.changed.keys().cloned().collect()
        } else {
            self.seen.iter().filter(|(_, seen)| seen.idle < LATELY).map(|(name, _)| name.clone()).collect()
        };
        names.sort_unstable();
        (!names.is_empty()).then_some(names)
    }

    /// INFO was read; whether it shows that the counts began anew. `steady`: no setting has changed, latency-tracking among them.
    pub(in super::super) fn learn(&mut self, info: &Info<'_>, steady: bool) -> bool {
        self.told = true;
        self.changed.clear();
        let counts = info.with_prefix("cmdstat_").filter_map(|(name, list)| Some((name, Count::parse(list)?)));
        let counts: HashMap<&str, Count> = counts.filter(|(_, count)| count.calls > 0).take(COMMANDS).collect();
        // CONFIG RESETSTAT clears the histograms with the counts.
        let calls = |name: &str| counts.get(name).map_or(0, |count| count.calls);
        let anew = self.seen.iter().any(|(name, seen)| calls(name) < seen.count.calls);
        if anew {
            *self = Histograms { told: true, by_name_fails: self.by_name_fails, ..Histograms::default() };
        }
        for (name, count) in counts {
            if !self.seen.get_mut(name).is_some_and(|seen| seen.follow(name, count, steady)) {
                self.changed.insert(name.to_owned(), count);
            }
        }
        anew
    }

    /// The server does not answer about `names`, or, if there are none, not at all.
    pub(in super::super) fn refuse(&mut self, names: &[String]) {
        self.refused = names.is_empty();
        self.by_name_fails = true;
    }

    /// The answer to LATENCY HISTOGRAM for `names`, or for all if there are none:
    /// `[command, [calls, N, histogram_usec, [microseconds, count, microseconds, count, …]], …]`, counts cumulative.
    pub(in super::super) fn read(&mut self, names: &[String], reply: &Value) {
        let all = names.is_empty();
        let mut found: HashMap<String, Histogram> = HashMap::new();
        let mut order = Vec::new();
        for (name, details) in pairs(reply).take(COMMANDS) {
            if let Some(histogram) = histogram(details) {
                order.push(name.clone().into_owned());
                found.insert(name.into_owned(), histogram);
            }
        }
        if all {
            self.whole = true;
            self.by_name_fails |= self.doubted.drain(..).any(|name| found.contains_key(&name));
            self.seen.values_mut().for_each(|seen| seen.histogram = None);
            self.order.clear();
        }
        let known = |name: &String| self.seen.get(name).is_some_and(|seen| seen.histogram.is_some());
        order.retain(|name| !known(name));
        self.order.append(&mut order);
        for name in names.iter().filter(|name| !found.contains_key(*name)) {
            match self.seen.get_mut(name) {
                Some(Seen { histogram: Some(_), .. }) => self.by_name_fails = true,
                Some(seen) => seen.count = self.changed.remove(name).unwrap_or(seen.count),
                None => {
                    self.doubted.push(name.clone());
                    self.whole = false;
                }
            }
        }
        // INFO came before this answer, so what is counted in there is in here.
        for (name, count) in self.changed.extract_if(|name, _| all || found.contains_key(name)) {
            let seen = self.seen.entry(name).or_insert(Seen { count, idle: LATELY, histogram: None });
            (seen.count, seen.idle) = (count, if all { LATELY } else { 0 });
        }
        for (name, histogram) in found {
            let seen = self.seen.entry(name).or_insert(Seen { count: Count::default(), idle: LATELY, histogram: None });
            seen.histogram = Some(histogram);
        }
    }

    /// All histograms by command.
    fn iter(&self) -> impl Iterator<Item = (&str, &Histogram)> {
        self.order.iter().filter_map(|name| Some((name.as_str(), self.seen.get(name)?.histogram.as_ref()?)))
    }

    /// Writes them in redis_exporter's way and in ours.
    pub(in super::super) fn emit(&self, commands: &[Command<'_>], compat: bool, out: &mut Samples) {
        super::super::latency::histograms(self.iter(), commands, compat, out);
        let usec: HashMap<&str, f64> = commands.iter().map(|command| (command.name, command.usec)).collect();
        let (mut command, mut rows) = (Labels::new(), out.family(&LATENCY));
        for (name, histogram) in self.iter() {
            let Some(usec) = usec.get(name) else { continue };
            command.clear();
            command.push("cmd", name);
            let mut buckets = histogram.buckets.iter().peekable();
            let mut count = 0;
            for (limit, label) in LADDER {
                // Servers round a limit to 1 or 3 percent above the power of two.
                while let Some((_, below)) = buckets.next_if(|(own, _)| *own <= limit + limit / 32) {
                    count = *below;
                }
                rows.line("_bucket", &command, &[("le", label)], count);
            }
            rows.line("_bucket", &command, &[("le", "+Inf")], histogram.calls);
            rows.line("_sum", &command, &[], usec / 1e6).line("_count", &command, &[], histogram.calls);
        }
    }
}

/// `[calls, N, histogram_usec, [microseconds, count, …]]`; `None` where it is something else.
fn histogram(details: &Value) -> Option<Histogram> {
    let detail = |of: &str| pairs(details).find(|(key, _)| key == of).map(|(_, value)| value);
    let (calls, buckets) = (detail("calls").and_then(integer)?, detail("histogram_usec")?);
    let buckets = list(buckets).chunks_exact(2).take(BUCKETS).filter_map(|bucket| match bucket {
        [Value::Int(limit), Value::Int(count)] => Some((*limit, *count)),
        _ => None,
    });
    Some(Histogram { calls, buckets: buckets.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(commands: &[(&str, i64)]) -> Value {
        let text = |text: &str| Value::Bulk(text.to_owned().into());
        let one = |calls| {
            let buckets = Value::Array(vec![Value::Int(16), Value::Int(calls - 1), Value::Int(33), Value::Int(calls)]);
            Value::Array(vec![text("calls"), Value::Int(calls), text("histogram_usec"), buckets])
        };
        Value::Array(commands.iter().flat_map(|(name, calls)| [text(name), one(*calls)]).collect())
    }

    /// One scrape of a server that has run `commands`: what it was asked, request by request.
    fn scrape(histograms: &mut Histograms, commands: &[(&str, i64)]) -> Vec<Vec<String>> {
        let text: String =
            commands.iter().map(|(name, calls)| format!("cmdstat_{name}:calls={calls},usec={}\n", calls * 20)).collect();
        histograms.begin();
        let mut asked = Vec::new();
        for round in 0..3 {
            let wanted = histograms.wanted();
            if round == 0 {
                histograms.learn(&Info::parse(&text), true);
            }
            if let Some(names) = wanted {
                let answered = |name: &&(&str, i64)| names.is_empty() || names.iter().any(|wanted| wanted == name.0);
                histograms.read(&names, &reply(&commands.iter().filter(answered).copied().collect::<Vec<_>>()));
                asked.push(names);
            }
        }
        asked
    }

    #[test]
    fn only_what_ran_is_read_and_nothing_shown_is_old() {
        let mut histograms = Histograms::default();
        assert_eq!(scrape(&mut histograms, &[("get", 3), ("set", 5)]), [Vec::<String>::new()]);
        assert!(scrape(&mut histograms, &[("get", 3), ("set", 5)]).is_empty(), "nothing has run");
        assert!(scrape(&mut histograms, &[("get", 4), ("set", 5)]).is_empty(), "one call more needs no question");
        assert_eq!(scrape(&mut histograms, &[("get", 6), ("set", 5)]), [["get"]], "a second round trip shows it at once");
        assert_eq!(scrape(&mut histograms, &[("get", 8), ("set", 5)]), [["get"]], "now in the first one");
        assert_eq!(scrape(&mut histograms, &[("get", 8), ("set", 5), ("del", 1)]), [["get"], ["del"]]);
        let calls: Vec<_> = histograms.iter().map(|(name, histogram)| (name, histogram.calls)).collect();
        assert_eq!(calls, [("get", 8), ("set", 5), ("del", 1)]);
        for idle in 0..2 * LATELY {
            assert_eq!(scrape(&mut histograms, &[("get", 8), ("set", 5), ("del", 1)]).is_empty(), idle >= LATELY, "{idle}");
        }
        assert_eq!(scrape(&mut histograms, &[("get", 1), ("set", 1)]), [Vec::<String>::new()], "CONFIG RESETSTAT");
        assert_eq!(histograms.iter().map(|(_, histogram)| histogram.calls).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn one_call_is_added_where_the_server_would_add_it() {
        let with = |microseconds| {
            let mut histogram = Histogram { calls: 3, buckets: vec![(33, 1), (132, 3)] };
            histogram.add(microseconds).then_some(histogram.buckets)
        };
        assert_eq!(with(33), Some(vec![(33, 2), (132, 4)]));
        assert_eq!(with(34), Some(vec![(33, 1), (66, 2), (132, 4)]));
        assert_eq!(with(132), Some(vec![(33, 1), (132, 4)]));
        assert_eq!(with(16), Some(vec![(16, 1), (33, 2), (132, 4)]));
        assert_eq!(with(0), Some(vec![(1, 1), (33, 2), (132, 4)]));
        assert_eq!(with(5_000), Some(vec![(33, 1), (132, 3), (8_454, 4)]));
        assert_eq!(with(600_000), None);
    }

    #[test]
    fn what_may_block_or_is_not_known_is_asked() {
        let histogram = || Some(Histogram { calls: 5, buckets: vec![(16, 4), (33, 5)] });
        let count = Count { calls: 5, usec: 100 };
        let follows = |name, calls, usec, steady| {
            let mut seen = Seen { count, idle: 0, histogram: histogram() };
            seen.follow(name, Count { calls, usec }, steady)
        };
        assert!(follows("get", 5, 100, true) && follows("get", 6, 120, true));
        assert!(!follows("get", 7, 120, true) && !follows("get", 6, 120, false) && !follows("get", 5, 120, true));
        assert!(!follows("blpop", 6, 120, true) && !follows("xreadgroup", 6, 120, true) && !follows("ft.search", 6, 120, true));
        assert!(!follows("get", 6, 90, true), "time does not go back");
        let mut ahead = Seen { count: Count { calls: 4, usec: 90 }, idle: 0, histogram: histogram() };
        assert!(ahead.follow("info", count, true) && ahead.histogram == histogram());
        assert!(ahead.follow("info", Count { calls: 6, usec: 120 }, true) && ahead.histogram.unwrap().calls == 6);
        let mut none = Seen { count, idle: 0, histogram: None };
        assert!(!none.follow("get", Count { calls: 6, usec: 120 }, true));
    }

    #[test]
    fn a_command_of_another_name_is_read_with_all() {
        let mut histograms = Histograms::default();
        scrape(&mut histograms, &[("get", 1)]);
        histograms.begin();
        histograms.learn(&Info::parse("cmdstat_get:calls=3,usec=60"), true);
        assert_eq!(histograms.wanted(), Some(vec!["get".to_owned()]));
        histograms.read(&["get".to_owned()], &reply(&[]));
        assert_eq!(histograms.wanted(), Some(Vec::new()));
        histograms.read(&[], &reply(&[("get", 3)]));
        assert_eq!((histograms.wanted(), histograms.iter().next().unwrap().1.calls), (None, 3));
        histograms.begin();
        assert_eq!(histograms.wanted(), Some(Vec::new()));
    }

    #[test]
    fn all_commands_have_the_same_buckets() {
        let mut histograms = Histograms::default();
        scrape(&mut histograms, &[("get", 3)]);
        let mut out = Samples::new();
        histograms.emit(&super::super::super::commands::parse(&Info::parse("cmdstat_get:calls=3,usec=50")), false, &mut out);
        let page = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        let lines: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("redis_command_latency_seconds")).collect();
        assert_eq!(
            (lines.len(), lines[0], lines[1]),
            (12, r#"_bucket{cmd="get",le="0.000016"} 2"#, r#"_bucket{cmd="get",le="0.000066"} 3"#)
        );
        assert_eq!(lines[9..], [r#"_bucket{cmd="get",le="+Inf"} 3"#, r#"_sum{cmd="get"} 0.00005"#, r#"_count{cmd="get"} 3"#]);
    }
}
