//! Reads `/proc/mdstat` and `/sys/block/md*/md/*`: the state of software RAID arrays. Emits `node_md_*`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static STATE: Family = Family::gauge("node_md_state", "1 for the state that the array is in: /proc/mdstat.");
static DISKS: Family = Family::gauge("node_md_disks", "Disks of the array by state: [m] of [n/m], (F) and (S) in /proc/mdstat.");
static REQUIRED: Family = Family::gauge("node_md_disks_required", "Disks that the array needs: [n] of [n/m] in /proc/mdstat.");
static BLOCKS: Family = Family::gauge("node_md_blocks", "Blocks of 1 KiB in the array: /proc/mdstat.");
static SYNCED: Family =
    Family::gauge("node_md_blocks_synced", "Blocks that are in sync; all of them unless a sync is under way.");
static RAID_DISKS: Family = Family::gauge("node_md_raid_disks", "Disks of the array when it is whole: md/raid_disks.");
static DEGRADED: Family = Family::gauge("node_md_degraded", "Disks that are missing: md/degraded.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "mdadm",
    enabled: Flag::switch("collector.mdadm", true, "State of software RAID arrays."),
    flags: &[],
    new: |_| Ok(Box::new(MdAdm)),
};

/// The states that are shown; an array that is being reshaped is in none of them.
const STATES: [&str; 5] = ["active", "inactive", "recovering", "resync", "check"];

struct MdAdm;

impl Collector for MdAdm {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        for lines in arrays(system.proc("mdstat")?) {
            match parse(&lines) {
                Some(array) => emit(&array, out),
                None => bad = Some(Fault::parse("mdstat", lines.first().copied().unwrap_or_default())),
            }
        }
        for name in system.entries("block").unwrap_or_default().iter().filter(|name| name.starts_with("md")) {
            // `4 (3)` while the number changes.
            let disks = system.label(format!("block/{name}/md/raid_disks"));
            if let Some(disks) =
                disks.as_deref().and_then(|disks| disks.split(' ').next()).and_then(|n| text::number::<u64>(n.as_bytes()))
            {
                out.family(&RAID_DISKS).add([("device", name)], disks);
                // Levels without redundancy have no such file.
                let degraded: u64 = system.number(format!("block/{name}/md/degraded")).unwrap_or_default();
                out.family(&DEGRADED).add([("device", name)], degraded);
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

fn emit(array: &Array<'_>, out: &mut Samples) {
    let device = ("device", array.name);
    for state in STATES {
        out.family(&STATE).add([device, ("state", state)], state == array.state);
    }
    for (state, disks) in [("active", array.active), ("failed", array.failed), ("spare", array.spare)] {
        out.family(&DISKS).add([device, ("state", state)], disks);
    }
    out.family(&REQUIRED).add([device], array.required);
    out.family(&BLOCKS).add([device], array.blocks);
    out.family(&SYNCED).add([device], array.synced);
}

#[derive(Debug, PartialEq)]
struct Array<'a> {
    name: &'a str,
    state: &'a str,
    active: u64,
    failed: u64,
    spare: u64,
    required: u64,
    blocks: u64,
    synced: u64,
}

/// The lines of each array: one that begins at the margin, and those indented below it.
fn arrays(text: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut arrays: Vec<Vec<&[u8]>> = Vec::new();
    for line in text::lines(text) {
        let indented = line.starts_with(b" ") || line.starts_with(b"\t");
        match arrays.last_mut() {
            Some(array) if indented => array.push(line),
            _ if indented || line.starts_with(b"Personalities") || line.starts_with(b"unused") => {}
            _ => arrays.push(vec![line]),
        }
    }
    arrays
}

/// ```text
/// md6 : active raid1 sdb2[2](F) sdc[1](S) sda2[0]
///       195310144 blocks [2/1] [U_]
///       [=>...................]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec
/// ```
fn parse<'a>(lines: &[&'a [u8]]) -> Option<Array<'a>> {
    let (head, details) = lines.split_first()?;
    let head = std::str::from_utf8(head).ok()?;
    let mut words = head.split_ascii_whitespace();
    let (name, colon, mut state) = (words.next()?, words.next()?, words.next()?);
    let details: Vec<&str> = details.iter().filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let size = details.iter().find(|line| line.split_ascii_whitespace().nth(1) == Some("blocks"))?;
    let blocks = size.split_ascii_whitespace().next()?.parse().ok()?;
    let marked = |mark: &str| head.matches(mark).count() as u64;
    let (required, active) = if state == "inactive" {
        (0, 0)
    } else if words.clone().any(|word| word == "raid0" || word == "linear") {
        // Neither can miss a disk, so their lines do not count them.
        (marked("["), marked("["))
    } else {
        size.split_ascii_whitespace().find_map(|word| fraction(word, '[', ']'))?
    };
    let mut synced = blocks;
    let sync = details.iter().find_map(|line| Some((line, syncing(line)?)));
    if let Some((line, named)) = sync {
        state = named;
        // A sync that waits for another one has not begun: `resync=DELAYED`, `resync=PENDING`.
        let progress = line.split_ascii_whitespace().find_map(|word| fraction(word, '(', ')'));
        synced = progress.map_or(0, |(done, _)| done);
    }
    (colon == ":").then_some(Array { name, state, active, failed: marked("(F)"), spare: marked("(S)"), required, blocks, synced })
}

