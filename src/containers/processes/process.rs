//! One process: /proc/<pid>/fd, schedstat, smaps_rollup, limits.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::history::Schedule;
use crate::system::text::{fields, lines, number, pair};

/// What a process has open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) files: u64,
    /// Of these.
    pub(super) sockets: u64,
}

/// Counts what is open: the links in `fd`, and those to `socket:[4711]`. Needs the right to trace the process.
pub(super) fn open(process: &Path) -> io::Result<Open> {
    let mut open = Open::default();
    for entry in std::fs::read_dir(process.join("fd"))? {
        let path = entry?.path();
        open.files += 1;
        // One that was closed meanwhile is no socket any more.
        let is_socket = std::fs::read_link(path).is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"socket"));
        open.sockets += u64::from(is_socket);
    }
    Ok(open)
}

/// `215834412 9482745 1043`: nanoseconds run, nanoseconds waited, times run, of its first thread
pub(super) fn schedule(text: &[u8]) -> Option<Schedule> {
    let mut numbers = fields(text).map(number);
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// `Referenced:          716 kB`: once in smaps_rollup, for each mapping in smaps
pub(super) fn referenced(text: &[u8]) -> u64 {
    let of_line = |line| pair(line, b':').filter(|(key, _)| *key == b"Referenced").map(|(_, value)| value);
    let kilobytes = |value: &[u8]| fields(value).next().and_then(number::<u64>);
    let sum = lines(text).filter_map(of_line).filter_map(kilobytes).fold(0, u64::saturating_add);
    sum.saturating_mul(1024)
}

/// `Max open files            1024                 1048576              files`: the first is what holds; -1 where it is `unlimited`
pub(super) fn most_files(text: &[u8]) -> Option<i64> {
    let soft = lines(text).find_map(|line| fields(line.strip_prefix(b"Max open files")?).next())?;
    if soft == b"unlimited" { Some(-1) } else { number(soft) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        assert_eq!(schedule(b"215834412 9482745 1043\n"), Some([215_834_412, 9_482_745, 1043]));
        assert_eq!(schedule(b"1 2\n"), None);
        assert_eq!(referenced(b"55d0-7ffc ---p 00000000 00:00 0  [rollup]\nRss:  884 kB\nReferenced:   716 kB\n"), 716 * 1024);
        assert_eq!(referenced(b"Referenced: 4 kB\nReferenced: 8 kB\nReferenced: x kB\n"), 12 * 1024);
        let limits = b"Limit                     Soft Limit           Hard Limit           Units     \n\
            Max cpu time              unlimited            unlimited            seconds   \n\
            Max open files            1024                 1048576              files     \n";
        assert_eq!(most_files(limits), Some(1024));
        assert_eq!(most_files(b"Max open files unlimited unlimited files\n"), Some(-1));
        assert_eq!(most_files(b""), None);
    }

    #[test]
    fn sockets_are_told_from_other_files() {
        let before = open(Path::new("/proc/self")).unwrap();
        let _held = std::os::unix::net::UnixDatagram::pair().unwrap();
        let after = open(Path::new("/proc/self")).unwrap();
        // Other tests of this process open and close files meanwhile, sockets none.
        assert!(after.sockets >= before.sockets + 2 && after.files >= after.sockets, "{before:?}, {after:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, near in "(Referenced:|Max open files|unlimited|[0-9]{1,22}| |\n| kB){0,30}") {
            for text in [&text, near.as_bytes()] {
                schedule(text);
                referenced(text);
                most_files(text);
            }
        }
    }
}
