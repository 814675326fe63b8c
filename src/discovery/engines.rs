//! Which engines are asked, from when on, and until when: those that the settings name, and those whose usual sockets are there.
//!
//! Each engine is a task of its own, so that one which hangs or is gone costs its own names only. The sockets are looked for
//! again and again: what is installed or started later is found later.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{AccessFlags, access};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::directory::{Directory, Shelf};
use super::engine::{self, Address, Product};
use super::transport::Refusal;
use super::{containerd, cri, docker, holdings, streams};
use crate::settings::{Error, Flag, Settings};
use crate::system::Roots;

static ENGINES: Flag = Flag::list(
    "containers.engines",
    &["auto"],
    "Container engines to ask: docker, podman, containerd, cri-o, each with its socket (podman=unix:///path) or by its usual ones; auto: all; none.",
);

/// The flags of the engines.
pub(super) static FLAGS: [&Flag; 1] = [&ENGINES];

/// How often sockets are looked for.
const LOOK: Duration = Duration::from_secs(15);
/// In how many looks a socket is missing before its engine is forgotten: one that restarts makes it anew. One that has answered is not
/// forgotten, since its end is worth an alert; but a user's is, who logs out.
const MISSED: u32 = 2;
/// The most engines that are found by themselves.
const MOST: usize = 64;
/// Pauses between attempts to reach an engine.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];
/// A session that was as long as this was no failure.
const LASTING: Duration = Duration::from_secs(10);

/// An engine and where it listens.
pub(super) type Place = (Product, Address);

/// What the settings want.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Asked whether or not they are there.
    named: Vec<Place>,
    /// Those that are asked where a usual socket of theirs is there.
    usual: Vec<Product>,
    /// Asked where nothing else is.
    default: Option<Address>,
    roots: Roots,
    /// Whether passwords in the containers' settings are kept.
    secrets: bool,
}

impl Wanted {
    /// `None` where there is to be no engine.
    pub(super) fn of(settings: &Settings, secrets: bool) -> Result<Option<Self>, Error> {
        let words = settings.list(&ENGINES);
        let words: Vec<&str> = words.iter().flat_map(|words| words.split(',')).map(str::trim).collect();
        let mut wanted = Wanted { named: Vec::new(), usual: Vec::new(), default: None, roots: Roots::of(settings), secrets };
        for word in words.iter().filter(|word| !matches!(**word, "" | "none")) {
            let (word, address) = word.split_once('=').map_or((*word, None), |(word, address)| (word, Some(address)));
            let products =
                Product::ALL.into_iter().filter(|product| word == product.word() || (word == "auto" && address.is_none()));
            let products: Vec<Product> = products.collect();
            if products.is_empty() {
                let all = Product::ALL.map(Product::word).join(", ");
                return Err(Error::new(format!("{}: {word:?} is none of auto, none, {all}", ENGINES.name)));
            }
            match address {
                None => wanted.usual.extend(products),
                Some(text) => {
                    let address = Address::read(ENGINES.name, text, || Ok(None))?;
                    wanted.named.extend(products.into_iter().zip(address));
                }
            }
        }
        wanted.usual.sort_unstable();
        wanted.usual.dedup();
        if let (Some(Product::Docker), (address, is_given)) = (wanted.usual.first(), engine::docker(settings)?) {
            match (address, is_given) {
                (Some(address), true) => wanted.named.push((Product::Docker, address)),
                (address, _) => wanted.default = address,
            }
            if wanted.default.is_none() {
                wanted.usual.remove(0);
            }
        }
        let protocol =
            |(product, address): &Place| matches!((product, address), (Product::Crio | Product::Containerd, Address::Tcp { .. }));
        if wanted.named.iter().any(protocol) {
            return Err(Error::new(format!("{}: containerd and cri-o are asked by a socket, not at tcp://", ENGINES.name)));
        }
        Ok((!wanted.named.is_empty() || !wanted.usual.is_empty()).then_some(wanted))
    }

