//! LATENCY HISTOGRAM and LATENCY LATEST: how long commands take, and the latest latency spikes.

use hashbrown::HashMap;

use super::resp::Value;

use super::beyond::latency::Histogram;
use super::commands::Command;
use super::reply::{integer, list, text};
use crate::exposition::{Family, Labels, Samples, from_i64};

static HISTOGRAM: Family =
    Family::histogram("redis_commands_latencies_usec", "Latency of the command in microseconds (LATENCY HISTOGRAM).");
static SPIKE_TIME: Family =
    Family::gauge("redis_latency_spike_last", "Unix time of the latest latency spike of this kind (LATENCY LATEST).");
static SPIKE: Family =
    Family::gauge("redis_latency_spike_duration_seconds", "Duration of the latest latency spike of this kind (LATENCY LATEST).");

static LONGEST: Family =
    Family::gauge("redis_latency_spike_max_seconds", "Duration of the longest latency spike of this kind (LATENCY LATEST).");

/// `[[event, time, milliseconds of the latest, milliseconds of the longest], …]`
pub(super) fn spikes(reply: &Value, out: &mut Samples) {
    let spikes = || {
        list(reply).iter().filter_map(|spike| match list(spike) {
            [event, time, latest, rest @ ..] => {
                Some((text(event)?, integer(time)?, integer(latest)?, rest.first().and_then(integer)))
            }
            _ => None,
        })
    };
    for (event, time, ..) in spikes() {
        out.family(&SPIKE_TIME).add([("event_name", &event)], time);
    }
    for (event, _, milliseconds, _) in spikes() {
        out.family(&SPIKE).add([("event_name", &event)], from_i64(milliseconds) / 1000.0);
    }
    for (event, .., longest) in spikes() {
        if let Some(longest) = longest {
            out.family(&LONGEST).add([("event_name", &event)], from_i64(longest) / 1000.0);
        }
    }
}

/// The histograms with the server's own buckets.
///
/// The sum is that of INFO for the same command and its sub-commands. redis_exporter (`compat`) has 0 for a name with other
/// characters than letters, digits and `|`.
pub(super) fn histograms<'a>(
    histograms: impl Iterator<Item = (&'a str, &'a Histogram)>,
    commands: &[Command<'_>],
    compat: bool,
    out: &mut Samples,
) {
    let (mut command, mut number, mut rows) = (Labels::new(), itoa::Buffer::new(), out.family(&HISTOGRAM));
    let sums = Sums::of(commands, compat);
    for (name, Histogram { calls, buckets }) in histograms {
        command.clear();
        command.push("cmd", name);
        for (limit, count) in buckets {
            let scientific;
            let limit = if *limit < 1_000_000 {
                number.format(*limit)
            } else {
                scientific = exponent(*limit);
                &scientific
            };
            rows.line("_bucket", &command, &[("le", limit)], *count);
        }
        rows.line("_bucket", &command, &[("le", "+Inf")], *calls);
        rows.line("_sum", &command, &[], sums.of_command(name)).line("_count", &command, &[], *calls);
    }
}

/// Microseconds of each command, its sub-commands' among them, and of each sub-command: `config`, `config|get`.
struct Sums<'a>(HashMap<&'a str, f64>);

impl<'a> Sums<'a> {
    fn of(commands: &[Command<'a>], compat: bool) -> Self {
        let plain = |name: &str| !compat || name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'|');
        let mut sums = HashMap::with_capacity(commands.len());
        for command in commands.iter().filter(|command| plain(command.name)) {
            *sums.entry(command.name).or_insert(0.0) += command.usec;
            if let Some((whole, _)) = command.name.split_once('|') {
                *sums.entry(whole).or_insert(0.0) += command.usec;
            }
        }
        Sums(sums)
    }

    fn of_command(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }
}

/// A limit of a million or more as Go prints it, `1.081344e+06`: the label must be the same text as redis_exporter's.
fn exponent(limit: i64) -> String {
    let text = limit.to_string();
    let power = text.len().saturating_sub(1);
    let (first, rest) = text.split_at_checked(1).unwrap_or((&text, ""));
    let rest = rest.trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    format!("{first}{point}{rest}e+{power:02}")
}

#[cfg(test)]
mod tests {
    use super::super::{commands, info::Info};
    use super::*;

    #[test]
    fn large_limits_are_written_as_go_does() {
        assert_eq!(exponent(1_081_344), "1.081344e+06");
        assert_eq!(exponent(1_000_000), "1e+06");
        assert_eq!(exponent(34_603_008), "3.4603008e+07");
        assert_eq!(exponent(17_716_740_096), "1.7716740096e+10");
    }

    #[test]
    fn sums_come_from_info() {
        let info = Info::parse("cmdstat_get:calls=1,usec=7\ncmdstat_getset:calls=1,usec=100\ncmdstat_a-b:calls=1,usec=9\n");
        let commands = commands::parse(&info);
        for compat in [false, true] {
            let sums = Sums::of(&commands, compat);
            assert_eq!((sums.of_command("get"), sums.of_command("none")), (7.0, 0.0));
            assert_eq!(sums.of_command("a-b"), if compat { 0.0 } else { 9.0 });
        }
    }

    #[test]
    fn a_histogram_in_another_shape_is_skipped() {
        let reply = b"*4\r\n$1\r\na\r\n*2\r\n$5\r\ncalls\r\n:1\r\n$1\r\nb\r\n*4\r\n$5\r\ncalls\r\n:2\r\n$14\r\nhistogram_usec\r\n*3\r\n:1\r\n:2\r\n:4\r\n";
        let mut out = Samples::new();
        let mut read = super::super::beyond::latency::Histograms::default();
        read.read(&[], &Value::take(&mut bytes::Bytes::from_static(reply)).unwrap());
        read.emit(&[], false, &mut out);
        let page = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        let lines: Vec<_> = page.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                r#"redis_commands_latencies_usec_bucket{cmd="b",le="1"} 2"#,
                r#"redis_commands_latencies_usec_bucket{cmd="b",le="+Inf"} 2"#,
                r#"redis_commands_latencies_usec_sum{cmd="b"} 0"#,
                r#"redis_commands_latencies_usec_count{cmd="b"} 2"#,
            ]
        );
    }
}
