//! Servers on this host that nobody named: those that answer on the usual sockets, or else on the usual port.
//!
//! They are signed in to without a password, so whatever listens there learns no secret. A server once found stays: when it goes down, that
//! is what should be seen.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::system::Roots;

/// How often to look.
pub(super) const EVERY: Duration = Duration::from_secs(30);

/// Where servers have their sockets. The first is often a link to the second, which an absolute link cannot be below another root.
const FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

const PORT: u16 = 5432;

/// What answers now: name, host (a leading slash: folder of a socket) and port.
pub(super) async fn look(roots: &Roots) -> BTreeMap<String, (String, u16)> {
    let mut found = BTreeMap::new();
    for folder in FOLDERS.map(|folder| roots.root(folder)) {
        for port in ports(&folder) {
            let socket = folder.join(format!(".s.PGSQL.{port}"));
            let name = if port == PORT { "local".to_owned() } else { format!("local:{port}") };
            if let (Some(folder), false, true) =
                (folder.to_str(), found.contains_key(&name), answers(UnixStream::connect(socket)).await)
            {
                found.insert(name, (folder.to_owned(), port));
            }
        }
    }
    // The same server mostly listens on both.
    if !found.contains_key("local") && answers(TcpStream::connect(("127.0.0.1", PORT))).await {
        found.insert(format!("localhost:{PORT}"), ("127.0.0.1".to_owned(), PORT));
    }
    found
}

async fn answers<T>(connect: impl Future<Output = std::io::Result<T>>) -> bool {
    timeout(Duration::from_secs(1), connect).await.is_ok_and(|connected| connected.is_ok())
}

/// The ports of the sockets in `folder`, a few at most.
fn ports(folder: &Path) -> Vec<u16> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let port = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_prefix(".s.PGSQL.")?.parse().ok();
    let mut ports: Vec<u16> = entries.take(10_000).filter_map(Result::ok).filter_map(port).collect();
    ports.sort_unstable();
    ports.truncate(16);
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_answer_are_found_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("run/postgresql");
        std::fs::create_dir_all(&folder).unwrap();
        for stale in [".s.PGSQL.5432", ".s.PGSQL.5433.lock", ".s.PGSQL.x"] {
            std::fs::write(folder.join(stale), "").unwrap();
        }
        let _listener = std::os::unix::net::UnixListener::bind(folder.join(".s.PGSQL.6000")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut found = runtime.block_on(look(&Roots { root: dir.path().into(), ..Roots::default() }));
        found.remove("localhost:5432");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("local:6000".to_owned(), (folder.to_str().unwrap().to_owned(), 6000))]
        );
    }
}