    /// Those that are to be asked now.
    pub(super) fn look(&self) -> Vec<Place> {
        let (mut places, mut known) = (self.named.clone(), HashSet::new());
        known.extend(self.named.iter().filter_map(|(_, address)| match address {
            Address::Unix(path) => socket(path),
            Address::Tcp { .. } => None,
        }));
        for product in &self.usual {
            for path in self.sockets(*product) {
                // Docker is asked all the same, to say what is wrong. Others may be there for others: Docker's containerd.
                let may = *product == Product::Docker || access(&path, AccessFlags::W_OK).is_ok();
                if may && places.len() < MOST && socket(&path).is_some_and(|socket| known.insert(socket)) {
                    places.push((*product, Address::Unix(path)));
                }
            }
        }
        if places.is_empty() {
            places.extend(self.default.clone().map(|address| (Product::Docker, address)));
        }
        places
    }

    /// Where an engine usually listens.
    fn sockets(&self, product: Product) -> Vec<PathBuf> {
        match product {
            Product::Docker => {
                let default = match &self.default {
                    Some(Address::Unix(path)) => Some(path.clone()),
                    _ => None,
                };
                default.into_iter().chain([self.roots.root("/run/docker.sock")]).collect()
            }
            Product::Podman => {
                let users = std::fs::read_dir(self.roots.root("/run/user")).into_iter().flatten().filter_map(Result::ok);
                let mut sockets: Vec<_> = users.map(|user| user.path().join("podman/podman.sock")).take(MOST).collect();
                sockets.sort_unstable();
                sockets.insert(0, self.roots.root("/run/podman/podman.sock"));
                sockets
            }
            Product::Crio => vec![self.roots.root("/run/crio/crio.sock")],
            Product::Containerd => vec![self.roots.root("/run/containerd/containerd.sock")],
        }
    }
}

/// Which socket `path` leads to, if to any.
fn socket(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(path).ok().filter(|found| found.file_type().is_socket())?;
    Some((found.dev(), found.ino()))
}

/// An engine that is asked.
struct Watched {
    task: AbortHandle,
    shelf: Shelf,
    /// Whether it ends with a user's session.
    is_of_user: bool,
    missed: u32,
}

/// Asks the engines at `places`, and later those that are there then, for ever.
pub(super) async fn watch(wanted: Wanted, directory: Directory, mut places: Vec<Place>) {
    let users = wanted.roots.root("/run/user");
    let mut watched: HashMap<(Product, String), Watched> = HashMap::new();
    // They end with this.
    let mut tasks = JoinSet::new();
    loop {
        let mut missing: HashSet<_> = watched.keys().cloned().collect();
        for (product, address) in places {
            let key = (product, address.to_string());
            missing.remove(&key);
            let engine = watched.entry(key).or_insert_with_key(|(_, place)| {
                let shelf = directory.shelf(product, place.clone());
                let is_of_user = matches!(&address, Address::Unix(path) if path.starts_with(&users));
                let task = tasks.spawn(ask(product, address, shelf.clone(), wanted.secrets));
                Watched { task, shelf, is_of_user, missed: 0 }
            });
            engine.missed = 0;
        }
        for key in missing {
            let Some(engine) = watched.get_mut(&key) else { continue };
            engine.missed += 1;
            if engine.missed >= MISSED && (engine.is_of_user || !engine.shelf.has_answered()) {
                engine.task.abort();
                engine.shelf.remove();
                watched.remove(&key);
            }
        }
        sleep(LOOK).await;
        while tasks.try_join_next().is_some() {}
        places = wanted.look();
    }
}

