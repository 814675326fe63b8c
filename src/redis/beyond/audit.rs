//! Advice: settings and states that hurt sooner or later. A check that cannot be made gives no series.

use super::super::info::{Info, item, number};
use super::Kept;
use super::host::Host;
use super::remedies;
use super::server::identity;
use crate::exposition::{Family, Samples};
use crate::scrape::{Advice, Advised};

static FINDING: Family = Family::gauge("redis_audit_finding", "1 if the check of this name found something, 0 if all is well.");

/// The oldest versions that their makers still mend, by kind of server: Redis 7.2, Valkey 7.2.
const MAINTAINED: [(&str, (u32, u32)); 2] = [("redis", (7, 2)), ("valkey", (7, 2))];

/// What a check can look at.
struct Facts<'a> {
    info: &'a Info<'a>,
    settings: Option<&'a Kept>,
    host: Option<&'a Host>,
    open: bool,
}

type Check = fn(&Facts<'_>) -> Option<bool>;

/// Name, severity, and whether there is something to find.
const CHECKS: [(&str, &str, Check); 18] = [
    ("maxmemory_unset", "warning", |facts| Some(facts.field("maxmemory")? == 0.0)),
    ("noeviction_with_limit", "info", |facts| Some(facts.field("maxmemory")? > 0.0 && facts.policy()? == "noeviction")),
    ("policy_volatile_without_ttl", "warning", |facts| {
        let mut lists = facts.info.numbered("db").map(|(_, list)| list);
        let lasting = facts.info.numbered("db").next().is_some() && lists.all(|list| item(list, "expires") == Some("0"));
        Some(facts.field("maxmemory")? > 0.0 && facts.policy()?.starts_with("volatile-") && lasting)
    }),
    ("no_persistence", "info", |facts| Some(facts.setting("save")?.is_empty() && facts.setting("appendonly")? == "no")),
    ("save_failing", "critical", |facts| {
        let failed = |name| facts.info.get(name) == Some("err");
        facts.info.get("rdb_last_bgsave_status")?;
        Some(failed("rdb_last_bgsave_status") || failed("aof_last_bgrewrite_status") || failed("aof_last_write_status"))
    }),
    ("appendfsync_no", "warning", |facts| Some(facts.setting("appendonly")? == "yes" && facts.setting("appendfsync")? == "no")),
    ("default_user_nopass", "critical", |facts| facts.open.then_some(true)),
    ("protected_mode_off", "warning", |facts| Some(facts.setting("protected-mode")? == "no")),
    ("slowlog_off", "info", |facts| Some(facts.number("slowlog-log-slower-than")? < 0.0)),
    ("latency_monitor_off", "info", |facts| Some(facts.number("latency-monitor-threshold")? == 0.0)),
    ("maxclients_above_fd_limit", "warning", |facts| {
        // The server keeps 32 files for itself.
        Some(facts.field("maxclients").or_else(|| facts.number("maxclients"))? + 32.0 > facts.host?.files?)
    }),
    ("replica_writable", "warning", |facts| {
        let writable = facts.setting("replica-read-only").or_else(|| facts.setting("slave-read-only"))? == "no";
        Some(writable && facts.info.get("role")? == "slave")
    }),
    ("backlog_too_small", "warning", |facts| {
        // What replicas are sent in a minute, by the mean since the start of the master.
        let (size, replicas) = (facts.field("repl_backlog_size")?, facts.field("connected_slaves")?);
        let (sent, uptime) = (facts.field("master_repl_offset")?, facts.field("uptime_in_seconds")?.max(60.0));
        Some(replicas > 0.0 && size < sent / uptime * 60.0)
    }),
    ("replica_buffer_limit_low", "warning", |facts| {
        // `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`: a full synchronisation whose buffer outgrows
        // the hard limit starts over; it should hold at least the backlog.
        let words: Vec<_> = facts.setting("client-output-buffer-limit")?.split_ascii_whitespace().collect();
        let limits = words.chunks_exact(4).find(|limits| matches!(limits, ["slave" | "replica", ..]))?;
        let hard = limits.get(1)?.parse::<f64>().ok()?;
        Some(hard > 0.0 && hard < facts.field("repl_backlog_size")?)
    }),
    ("transparent_hugepages", "warning", |facts| facts.host?.huge_pages),
    ("overcommit_memory_0", "warning", |facts| Some(facts.host?.overcommit? == 0.0)),
    ("somaxconn_below_tcp_backlog", "info", |facts| Some(facts.host?.somaxconn? < facts.number("tcp-backlog")?)),
    ("version_end_of_life", "warning", |facts| {
        let (server, version) = identity(facts.info);
        let (_, oldest) = MAINTAINED.iter().find(|(name, _)| *name == server)?;
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??) < *oldest)
    }),
];

