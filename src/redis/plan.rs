//! Which commands a scrape sends: decided from what is known of the server, so that all of them fit into one round trip.

use std::time::{Duration, Instant};

use super::resp::Value;

use super::ask::Ask;
use super::beyond::latency::Histograms;
use super::config::Config;
use super::info::{Info, item};
use super::options::Options;
use super::percentiles::Percentiles;
use super::reply::{list, refusal};
use super::{sentinel, slowlog};

/// After this time everything is learnt anew: settings, and which commands the server refuses.
const REFRESH: Duration = Duration::from_secs(300);

/// The most entries of ACL LOG that are read: what a server keeps by default.
const DENIALS: usize = 128;

/// What is known of a server until it restarts or [`REFRESH`] has passed.
#[derive(Debug)]
pub(super) struct Known {
    run_id: String,
    role: String,
    /// Whether the address may mean another server by now: see [`Known::take_moved`].
    moved: bool,
    since: Instant,
    /// The form of INFO that it answers.
    info: Ask,
    pub(super) refused: Vec<Ask>,
    pub(super) config: Option<Config>,
    /// [`config_calls`] of the last INFO, and whether CONFIG GET was sent after it.
    config_calls: u64,
    config_read: bool,
    commandlog: Option<bool>,
    pub(super) histograms: Histograms,
    pub(super) percentiles: Option<Percentiles>,
    /// Whether the server may know INFO without percentiles.
    short: bool,
    /// Whether CLUSTER INFO has anything to add.
    cluster: bool,
    node: bool,
    sentinel: bool,
    masters: Vec<String>,
}

/// What to send now. Of a server that we know nothing of yet only INFO is asked, so that none is asked what it cannot answer.
pub(super) fn plan(known: Option<&Known>, options: &Options) -> Vec<Ask> {
    let Some(known) = known else { return vec![Ask::InfoAll] };
    let fresh = known.short && known.percentiles.as_ref().is_some_and(|known| known.are_fresh(options.percentiles));
    let mut asks = vec![if fresh { Ask::InfoShort } else { known.info.clone() }];
    // Right behind INFO, so that as little as can be runs between the two.
    asks.extend(known.histograms.wanted().filter(|_| options.latencies && !known.sentinel).map(Ask::LatencyHistogram));
    asks.extend(options.wants_clients().then_some(Ask::ClientList));
    asks.extend(options.modules.then_some(Ask::InfoModules));
    if known.sentinel {
        asks.push(Ask::SentinelMasters);
        for master in &known.masters {
            asks.extend([Ask::SentinelQuorum, Ask::SentinelPeers, Ask::SentinelReplicas].map(|ask| ask(master.clone())));
        }
        asks.extend(options.settings.then_some(Ask::SentinelConfig));
    } else {
        asks.extend((known.config.is_none() && options.config_command.is_some()).then_some(Ask::Config));
        asks.extend(known.cluster.then_some(Ask::ClusterInfo));
        if known.node && options.slots > 0 {
            asks.extend([Ask::SlotStats(options.slots), Ask::ClusterShards]);
        }
        asks.extend(options.denials.then_some(Ask::AclLog(DENIALS)));
        asks.extend((options.hot_keys > 0).then_some(Ask::HotKeys));
        asks.extend(options.tile38.then_some(Ask::ServerExt));
        if options.latencies {
            asks.push(Ask::LatencyLatest);
        }
        asks.extend([Ask::SlowlogLength, Ask::SlowlogLast]);
        match known.commandlog {
            None => asks.push(Ask::CommandlogKnown),
            Some(true) => asks.extend(slowlog::LOGS.map(Ask::Commandlog)),
            Some(false) => {}
        }
    }
    asks.retain(|ask| !known.refused.contains(ask));
    asks
}

