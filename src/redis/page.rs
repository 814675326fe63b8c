//! What the answers of one scrape show.

use std::time::SystemTime;

use super::ask::Ask;
use super::beyond::Beyond;
use super::info::Info;
use super::keys::Facts;
use super::options::Options;
use super::plan::Known;
use super::resp::Value;
use super::{
    clients, commands, config, fields, hotkeys, instance, keyspace, latency, replication, reply, rights, sentinel, slowlog,
};
use crate::exposition::Samples;

/// How many databases a server has that does not tell: the default of all servers.
const DATABASES: u32 = 16;

/// The most databases whose keys are counted by group.
const MOST_DATABASES: u32 = 1024;

/// The answers of one scrape.
#[derive(Default)]
pub(super) struct Answers {
    /// The text of INFO, once there is one.
    pub(super) info: Option<String>,
    /// All replies in the order they came; in place of INFO's, nothing.
    pub(super) replies: Vec<(Ask, Value)>,
}

impl Answers {
    /// Whether a command was asked in this scrape.
    pub(super) fn has(&self, ask: &Ask) -> bool {
        self.replies.iter().any(|(asked, _)| asked == ask)
    }

    /// Writes all families that the answers hold; what key work depends on, where the server told of itself and is no Sentinel.
    pub(super) fn write(
        &self,
        known: Option<&Known>,
        options: &Options,
        beyond: &mut Beyond,
        out: &mut Samples,
    ) -> Option<Facts> {
        let info = Info::parse(self.info.as_deref()?);
        let commands = commands::parse(&info);
        instance::emit(&info, SystemTime::now(), options.compat, out);
        fields::emit(&info, out);
        if options.system {
            fields::system(&info, out);
        }
        commands::emit(&info, &commands, out);
        replication::emit(&info, out);
        sentinel::emit(&info, out);
        let config = known.and_then(|known| known.config.as_ref());
        let databases = config.and_then(|config| config.databases).unwrap_or(DATABASES);
        let databases = if info.get("cluster_enabled") == Some("1") { 1 } else { databases };
        // A Sentinel has no databases; redis_exporter shows 16 empty ones.
        let has_databases = info.get("sentinel_masters").is_none() || options.compat;
        keyspace::emit(&info, (options.empty_databases && has_databases).then_some(databases), options.compat, out);
        if options.lasting {
            keyspace::lasting(&info, out);
        }
        if let Some(config) = config {
            config.emit(out);
        }
        beyond.emit(&info, config, out);
        if let Some(known) = known {
            known.histograms.emit(&commands, options.compat, out);
            known.percentiles.iter().for_each(|percentiles| percentiles.emit(&commands, out));
        }
        rights::emit(known, &self.replies, out);
        for (ask, reply) in &self.replies {
            self.one(ask, reply, options, out);
        }
        let role = info.get("role")?;
        Some(Facts { master: role == "master", databases: databases.min(MOST_DATABASES) })
    }

    /// Writes what one command answered.
    fn one(&self, ask: &Ask, reply: &Value, options: &Options, out: &mut Samples) {
        match ask {
            Ask::ClusterInfo => {
                let text = reply::text(reply).unwrap_or_default();
                Info::parse(&text).fields().for_each(|(name, value)| fields::cluster(name, value, out));
            }
            Ask::InfoModules => fields::modules(&Info::parse(&reply::text(reply).unwrap_or_default()), out),
            Ask::ClientList => clients::emit(reply, options, out),
            Ask::ServerExt => fields::tile38(reply, out),
            Ask::HotKeys => hotkeys::emit(reply, options.hot_keys, out),
            Ask::LatencyLatest => latency::spikes(reply, out),
            Ask::SlowlogLength => slowlog::length(reply, out),
            Ask::SlowlogLast => slowlog::last(reply, out),
            Ask::Commandlog(log) => slowlog::commandlog(log, reply, out),
            Ask::SentinelConfig => config::sentinel(reply, out),
            Ask::SentinelMasters => sentinel::masters(reply, |master| self.peers(master), options.peers, out),
            Ask::SentinelQuorum(master) => sentinel::quorum(master, reply, out),
            // Written from what was learnt from them.
            Ask::InfoAll | Ask::InfoShort | Ask::Info | Ask::Config | Ask::CommandlogKnown | Ask::LatencyHistogram(_) => {}
            Ask::SlowlogNew(_) | Ask::AclLog(_) | Ask::SlotStats(_) | Ask::ClusterShards | Ask::Ping => {}
            Ask::SentinelPeers(_) | Ask::SentinelReplicas(_) => {}
        }
    }

    /// What a Sentinel answered about the other Sentinels and the replicas of `master`.
    fn peers(&self, master: &str) -> (Option<&Value>, Option<&Value>) {
        let find = |wanted: fn(&Ask) -> Option<&str>| {
            self.replies.iter().find(|(ask, _)| wanted(ask) == Some(master)).map(|(_, reply)| reply)
        };
        let sentinels = find(|ask| if let Ask::SentinelPeers(master) = ask { Some(master) } else { None });
        (sentinels, find(|ask| if let Ask::SentinelReplicas(master) = ask { Some(master) } else { None }))
    }

    /// The server's role, empty where it tells none.
    pub(super) fn role(&self) -> &str {
        let lines = self.info.iter().flat_map(|text| text.lines());
        lines.filter_map(|line| line.strip_prefix("role:")).next().unwrap_or_default().trim_end()
    }
}
