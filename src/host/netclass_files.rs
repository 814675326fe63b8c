//! `/sys/class/net/<interface>/*` for the collector `netclass`: all of it where netlink cannot tell, and what only sysfs knows.

use std::collections::HashMap;

use super::filter::Filter;
use super::netclass::{FIELDS, Interface, admin_state};
use crate::system::{Fault, Folder, Link, System, text};

/// What rtnetlink does not tell of an interface.
#[derive(Clone, Copy, Default)]
pub(super) struct Facts {
    pub(super) address_assign_type: Option<i64>,
    pub(super) device_id: Option<i64>,
    pub(super) name_assign_type: Option<i64>,
}

/// Reads [`Facts`].
pub(super) fn facts(name: &str, system: &System) -> Facts {
    let folder = folder(name, system);
    let value = |file| folder.as_ref().and_then(|folder| value(folder, file));
    Facts {
        address_assign_type: value("addr_assign_type"),
        device_id: value("dev_id"),
        name_assign_type: value("name_assign_type"),
    }
}

/// Whether sysfs shows the interfaces of `links`: none of them contradicts, and one that is not a loopback agrees, or there is nothing else.
///
/// sysfs shows the network namespace of whoever mounted it, which need not be the one that our netlink answers for.
pub(super) fn show(links: &[Link], system: &System) -> Result<bool, Fault> {
    let mut agrees = false;
    for link in links {
        let Some(folder) = folder(&link.name, system) else { continue };
        let (Some(index), Some(address)) = (value(&folder, "ifindex"), folder.label("address")) else { continue };
        if index != i64::from(link.index) || address != link.address.to_string() {
            return Ok(false);
        }
        agrees |= i64::from(link.flags) & i64::from(libc::IFF_LOOPBACK) == 0;
    }
    let names = names(system)?;
    Ok(agrees || names.iter().all(|name| links.iter().any(|link| link.name == *name)))
}

/// So many interfaces are read whole in one scrape, whether anything happened to them or not.
const WHOLE: usize = 256;

/// What was read of the files, in the order of names.
///
/// Each interface has 22 files, and opening, reading and closing them is all that this collector costs. A link that comes, goes or is
/// negotiated anew, whatever its speed then is, shows in three of them; the others say what an administrator set, which few hosts
/// change from one scrape to the next. Up to [`WHOLE`] interfaces everything is read in every scrape; where there are more, those to which
/// something happened, and so many others in turn.
#[derive(Default)]
pub(super) struct Files {
    known: Vec<(String, State)>,
    /// The place of the first one whose turn it is.
    next: usize,
}

/// What shows that something happened to an interface.
#[derive(PartialEq)]
struct State {
    inode: Option<u64>,
    operstate: Option<String>,
    flags: Option<i64>,
    /// Counts the gains and losses of the carrier, each of which `carrier_up_count` and `carrier_down_count` count apart.
    carrier_changes: Option<i64>,
}

impl State {
    fn read(folder: &Folder) -> Self {
        State {
            inode: folder.inode(),
            operstate: folder.label("operstate"),
            flags: value(folder, "flags"),
            carrier_changes: value(folder, "carrier_changes"),
        }
    }
}

impl Files {
    /// Fills `interfaces`, which hold what the last call left there, with all that pass the filter. One that vanishes meanwhile costs
    /// itself.
    pub(super) fn read(&mut self, filter: &mut Filter, system: &System, interfaces: &mut Vec<Interface>) -> Result<(), Fault> {
        let known = self.known.drain(..).zip(interfaces.drain(..));
        let mut before: HashMap<_, _> = known.map(|((name, state), interface)| (name, (state, interface))).collect();
        let mut names = names(system)?;
        names.retain(|name| filter.passes(name));
        let count = names.len().max(1);
        self.next %= count;
        for (at, name) in names.into_iter().enumerate() {
            let Some(folder) = folder(&name, system) else { continue };
            let state = State::read(&folder);
            let its_turn = (at + count - self.next) % count < WHOLE;
            let interface = match before.remove(&name) {
                Some((last, interface)) if last == state && !its_turn => Some(interface),
                _ => interface(&name, &folder, &state),
            };
            if let Some(interface) = interface {
                self.known.push((name, state));
                interfaces.push(interface);
            }
        }
        self.next += WHOLE;
        Ok(())
    }
}

fn interface(name: &str, folder: &Folder, state: &State) -> Option<Interface> {
    let mut interface = Interface::default();
    for ((_, file), value) in FIELDS.iter().zip(&mut interface.values) {
        *value = match *file {
            "flags" => state.flags,
            "carrier_changes" => state.carrier_changes,
            file => self::value(folder, file),
        };
    }
    if state.operstate.is_none() && state.flags.is_none() {
        return None;
    }
    let operstate = state.operstate.as_deref().unwrap_or_default();
    interface.up = operstate == "up";
    interface.speed = value(folder, "speed");
    interface.device.push("device", name);
    interface.info.push("device", name);
    for file in ["address", "broadcast", "ifalias", "duplex"] {
        interface.info.push(file, &folder.label(file).unwrap_or_default());
    }
    interface.info.push("operstate", operstate);
    interface.info.push("adminstate", admin_state(state.flags));
    Some(interface)
}

