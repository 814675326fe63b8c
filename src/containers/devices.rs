//! Names of block devices: /proc/self/mountinfo for those that are mounted, /sys/dev/block/<major>:<minor>/uevent for the rest.

use std::collections::HashMap;

use super::cgroup::Device;
use crate::system::System;
use crate::system::text::{fields, lines, pair, utf8};

/// A device as labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Name {
    pub(super) path: String,
    pub(super) major: String,
    pub(super) minor: String,
}

/// The devices met so far. Forgotten now and then, since numbers are given to other devices.
#[derive(Debug, Default)]
pub(super) struct Devices {
    known: HashMap<Device, Name>,
    age: u32,
}

/// Scrapes after which the names are looked up anew.
const OLDEST: u32 = 64;

impl Devices {
    /// Looks up the devices that are not known yet.
    pub(super) fn learn(&mut self, devices: impl Iterator<Item = Device>, system: &mut System) {
        self.age += 1;
        if self.age >= OLDEST {
            *self = Devices::default();
        }
        for device in devices {
            self.known.entry(device).or_insert_with(|| {
                let (major, minor) = (device.major.to_string(), device.minor.to_string());
                Name { path: path(&format!("{major}:{minor}"), system), major, minor }
            });
        }
    }

    /// The name of a device that was learned.
    pub(super) fn name(&self, device: Device) -> Option<&Name> {
        self.known.get(&device)
    }
}

/// `/dev/mapper/vg-root` where it is mounted under that name, else the kernel's own name; udev's link for one without any.
fn path(number: &str, system: &mut System) -> String {
    let mountinfo = system.roots.proc("self/mountinfo");
    if let Some(path) = system.read(&mountinfo).ok().and_then(|text| mounted(text, number)) {
        return path;
    }
    let uevent = system.sys(format!("dev/block/{number}/uevent")).ok();
    uevent.and_then(device_name).map_or_else(|| format!("/dev/block/{number}"), |name| format!("/dev/{name}"))
}

/// `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw`
fn mounted(mountinfo: &[u8], number: &str) -> Option<String> {
    lines(mountinfo).find_map(|line| {
        let of_device = fields(line).nth(2)? == number.as_bytes();
        let source = fields(line).skip(6).skip_while(|field| *field != b"-").nth(2)?;
        (of_device && source.starts_with(b"/dev/")).then(|| utf8(source).into_owned())
    })
}

/// `DEVNAME=vda`
fn device_name(uevent: &[u8]) -> Option<String> {
    lines(uevent).filter_map(|line| pair(line, b'=')).find(|(key, _)| *key == b"DEVNAME").map(|(_, name)| utf8(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_names_come_first() {
        let text = b"27 1 254:0 / / rw - ext4 /dev/mapper/vg-root rw\n28 1 0:25 / /tmp rw shared:1 - tmpfs tmpfs rw\n";
        assert_eq!(mounted(text, "254:0").as_deref(), Some("/dev/mapper/vg-root"));
        assert_eq!(mounted(text, "0:25"), None);
        assert_eq!(device_name(b"MAJOR=8\nMINOR=0\nDEVNAME=sda\nDEVTYPE=disk\n").as_deref(), Some("sda"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, number: String) {
            mounted(&text, &number);
            device_name(&text);
        }
    }
}
