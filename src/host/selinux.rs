//! Reads `/sys/fs/selinux/enforce` and `/etc/selinux/config`: whether SELinux is on, and how strict. Emits `node_selinux_*`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static ENABLED: Family = Family::gauge("node_selinux_enabled", "1 if SELinux is on: its file system is mounted.");
static CONFIGURED: Family = Family::gauge(
    "node_selinux_config_mode",
    "Mode after the next start: SELINUX in /etc/selinux/config, enforcing 1, permissive 0, disabled -1.",
);
static CURRENT: Family =
    Family::gauge("node_selinux_current_mode", "Mode now: /sys/fs/selinux/enforce, enforcing 1, permissive 0.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "selinux",
    enabled: Flag::switch("collector.selinux", true, "State of SELinux."),
    flags: &[],
    new: |_| Ok(Box::new(SeLinux)),
};

struct SeLinux;

impl Collector for SeLinux {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let current: Option<i64> = match system.sys("fs/selinux/enforce") {
            Ok(text) => Some(text::number(text).ok_or_else(|| Fault::parse("fs/selinux/enforce", text))?),
            Err(fault) if fault.is_absence() => None,
            Err(fault) => return Err(fault),
        };
        out.family(&ENABLED).add([], current.is_some());
        if let Some(current) = current {
            let path = system.roots.root("/etc/selinux/config");
            out.family(&CONFIGURED).add([], configured(system.read(&path).unwrap_or_default()));
            out.family(&CURRENT).add([], current);
        }
        Ok(())
    }
}

/// `SELINUX=enforcing` among other lines and comments; the last one holds. What is not known counts as disabled.
fn configured(text: &[u8]) -> i64 {
    let mode = text::lines(text).filter_map(|line| text::pair(line, b'=')).filter(|(key, _)| *key == b"SELINUX").last();
    match mode {
        Some((_, b"enforcing")) => 1,
        Some((_, b"permissive")) => 0,
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn the_configured_mode() {
        assert_eq!(configured(b"# SELINUX=disabled\nSELINUX=enforcing\nSELINUXTYPE=targeted\n"), 1);
        assert_eq!(configured(b"SELINUX = permissive\n"), 0);
        assert_eq!(configured(b"SELINUX=disabled\n"), -1);
        assert_eq!(configured(b""), -1);
    }

    #[test]
    fn off_is_one_sample_and_on_are_three() {
        let dir = tempfile::tempdir().unwrap();
        let mut system = System::new(Roots { sys: dir.path().into(), root: dir.path().into(), ..Roots::default() });
        let mut page = || {
            let mut out = Samples::new();
            SeLinux.collect(&mut system, &mut out).unwrap();
            let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
            page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(page(), ["node_selinux_enabled 0"]);
        std::fs::create_dir_all(dir.path().join("fs/selinux")).unwrap();
        std::fs::create_dir_all(dir.path().join("etc/selinux")).unwrap();
        std::fs::write(dir.path().join("fs/selinux/enforce"), "0").unwrap();
        std::fs::write(dir.path().join("etc/selinux/config"), "SELINUX=enforcing\n").unwrap();
        assert_eq!(page(), ["node_selinux_config_mode 1", "node_selinux_current_mode 0", "node_selinux_enabled 1"]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>) {
            configured(&text);
        }
    }
}
