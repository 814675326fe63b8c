//! What one container takes on disk: the folder of what it wrote, the engine's folder for it, its log files.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::sys::statfs::statfs;

use super::mounts::{Mount, holds, upper};
use super::thread::Pace;
use super::walk::walk;
use crate::discovery::{Container, Usage};
use crate::system::Roots;

/// Where a container's files are, by the host's paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    id: String,
    /// What it wrote.
    layer: Option<PathBuf>,
    /// What its engine keeps for it.
    folder: Option<PathBuf>,
    /// The log file that is written now.
    log: Option<PathBuf>,
    /// A process of it, and whether that may tell where the layer is.
    pid: Option<u32>,
}

impl Place {
    /// As the engine tells; of what it does not, `before` is true still.
    pub(super) fn of(container: &Container, before: Option<&Place>) -> Self {
        let storage = &container.storage;
        let layer = storage.upper.as_ref().map(PathBuf::from);
        let folder = storage.folder.as_ref().map(PathBuf::from).or_else(|| beside(layer.as_deref()?, &container.id));
        let log = Some(PathBuf::from(&container.log.path)).filter(|path| path.is_absolute());
        // Docker does not tell of the files of its driver `local`.
        let local =
            || folder.as_ref().filter(|_| container.log.driver == "local").map(|folder| folder.join("local-logs/container.log"));
        let log = log.or_else(local);
        let (known, id) = (before.and_then(|before| before.layer.clone()), container.id.clone());
        Place { id, layer: layer.or(known), folder, log, pid: container.pid }
    }

    /// Asks a process of the container where its layer is, if nobody told. Its number may be another's by now.
    pub(super) fn find_layer(&mut self, roots: &Roots) {
        let (None, Some(pid)) = (&self.layer, self.pid) else { return };
        let of_process = |file: &str| std::fs::read(roots.proc(format!("{pid}/{file}"))).unwrap_or_default();
        let mountinfo = of_process("mountinfo");
        if memchr::memmem::find(&of_process("cgroup"), self.id.as_bytes()).is_some() {
            self.layer = upper(&mountinfo);
        }
    }

    /// Measures all of it. `None` if there is nothing to measure.
    pub(super) fn measure(&self, roots: &Roots, mounts: &[Mount], pace: &mut Pace) -> Option<Usage> {
        let mut usage = Usage::default();
        if let Some(path) = &self.layer {
            let below = roots.root(path);
            usage.layer = walk(&below, pace).ok();
            let size = statfs(&below).map(|found| found.blocks().saturating_mul(u64::try_from(found.block_size()).unwrap_or(0)));
            usage.file_system = holds(mounts, path).map(Mount::device).zip(size.ok());
        }
        if let Some(folder) = &self.folder {
            usage.folder = walk(&roots.root(folder), pace).unwrap_or_default();
        }
        usage.logs = self.log.as_ref().and_then(|log| logs(&roots.root(log), pace));
        let is_inside = self.log.iter().zip(&self.folder).any(|(log, folder)| log.starts_with(folder));
        usage.folder.bytes = usage.folder.bytes.saturating_add(usage.logs.filter(|_| !is_inside).unwrap_or(0));
        usage.measured = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        (usage.layer.is_some() || usage.folder.inodes != 0 || usage.logs.is_some()).then_some(usage)
    }
}

/// Podman's folder of a container, beside its layer `<root>/overlay/<layer>/diff`: `<root>/overlay-containers/<id>`.
fn beside(layer: &Path, id: &str) -> Option<PathBuf> {
    let driver = layer.ancestors().nth(2)?;
    let name = driver.file_name()?.to_str()?;
    (name == "overlay").then(|| driver.with_file_name("overlay-containers").join(id))
}

/// The lengths of a log and of those that were rotated away, `<log>.1`, `<log>.2.gz`; `None` where there is none at all.
fn logs(log: &Path, pace: &mut Pace) -> Option<u64> {
    let name = log.file_name()?.as_bytes();
    let mut found = None;
    for entry in std::fs::read_dir(log.parent()?).ok()?.filter_map(Result::ok) {
        pace.step();
        if is_part(entry.file_name().as_bytes(), name) {
            // Of what has just been rotated away there is no more.
            let Ok(metadata) = entry.metadata() else { continue };
            found = Some(found.unwrap_or(0_u64).saturating_add(metadata.len()));
        }
    }
    found
}

/// Whether a file is the log `name`, or one that was rotated away.
fn is_part(file: &[u8], name: &[u8]) -> bool {
    let Some(rest) = file.strip_prefix(name) else { return false };
    let number = rest.strip_suffix(b".gz").unwrap_or(rest);
    rest.is_empty() || number.strip_prefix(b".").is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_logs_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        for (name, length) in [
            ("a-json.log", 10),
            ("a-json.log.1", 100),
            ("a-json.log.12.gz", 1_000),
            ("a-json.log.tmp", 7),
            ("b-json.log", 7),
            ("a-json.log.", 7),
        ] {
            std::fs::write(folder.path().join(name), vec![b'x'; length]).unwrap();
        }
        assert_eq!(logs(&folder.path().join("a-json.log"), &mut Pace::of_test()), Some(1_110));
        assert_eq!(logs(&folder.path().join("c"), &mut Pace::of_test()), None);
        assert_eq!(logs(&folder.path().join("absent/c"), &mut Pace::of_test()), None);
    }

    #[test]
    fn podman_keeps_a_folder_beside() {
        let layer = Path::new("/var/lib/containers/storage/overlay/5c/diff");
        assert_eq!(beside(layer, "0af3").unwrap(), Path::new("/var/lib/containers/storage/overlay-containers/0af3"));
        assert_eq!(beside(Path::new("/var/lib/docker/overlay2/5c/diff"), "0af3"), None);
    }

    #[test]
    fn a_process_tells_only_of_its_own_container() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir(proc.path().join("7")).unwrap();
        let write = |file: &str, text: &str| std::fs::write(proc.path().join("7").join(file), text).unwrap();
        write("mountinfo", "1 2 0:52 / / rw - overlay overlay rw,upperdir=/u\n");
        write("cgroup", "0::/docker/0af3\n");
        let roots = Roots { proc: proc.path().into(), ..Roots::default() };
        let layer = |id: &str| {
            let mut place = Place::of(&Container { id: id.into(), pid: Some(7), ..Container::default() }, None);
            place.find_layer(&roots);
            Place::of(&Container { id: id.into(), ..Container::default() }, Some(&place)).layer
        };
        assert_eq!([layer("0af3"), layer("1bf4")], [Some(PathBuf::from("/u")), None]);
    }
}
