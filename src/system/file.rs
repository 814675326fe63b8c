//! Reading small kernel files through one buffer.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use super::{Bus, Fault, Roots};

/// The most that is read of one file. The largest honest ones (/proc/interrupts of a big host, zoneinfo) stay well below.
const LIMIT: usize = 64 * 1024 * 1024;

/// A read begins with at least `LEAST` bytes of buffer and at most `MOST`, so that one large file does not have the buffer cleared at its
/// size for every small one that follows.
const LEAST: usize = 16 * 1024;
const MOST: usize = 128 * 1024;

/// Whether an error means that what we wanted to read is gone or was never there: ENOENT and ENOTDIR (no such path),
/// ENODEV (a cgroup or a device that died while its file was open), ESRCH (a process that died likewise),
/// ENXIO and EOPNOTSUPP (a driver without that attribute).
pub fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESRCH | libc::ENXIO | libc::EOPNOTSUPP)
    )
}

/// One thread's access to the host: the roots, one buffer for the kernel's text files, the files of /proc that stay open, and the bus.
#[derive(Debug, Default)]
pub struct System {
    /// Where /proc, /sys and / are.
    pub roots: Roots,
    /// When the page leaves; what may be late gives up well before.
    pub deadline: Option<Instant>,
    /// The mounts that calls hang at, by the name of who made them: so that no other call is made there.
    pub hung: Vec<(&'static str, u64)>,
    /// The host's message bus.
    pub bus: Bus,
    buffer: Vec<u8>,
    kept: HashMap<(Tree, &'static str), File>,
    /// What was read in this scrape for more than one collector.
    shared: HashMap<&'static str, Vec<u8>>,
    pub(super) sockets: super::sockets::Sockets,
    pub(super) links: super::links::Kept,
}

/// Which tree a kept file's name is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tree {
    Proc,
    Net,
}

impl System {
    /// Reads below `roots`.
    pub fn new(roots: Roots) -> Self {
        System { bus: Bus::of(&roots), roots, ..System::default() }
    }

    /// Begins a scrape that ends at `deadline`: what its collectors share is asked for anew.
    pub fn begin(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
        self.links.fresh = false;
        self.shared.clear();
        self.buffer.truncate(MOST);
        self.buffer.shrink_to(MOST);
    }

    /// The bytes of `/proc/<path>`, which is kept open. For the few files whose names are fixed.
    pub fn proc(&mut self, path: &'static str) -> Result<&[u8], Fault> {
        self.keep(Tree::Proc, path)
    }

    /// As [`proc`](Self::proc), read once in a scrape: for a file that more than one collector asks for.
    pub fn shared(&mut self, path: &'static str) -> Result<&[u8], Fault> {
        if !self.shared.contains_key(path) {
            let text = self.proc(path)?.to_vec();
            self.shared.insert(path, text);
        }
        Ok(self.shared.get(path).map_or(&[], Vec::as_slice))
    }

    /// The bytes of `/proc/net/<file>` of the host's network namespace ([`Roots::net`]), which is kept open.
    pub fn net(&mut self, file: &'static str) -> Result<&[u8], Fault> {
        self.keep(Tree::Net, file)
    }

    /// The bytes of `/sys/<path>`.
    pub fn sys(&mut self, path: impl AsRef<Path>) -> Result<&[u8], Fault> {
        let path = self.roots.sys(path);
        self.read(&path)
    }

    /// The bytes of any file, opened for this one read.
    pub fn read(&mut self, path: &Path) -> Result<&[u8], Fault> {
        let read = File::open(path).and_then(|file| fill(&mut self.buffer, &file));
        match read {
            Ok(()) => Ok(&self.buffer),
            Err(error) => Err(Fault::read(path, error)),
        }
    }

    /// As [`read`](Self::read), with one single `read(2)` of at most a page: what sysfs attributes need, some of whose
    /// drivers answer a second read with EAGAIN for ever.
    pub fn attribute(&mut self, path: &Path) -> Result<&[u8], Fault> {
        self.buffer.resize(4096, 0);
        let read = File::open(path).and_then(|mut file| file.read(&mut self.buffer));
        match read {
            Ok(length) => Ok(self.buffer.get(..length).unwrap_or_default().trim_ascii()),
            Err(error) => Err(Fault::read(path, error)),
        }
    }

    fn keep(&mut self, tree: Tree, name: &'static str) -> Result<&[u8], Fault> {
        let key = (tree, name);
        if let Some(file) = self.kept.get(&key) {
            match fill(&mut self.buffer, file) {
                Ok(()) => return Ok(&self.buffer),
                // The file we hold is not the one that is there now (a module was loaded anew): open it again.
                Err(_) => self.kept.remove(&key),
            };
        }
        let path = match tree {
            Tree::Proc => self.roots.proc(name),
            Tree::Net => self.roots.net(name),
        };
        let file = File::open(&path).map_err(|error| Fault::read(&path, error))?;
        fill(&mut self.buffer, &file).map_err(|error| Fault::read(&path, error))?;
        self.kept.insert(key, file);
        Ok(&self.buffer)
    }
}

/// Reads all of `file` from its start into `buffer`. A short read of a kernel file is not its end: only 0 bytes are.
fn fill(buffer: &mut Vec<u8>, file: &File) -> io::Result<()> {
    let mut length = 0;
    buffer.resize(buffer.capacity().clamp(LEAST, MOST), 0);
    loop {
        if length == buffer.len() {
            if length >= LIMIT {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
            }
            buffer.resize(length * 2, 0);
        }
        match file.read_at(buffer.get_mut(length..).unwrap_or_default(), length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_read_once_in_a_scrape() {
        let dir = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(dir.path().join("stat"), text).unwrap();
        let mut system = System::new(Roots { proc: dir.path().into(), ..Roots::default() });
        assert!(system.shared("stat").unwrap_err().is_absence());
        for text in ["first", "second"] {
            system.begin(Instant::now());
            write(text);
            assert_eq!(system.shared("stat").unwrap(), text.as_bytes());
            write("later");
            assert_eq!(system.shared("stat").unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn reads_whole_files_and_names_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![b'x'; 1_000_000];
        std::fs::write(dir.path().join("long"), &long).unwrap();
        std::fs::write(dir.path().join("attribute"), b" 42\n").unwrap();
        let mut system = System::new(Roots { proc: dir.path().into(), sys: dir.path().into(), ..Roots::default() });
        assert_eq!(system.proc("long").unwrap(), long);
        assert_eq!(system.proc("long").unwrap(), long);
        assert_eq!(system.sys("attribute").unwrap(), b" 42\n");
        assert_eq!(system.attribute(&dir.path().join("attribute")).unwrap(), b"42");
        let fault = system.proc("none").unwrap_err();
        assert!(fault.is_absence() && fault.to_string().contains("none"), "{fault}");
        assert!(system.buffer.capacity() > MOST);
        system.begin(Instant::now());
        assert!(system.buffer.capacity() <= MOST, "what a large file needed is given back");
    }
}
