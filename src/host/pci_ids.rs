//! Names of PCI devices, as the file `pci.ids` of Debian's package pci.ids has them.

use std::collections::HashMap;

/// What a name is the name of: the hexadecimal numbers that lead to it, joined.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Vendor: `8086`.
    Vendor(String),
    /// Vendor and device: `80861521`.
    Device(String),
    /// Vendor, device, and those of the subsystem: `80861521` + `808600a3`.
    Subsystem(String),
    /// Two, four or six digits of class, subclass and interface: `010802`.
    Class(String),
}

/// Names that were looked up.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<Key, Option<String>>,
}

impl Names {
    /// Looks up those of `keys` that have not been yet, in the text that `read` gives: a file of over a megabyte, which is not kept.
    pub(super) fn learn(&mut self, keys: impl IntoIterator<Item = Key>, read: impl FnOnce() -> Vec<u8>) {
        let known = self.known.len();
        for key in keys {
            self.known.entry(key).or_default();
        }
        if known < self.known.len() {
            walk(&read(), |key, name| {
                if let Some(slot) = self.known.get_mut(&key) {
                    slot.get_or_insert_with(|| name.to_owned());
                }
            });
        }
    }

    /// The name of `key`, if it has one and was asked for before.
    pub(super) fn get(&self, key: &Key) -> Option<&str> {
        self.known.get(key)?.as_deref()
    }
}

/// Calls `each` for every entry of the file (where these four blanks are one tab):
///
/// ```text
/// 8086  Intel Corporation
///     1521  I350 Gigabit Network Connection
///         8086 00a3  Ethernet Network Adapter I350-T4 for OCP NIC 3.0
/// C 01  Mass storage controller
///     08  Non-Volatile memory controller
///         02  NVM Express
/// ```
fn walk(text: &[u8], mut each: impl FnMut(Key, &str)) {
    // The numbers of the entry at the margin, and with those of the one below it.
    let (mut outer, mut middle, mut in_classes) = (String::new(), String::new(), false);
    for line in text.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
        let depth = line.bytes().take_while(|byte| *byte == b'\t').count();
        let Some((id, name)) = line.trim_start_matches('\t').split_once("  ") else { continue };
        if line.starts_with('#') {
            continue;
        }
        let (id, name): (String, _) = (id.strip_prefix("C ").unwrap_or(id).split(' ').collect(), name.trim());
        let key = match depth {
            0 => {
                (outer, in_classes) = (id, line.starts_with("C "));
                middle.clear();
                outer.clone()
            }
            1 => {
                middle = format!("{outer}{id}");
                middle.clone()
            }
            2 if !middle.is_empty() => format!("{middle}{id}"),
            _ => continue,
        };
        match depth {
            _ if in_classes => each(Key::Class(key), name),
            0 => each(Key::Vendor(key), name),
            1 => each(Key::Device(key), name),
            _ => each(Key::Subsystem(key), name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# List\n8086  Intel Corporation\n\t1521  I350 Gigabit\n\t\t8086 00a3  I350-T4\n# a comment\n\t1522  I350 Fiber\n\nffff  Illegal\n\
                        \t\t8086 00a3  of no device\nC 01  Mass storage controller\n\t08  Non-Volatile memory controller\n\t\t02  NVM Express\nbroken\n";

    #[test]
    fn entries_and_what_they_stand_below() {
        let mut read = Vec::new();
        walk(TEXT.as_bytes(), |key, name| read.push((key, name.to_owned())));
        let expected = [
            (Key::Vendor("8086".into()), "Intel Corporation"),
            (Key::Device("80861521".into()), "I350 Gigabit"),
            (Key::Subsystem("80861521808600a3".into()), "I350-T4"),
            (Key::Device("80861522".into()), "I350 Fiber"),
            (Key::Vendor("ffff".into()), "Illegal"),
            (Key::Class("01".into()), "Mass storage controller"),
            (Key::Class("0108".into()), "Non-Volatile memory controller"),
            (Key::Class("010802".into()), "NVM Express"),
        ];
        assert_eq!(read, expected.map(|(key, name)| (key, name.to_owned())));
    }

    #[test]
    fn the_file_is_read_for_new_keys_only() {
        let (mut names, key) = (Names::default(), Key::Device("80861521".into()));
        names.learn([key.clone(), Key::Vendor("beef".into())], || TEXT.into());
        assert_eq!((names.get(&key), names.get(&Key::Vendor("beef".into()))), (Some("I350 Gigabit"), None));
        names.learn([key.clone(), Key::Vendor("beef".into())], || panic!("read again"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>, lines in "[0-9a-fC#\t\n ]{0,60}") {
            walk(&text, |_, _| {});
            walk(lines.as_bytes(), |_, _| {});
        }
    }
}