/// Keeps `shelf` up to date with one engine, for ever: its containers, and beside them all else that it has.
async fn ask(product: Product, address: Address, shelf: Shelf, secrets: bool) {
    if product.speaks_docker() {
        let containers = ask_containers(product, &address, &shelf, secrets);
        tokio::join!(containers, holdings::follow(&address, &shelf), streams::follow(&address, &shelf));
    } else {
        ask_containers(product, &address, &shelf, secrets).await;
    }
}

async fn ask_containers(product: Product, address: &Address, shelf: &Shelf, secrets: bool) {
    let (mut pause, mut told, mut heard, word) = (PAUSES[0], None, docker::Heard::default(), product.word());
    loop {
        let start = Instant::now();
        let session: Result<Infallible, Refusal> = match product {
            Product::Docker | Product::Podman => docker::session(address, shelf, secrets, &mut heard).await,
            Product::Crio => cri::session(address, shelf).await,
            Product::Containerd => containerd::session(address, shelf, secrets).await,
        };
        let Err(reason) = session.map_err(|refusal| refusal.to_string());
        if std::mem::take(&mut told).as_ref() != Some(&reason) {
            tracing::info!(engine = word, %address, reason, "no names of containers for now");
        }
        // Not for one that ends each session at once, such as a proxy that lets no events through.
        if start.elapsed() > LASTING {
            pause = PAUSES[0];
        }
        shelf.note(|engine| (engine.up, engine.last_error) = (false, Some(reason.clone())));
        told = Some(reason);
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES[1]);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::settings::{Origin, Setting};

    fn wanted(words: &[&str]) -> Result<Option<Wanted>, Error> {
        let mut settings = Settings::default();
        settings.set(&ENGINES, Origin::CommandLine, Setting::List(words.iter().map(|word| (*word).to_owned()).collect()));
        Wanted::of(&settings, false)
    }

    fn looked(wanted: &Wanted) -> Vec<String> {
        wanted.look().iter().map(|(product, address)| format!("{} {address}", product.word())).collect()
    }

    #[test]
    fn settings_name_engines() {
        assert!(wanted(&["none"]).unwrap().is_none() && wanted(&[""]).unwrap().is_none());
        let named = wanted(&["podman=unix:///nonexistent/p.sock", "cri-o=/nonexistent/c.sock,none"]).unwrap().unwrap();
        assert_eq!(looked(&named), ["podman unix:///nonexistent/p.sock", "cri-o unix:///nonexistent/c.sock"]);
        for wrong in ["rkt", "auto=/x", "podman=x", "containerd=tcp://host:1"] {
            assert!(wanted(&[wrong]).unwrap_err().to_string().starts_with("containers.engines: "), "{wrong}");
        }
    }

    #[test]
    fn usual_sockets_are_looked_for_below_the_root() {
        let root = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let mut wanted = wanted(&["auto"]).unwrap().unwrap();
        wanted.roots.root = root.path().into();
        wanted.default = Some(Address::Unix(root.path().join("docker.sock")));
        let of = |product: &str, path: &str| format!("{product} unix://{}/{path}", root.path().display());
        assert_eq!(looked(&wanted), [of("docker", "docker.sock")], "nothing is there: Docker is told to be missing");
        let listen = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            UnixListener::bind(path).unwrap()
        };
        let _podman = [listen("run/user/1000/podman/podman.sock"), listen("run/podman/podman.sock")];
        let podman = ["run/podman/podman.sock", "run/user/1000/podman/podman.sock"].map(|path| of("podman", path));
        assert_eq!(looked(&wanted), podman);
        let _others = [listen("run/containerd/containerd.sock"), listen("run/crio/crio.sock"), listen("docker.sock")];
        std::fs::hard_link(root.path().join("docker.sock"), root.path().join("run/docker.sock")).unwrap();
        let rest = [of("cri-o", "run/crio/crio.sock"), of("containerd", "run/containerd/containerd.sock")];
        assert_eq!(looked(&wanted), [&[of("docker", "docker.sock")][..], &podman[..], &rest[..]].concat());
    }
}
