//! Speed and duplex for the collector `netclass`: from one ethtool dump, and from sysfs where the kernel or a driver leaves something out.

use super::netclass::is_up;
use super::netclass_files as files;
use crate::system::{Link, LinkMode, System};

/// Where speed and duplex come from.
#[derive(Default)]
pub(super) struct Modes {
    list: Vec<LinkMode>,
    /// Whether an interface that is not in the list has no speed, rather than that the list is not complete.
    complete: bool,
}

impl Modes {
    /// Asks for the speeds of this scrape.
    pub(super) fn ask(&mut self, system: &mut System) {
        // Linux before 5.6, or built without it, has no such dump.
        self.complete = system.link_modes(&mut self.list).is_ok_and(|asked| asked.is_some());
        self.list.sort_unstable_by_key(|mode| mode.index);
    }

    /// Speed and duplex of `link`. The files of sysfs can only be read while the interface is up.
    pub(super) fn of(&self, link: &Link, rtnl_shape: bool, system: &System) -> (Option<i64>, String) {
        if !(is_up(link) || rtnl_shape) {
            return (None, String::new());
        }
        let listed = self.list.binary_search_by_key(&link.index, |mode| mode.index).ok().and_then(|at| self.list.get(at));
        match listed {
            Some(mode) => (Some(i64::from(mode.speed)), duplex(mode.duplex, rtnl_shape).to_owned()),
            None if self.complete => (None, String::new()),
            None => files::speed_and_duplex(&link.name, system),
        }
    }
}

fn duplex(duplex: u8, rtnl_shape: bool) -> &'static str {
    match (duplex, rtnl_shape) {
        (0, false) => "half",
        (1, false) => "full",
        (_, false) => "unknown",
        (0, true) => "Half",
        (1, true) => "Full",
        (_, true) => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_come_from_the_dump_unless_it_broke_off() {
        let link = |index, flags: i32| Link { index, flags: flags.cast_unsigned(), name: "none".into(), ..Link::default() };
        let list = vec![LinkMode { index: 2, speed: 10_000, duplex: 1 }];
        let modes = Modes { list, complete: true };
        let (system, full) = (System::default(), "full".to_owned());
        assert_eq!(modes.of(&link(2, libc::IFF_UP), false, &system), (Some(10_000), full));
        assert_eq!(modes.of(&link(2, 0), false, &system), (None, String::new()));
        assert_eq!(modes.of(&link(3, libc::IFF_UP), false, &system), (None, String::new()));
        // Then the files are asked.
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("class/net/none")).unwrap();
        std::fs::write(dir.path().join("class/net/none/speed"), "100\n").unwrap();
        let system = System::new(crate::system::Roots { sys: dir.path().into(), ..Default::default() });
        let broken = Modes { complete: false, ..modes };
        assert_eq!(broken.of(&link(3, libc::IFF_UP), false, &system), (Some(100), String::new()));
    }
}