/// What kind of sync a line tells of, if any.
fn syncing(line: &str) -> Option<&'static str> {
    line.split_ascii_whitespace().find_map(|word| match word.split('=').next() {
        Some("recovery" | "recover") => Some("recovering"),
        Some("resync") => Some("resync"),
        Some("check") => Some("check"),
        Some("reshape") => Some("reshaping"),
        _ => None,
    })
}

/// `[2/1]` or `(16775552/195310144)`
fn fraction(word: &str, open: char, close: char) -> Option<(u64, u64)> {
    let (left, right) = word.strip_prefix(open)?.strip_suffix(close)?.split_once('/')?;
    Some((left.parse().ok()?, right.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Option<Array<'_>>> {
        arrays(text.as_bytes()).iter().map(|lines| parse(lines)).collect()
    }

    #[test]
    fn a_recovery_and_one_that_waits() {
        let text = "Personalities : [raid1]\nmd6 : active raid1 sdb2[2](F) sdc[1](S) sda2[0]\n      195310144 blocks [2/1] [U_]\n      \
                    [=>..]  recovery =  8.5% (16775552/195310144) finish=17.0min speed=259783K/sec\n\nmd9 : active (auto-read-only) raid1 \
                    sda[0] sdb[1]\n      523968 blocks super 1.2 [2/2] [UU]\n      resync=DELAYED\n\nunused devices: <none>\n";
        let recovering = Array {
            name: "md6",
            state: "recovering",
            active: 1,
            failed: 1,
            spare: 1,
            required: 2,
            blocks: 195_310_144,
            synced: 16_775_552,
        };
        let delayed =
            Array { name: "md9", state: "resync", active: 2, failed: 0, spare: 0, required: 2, blocks: 523_968, synced: 0 };
        assert_eq!(read(text), [Some(recovering), Some(delayed)]);
    }

    #[test]
    fn a_line_of_another_shape_costs_one_array() {
        let text = "md1 : active raid5 sda[0]\n      nonsense\nmd2 : active raid0 sda[0] sdb[1]\n      10 blocks 64k chunks\n      \
                    bitmap: 0/30 pages [0KB], 65536KB chunk\n";
        let whole = Array { name: "md2", state: "active", active: 2, failed: 0, spare: 0, required: 2, blocks: 10, synced: 10 };
        assert_eq!(read(text), [None, Some(whole)]);
    }

    #[test]
    fn an_array_that_is_reshaped_is_in_no_state() {
        let text =
            "md1 : active raid5 sda[0] sdb[1]\n 8 blocks [2/2] [UU]\n [=>] reshape = 5.0% (3/8) finish=1min speed=1K/sec\n";
        let array = read(text).remove(0).unwrap();
        assert!(!STATES.contains(&array.state) && array.synced == 3);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>, words in "[md0-9 :\\[\\]()/%=a-z\n]{0,80}") {
            for lines in arrays(&text).into_iter().chain(arrays(words.as_bytes())) {
                parse(&lines);
            }
        }
    }
}
