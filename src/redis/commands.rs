//! What each command costs: calls, errors and time by command, and errors by kind. From INFO sections Commandstats, Errorstats and Latencystats.

use hashbrown::HashMap;

use super::info::{Info, item, items, number, some_items};
use crate::exposition::{Family, Labels, Samples};

static CALLS: Family = Family::counter("redis_commands_total", "Calls of the command (INFO cmdstat, calls).");
static SECONDS: Family =
    Family::counter("redis_commands_duration_seconds_total", "Seconds spent in the command (INFO cmdstat, usec).");
static REJECTED: Family =
    Family::counter("redis_commands_rejected_calls_total", "Calls refused before they ran (INFO cmdstat, rejected_calls).");
static FAILED: Family =
    Family::counter("redis_commands_failed_calls_total", "Calls that ran and failed (INFO cmdstat, failed_calls).");
static ERRORS: Family =
    Family::counter("redis_errors_total", "Error replies by the first word of the error (INFO errorstat, count).");
static PERCENTILES: Family = Family::summary(
    "redis_latency_percentiles_usec",
    "Latency of the command in microseconds by percentile (INFO latency_percentiles_usec).",
);

/// The counts of one command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Command<'a> {
    pub(super) name: &'a str,
    pub(super) calls: f64,
    pub(super) usec: f64,
    rejected: Option<f64>,
    failed: Option<f64>,
}

/// `cmdstat_config|get:calls=4,usec=312,usec_per_call=78.00,rejected_calls=0,failed_calls=0`
///
/// Servers before 6.2 lack the last two; sub-commands stand for themselves from 7.0 on.
pub(super) fn parse<'a>(info: &Info<'a>) -> Vec<Command<'a>> {
    let commands = info.with_prefix("cmdstat_").filter_map(|(name, list)| {
        let counts = some_items(list, ["calls", "usec", "rejected_calls", "failed_calls"]);
        let [calls, usec, rejected, failed] = counts.map(|count| count.and_then(number));
        Some(Command { name, calls: calls?, usec: usec?, rejected, failed })
    });
    commands.collect()
}

/// Writes the counts.
pub(super) fn emit(info: &Info<'_>, commands: &[Command<'_>], out: &mut Samples) {
    for command in commands {
        out.family(&CALLS).add([("cmd", command.name)], command.calls);
    }
    for command in commands {
        out.family(&SECONDS).add([("cmd", command.name)], command.usec / 1e6);
    }
    for command in commands {
        if let Some(rejected) = command.rejected {
            out.family(&REJECTED).add([("cmd", command.name)], rejected);
        }
    }
    for command in commands {
        if let Some(failed) = command.failed {
            out.family(&FAILED).add([("cmd", command.name)], failed);
        }
    }
    // `errorstat_WRONGTYPE:count=1`
    for (error, list) in info.with_prefix("errorstat_") {
        if let Some(count) = item(list, "count").and_then(number) {
            out.family(&ERRORS).add([("err", error)], count);
        }
    }
}

/// `latency_percentiles_usec_set:p50=0.001,p99=3.007,p99.9=7.007`
///
/// Sum and count are those of the command's own line, without which the summary would be no summary: then it is left out.
/// The label is the percentile as the server writes it, 50 and not 0.5, since dashboards know it so.
pub(super) fn percentiles<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>, commands: &[Command<'_>], out: &mut Samples) {
    let known: HashMap<&str, &Command<'_>> = commands.iter().map(|command| (command.name, command)).collect();
    for (name, list) in lines {
        let Some(command) = known.get(name) else { continue };
        let mut rows = out.family(&PERCENTILES);
        for (percentile, value) in items(list) {
            if let (Some(percentile), Some(value)) = (percentile.strip_prefix('p'), number(value)) {
                rows.add([("cmd", name), ("quantile", percentile)], value);
            }
        }
        let labels = [("cmd", name)];
        rows.line("_sum", &Labels::new(), &labels, command.usec).line("_count", &Labels::new(), &labels, command.calls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_count_less() {
        let info = Info::parse("cmdstat_get:calls=3,usec=7,usec_per_call=2.33\ncmdstat_odd:calls=x\n");
        let want = Command { name: "get", calls: 3.0, usec: 7.0, rejected: None, failed: None };
        assert_eq!(parse(&info), [want]);
    }

    #[test]
    fn a_summary_needs_its_counts() {
        let info = Info::parse(
            "cmdstat_get:calls=3,usec=7\nlatency_percentiles_usec_get:p50=1.003,p99.9=2\nlatency_percentiles_usec_set:p50=1\n",
        );
        let mut out = Samples::new();
        percentiles(info.with_prefix("latency_percentiles_usec_"), &parse(&info), &mut out);
        let page = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        let lines: Vec<_> = page.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                r#"redis_latency_percentiles_usec{cmd="get",quantile="50"} 1.003"#,
                r#"redis_latency_percentiles_usec{cmd="get",quantile="99.9"} 2"#,
                r#"redis_latency_percentiles_usec_sum{cmd="get"} 7"#,
                r#"redis_latency_percentiles_usec_count{cmd="get"} 3"#,
            ]
        );
    }
}
