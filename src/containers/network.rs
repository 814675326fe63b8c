//! /proc/<pid>/net/dev of one process of each container: traffic by interface, once for each network namespace.
//!
//! cAdvisor repeats the host's counters in each container with `--network host`, and another container's with
//! `--network container:x`, so that sums count them twice. Here a namespace belongs to the host if it is the host's, else to
//! its oldest container that was not told to join another's.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::system::text::{fields, lines, number, pair};

/// One interface's counters: received bytes, packets, errors, dropped; then the same sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) counters: [u64; 8],
}

/// One scrape's look at the network, through one buffer (`read_to_end` asks each time how long the file is and where it stands).
#[derive(Debug, Default)]
pub(super) struct Network {
    seen: Vec<(u64, u64)>,
    text: Vec<u8>,
}

impl Network {
    /// Forgets the namespaces of the last scrape.
    pub(super) fn clear(&mut self) {
        self.seen.clear();
    }

    /// Reads the interfaces that a process sees from its `net/dev`, and tells whether its namespace is shown thereby; none if it had its turn
    /// already, or if it is gone.
    ///
    /// Namespaces are told apart by the file's own inode: unlike /proc/<pid>/ns/net it needs no right to trace the process. The
    /// file is not kept open, as that would keep a dead container's namespace alive.
    pub(super) fn read(&mut self, path: &Path, interfaces: &mut Vec<Interface>) -> bool {
        interfaces.clear();
        let Ok(mut file) = File::open(path) else { return false };
        let Ok(metadata) = file.metadata() else { return false };
        let namespace = (metadata.dev(), metadata.ino());
        if self.seen.contains(&namespace) {
            return false;
        }
        let mut length = 0;
        loop {
            if length == self.text.len() {
                self.text.resize((2 * length).max(4096), 0);
            }
            match file.read(self.text.get_mut(length..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.seen.push(namespace);
        parse(self.text.get(..length).unwrap_or_default(), interfaces);
        true
    }
}

/// `  eth0: 1296 16 0 0 0 0 0 0 936 12 0 0 0 0 0 0`, below two lines of headings
fn parse(text: &[u8], interfaces: &mut Vec<Interface>) {
    for (name, values) in lines(text).skip(2).filter_map(|line| pair(line, b':')) {
        let (mut columns, mut filled) = ([0; 16], 0);
        for (column, value) in columns.iter_mut().zip(fields(values).map_while(number)) {
            *column = value;
            filled += 1;
        }
        let [r0, r1, r2, r3, _, _, _, _, t0, t1, t2, t3, ..] = columns;
        let name = String::from_utf8_lossy(name);
        if filled == columns.len() && !is_internal(&name) {
            interfaces.push(Interface { name: name.into_owned(), counters: [r0, r1, r2, r3, t0, t1, t2, t3] });
        }
    }
}

/// cAdvisor's rule: loopback, and the host's ends of containers' networks.
fn is_internal(name: &str) -> bool {
    let starts = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    ["lo", "veth", "docker", "nerdctl"].into_iter().any(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0
  eth0:1296 16 1 2 3 4 5 6 936 12 7 8 9 10 11 12
docker0: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
 short: 1 2 3
";

    #[test]
    fn a_namespace_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["a", "b", "c"].map(|name| dir.path().join(name));
        std::fs::write(&paths[0], TEXT).unwrap();
        std::fs::hard_link(&paths[0], &paths[1]).unwrap();
        std::fs::write(&paths[2], TEXT).unwrap();
        let mut network = Network::default();
        let mut read = |path: &Path| {
            let mut interfaces = vec![Interface::default()];
            network.read(path, &mut interfaces);
            interfaces
        };
        let expected = vec![Interface { name: "eth0".into(), counters: [1296, 16, 1, 2, 936, 12, 7, 8] }];
        assert_eq!(paths.each_ref().map(|path| read(path)), [expected.clone(), vec![], expected]);
        assert_eq!(read(Path::new("/nonexistent")), []);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, near in "\n\n([a-z]{1,8}:|[0-9]{1,21}| |\n){0,60}") {
            parse(&text, &mut Vec::new());
            parse(near.as_bytes(), &mut Vec::new());
        }
    }
}
