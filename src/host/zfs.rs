//! Reads `/proc/spl/kstat/zfs`: what ZFS counts, as a whole, for each pool and for each dataset, on lines such as
//! `dbuf_cache_count                4    27` (name, type, value). Emits `node_zfs_<kstat>_<field>`, `node_zfs_zpool_<field>` and
//! `node_zfs_zpool_dataset_<field>`, untyped, and `node_zfs_zpool_state`.

use std::path::Path;

use crate::exposition::{Family, Kind, Labels, Samples, from_i64, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static STATE: Family = Family::gauge("node_zfs_zpool_state", "1 for the state that the pool is in: the file state.");

/// The states as ZFS names them, but in lower case.
const STATES: [&str; 7] = ["online", "degraded", "faulted", "offline", "removed", "unavail", "suspended"];

const ROOT: &str = "spl/kstat/zfs";

/// The files about ZFS as a whole, and what their families' names begin with.
const KSTATS: [(&str, &str); 11] = [
    ("spl/kstat/zfs/abdstats", "node_zfs_abd_"),
    ("spl/kstat/zfs/arcstats", "node_zfs_arc_"),
    ("spl/kstat/zfs/dbufstats", "node_zfs_dbuf_"),
    ("spl/kstat/zfs/dmu_tx", "node_zfs_dmu_tx_"),
    ("spl/kstat/zfs/dnodestats", "node_zfs_dnode_"),
    ("spl/kstat/zfs/fm", "node_zfs_fm_"),
    ("spl/kstat/zfs/vdev_cache_stats", "node_zfs_vdev_cache_"),
    ("spl/kstat/zfs/vdev_mirror_stats", "node_zfs_vdev_mirror_"),
    ("spl/kstat/zfs/xuio_stats", "node_zfs_xuio_"),
    ("spl/kstat/zfs/zfetchstats", "node_zfs_zfetch_"),
    ("spl/kstat/zfs/zil", "node_zfs_zil_"),
];

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "zfs",
    enabled: Flag::switch("collector.zfs", true, "What ZFS counts, and the state of its pools."),
    flags: &[],
    new: |_| Ok(Box::new(Zfs::default())),
};

/// Kept for its memory only.
#[derive(Default)]
struct Zfs {
    name: String,
}

impl Collector for Zfs {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let pools = folders(&system.roots.proc(ROOT))?;
        let mut bad = None;
        for (file, prefix) in KSTATS {
            // Which of them exist depends on the version of ZFS.
            let Ok(text) = system.proc(file) else { continue };
            let help = format!("Field of this name in /proc/{file}.");
            bad = bad.or(self.rows(file, text, prefix, &help, &Labels::new(), out));
        }
        for pool in pools {
            let folder = system.roots.proc(ROOT).join(&pool);
            bad = self.pool(&pool, &folder, system, out).or(bad);
        }
        bad.map_or(Ok(()), Err)
    }
}

impl Zfs {
    /// What is wrong with a pool's files, if anything. A file that is not there says that the version of ZFS has none, or that the
    /// dataset is gone.
    fn pool(&mut self, pool: &str, folder: &Path, system: &mut System, out: &mut Samples) -> Option<Fault> {
        let mut bad = None;
        let labels = Labels::of(&[("zpool", pool)]);
        if let Ok(text) = system.read(&folder.join("state")) {
            let state = text::utf8(text.trim_ascii()).to_ascii_lowercase();
            for named in STATES {
                out.family(&STATE).add([("state", named), ("zpool", pool)], named == state);
            }
        }
        if let Ok(text) = system.read(&folder.join("io")) {
            for (field, value) in columns(text) {
                match value {
                    Some(value) => {
                        self.emit("node_zfs_zpool_", field, "Column of this name in the pool's file io.", &labels, value, out);
                    }
                    None => bad = Some(Fault::parse("io of a pool", field)),
                }
            }
        }
        for object in objects(folder) {
            let Ok(text) = system.read(&folder.join(object)) else { continue };
            let Some(dataset) = text::lines(text).find_map(dataset_name) else {
                bad = Some(Fault::parse("objset of a pool", text));
                continue;
            };
            let labels = Labels::of(&[("dataset", &text::utf8(dataset)), ("zpool", pool)]);
            let help = "Field of this name in the files objset-* of the pools.";
            bad = bad.or(self.rows("objset of a pool", text, "node_zfs_zpool_dataset_", help, &labels, out));
        }
        bad
    }

    fn rows(&mut self, what: &str, text: &[u8], prefix: &str, help: &str, labels: &Labels, out: &mut Samples) -> Option<Fault> {
        let mut bad = None;
        for line in text::lines(text).skip_while(|line| !is_header(line)).skip(1) {
            match row(line) {
                Row::Number(field, value) => self.emit(prefix, field, help, labels, value, out),
                Row::Other => {}
                Row::Bad => bad = bad.or_else(|| Some(Fault::parse(what, line))),
            }
        }
        bad
    }

    fn emit(&mut self, prefix: &str, field: &[u8], help: &str, labels: &Labels, value: f64, out: &mut Samples) {
        self.name.clear();
        self.name.push_str(prefix);
        // `erpt-dropped` -> `erpt_dropped`
        self.name.extend(field.iter().map(|byte| if byte.is_ascii_alphanumeric() { char::from(*byte) } else { '_' }));
        out.named(&self.name, help, Kind::Untyped).add_to(labels, [], value);
    }
}

