//! Reads the settings of `/proc/sys` that `--collector.sysctl.include` and `--collector.sysctl.include-info` name. Emits
//! `node_sysctl_<name>` (with `index` where there are several values), `node_sysctl_<name>_<key>` and `node_sysctl_info`.

use std::path::{Component, PathBuf};

use crate::exposition::{Family, Kind, Samples, from_i64, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Fault, System, text};

static INFO: Family = Family::gauge("node_sysctl_info", "A value of the kernel setting, as text; 1.");

const INCLUDE: Flag =
    Flag::list("collector.sysctl.include", &[], "Kernel setting whose numbers to show: name, or name:key,key to name them.");
const INCLUDE_INFO: Flag =
    Flag::list("collector.sysctl.include-info", &[], "Kernel setting whose values to show as texts: name.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "sysctl",
    enabled: Flag::switch("collector.sysctl", false, "Kernel settings chosen by name."),
    flags: &[INCLUDE, INCLUDE_INFO],
    new: |settings| Ok(Box::new(Sysctl { chosen: chosen(settings)? })),
};

struct Sysctl {
    chosen: Vec<Chosen>,
}

/// A setting to show.
struct Chosen {
    name: String,
    /// Below /proc/sys.
    path: PathBuf,
    keys: Vec<String>,
    as_text: bool,
}

fn chosen(settings: &Settings) -> Result<Vec<Chosen>, Error> {
    let mut chosen = Vec::new();
    for (flag, as_text) in [(INCLUDE, false), (INCLUDE_INFO, true)] {
        for given in settings.list(&flag) {
            let (name, keys) =
                given.split_once(':').map_or((&*given, Vec::new()), |(name, keys)| (name, keys.split(',').collect()));
            let path = path(name).ok_or_else(|| Error::new(format!("{}: {name:?} is no name below /proc/sys", flag.name)))?;
            chosen.push(Chosen { name: name.to_owned(), path, keys: keys.into_iter().map(metric_name).collect(), as_text });
        }
    }
    Ok(chosen)
}

impl Collector for Sysctl {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut result = Ok(());
        for chosen in &self.chosen {
            let path = system.roots.proc("sys").join(&chosen.path);
            // One that this kernel does not have must not cost the others.
            if let Err(fault) = system.read(&path).and_then(|text| chosen.emit(text, out)) {
                result = Err(fault);
            }
        }
        result
    }
}

impl Chosen {
    fn emit(&self, text: &[u8], out: &mut Samples) -> Result<(), Fault> {
        let fault = |detail: String| Fault::Parse { what: format!("sysctl {}", self.name), detail };
        let values: Vec<_> = text::fields(text).collect();
        if values.is_empty() {
            return Err(fault("no values".to_owned()));
        }
        let mut index = itoa::Buffer::new();
        if self.as_text {
            for (at, value) in values.into_iter().enumerate() {
                let labels = [("index", index.format(at)), ("name", &*self.name), ("value", &*text::utf8(value))];
                out.family(&INFO).add(labels, 1u8);
            }
            return Ok(());
        }
        let numbers: Option<Vec<f64>> = values.iter().map(|value| number(value)).collect();
        let numbers = numbers.ok_or_else(|| Fault::parse(format!("sysctl {}", self.name), text))?;
        let (name, help) = (format!("node_sysctl_{}", metric_name(&self.name)), format!("Kernel setting {}.", self.name));
        match (&*numbers, &*self.keys) {
            ([number], []) => {
                out.named(&name, &help, Kind::Untyped).add([], *number);
            }
            (numbers, []) => {
                for (at, number) in numbers.iter().enumerate() {
                    out.named(&name, &help, Kind::Untyped).add([("index", index.format(at))], *number);
                }
            }
            (numbers, keys) if numbers.len() == keys.len() => {
                for (at, (number, key)) in numbers.iter().zip(keys).enumerate() {
                    let help = format!("Kernel setting {}, value {at}.", self.name);
                    out.named(&format!("{name}_{key}"), &help, Kind::Untyped).add([], *number);
                }
            }
            (numbers, keys) => return Err(fault(format!("{} keys for {} values", keys.len(), numbers.len()))),
        }
        Ok(())
    }
}

/// A whole number, of either sign or of all 64 bits (`kernel.shmmax`).
fn number(field: &[u8]) -> Option<f64> {
    text::number(field).map(from_i64).or_else(|| text::number(field).map(from_u64))
}

