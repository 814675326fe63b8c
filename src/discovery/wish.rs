//! What is to be watched in a container: where, as whom, under which name.
//!
//! | label | meaning |
//! | --- | --- |
//! | `stack-exporter.postgres` | `true`, `false`, or options: `port=5433 user=monitor database=shop sslmode=require` |
//! | `stack-exporter.postgres.user`, `.database`, `.port` | the same, one by one |
//! | `stack-exporter.postgres.password-file` | a file in the agent's folder of secrets |
//! | `stack-exporter.postgres.name` | the label `target` |

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::{Container, LABELS, Network};
use super::kind::Kind;
use super::told::Missing;
use super::{name, secret};
use crate::settings::Secret;
use crate::system::Roots;

/// The most servers of one kind that are watched without being named in the settings.
const MOST: usize = 200;

/// The longest text of a label that is read.
const LONGEST: usize = 1024;

/// A way to reach a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `socket`, `network`, `host` (the host's own network) or `published`.
    pub how: &'static str,
    /// An address, or the folder of a socket.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A server in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The label `target`.
    pub name: String,
    /// The container's own name.
    pub container: String,
    /// Where it may answer, the likeliest first.
    pub places: Vec<Place>,
    /// Whom to log in as, as the operator says.
    pub user: Option<String>,
    /// What the container's own settings call its first user.
    pub owner: Option<String>,
    /// Which database to connect to.
    pub database: Option<String>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
    /// A password from the container's settings, where the operator allows that.
    pub password: Option<Secret>,
    /// `sslmode` or `tls`, as the operator says.
    pub tls: Option<String>,
    /// Whether the operator asked for it by a label.
    pub asked: bool,
    /// Whether the container runs.
    pub running: bool,
    /// Whether it runs on this machine, by its engine's address.
    pub here: bool,
    /// The memory that it may use in bytes.
    pub memory: Option<u64>,
    /// What is wrong with the labels.
    pub(crate) wrong: Option<Missing>,
    /// The port inside.
    pub(crate) port: u16,
    /// What the container is called in its networks.
    pub(crate) aliases: Vec<String>,
    /// The host's side of its mounts.
    pub(crate) folders: Vec<PathBuf>,
}

impl Wish {
    /// Whether `host` (a leading slash: the folder of a socket) and `port` are this server.
    pub fn is_at(&self, host: &str, port: u16) -> bool {
        if host.starts_with('/') {
            let of = |path: &Path| std::fs::metadata(path).ok().map(|folder| (folder.dev(), folder.ino()));
            let Some(wanted) = of(Path::new(host)) else { return false };
            return self.folders.iter().any(|folder| of(folder) == Some(wanted));
        }
        let loopback = |host: &str| host == "localhost" || host == "::1" || host.starts_with("127.");
        let same = |place: &Place| place.port == port && (place.host == host || loopback(&place.host) && loopback(host));
        self.places.iter().any(same)
            || port == self.port && (self.container == host || self.aliases.iter().any(|alias| alias == host))
    }
}

/// Where to look and what is taken.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) kind: &'static Kind,
    pub(super) roots: Roots,
    /// The folder of secrets.
    pub(super) secrets: PathBuf,
    /// Names that the operator gave to other servers.
    pub(super) taken: BTreeSet<String>,
}

impl Look {
    /// The wishes of all containers, by name; and the servers that are not to be watched.
    pub(super) fn wishes(&self, mut containers: Vec<Arc<Container>>) -> (BTreeMap<String, Wish>, Vec<Wish>) {
        containers.sort_unstable_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        let read = containers.iter().filter_map(|container| Some((container, self.read(container, &containers)?)));
        let (on, off): (Vec<_>, Vec<_>) = read.partition(|(_, read)| read.on);
        let running: BTreeSet<String> =
            on.iter().filter(|(_, read)| read.wish.running).map(|(_, read)| read.wish.name.clone()).collect();
        // A stopped one that has a successor is no more; any other may be started again, and its absence is to be seen.
        let lives = |(container, read): &(&Arc<Container>, Read)| {
            read.wish.running || !name::is_of_swarm(container) && !running.contains(&read.wish.name)
        };
        let mut on: Vec<_> = on.into_iter().filter(lives).collect();
        on.sort_by_key(|(_, read)| !read.wish.running);
        on.truncate(MOST);
        let names = on.iter().map(|(container, read)| (read.wish.name.clone(), container.as_ref())).collect();
        let mut names = name::distinct(names, &self.taken);
        let wishes = on.into_iter().filter_map(|(container, read)| {
            let name = names.remove(&container.id)?;
            Some((name.clone(), Wish { name, ..read.wish }))
        });
        (wishes.collect(), off.into_iter().map(|(_, read)| read.wish).collect())
    }

    fn read(&self, container: &Container, all: &[Arc<Container>]) -> Option<Read> {
        let options = Options::read(self.kind, container);
        let on = match options.switch {
            Some(on) => on,
            None => options.any || self.kind.is(container),
        };
        if options.switch.is_none() && !on {
            return None;
        }
        let (mut wrong, mut port) = (options.wrong.then_some(Missing::Label), self.kind.port(container));
        if let Some(text) = options.get("port") {
            match text.parse() {
                Ok(number) if number != 0 => port = number,
                _ => wrong = Some(Missing::Label),
            }
        }
        let password_file = options.get("password-file").map(|text| secret::file(&self.secrets, text));
        if password_file == Some(None) {
            wrong = Some(Missing::Secret);
        }
        let postgres = self.kind.part == super::POSTGRES.part;
        let of = &container.environment;
        let text = |key| options.get(key).map(str::to_owned);
        let wish = Wish {
            name: name::plain(options.get("name"), container),
            container: container.name.clone(),
            places: self.places(container, port, all),
            user: text("user"),
            owner: of.postgres_user.clone().filter(|_| postgres),
            database: text("database").or_else(|| of.postgres_database.clone().filter(|_| postgres)),
            password_file: password_file.flatten(),
            password: if postgres { of.postgres_password.clone() } else { of.redis_password.clone() },
            tls: text("tls"),
            asked: options.any,
            running: container.pid.is_some(),
            here: !container.remote,
            memory: container.limits.memory,
            wrong,
            port,
            aliases: container.aliases.clone(),
            folders: self.folders(container),
        };
        Some(Read { wish, on })
    }

