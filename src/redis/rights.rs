//! What a server lets us ask: which commands it answers, and the ACL line of a user who may ask all of them.

use std::collections::BTreeSet;

use super::resp::Value;

use super::ask::Ask;
use super::plan::Known;
use super::reply::refusal;
use super::{keys, options::Options};
use crate::exposition::{Family, Samples};

static COMMAND_OK: Family = Family::gauge(
    "redis_scrape_command_ok",
    "1 if the server answers the command; 0 if it does not know or not allow it: it is then asked again after five minutes.",
);

/// Writes which of our commands the server answers.
pub(super) fn emit(known: Option<&Known>, replies: &[(Ask, Value)], out: &mut Samples) {
    let refused = known.map_or(&[][..], |known| &known.refused);
    let mut seen = BTreeSet::new();
    let mut rows = out.family(&COMMAND_OK);
    let asked = replies.iter().map(|(ask, reply)| (ask, refusal(reply).is_none()));
    for (ask, answered) in refused.iter().map(|ask| (ask, false)).chain(asked) {
        let command = ask.words().join(" ").to_ascii_lowercase();
        if !seen.contains(&command) {
            rows.add([("command", &*command)], answered);
            seen.insert(command);
        }
    }
}

/// What a user of ours must be allowed, as `ACL SETUSER` takes it.
///
/// `resetkeys resetchannels -@all +info +ping +client|setname +config|get …`
pub(super) fn acl(options: &Options, wanted: &keys::Wanted) -> String {
    let mut asks = vec![Ask::InfoAll, Ask::ClusterInfo, Ask::SlowlogLength, Ask::SlowlogLast, Ask::CommandlogKnown];
    asks.extend(options.config_command.is_some().then_some(Ask::Config));
    asks.extend(options.wants_clients().then_some(Ask::ClientList));
    if options.slots > 0 {
        asks.extend([Ask::SlotStats(0), Ask::ClusterShards]);
    }
    asks.extend(options.denials.then_some(Ask::AclLog(0)));
    asks.extend((options.hot_keys > 0).then_some(Ask::HotKeys));
    asks.extend(options.tile38.then_some(Ask::ServerExt));
    if options.latencies {
        asks.extend([Ask::LatencyLatest, Ask::LatencyHistogram(Vec::new())]);
    }
    let mut rules: BTreeSet<String> = asks.iter().map(|ask| rule(ask.words())).collect();
    rules.extend([rule(&["CLIENT", "SETNAME"]), rule(&["PING"])]);
    rules.extend(wanted.commands().iter().map(|words| rule(words)));
    let keys = if wanted.is_empty() { "resetkeys" } else { "resetkeys %R~*" };
    let rules: Vec<String> = rules.into_iter().collect();
    format!("{keys} resetchannels -@all {}", rules.join(" "))
}

/// `+slowlog|len`
fn rule(words: &[&str]) -> String {
    format!("+{}", words.join("|").to_ascii_lowercase())
}