/// The file of a setting, as sysctl(8) finds it: where a dot comes first, dots part the name and slashes stand for dots
/// (`net.ipv4.conf.eth0/100.forwarding`); where a slash comes first it is a path already. `None` for what would leave /proc/sys.
fn path(name: &str) -> Option<PathBuf> {
    let is_path = name.chars().find(|char| matches!(char, '.' | '/')) == Some('/');
    let swapped = |char| match char {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: PathBuf = if is_path { name.into() } else { name.chars().map(swapped).collect::<String>().into() };
    let is_below = !name.is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)));
    is_below.then_some(path)
}

/// `fs.file-nr` -> `fs_file_nr`
fn metric_name(name: &str) -> String {
    name.chars().map(|char| if char.is_ascii_alphanumeric() || char == ':' { char } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    #[test]
    fn names_are_paths_below_proc_sys() {
        let below = |name: &str| path(name).map(|path| path.to_str().unwrap().to_owned());
        for (name, expected) in [
            ("fs.file-nr", "fs/file-nr"),
            ("net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"),
            ("net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"),
        ] {
            assert_eq!(below(name).as_deref(), Some(expected));
        }
        for escape in ["", "/etc/passwd", ".etc.passwd", "kernel/../../cmdline", "..", "../cmdline", "kernel.//.//.cmdline"] {
            assert_eq!(below(escape), None, "{escape}");
            let error = built(&ENTRY, &[("include", &[escape])]).err().unwrap().to_string();
            assert!(error.starts_with("collector.sysctl.include: "), "{error}");
        }
    }

    #[test]
    fn a_setting_that_cannot_be_shown_costs_itself() {
        let mut tree = Tree::of(&[
            ("proc/sys/kernel/shmmax", "18446744073692774399\n"),
            ("proc/sys/kernel/hostname", "name\n"),
            ("proc/sys/net/ipv4/tcp_rmem", "4096\t87380\t-1\n"),
            ("proc/sys/kernel/modprobe", "\n"),
        ]);
        let mut show = |given: &[&str]| {
            let (lines, result) = tree.show(&mut *built(&ENTRY, &[("include", given)]).unwrap());
            (lines.join("\n"), result)
        };
        for (bad, told) in [
            ("kernel.none", "sys/kernel/none"),
            ("kernel.hostname", r#"cannot parse sysctl kernel.hostname: "name\n""#),
            ("kernel.modprobe", "cannot parse sysctl kernel.modprobe: no values"),
            ("net.ipv4.tcp_rmem:min", "cannot parse sysctl net.ipv4.tcp_rmem: 1 keys for 3 values"),
            ("kernel.shmmax:a,b", "cannot parse sysctl kernel.shmmax: 2 keys for 1 values"),
        ] {
            let (lines, result) = show(&[bad, "kernel.shmmax"]);
            let fault = result.unwrap_err();
            assert!(fault.to_string().ends_with(told) && fault.is_absence() == (bad == "kernel.none"), "{fault}");
            assert_eq!(lines, "node_sysctl_kernel_shmmax 1.8446744073692774e+19", "{bad}");
        }
        let (lines, result) = show(&["net.ipv4.tcp_rmem:min,default,max value", "net.ipv4.tcp_rmem"]);
        result.unwrap();
        let expected = [
            r#"node_sysctl_net_ipv4_tcp_rmem{index="0"} 4096"#,
            r#"node_sysctl_net_ipv4_tcp_rmem{index="1"} 87380"#,
            r#"node_sysctl_net_ipv4_tcp_rmem{index="2"} -1"#,
            "node_sysctl_net_ipv4_tcp_rmem_default 87380",
            "node_sysctl_net_ipv4_tcp_rmem_max_value -1",
            "node_sysctl_net_ipv4_tcp_rmem_min 4096",
        ];
        assert_eq!(lines, expected.join("\n"));
    }

    #[test]
    fn texts_are_labels() {
        let mut tree = Tree::of(&[("proc/sys/kernel/seccomp/actions_avail", "trap \"errno\"\n")]);
        let (lines, result) = tree.show(&mut *built(&ENTRY, &[("include-info", &["kernel.seccomp.actions_avail"])]).unwrap());
        result.unwrap();
        let expected = [
            r#"node_sysctl_info{index="0",name="kernel.seccomp.actions_avail",value="trap"} 1"#,
            r#"node_sysctl_info{index="1",name="kernel.seccomp.actions_avail",value="\"errno\""} 1"#,
        ];
        assert_eq!(lines, expected);
    }

    proptest::proptest! {
        #[test]
        fn no_name_leaves_proc_sys_and_any_bytes_are_survived(name: String, odd in r"[./a\\]{0,12}", text: Vec<u8>) {
            for name in [name, odd] {
                if let Some(path) = path(&name) {
                    assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{name}");
                    let chosen = Chosen { name, path, keys: vec![], as_text: text.len() % 2 == 0 };
                    let _ = chosen.emit(&text, &mut Samples::new());
                }
            }
        }
    }
}