    /// Where a container's server may be reached.
    fn places(&self, container: &Container, port: u16, all: &[Arc<Container>]) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        let mut add = |how, host: String, port| {
            let place = Place { how, host, port };
            if !places.iter().any(|known| known.host == place.host && known.port == place.port) {
                places.push(place);
            }
        };
        let pid = container.pid.filter(|pid| self.is_here(*pid, container));
        for folder in self.kind.sockets {
            let Some(pid) = pid else { break };
            let path = self.roots.proc(format!("{pid}/root{folder}"));
            path.to_str().into_iter().for_each(|path| add("socket", path.to_owned(), port));
        }
        let joined = match &container.network {
            Network::Of(id) => all.iter().find(|other| other.id == *id || other.name == *id).map(Arc::as_ref),
            _ => None,
        };
        let network = joined.unwrap_or(container);
        // An engine at tcp:// may be another machine's, and so is its loopback.
        let local = !network.remote || pid.is_some();
        if network.network == Network::Host && container.pid.is_some() && local {
            add("host", Ipv4Addr::LOCALHOST.to_string(), port);
        }
        network.addresses.iter().for_each(|address| add("network", address.to_string(), port));
        for published in network.published.iter().filter(|published| published.port == port) {
            let address = published.address;
            if !local && (address.is_unspecified() || address.is_loopback()) {
                continue;
            }
            let host = if address.is_unspecified() { Ipv4Addr::LOCALHOST.to_string() } else { address.to_string() };
            add("published", host, published.host_port);
        }
        places.truncate(8);
        places
    }

    /// Whether the process is the container's, by its cgroup: numbers of processes are used again, and those of another machine mean nothing
    /// here.
    ///
    /// `0::/system.slice/docker-<id>.scope`
    fn is_here(&self, pid: u32, container: &Container) -> bool {
        let cgroups = std::fs::read(self.roots.proc(format!("{pid}/cgroup")));
        !container.id.is_empty() && cgroups.is_ok_and(|text| memchr::memmem::find(&text, container.id.as_bytes()).is_some())
    }

    /// The host's folders that may hold the server's socket. Not those for data: they may lie on another machine that does not answer.
    fn folders(&self, container: &Container) -> Vec<PathBuf> {
        let holds = |inside: &str| ["/run/", "/var/run/", "/tmp"].iter().any(|place| inside.starts_with(place));
        container.mounts.iter().filter(|(inside, _)| holds(inside)).map(|(_, source)| self.roots.root(source)).collect()
    }
}

struct Read {
    wish: Wish,
    on: bool,
}

/// What the labels of a container say.
#[derive(Debug, Default)]
struct Options<'a> {
    /// `true` or `false`.
    switch: Option<bool>,
    pairs: BTreeMap<&'a str, &'a str>,
    /// Whether there is any label but `false`.
    any: bool,
    wrong: bool,
}

impl<'a> Options<'a> {
    fn read(kind: &Kind, container: &'a Container) -> Self {
        let mut options = Options::default();
        for (key, text) in &container.settings {
            let Some(key) = key.strip_prefix(LABELS).and_then(|key| key.strip_prefix(kind.part)) else { continue };
            let text = text.trim();
            if text.len() > LONGEST || text.contains(char::is_control) {
                // Left out, whatever it says, but for a name, which is cut short.
                if key != ".name" {
                    options.wrong = true;
                }
                options.any = true;
            }
            match key.strip_prefix('.') {
                None if key.is_empty() => options.main(text),
                Some("name") => _ = options.pairs.insert("name", text),
                Some(key) if text.len() <= LONGEST && !text.contains(char::is_control) => options.put(key, text),
                _ => {}
            }
        }
        options
    }

    /// `true`, `false`, or `port=5433 user=monitor`.
    fn main(&mut self, text: &'a str) {
        match text {
            "false" | "0" | "no" | "off" => self.switch = Some(false),
            "true" | "1" | "yes" | "on" | "" => (self.switch, self.any) = (Some(true), true),
            _ => {
                (self.switch, self.any) = (Some(true), true);
                for pair in text.split_ascii_whitespace().take(16) {
                    match pair.split_once('=') {
                        Some((key, text)) => self.put(key, text),
                        None => self.wrong = true,
                    }
                }
            }
        }
    }

    fn put(&mut self, key: &'a str, text: &'a str) {
        // No host: a label chooses how a container is asked, never that something else is. No password: labels are no place for one.
        match key {
            "user" | "database" | "port" | "password-file" | "name" | "tls" => _ = self.pairs.insert(key, text),
            "dbname" => _ = self.pairs.insert("database", text),
            "sslmode" => _ = self.pairs.insert("tls", text),
            _ => self.wrong = true,
        }
        self.any = true;
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.pairs.get(key).copied().filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
#[path = "wish_tests.rs"]
mod tests;
