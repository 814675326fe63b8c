//! `/sys/class/net/<interface>/*` for the collector `netclass`: all of it where netlink cannot tell, and what only sysfs knows.

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

/// Fills `interfaces` with all that pass the filter. One that vanishes meanwhile costs itself; the last error that is not an absence is told.
pub(super) fn read(filter: &mut Filter, system: &System, interfaces: &mut Vec<Interface>) -> Result<(), Fault> {
    interfaces.clear();
    for name in names(system)? {
        if filter.passes(&name) {
            interfaces.extend(interface(&name, system));
        }
    }
    Ok(())
}

fn interface(name: &str, system: &System) -> Option<Interface> {
    let (mut interface, folder) = (Interface::default(), folder(name, system)?);
    for ((_, file), value) in FIELDS.iter().zip(&mut interface.values) {
        *value = self::value(&folder, file);
    }
    let operstate = folder.label("operstate");
    let flags = value(&folder, "flags");
    if operstate.is_none() && flags.is_none() {
        return None;
    }
    let operstate = operstate.unwrap_or_default();
    interface.up = operstate == "up";
    interface.speed = value(&folder, "speed");
    interface.device.push("device", name);
    interface.info.push("device", name);
    for file in ["address", "broadcast", "ifalias", "duplex"] {
        interface.info.push(file, &folder.label(file).unwrap_or_default());
    }
    interface.info.push("operstate", &operstate);
    interface.info.push("adminstate", admin_state(flags));
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
        read(&mut Filter::default(), &system, &mut interfaces).unwrap();
        let [eth0] = interfaces.as_slice() else { panic!("{} interfaces", interfaces.len()) };
        assert!(eth0.up && eth0.values.contains(&Some(0x1003)) && eth0.values.iter().flatten().count() == 1);
        assert!(std::str::from_utf8(eth0.info.as_bytes()).unwrap().contains("adminstate=\"up\""));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            number(&text);
        }
    }
}