impl Known {
    /// Takes in an answer to `ask`, which is INFO in one of its forms: what was known of another server is forgotten.
    pub(super) fn learn<'k>(known: &'k mut Option<Known>, ask: &Ask, info: &Info<'_>, now: Instant) -> &'k mut Known {
        let run_id = info.get("run_id").unwrap_or_default();
        let role = info.get("role").unwrap_or_default();
        let is_old = |known: &Known| known.run_id != run_id || now.duration_since(known.since) > REFRESH;
        let moved = known.as_ref().is_some_and(|known| known.role != role || is_old(known));
        known.take_if(|known| is_old(known));
        let known = known.get_or_insert_with(|| Known {
            run_id: run_id.to_owned(),
            role: String::new(),
            moved: false,
            since: now,
            info: if *ask == Ask::Info { Ask::Info } else { Ask::InfoAll },
            refused: Vec::new(),
            config: None,
            config_calls: 0,
            config_read: false,
            commandlog: None,
            histograms: Histograms::default(),
            percentiles: None,
            short: true,
            cluster: false,
            node: false,
            sentinel: false,
            masters: Vec::new(),
        });
        role.clone_into(&mut known.role);
        known.moved |= moved;
        known.sentinel = info.get("sentinel_masters").is_some();
        known.masters = if known.sentinel { sentinel::names(info).into_iter().map(str::to_owned).collect() } else { Vec::new() };
        // Valkey 9 has the lines of CLUSTER INFO in INFO.
        known.node = info.get("cluster_enabled") == Some("1");
        known.cluster = known.node && info.get("cluster_state").is_none();
        let (calls, own) = config_calls(info, std::mem::take(&mut known.config_read));
        let steady = calls == known.config_calls + own;
        if !steady {
            known.config = None;
        }
        known.config_calls = calls;
        if known.histograms.learn(info, steady) {
            known.percentiles = None;
        }
        known
    }

    /// Takes in the percentiles of an answer to `ask`, which is INFO in one of its forms, or what an answer without them lacks.
    pub(super) fn compare(&mut self, ask: &Ask, text: &str, info: &Info<'_>, now: Instant) {
        match (ask, &mut self.percentiles) {
            (Ask::InfoAll, percentiles) => *percentiles = Percentiles::read(text, info, now),
            (Ask::InfoShort, Some(percentiles)) if !percentiles.are_of_all(info) => self.percentiles = None,
            (Ask::InfoShort, Some(percentiles)) => self.short = percentiles.complete(text),
            _ => {}
        }
    }

    /// The server does not know INFO without percentiles.
    pub(super) fn end_short(&mut self) {
        self.short = false;
    }

    /// Whether to connect anew before the next scrape, said once. A name or a virtual address may lead to another server after a
    /// failover, and the one that we are connected to need not close: we look again when its role changes, and now and then.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Takes in any other answer. A command that the server does not know or does not allow is not sent again for a while:
    /// each try would count as an error in the server's own statistics.
    pub(super) fn note(&mut self, ask: &Ask, reply: &Value, options: &Options) {
        if let Some(words) = refusal(reply) {
            let final_word = (words.starts_with("ERR ") && !sentinel::is_gone(&words)) || words.starts_with("NOPERM ");
            if let Ask::LatencyHistogram(names) = ask {
                if final_word {
                    self.histograms.refuse(names);
                }
            } else if final_word {
                tracing::debug!(command = ?ask, reason = %words, "the server does not answer a command");
                self.refused.push(ask.clone());
            }
            return;
        }
        match ask {
            Ask::Config => {
                self.config = Some(Config::parse(reply, options));
                self.config_read = true;
            }
            Ask::LatencyHistogram(names) => self.histograms.read(names, reply),
            Ask::CommandlogKnown => self.commandlog = Some(list(reply).iter().any(|command| !list(command).is_empty())),
            _ => {}
        }
    }
}

