//! Reads `/proc/1/mountstats` and `/proc/1/mountinfo`: what the NFS client counts for each mount. Emits `node_mountstats_nfs_*`.
//!
//! Mounts of one export from one address over one protocol share their counters, so the first of them stands for all; only
//! `node_mountstats_nfs_mountpoint_info` names each.

use std::collections::HashSet;

use super::mounts;
use super::mountstats_families::{AGE, BYTES, EVENTS, OPERATION_TIMES, OPERATIONS, POINT, TRANSPORT};
use crate::exposition::{Labels, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "mountstats",
    enabled: Flag::switch("collector.mountstats", false, "What the NFS client counts for each mount."),
    flags: &[],
    new: |_| Ok(Box::new(MountStats)),
};

struct MountStats;

impl Collector for MountStats {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        // The mounts of the host's init where we may see them (that takes its user's rights), else our own.
        let (stats, info) = match system.proc("1/mountstats") {
            Ok(text) => (text.to_vec(), "1/mountinfo"),
            Err(_) => (system.proc("self/mountstats")?.to_vec(), "self/mountinfo"),
        };
        let mounts = nfs_mounts(&stats);
        if mounts.is_empty() {
            return Ok(());
        }
        let info = system.proc(info)?;
        let (mut seen, mut bad) = (HashSet::new(), None);
        for mount in &mounts {
            let Some(protocol) = mount.protocol() else { continue };
            let [export, protocol, point] = [mount.export, protocol, mount.point].map(text::utf8);
            let address = mount.address(info).map(text::utf8).unwrap_or_default();
            let labels = Labels::of(&[("export", &export), ("mountaddr", &address), ("protocol", &protocol)]);
            out.family(&POINT).add_to(&labels, [("mountpoint", &point)], 1u8);
            if seen.insert([export, protocol, address]) {
                bad = mount.emit(&labels, out).or(bad);
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

/// A mount of NFS and the lines about it.
#[derive(Debug, PartialEq)]
struct Mount<'a> {
    export: &'a [u8],
    point: &'a [u8],
    kind: &'a [u8],
    lines: Vec<&'a [u8]>,
}

/// `device 192.168.1.1:/srv/test mounted on /mnt/nfs/test with fstype nfs4 statvers=1.1`, then indented lines about it.
fn nfs_mounts(text: &[u8]) -> Vec<Mount<'_>> {
    let mut mounts = Vec::new();
    let mut current: Option<Mount<'_>> = None;
    for line in text::lines(text) {
        let indented = line.first().is_some_and(u8::is_ascii_whitespace);
        if !indented {
            mounts.extend(current.take());
            current = head(line);
        } else if let Some(mount) = &mut current {
            mount.lines.push(line);
        }
    }
    mounts.extend(current);
    mounts
}

/// `None` for what is no mount of NFS.
fn head(line: &[u8]) -> Option<Mount<'_>> {
    let mut fields = text::fields(line);
    let export = fields.next().filter(|word| *word == b"device").and(fields.next())?;
    // `mounted on` before the mount point, `with fstype` before the type.
    let (point, kind) = (fields.nth(2)?, fields.nth(2)?);
    matches!(kind, b"nfs" | b"nfs4").then(|| Mount { export, point, kind, lines: Vec::new() })
}

impl Mount<'_> {
    /// The protocol of its first connection.
    fn protocol(&self) -> Option<&[u8]> {
        self.lines
            .iter()
            .map(|line| text::fields(line))
            .find_map(|mut fields| (fields.next()? == b"xprt:").then(|| fields.next())?)
    }

    /// The server's address: the option `addr` in mountinfo.
    fn address<'t>(&self, mountinfo: &'t [u8]) -> Option<&'t [u8]> {
        let mine = |line: &mounts::Line<'_>| line.point == self.point && line.kind == self.kind && line.source == self.export;
        let line = text::lines(mountinfo).filter_map(mounts::parse).find(mine)?;
        line.options.split(|&byte| byte == b',').find_map(|option| option.strip_prefix(b"addr="))
    }

    /// What is wrong with the lines, if anything.
    fn emit(&self, labels: &Labels, out: &mut Samples) -> Option<Fault> {
        let (mut bad, mut transports, mut operations) = (None, 0u32, false);
        for line in &self.lines {
            let mut fields = text::fields(line);
            let name = fields.next().unwrap_or_default();
            let good = match name {
                b"age:" | b"events:" | b"bytes:" => figures(name, fields, labels, out),
                b"xprt:" => {
                    transports += 1;
                    transport(&(transports - 1).to_string(), fields, labels, out)
                }
                b"per-op" => {
                    operations = true;
                    Some(())
                }
                _ if operations => operation(name, fields, labels, out),
                _ => Some(()),
            };
            if good.is_none() {
                bad = Some(Fault::parse("mountstats", line));
            }
        }
        bad
    }
}

fn numbers<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u64>> {
    fields.map(text::number).collect()
}

