//! What is read of a cgroup: files, and where their numbers go.

use std::borrow::Cow;

use super::super::sets::Set;
use super::stats::{Pages, Stats};

/// A tree of v1 that has numbers for us, or the one tree of v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Cpu,
    Cpuacct,
    Cpuset,
    Memory,
    Blkio,
    Pids,
    Hugetlb,
    Unified,
}

impl Controller {
    /// A mount option of a v1 tree.
    pub(super) fn of_v1(option: &[u8]) -> Option<Self> {
        Some(match option {
            b"cpu" => Controller::Cpu,
            b"cpuacct" => Controller::Cpuacct,
            b"cpuset" => Controller::Cpuset,
            b"memory" => Controller::Memory,
            b"blkio" => Controller::Blkio,
            b"pids" => Controller::Pids,
            b"hugetlb" => Controller::Hugetlb,
            _ => return None,
        })
    }
}

/// A file that each cgroup of a controller may have.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub(super) controller: Controller,
    /// The set that the file is read for; `None`: always.
    pub(super) set: Option<Set>,
    pub(super) file: Cow<'static, str>,
    parse: Parse,
}

#[derive(Clone, Copy, Debug)]
enum Parse {
    Stats(fn(&[u8], &mut Stats)),
    /// Of huge pages of the size with that index.
    Pages(usize, fn(&[u8], &mut Pages)),
}

impl Attribute {
    /// A file that every kernel calls the same.
    pub(super) const fn new(controller: Controller, set: Option<Set>, file: &'static str, parse: fn(&[u8], &mut Stats)) -> Self {
        Attribute { controller, set, file: Cow::Borrowed(file), parse: Parse::Stats(parse) }
    }

    /// A file of huge pages of one size.
    pub(super) const fn of_pages(controller: Controller, file: String, size: usize, parse: fn(&[u8], &mut Pages)) -> Self {
        Attribute { controller, set: Some(Set::Hugetlb), file: Cow::Owned(file), parse: Parse::Pages(size, parse) }
    }

    /// Takes the numbers of the file's text.
    pub(super) fn parse(&self, text: &[u8], stats: &mut Stats) {
        match self.parse {
            Parse::Stats(parse) => parse(text, stats),
            Parse::Pages(size, parse) => {
                if let Some(pages) = stats.pages(size) {
                    parse(text, pages);
                }
            }
        }
    }
}