/// How often settings may have been changed: the calls of CONFIG SET that INFO counts, and how many of them are our own. When the
/// count moves, CONFIG is read again within the same scrape, so that settings are never old although they are not read each time.
///
/// Servers before 7.0 count all of CONFIG in one line, our CONFIG GET of the last scrape (`read`) included.
fn config_calls(info: &Info<'_>, read: bool) -> (u64, u64) {
    let calls = |name: &str| info.get(name).and_then(|list| item(list, "calls")?.parse::<u64>().ok());
    match calls("cmdstat_config") {
        Some(all) => (all, u64::from(read)),
        None => (calls("cmdstat_config|set").unwrap_or(0), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { config_command: Some("CONFIG".to_owned()), latencies: true, ..Options::default() }
    }

    fn learn(known: &mut Option<Known>, text: &str) {
        Known::learn(known, &Ask::InfoAll, &Info::parse(text), Instant::now());
    }

    fn read_config(known: &mut Option<Known>) {
        known.as_mut().unwrap().note(&Ask::Config, &Value::Array(Vec::new()), &options());
    }

    #[test]
    fn an_unknown_server_is_asked_who_it_is() {
        assert_eq!(plan(None, &options()), [Ask::InfoAll]);
        let mut known = None;
        learn(&mut known, "run_id:a\nsentinel_masters:1\nmaster0:name=m,status=ok\n");
        let asks = plan(known.as_ref(), &options());
        assert!(asks.contains(&Ask::SentinelQuorum("m".into())) && !asks.contains(&Ask::Config), "{asks:?}");
    }

    #[test]
    fn config_is_read_when_it_may_have_changed() {
        let (mut known, asks_config) = (None, |known: &Option<Known>| plan(known.as_ref(), &options()).contains(&Ask::Config));
        learn(&mut known, "run_id:a\ncmdstat_config|set:calls=1,usec=1\n");
        assert!(asks_config(&known));
        assert!(!plan(known.as_ref(), &Options::default()).contains(&Ask::Config));
        read_config(&mut known);
        learn(&mut known, "run_id:a\ncmdstat_config|set:calls=1,usec=1\ncmdstat_config|get:calls=1,usec=1\n");
        assert!(!asks_config(&known));
        learn(&mut known, "run_id:a\ncmdstat_config|set:calls=2,usec=1\n");
        assert!(asks_config(&known));
        read_config(&mut known);
        learn(&mut known, "run_id:b\ncmdstat_config|set:calls=2,usec=1\n");
        assert!(asks_config(&known), "another server");
    }

    #[test]
    fn the_address_is_followed_when_the_role_changes_and_now_and_then() {
        let (mut known, start) = (None, Instant::now());
        let mut moved = |text: &str, seconds| {
            let now = start + Duration::from_secs(seconds);
            Known::learn(&mut known, &Ask::InfoAll, &Info::parse(text), now);
            known.as_mut().is_some_and(Known::take_moved)
        };
        assert!(!moved("run_id:a\nrole:master\n", 0) && !moved("run_id:a\nrole:master\n", 200));
        assert!(moved("run_id:a\nrole:slave\n", 201) && !moved("run_id:a\nrole:slave\n", 202));
        assert!(moved("run_id:a\nrole:slave\n", 301) && !moved("run_id:a\nrole:slave\n", 302));
    }

    #[test]
    fn our_own_reading_is_no_change_on_old_servers() {
        let mut known = None;
        learn(&mut known, "run_id:a\ncmdstat_info:calls=1,usec=1\n");
        read_config(&mut known);
        for (calls, changed) in [(1, false), (1, false), (2, true)] {
            learn(&mut known, &format!("run_id:a\ncmdstat_config:calls={calls},usec=1\n"));
            assert_eq!(known.as_ref().unwrap().config.is_none(), changed, "{calls}");
        }
    }

    #[test]
    fn what_is_refused_is_not_sent_again() {
        let mut known = None;
        learn(&mut known, "run_id:a\n");
        let note = |known: &mut Option<Known>, ask, text: &'static str| {
            known.as_mut().unwrap().note(&ask, &Value::Error(text.into()), &options())
        };
        note(&mut known, Ask::Config, "NOPERM this user has no permissions");
        note(&mut known, Ask::SlowlogLength, "LOADING Redis is loading");
        let asks = plan(known.as_ref(), &options());
        assert!(!asks.contains(&Ask::Config) && asks.contains(&Ask::SlowlogLength));
    }
}