/// Megabits a second (-1: unknown), and `full`, `half` or `unknown`. An interface that is down has neither.
pub(super) fn speed_and_duplex(name: &str, system: &System) -> (Option<i64>, String) {
    let Some(folder) = folder(name, system) else { return (None, String::new()) };
    (value(&folder, "speed"), folder.label("duplex").unwrap_or_default())
}

/// The flags as sysfs has them.
pub(super) fn flags(name: &str, system: &System) -> Option<i64> {
    value(&folder(name, system)?, "flags")
}

/// The names in `/sys/class/net`, whose entries are links or folders; `bonding_masters` is a file.
fn names(system: &System) -> Result<Vec<String>, Fault> {
    let path = system.roots.sys("class/net");
    let entries = std::fs::read_dir(&path).map_err(|error| Fault::read(&path, error))?;
    let is_interface = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| !kind.is_file());
    let mut names: Vec<_> =
        entries.flatten().filter(is_interface).filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

fn folder(name: &str, system: &System) -> Option<Folder> {
    system.folder(format!("class/net/{name}")).ok()
}

/// A number. ENOENT, EACCES, EINVAL (the interface is down) and EOPNOTSUPP (its driver cannot tell) all mean that there is none;
/// so does any other error, which must not cost the other attributes.
fn value(folder: &Folder, file: &str) -> Option<i64> {
    folder.read(file, number)
}

/// `1500`, `-1` or `0x1003`.
fn number(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"0x") {
        Some(digits) => text::hex(digits)?.try_into().ok(),
        None => text::number(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Roots;

    #[test]
    fn numbers_may_be_hexadecimal() {
        assert_eq!(
            [number(b"1500"), number(b"-1"), number(b"0x1003"), number(b"0x"), number(b"up")],
            [Some(1500), Some(-1), Some(0x1003), None, None]
        );
    }

    #[test]
    fn an_interface_that_vanishes_costs_itself_only() {
        let dir = tempfile::tempdir().unwrap();
        let net = dir.path().join("class/net");
        std::fs::create_dir_all(net.join("eth0")).unwrap();
        std::fs::write(net.join("eth0/operstate"), "up\n").unwrap();
        std::fs::write(net.join("eth0/mtu"), "nonsense\n").unwrap();
        std::fs::write(net.join("eth0/flags"), "0x1003\n").unwrap();
        std::fs::write(net.join("bonding_masters"), "bond0\n").unwrap();
        std::os::unix::fs::symlink("../../gone", net.join("veth0")).unwrap();
        let system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let mut interfaces = Vec::new();
        Files::default().read(&mut Filter::default(), &system, &mut interfaces).unwrap();
        let [eth0] = interfaces.as_slice() else { panic!("{} interfaces", interfaces.len()) };
        assert!(eth0.up && eth0.values.contains(&Some(0x1003)) && eth0.values.iter().flatten().count() == 1);
        assert!(std::str::from_utf8(eth0.info.as_bytes()).unwrap().contains("adminstate=\"up\""));
    }

    #[test]
    fn of_many_interfaces_some_are_read_whole_and_what_happened_shows_at_once() {
        const MANY: usize = 2 * WHOLE + 1;
        let dir = tempfile::tempdir().unwrap();
        let path = |at: usize, file: &str| dir.path().join(format!("class/net/veth{at:04}/{file}"));
        let write = |at: usize, file: &str, text: &str| std::fs::write(path(at, file), text).unwrap();
        let make = |at: usize, mtu: &str| {
            std::fs::create_dir_all(path(at, "")).unwrap();
            let files = [("operstate", "up"), ("flags", "0x1003"), ("carrier_changes", "2"), ("speed", "1000"), ("mtu", mtu)];
            files.into_iter().for_each(|(file, text)| write(at, file, text));
        };
        (0..MANY).for_each(|at| make(at, "1500"));
        let system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let (mut files, mut interfaces) = (Files::default(), Vec::new());
        let mtu = FIELDS.iter().position(|(_, file)| *file == "mtu").unwrap();
        let mut read = || {
            files.read(&mut Filter::default(), &system, &mut interfaces).unwrap();
            let of = |interface: &Interface| (interface.values[mtu], interface.speed);
            interfaces.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(read(), vec![(Some(1500), Some(1000)); MANY]);

        (0..MANY).for_each(|at| write(at, "mtu", "9000"));
        let changed = |read: &[(Option<i64>, _)]| read.iter().filter(|(mtu, _)| *mtu == Some(9000)).count();
        assert_eq!([changed(&read()), changed(&read()), changed(&read())], [WHOLE, 2 * WHOLE, MANY]);

        // Out of turn: a new speed comes with a change of the carrier; an interface may be another; one may go.
        let others_turn = MANY / 2;
        write(others_turn, "speed", "10000");
        write(others_turn, "carrier_changes", "4");
        let kept = path(others_turn + 1, "");
        std::fs::rename(&kept, dir.path().join("gone")).unwrap();
        make(others_turn + 1, "1400");
        std::fs::remove_dir_all(path(MANY - 1, "")).unwrap();
        let page = read();
        assert_eq!(page.len(), MANY - 1);
        assert_eq!(page[others_turn], (Some(9000), Some(10_000)));
        assert_eq!(page[others_turn + 1], (Some(1400), Some(1000)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            number(&text);
        }
    }
}
