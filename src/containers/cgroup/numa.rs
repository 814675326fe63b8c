//! memory.numa_stat: on which node of the machine a cgroup's memory is.

use super::stats::{Numa, Stats};
use crate::system::text::{fields, lines, number};

const TYPES: [&str; 3] = ["file", "anon", "unevictable"];

/// `hierarchical_file=7798 N0=7798 N1=0` of v1: pages, of the cgroup alone and (`hierarchical_`) with all below it
pub(super) fn v1(text: &[u8], stats: &mut Stats) {
    for line in lines(text) {
        let (scope, line) = match line.strip_prefix(b"hierarchical_") {
            Some(rest) => ("hierarchy", rest),
            None => ("container", line),
        };
        let Some(at) = memchr::memchr(b'=', line) else { continue };
        nodes(line.get(..at).unwrap_or_default(), scope, line, 1, &mut stats.numa);
    }
}

/// `file N0=31940608 N1=0` of v2: bytes, with all below it
pub(super) fn v2(text: &[u8], stats: &mut Stats) {
    if !stats.numa.is_empty() {
        return;
    }
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    let page = page.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096);
    for line in lines(text) {
        nodes(fields(line).next().unwrap_or_default(), "hierarchy", line, page, &mut stats.numa);
    }
}

/// The words `N0=7798` of a line.
fn nodes(kind: &[u8], scope: &'static str, line: &[u8], unit: u64, numa: &mut Vec<Numa>) {
    let Some(kind) = TYPES.into_iter().find(|known| known.as_bytes() == kind) else { return };
    for word in fields(line).skip(1) {
        let Some(at) = memchr::memchr(b'=', word) else { continue };
        let node = word.get(..at).and_then(|node| node.strip_prefix(b"N")).and_then(number);
        if let (Some(node), Some(value)) = (node, word.get(at + 1..).and_then(number::<u64>)) {
            numa.push(Numa { kind, scope, node, pages: value.checked_div(unit).unwrap_or(value) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_both_versions() {
        let mut stats = Stats::default();
        v1(b"total=9 N0=9\nfile=5 N0=5 N1=2\nhierarchical_anon=4 N0=4\nhierarchical_total=1 N0=1\n", &mut stats);
        let numa = |kind, scope, node, pages| Numa { kind, scope, node, pages };
        let expected = [numa("file", "container", 0, 5), numa("file", "container", 1, 2), numa("anon", "hierarchy", 0, 4)];
        assert_eq!(stats.numa, expected);
        let text = b"anon N0=8192 N1=0\nfile_mapped N0=4096\nunevictable N0=0\n";
        v2(text, &mut stats);
        assert_eq!(stats.numa, expected, "v1 is believed first");
        let mut stats = Stats::default();
        v2(text, &mut stats);
        let page = 8192 / u64::try_from(nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).unwrap().unwrap()).unwrap();
        assert_eq!(stats.numa[0], numa("anon", "hierarchy", 0, page));
        assert_eq!(stats.numa.len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, words in "(hierarchical_|file|anon|=|N[0-9]{1,11}| |\n|[0-9]{1,22}){0,40}") {
            let mut stats = Stats::default();
            for text in [&text, words.as_bytes()] {
                v1(text, &mut stats);
                v2(text, &mut stats);
            }
        }
    }
}
