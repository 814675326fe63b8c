//! CLIENT LIST: every client, or how many there are of each sort.

use std::time::{SystemTime, UNIX_EPOCH};

use hashbrown::HashMap;

use super::info::number;
use super::options::Options;
use super::reply::text;
use super::resp::Value;
use crate::exposition::{Family, Samples, from_u64};

static INFO: Family = Family::gauge("redis_connected_client_info", "1, with who the client is (CLIENT LIST).");
static CREATED: Family =
    Family::gauge("redis_connected_client_created_at_timestamp", "Unix time at which the client connected (CLIENT LIST, age).");
static IDLE_SINCE: Family =
    Family::gauge("redis_connected_client_idle_since_timestamp", "Unix time of the client's last command (CLIENT LIST, idle).");

/// `"field" => "family" "help";`
macro_rules! fields {
    ($($field:literal => $family:literal $help:literal;)*) => {
        [$(($field, Family::gauge(concat!("redis_connected_client_", $family), concat!($help, " (CLIENT LIST, ", $field, ").")))),*]
    };
}

static NUMBERS: [(&str, Family); 10] = fields! {
    "obl" => "output_buffer_length_bytes" "Length of the client's output buffer";
    "oll" => "output_list_length" "Replies that wait in the client's output list";
    "omem" => "output_buffer_memory_usage_bytes" "Memory of the client's output buffer";
    "psub" => "pattern_matching_subscriptions_count" "Channel patterns that the client is subscribed to";
    "qbuf" => "query_buffer_length_bytes" "Length of the client's query buffer, 0 while no query is pending";
    "qbuf-free" => "query_buffer_free_space_bytes" "Free space of the client's query buffer";
    "ssub" => "shard_channel_subscriptions_count" "Shard channels that the client is subscribed to";
    "sub" => "channel_subscriptions_count" "Channels that the client is subscribed to";
    "tot-mem" => "total_memory_consumed_bytes" "Memory that the client takes in all";
    "watch" => "shard_channel_watched_keys" "Keys that the client watches";
};

static CONNECTIONS: Family = Family::gauge(
    "redis_client_connections",
    "Connections by user, name, library and kind (normal, replica, master, pubsub, monitor); the smaller groups as other (CLIENT LIST).",
);
static LONGEST_IDLE: Family =
    Family::gauge("redis_client_idle_seconds_max", "The longest that a client has been idle (CLIENT LIST, idle).");
static LARGEST_BUFFER: Family =
    Family::gauge("redis_client_output_buffer_bytes_max", "Memory of the largest output buffer of a client (CLIENT LIST, omem).");

/// A line of the answer: a client's fields.
///
/// `id=5 addr=127.0.0.1:37972 laddr=127.0.0.1:27000 fd=11 name=worker-1 age=2 idle=2 flags=P db=0 sub=1 … user=app redir=-1 resp=2`
struct Client<'a>(&'a str);

impl<'a> Client<'a> {
    fn get(&self, field: &str) -> Option<&'a str> {
        self.0.split(' ').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == field)).map(|(_, value)| value)
    }

    fn text(&self, field: &str) -> &'a str {
        self.get(field).unwrap_or_default()
    }

    fn number(&self, field: &str) -> f64 {
        self.get(field).and_then(number).unwrap_or(0.0)
    }

    /// What it is, from its flags: `S` a replica, `M` our master, `O` a monitor, `P` a subscriber.
    fn kind(&self) -> &'static str {
        let flags = self.text("flags");
        let kinds = [('S', "replica"), ('M', "master"), ('O', "monitor"), ('P', "pubsub")];
        kinds.into_iter().find(|(flag, _)| flags.contains(*flag)).map_or("normal", |(_, kind)| kind)
    }
}

/// Writes what is wanted of the clients.
pub(super) fn emit(reply: &Value, options: &Options, out: &mut Samples) {
    let Some(list) = text(reply) else { return };
    let clients = || list.lines().map(str::trim_end).map(Client).filter(|client| client.get("id").is_some());
    if options.clients {
        for client in clients() {
            one(&client, options.client_port, out);
        }
    }
    if options.groups > 0 {
        groups(clients(), options.groups, out);
        let most = |field| clients().map(|client| client.number(field)).fold(0.0, f64::max);
        out.family(&LONGEST_IDLE).add([], most("idle"));
        out.family(&LARGEST_BUFFER).add([], most("omem"));
    }
}

fn one(client: &Client<'_>, port: bool, out: &mut Samples) {
    let address = client.text("addr");
    let (host, at) = address.rsplit_once(':').unwrap_or((address, ""));
    let mut labels: Vec<_> = ["id", "name", "flags", "db"].iter().map(|field| (*field, client.text(field))).collect();
    labels.push(("host", host));
    labels.extend(port.then_some(("port", at)));
    // Servers before 6.0 send no user, before 7.0 no version of the protocol.
    labels.extend(["user", "resp"].iter().filter_map(|field| Some((*field, client.get(field)?))));
    out.family(&INFO).line("", &crate::exposition::Labels::new(), &labels, 1u8);
    let labels = [("id", client.text("id")), ("name", client.text("name"))];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for (field, family) in [("age", &CREATED), ("idle", &IDLE_SINCE)] {
        if let Some(seconds) = client.get(field).and_then(number) {
            out.family(family).add(labels, from_u64(now) - seconds);
        }
    }
    for (field, family) in &NUMBERS {
        if let Some(value) = client.get(field).and_then(number) {
            out.family(family).add(labels, value);
        }
    }
}

/// How many clients there are of each sort: the `most` largest groups, and all others as one.
fn groups<'a>(clients: impl Iterator<Item = Client<'a>>, most: usize, out: &mut Samples) {
    let mut counts: HashMap<[&str; 4], u64> = HashMap::new();
    for client in clients {
        let group = [client.text("user"), client.text("name"), client.text("lib-name"), client.kind()];
        *counts.entry(group).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable_by(|(a, one), (b, other)| other.cmp(one).then(a.cmp(b)));
    let rest: u64 = counts.drain(most.min(counts.len())..).map(|(_, count)| count).sum();
    counts.extend((rest > 0).then_some((["other"; 4], rest)));
    for ([user, name, lib, kind], count) in counts {
        out.family(&CONNECTIONS).add([("user", user), ("name", name), ("lib", lib), ("kind", kind)], count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_groups_and_the_rest() {
        let line = |id: u32, user: &str, flags: &str| {
            format!("id={id} addr=[::1]:5 name=a=b idle={id} flags={flags} user={user} omem=7 lib-name=py")
        };
        let list =
            [line(1, "app", "N"), line(2, "app", "N"), line(3, "ro", "P"), line(4, "", "S"), "nonsense".to_owned()].join("\n");
        let options = Options { groups: 1, clients: true, client_port: true, ..Options::default() };
        let mut out = Samples::new();
        emit(&Value::Bulk(list.into()), &options, &mut out);
        let page = String::from_utf8(crate::exposition::Page::new(vec![out]).to_vec()).unwrap();
        for line in [
            r#"redis_client_connections{user="app",name="a=b",lib="py",kind="normal"} 2"#,
            r#"redis_client_connections{user="other",name="other",lib="other",kind="other"} 2"#,
            "redis_client_idle_seconds_max 4",
            "redis_client_output_buffer_bytes_max 7",
            r#"redis_connected_client_info{id="3",name="a=b",flags="P",db="",host="[::1]",port="5",user="ro"} 1"#,
        ] {
            assert!(page.lines().any(|own| own == line), "{line} is not in\n{page}");
        }
    }
}
