//! Whether the server refuses writes at this moment, and why: its own rules, applied to its own status and settings.

use super::super::info::{Info, item, number};
use super::Kept;
use crate::exposition::{Family, Samples};

static BLOCKED: Family = Family::gauge(
    "redis_writes_blocked",
    "1 if this reason makes a master refuse writes now. bgsave: the last snapshot failed; aof: the last write to the append-only file failed; \
     oom: memory is full and nothing may be evicted; min_replicas: too few good replicas.",
);

pub(super) fn emit(info: &Info<'_>, settings: Option<&Kept>, out: &mut Samples) {
    // Replicas take their writes from the master, and a Sentinel has none.
    if info.get("role") != Some("master") {
        return;
    }
    let reasons =
        [("bgsave", bgsave(info, settings)), ("aof", aof(info)), ("oom", oom(info)), ("min_replicas", replicas(info, settings))];
    for (reason, blocked) in reasons {
        if let Some(blocked) = blocked {
            out.family(&BLOCKED).add([("reason", reason)], blocked);
        }
    }
}

/// With save points, stop-writes-on-bgsave-error and a failed snapshot. Unknown where CONFIG is not to be had and one has failed.
fn bgsave(info: &Info<'_>, settings: Option<&Kept>) -> Option<bool> {
    let failed = info.get("rdb_last_bgsave_status")? == "err";
    if !failed {
        return Some(false);
    }
    let settings = settings?;
    Some(settings.get("stop-writes-on-bgsave-error")? == "yes" && !settings.get("save")?.is_empty())
}

fn aof(info: &Info<'_>) -> Option<bool> {
    Some(info.get("aof_last_write_status")? == "err" && info.get("aof_enabled") == Some("1"))
}

/// Above the limit, with a policy that evicts nothing: noeviction, or a volatile one where no key expires.
fn oom(info: &Info<'_>) -> Option<bool> {
    let field = |name| info.get(name).and_then(number);
    let (limit, used, policy) = (field("maxmemory")?, field("used_memory")?, info.get("maxmemory_policy")?);
    let used = used - field("mem_not_counted_for_evict").unwrap_or(0.0);
    let expiring = info.numbered("db").any(|(_, list)| item(list, "expires").is_some_and(|count| count != "0"));
    Some(limit > 0.0 && used > limit && (policy == "noeviction" || policy.starts_with("volatile-") && !expiring))
}

fn replicas(info: &Info<'_>, settings: Option<&Kept>) -> Option<bool> {
    // The server counts good replicas only where it needs some.
    let Some(good) = info.get("min_slaves_good_slaves").and_then(number) else { return Some(false) };
    let settings = settings?;
    let needed = settings.number("min-replicas-to-write").or_else(|| settings.number("min-slaves-to-write"))?;
    Some(good < needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(pairs: &[(&str, &str)]) -> Kept {
        let mut kept = Kept::default();
        pairs.iter().for_each(|(name, value)| kept.add(name, value));
        kept
    }

    #[test]
    fn a_failed_snapshot_blocks_only_by_setting() {
        let info = Info::parse("role:master\nrdb_last_bgsave_status:err\n");
        let with = |stop, save| bgsave(&info, Some(&kept(&[("stop-writes-on-bgsave-error", stop), ("save", save)])));
        assert_eq!((with("yes", "3600 1"), with("no", "3600 1"), with("yes", "")), (Some(true), Some(false), Some(false)));
        assert_eq!(bgsave(&info, None), None);
        assert_eq!(bgsave(&Info::parse("rdb_last_bgsave_status:ok\n"), None), Some(false));
    }

    #[test]
    fn memory_is_full_when_nothing_may_go() {
        let text = |used, policy, more| format!("used_memory:{used}\nmaxmemory:100\nmaxmemory_policy:{policy}\n{more}");
        let blocked = |text: String| oom(&Info::parse(&text)).unwrap();
        assert!(blocked(text(101, "noeviction", "")));
        assert!(!blocked(text(101, "noeviction", "mem_not_counted_for_evict:1\n")));
        assert!(!blocked(text(101, "allkeys-lru", "")));
        assert!(blocked(text(101, "volatile-lru", "db0:keys=1,expires=0\n")));
        assert!(!blocked(text(101, "volatile-lru", "db0:keys=1,expires=1\n")));
    }

    #[test]
    fn too_few_good_replicas() {
        let info = Info::parse("min_slaves_good_slaves:1\n");
        let needs = |name, count| replicas(&info, Some(&kept(&[(name, count)])));
        assert_eq!(needs("min-replicas-to-write", "2"), Some(true));
        assert_eq!(needs("min-slaves-to-write", "1"), Some(false));
        assert_eq!(replicas(&Info::parse("role:master\n"), None), Some(false));
    }
}