/// The names of the folders in `path`, sorted: the pools.
fn folders(path: &Path) -> Result<Vec<String>, Fault> {
    let entries = std::fs::read_dir(path).map_err(|error| Fault::read(path, error))?;
    let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let mut names: Vec<_> =
        entries.flatten().filter(is_folder).filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

/// The names of a pool's files about datasets.
fn objects(folder: &Path) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.starts_with("objset-"))
}

/// `name                            type data`, above the rows and below a line about the kstat itself.
fn is_header(line: &[u8]) -> bool {
    text::fields(line).eq([&b"name"[..], b"type", b"data"])
}

#[derive(Debug, PartialEq)]
enum Row<'a> {
    Number(&'a [u8], f64),
    /// Text, and types that no sample can be made of.
    Other,
    Bad,
}

/// `hits                            4    7067992`: type 3 is signed, type 4 unsigned, each of 64 bits.
fn row(line: &[u8]) -> Row<'_> {
    let mut fields = text::fields(line);
    let (Some(name), Some(kind), Some(value)) = (fields.next(), fields.next(), fields.next()) else { return Row::Bad };
    let value = match kind {
        b"3" => text::number(value).map(from_i64),
        b"4" => text::number(value).map(from_u64),
        _ => return Row::Other,
    };
    value.map_or(Row::Bad, |value| Row::Number(name, value))
}

/// `dataset_name                    7    pool3/dataset with  space`
fn dataset_name(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"dataset_name")?.trim_ascii_start().strip_prefix(b"7")?;
    value.first().is_some_and(u8::is_ascii_whitespace).then(|| value.trim_ascii())
}

/// A line of names that begins with `nread`, and their values on the next.
fn columns(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<f64>)> {
    let mut lines = text::lines(text).skip_while(|line| !line.starts_with(b"nread"));
    let names = lines.next().unwrap_or_default();
    let mut values = text::fields(lines.next().unwrap_or_default());
    text::fields(names).map(move |name| (name, values.next().and_then(text::number).map(from_u64)))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn rows_of_types_3_and_4_are_numbers() {
        assert_eq!(row(b"erpt-dropped   4    18"), Row::Number(b"erpt-dropped", 18.0));
        assert_eq!(row(b"memory_available_bytes   3    -7"), Row::Number(b"memory_available_bytes", -7.0));
        assert_eq!(row(b"dataset_name   7    pool 1"), Row::Other);
        for bad in ["", "x", "x 4", "x 4 y", "x 4 -1", "x 4 18446744073709551616"] {
            assert_eq!(row(bad.as_bytes()), Row::Bad, "{bad}");
        }
        assert_eq!(dataset_name(b"dataset_name       7    a/b with  space\t"), Some(&b"a/b with  space"[..]));
        assert_eq!((dataset_name(b"dataset_name  4 x"), dataset_name(b"dataset_name  77 x")), (None, None));
    }

    #[test]
    fn what_is_bad_in_a_pool_costs_itself() {
        let head = "23 1 0x01 7 2160 22 66\nname                            type data\n";
        let file = |rows: &str| format!("{head}{rows}");
        let mut tree = Tree::of(&[
            ("proc/spl/kstat/zfs/zil", &file("zil_commit_count 4 7\nodd\nzil-itx 3 -7\n")),
            ("proc/spl/kstat/zfs/tank/io", "12 3 0x00 1 80 7 3\nnread    reads\nx  22\n"),
            ("proc/spl/kstat/zfs/tank/objset-1", &file("writes    4    1\n")),
            ("proc/spl/kstat/zfs/tank/objset-2", &file("dataset_name 7 tank/a  b\nwrites 4 2\nreads 4 x\nnread 4 3\n")),
            ("proc/spl/kstat/zfs/tank/state", "NOVEL\n"),
        ]);
        let (lines, result) = tree.show(&mut Zfs::default());
        assert!(!result.unwrap_err().is_absence());
        let (states, others): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.starts_with("node_zfs_zpool_state{"));
        assert!(states.len() == 7 && states.iter().all(|line| line.ends_with(" 0")), "{states:?}");
        let expected = [
            "node_zfs_zil_zil_commit_count 7",
            "node_zfs_zil_zil_itx -7",
            r#"node_zfs_zpool_dataset_nread{dataset="tank/a  b",zpool="tank"} 3"#,
            r#"node_zfs_zpool_dataset_writes{dataset="tank/a  b",zpool="tank"} 2"#,
            r#"node_zfs_zpool_reads{zpool="tank"} 22"#,
        ];
        assert_eq!(others, expected);
        assert!(Tree::of(&[]).show(&mut Zfs::default()).1.unwrap_err().is_absence());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>, words in "[a-z0-9 \n]{0,80}") {
            for text in [&text[..], words.as_bytes(), &[b"nread reads\n", &text[..]].concat(), &[b"dataset_name 7", &text[..]].concat()] {
                row(text);
                dataset_name(text);
                let mut out = Samples::new();
                for (field, value) in columns(text) {
                    Zfs::default().emit("node_zfs_zpool_", field, "", &Labels::new(), value.unwrap_or_default(), &mut out);
                }
            }
        }
    }
}