/// All checks: severity and words.
pub(super) fn checks() -> impl Iterator<Item = (&'static str, &'static Advice)> {
    CHECKS.iter().filter_map(|(check, severity, _)| Some((*severity, remedies::of(check)?)))
}

impl<'a> Facts<'a> {
    fn field(&self, name: &str) -> Option<f64> {
        self.info.get(name).and_then(number)
    }

    fn policy(&self) -> Option<&'a str> {
        self.info.get("maxmemory_policy")
    }

    fn setting(&self, name: &str) -> Option<&'a str> {
        self.settings?.get(name)
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.settings?.number(name)
    }
}

/// Writes what each check found, also into `advised`; `open`: we are served without a password. Of a Sentinel nothing is known.
pub(super) fn emit(
    info: &Info<'_>,
    settings: Option<&Kept>,
    host: Option<&Host>,
    open: bool,
    advised: &Advised,
    out: &mut Samples,
) {
    if info.get("role").is_none() {
        return;
    }
    let facts = Facts { info, settings, host, open };
    let mut rows = out.family(&FINDING);
    advised.set(CHECKS.iter().filter_map(|(check, severity, finds)| {
        let found = finds(&facts)?;
        rows.add([("check", *check), ("severity", *severity)], found);
        remedies::of(check).filter(|_| found).map(|advice| (*severity, advice))
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str, settings: &[(&str, &str)], host: Option<&Host>) -> Vec<&'static str> {
        let mut kept = Kept::default();
        settings.iter().for_each(|(name, value)| kept.add(name, value));
        let info = Info::parse(text);
        let facts = Facts { info: &info, settings: Some(&kept), host, open: false };
        CHECKS.iter().filter(|(_, _, finds)| finds(&facts) == Some(true)).map(|(check, ..)| *check).collect()
    }

    #[test]
    fn every_check_has_words() {
        let checks: Vec<_> = CHECKS.iter().map(|(check, ..)| *check).collect();
        assert_eq!(remedies::REMEDIES.each_ref().map(|advice| advice.check).to_vec(), checks);
    }

    #[test]
    fn finds_what_is_wrong() {
        let quiet = "role:master\nredis_version:8.0.6\nmaxmemory:100\nmaxmemory_policy:allkeys-lru\nrdb_last_bgsave_status:ok\nmaxclients:100\n";
        let good = Host {
            files: Some(132.0),
            huge_pages: Some(false),
            overcommit: Some(1.0),
            somaxconn: Some(511.0),
            ..Host::default()
        };
        let settings = [("save", "3600 1"), ("appendonly", "no"), ("tcp-backlog", "511"), ("slowlog-log-slower-than", "10000")];
        assert!(findings(quiet, &settings, Some(&good)).is_empty());
        let loud = "role:slave\nredis_version:6.2.1\nmaxmemory:100\nmaxmemory_policy:volatile-lru\ndb0:keys=3,expires=0\nrdb_last_bgsave_status:err\n\
            maxclients:101\nrepl_backlog_size:100\nconnected_slaves:1\nmaster_repl_offset:6000\nuptime_in_seconds:600\n";
        let bad =
            Host { files: Some(132.0), huge_pages: Some(true), overcommit: Some(0.0), somaxconn: Some(128.0), ..Host::default() };
        let settings = [
            ("save", ""),
            ("appendonly", "yes"),
            ("appendfsync", "no"),
            ("protected-mode", "no"),
            ("slowlog-log-slower-than", "-1"),
            ("latency-monitor-threshold", "0"),
            ("slave-read-only", "no"),
            ("client-output-buffer-limit", "normal 0 0 0 slave 99 0 0"),
            ("tcp-backlog", "511"),
        ];
        let rest = ["maxmemory_unset", "noeviction_with_limit", "no_persistence", "default_user_nopass"];
        let all: Vec<_> = CHECKS.iter().map(|(check, ..)| *check).filter(|check| !rest.contains(check)).collect();
        assert_eq!(findings(loud, &settings, Some(&bad)), all);
        assert_eq!(findings("role:master\nmaxmemory:0\n", &[("save", ""), ("appendonly", "no")], None), [rest[0], rest[2]]);
        assert_eq!(findings("maxmemory:1\nmaxmemory_policy:noeviction\n", &[], None), [rest[1]]);
    }
}
