//! Statements that the server refuses for good: a cloud's fork without the function, a role without the right, an extension that is not
//! there. Asked again at every scrape, each would write a line into the server's log and end the message for those behind it. So one is
//! left alone until the next session, or for [`REST`] where somebody may have granted what was missing.

use std::time::Duration;

use tokio::time::Instant;

use crate::exposition::{Family, Samples};

/// How long a statement rests.
const REST: Duration = Duration::from_secs(600);

/// Feature not supported; object not in the state that it takes (a library that is not loaded); no such name or no right.
const FOR_GOOD: [&str; 3] = ["0A", "55000", "42"];

static REFUSED: Family = Family::gauge(
    "pg_agent_query_refused",
    "1: the server refuses a statement of the collector for good, and it is not asked again for ten minutes or until the next session.",
);

/// Why and when a statement was refused.
pub(super) struct Refused {
    since: Instant,
    /// What the server said, with its SQLSTATE at the end.
    pub(super) reason: String,
}

impl Refused {
    pub(super) fn now(reason: String) -> Self {
        Refused { since: Instant::now(), reason }
    }

    /// Whether it is not asked now: what will be refused again, and what has an `interval` until that is over.
    pub(super) fn rests(&self, interval: Option<Duration>) -> bool {
        let elapsed = self.since.elapsed();
        interval.is_some_and(|interval| elapsed < interval) || (elapsed < REST && self.is_for_good())
    }

    fn is_for_good(&self) -> bool {
        sqlstate(&self.reason).is_some_and(|state| FOR_GOOD.iter().any(|class| state.starts_with(class)))
    }
}

/// The five characters in `permission denied for function pg_ls_waldir (SQLSTATE 42501)`.
pub(super) fn sqlstate(reason: &str) -> Option<&str> {
    let (_, state) = reason.strip_suffix(')')?.rsplit_once("(SQLSTATE ")?;
    (state.len() == 5 && state.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(state)
}

/// Writes which collectors have a statement that rests, each state once.
pub(super) fn emit<'a>(refused: impl Iterator<Item = (&'static str, &'a Refused)>, out: &mut Samples) {
    let mut told: Vec<_> = refused
        .filter(|(_, refused)| refused.rests(None))
        .filter_map(|(name, refused)| Some((name, sqlstate(&refused.reason)?)))
        .collect();
    told.sort_unstable();
    told.dedup();
    let mut rows = out.family(&REFUSED);
    for (collector, sqlstate) in told {
        rows.add([("collector", collector), ("sqlstate", sqlstate)], 1u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing::text;

    #[test]
    fn only_what_will_be_refused_again_rests() {
        let rests = |reason: &str| Refused::now(reason.to_owned()).rests(None);
        assert!(rests("permission denied for function pg_ls_waldir (SQLSTATE 42501)"));
        assert!(rests("relation \"(SQLSTATE 57014)\" does not exist (SQLSTATE 42P01)"));
        assert!(rests("pg_stat_statements must be loaded via shared_preload_libraries (SQLSTATE 55000)"));
        for passing in ["canceling statement due to lock timeout (SQLSTATE 55P03)", "(SQLSTATE 4é)", "(SQLSTATE 42)", ""] {
            assert!(!rests(passing), "{passing}");
            assert!(Refused::now(passing.to_owned()).rests(Some(REST)), "{passing}");
        }
    }

    #[test]
    fn each_state_is_told_once() {
        let [one, other] = ["x (SQLSTATE 42501)", "y (SQLSTATE 42501)"].map(|reason| Refused::now(reason.to_owned()));
        let text = text(|out| {
            emit([("wal", &one), ("wal", &other)].into_iter(), out);
            Ok(())
        });
        assert_eq!(text, "pg_agent_query_refused{collector=\"wal\",sqlstate=\"42501\"} 1\n");
    }
}