/// `age: 13968`, `events: 52 226 …`, `bytes: 1207640230 0 …`
fn figures<'a>(name: &[u8], fields: impl Iterator<Item = &'a [u8]>, labels: &Labels, out: &mut Samples) -> Option<()> {
    let numbers = numbers(fields)?;
    let table = match name {
        b"age:" => &AGE[..],
        b"events:" => &EVENTS[..],
        _ => &BYTES[..],
    };
    for (column, family) in table {
        // Older kernels count less.
        if let Some(count) = numbers.get(*column) {
            out.family(family).add_to(labels, [], *count);
        }
    }
    Some(())
}

/// `xprt: tcp 832 0 1 0 11 6428 6428 0 12154 0 24 26 5726`: the port, and what [`TRANSPORT`] names. What a protocol does not have is
/// shown as 0.
fn transport<'a>(index: &str, mut fields: impl Iterator<Item = &'a [u8]>, labels: &Labels, out: &mut Samples) -> Option<()> {
    let (protocol, mut numbers) = (fields.next()?, numbers(fields)?);
    match protocol {
        // No connection: no count of them, no time to connect, no idle time.
        b"udp" if numbers.len() >= 2 => drop(numbers.splice(2..2, [0; 3])),
        // Other numbers stand where TCP has slots and queues.
        b"rdma" => numbers.truncate(10),
        _ => {}
    }
    for (column, family) in &TRANSPORT {
        out.family(family).add_to(labels, [("transport", index)], numbers.get(*column).copied().unwrap_or_default());
    }
    Some(())
}

/// `READ: 1298 1298 0 207680 1210292152 6 79386 79407`: counts, then milliseconds.
fn operation<'a>(name: &[u8], fields: impl Iterator<Item = &'a [u8]>, labels: &Labels, out: &mut Samples) -> Option<()> {
    let name = text::utf8(name.strip_suffix(b":")?);
    let numbers = numbers(fields)?;
    let (counts, times) = numbers.split_at_checked(OPERATIONS.len())?;
    for (family, count) in OPERATIONS.iter().zip(counts) {
        out.family(family).add_to(labels, [("operation", &name)], *count);
    }
    for (family, milliseconds) in OPERATION_TIMES.iter().zip(times) {
        // The kernel's sum of differences can fall below 0, which is then near 2^64; node_exporter keeps the lower 53 bits.
        let milliseconds = milliseconds % (1 << 53);
        out.family(family).add_to(labels, [("operation", &name)], from_u64(milliseconds) / 1e3);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    const STATS: &str = "device rootfs mounted on / with fstype rootfs\nno device mounted on /x with fstype autofs\n\
        device s:/a mounted on /mnt/a with fstype nfs4 statvers=1.1\n\tage:\t7\n\
        \tevents:\t1 x\n\txprt:\trdma 0 1 2 0 3 4 5 6 7 8 99 98 97\n\txprt:\tudp 832 1 4 5 6 7 8 24 26 27\n\
        \tper-op statistics\n\t        NULL: 1 2 3 4 5 6 7 8 9\n\t        READ: 1 2\n";

    #[test]
    fn a_mount_with_a_bad_line() {
        let info =
            "5 1 0:9 / / rw - nfs4 s:/a rw,addr=10.0.0.9\n6 1 0:9 / /mnt/a rw - nfs4 s:/a rw,clientaddr=10.0.0.8,addr=10.0.0.7\n";
        let (lines, result) = Tree::of(&[("proc/1/mountstats", STATS), ("proc/1/mountinfo", info)]).show(&mut MountStats);
        let fault = result.unwrap_err();
        assert!(fault.to_string().contains("READ"), "{fault}");
        let mount = r#"export="s:/a",mountaddr="10.0.0.7",protocol="rdma""#;
        for (family, labels, value) in [
            ("mountpoint_info", r#",mountpoint="/mnt/a""#, "1"),
            ("age_seconds_total", "", "7"),
            ("transport_connect_total", r#",transport="0""#, "2"),
            ("transport_maximum_rpc_slots", r#",transport="0""#, "0"),
            ("transport_connect_total", r#",transport="1""#, "0"),
            ("transport_sends_total", r#",transport="1""#, "4"),
            ("transport_maximum_rpc_slots", r#",transport="1""#, "24"),
            ("operations_requests_total", r#",operation="NULL""#, "1"),
            ("operations_request_time_seconds_total", r#",operation="NULL""#, "0.008"),
        ] {
            let line = format!("node_mountstats_nfs_{family}{{{mount}{labels}}} {value}");
            assert!(lines.contains(&line), "{line}\n{lines:#?}");
        }
        assert!(lines.iter().all(|line| !line.contains("READ") && !line.contains("event")), "{lines:#?}");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>, words in "(xprt:|per-op|udp|rdma|age:|bytes:|[A-Z]:| [0-9]|\n\t){0,40}") {
            for text in [&text[..], words.as_bytes()] {
                let text = [b"device a mounted on b with fstype nfs\n\t", text].concat();
                for mount in nfs_mounts(&text) {
                    let _ = (mount.protocol(), mount.address(&text), mount.emit(&Labels::new(), &mut Samples::new()));
                }
            }
        }
    }
}
