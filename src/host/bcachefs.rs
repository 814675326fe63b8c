//! Reads `/sys/fs/bcachefs/<uuid>`: what each mounted bcachefs counts, as a whole and for each of its devices.
//! Emits `node_bcachefs_*`, one family for each file in `counters`.

use crate::exposition::{Family, Kind, Labels, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, Folder, System, text};

static INFO: Family = Family::gauge("node_bcachefs_info", "A mounted bcachefs; 1.");
static CACHE: Family = Family::gauge("node_bcachefs_btree_cache_size_bytes", "Memory for nodes of trees: btree_cache_size.");
static WRITES: Family = Family::counter("node_bcachefs_btree_writes_total", "Nodes of trees written: btree_write_stats, nr.");
static WRITE_SIZE: Family =
    Family::gauge("node_bcachefs_btree_write_average_size_bytes", "Average size of such a write: btree_write_stats, size.");
static COMPRESSED: Family =
    Family::gauge("node_bcachefs_compression_compressed_bytes", "Data on disk by algorithm: compression_stats, compressed.");
static UNCOMPRESSED: Family =
    Family::gauge("node_bcachefs_compression_uncompressed_bytes", "The same data unpacked: compression_stats, uncompressed.");
static ERRORS: Family = Family::counter("node_bcachefs_errors_total", "Inconsistencies found, by kind: errors.");
static DEVICE: Family = Family::gauge("node_bcachefs_device_info", "Label and state of the device: label, state; 1.");
static BUCKET: Family = Family::gauge("node_bcachefs_device_bucket_size_bytes", "Size of a bucket: bucket_size.");
static BUCKETS: Family = Family::gauge("node_bcachefs_device_buckets", "Buckets of the device: nbuckets.");
static DURABILITY: Family = Family::gauge("node_bcachefs_device_durability", "How many copies one on it counts as: durability.");
static DONE: Family =
    Family::counter("node_bcachefs_device_io_done_bytes_total", "Bytes read and written, by kind of data: io_done.");
static IO_ERRORS: Family = Family::counter("node_bcachefs_device_io_errors_total", "Errors since the beginning: io_errors.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "bcachefs",
    enabled: Flag::switch("collector.bcachefs", true, "What mounted bcachefs file systems count."),
    flags: &[],
    new: |_| Ok(Box::new(Bcachefs)),
};

const ROOT: &str = "fs/bcachefs";

struct Bcachefs;

type Emit = fn(&str, &Labels, &mut Samples) -> Option<()>;

/// Files of a table each, below a line of titles or none: how many lines to skip, and what makes samples of a line.
const TABLES: [(&str, usize, Emit); 3] =
    [("btree_write_stats", 1, btree_write), ("compression_stats", 1, compression), ("errors", 0, error)];

impl Collector for Bcachefs {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let mut bad = None;
        for uuid in system.entries(ROOT)? {
            // Unmounted meanwhile.
            let path = format!("{ROOT}/{uuid}");
            let (Ok(folder), Ok(entries)) = (system.folder(&path), system.entries(&path)) else { continue };
            let labels = Labels::of(&[("uuid", &uuid)]);
            out.family(&INFO).add_to(&labels, [], 1u8);
            if let Some(bytes) = folder.read("btree_cache_size", size) {
                out.family(&CACHE).add_to(&labels, [], bytes);
            }
            for (file, titles, emit) in TABLES {
                for line in folder.label(file).unwrap_or_default().lines().skip(titles) {
                    if emit(line, &labels, out).is_none() {
                        bad = Some(Fault::parse(file, line.as_bytes()));
                    }
                }
            }
            counters(&format!("{path}/counters"), &labels, system, out);
            for entry in entries {
                let Some(number) = entry.strip_prefix("dev-") else { continue };
                if let Ok(folder) = system.folder(format!("{path}/{entry}")) {
                    device(&folder, &Labels::of(&[("device", number), ("uuid", &uuid)]), out);
                }
            }
        }
        bad.map_or(Ok(()), Err)
    }
}

fn counters(path: &str, labels: &Labels, system: &System, out: &mut Samples) {
    let Ok(folder) = system.folder(path) else { return };
    let is_name = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    for name in system.entries(path).unwrap_or_default().into_iter().filter(is_name) {
        if let Some(count) = folder.read(&name, since_creation) {
            let help = format!("Counter of this name since the file system was made: counters/{name}.");
            out.named(&format!("node_bcachefs_{name}_total"), &help, Kind::Counter).add_to(labels, [], count);
        }
    }
}

fn device(folder: &Folder, labels: &Labels, out: &mut Samples) {
    let [label, state] = ["label", "state"].map(|file| folder.label(file).unwrap_or_default());
    out.family(&DEVICE).add_to(labels, [("label", &label), ("state", &state)], 1u8);
    for (file, family) in [("bucket_size", &BUCKET), ("nbuckets", &BUCKETS), ("durability", &DURABILITY)] {
        if let Some(value) = folder.read(file, size) {
            out.family(family).add_to(labels, [], value);
        }
    }
    let mut operation = "";
    for (name, bytes) in folder.label("io_done").unwrap_or_default().lines().filter_map(|line| line.split_once(':')) {
        match text::number::<u64>(bytes.as_bytes()) {
            Some(bytes) => {
                out.family(&DONE).add_to(labels, [("data_type", name.trim()), ("operation", operation)], bytes);
            }
            // `read:` and `write:` above what was read and written.
            None => operation = if name == "read" { "read" } else { "write" },
        }
    }
    // After the errors since the file system was made come those since they were last reset.
    let errors = folder.label("io_errors").unwrap_or_default();
    for line in errors.lines().skip(1).take_while(|line| line.starts_with(' ')) {
        if let Some((kind, count)) = line.split_once(':').and_then(|(kind, count)| Some((kind, size(count.as_bytes())?))) {
            out.family(&IO_ERRORS).add_to(labels, [("type", kind.trim())], count);
        }
    }
}

/// `initial:           3298401   100k`
fn btree_write(line: &str, labels: &Labels, out: &mut Samples) -> Option<()> {
    let (kind, rest) = line.split_once(':')?;
    let mut fields = rest.split_ascii_whitespace().map(|field| size(field.as_bytes()));
    let (count, average) = (fields.next()??, fields.next()??);
    out.family(&WRITES).add_to(labels, [("type", kind)], count);
    out.family(&WRITE_SIZE).add_to(labels, [("type", kind)], average);
    Some(())
}

/// `zstd                    226G            603G                    115k`
fn compression(line: &str, labels: &Labels, out: &mut Samples) -> Option<()> {
    let (algorithm, rest) = line.split_once(' ')?;
    let mut fields = rest.split_ascii_whitespace().map(|field| size(field.as_bytes()));
    let (compressed, uncompressed) = (fields.next()??, fields.next()??);
    out.family(&COMPRESSED).add_to(labels, [("algorithm", algorithm)], compressed);
    out.family(&UNCOMPRESSED).add_to(labels, [("algorithm", algorithm)], uncompressed);
    Some(())
}

/// `subvol_missing                                  194     1761076737`: the count, and when it was last seen.
fn error(line: &str, labels: &Labels, out: &mut Samples) -> Option<()> {
    let mut fields = line.split_ascii_whitespace();
    let (kind, count) = (fields.next()?, fields.next()?);
    out.family(&ERRORS).add_to(labels, [("error_type", kind)], size(count.as_bytes())?);
    Some(())
}

/// `since mount:  8.08T`, `since filesystem creation:  11.4T`
fn since_creation(text: &[u8]) -> Option<f64> {
    text::lines(text).find_map(|line| size(line.strip_prefix(b"since filesystem creation:")?))
}

/// `4517`, or rounded: `28.2k`, `2.05G`. Units are powers of 1024; a fraction of a byte is cut off.
fn size(field: &[u8]) -> Option<f64> {
    let field = field.trim_ascii();
    if let Some(whole) = text::number::<u64>(field) {
        return Some(from_u64(whole));
    }
    let (unit, digits) = field.split_last()?;
    let unit = b"kMGTPE".iter().position(|known| known == unit)?;
    let is_plain = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let value: f64 = text::number(digits).filter(|_| is_plain)?;
    Some((0..=unit).fold(value, |value, _| value * 1024.0).trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_or_rounded() {
        for (text, expected) in [
            ("697", Some(697.0)),
            ("1.26k", Some(1290.0)),
            ("2.05G", Some(2_201_170_739.0)),
            (" 11.4T\n", Some(12_534_432_556_646.0)),
            ("11299659571772285102", Some(11_299_659_571_772_285_102.0)),
        ] {
            assert_eq!(size(text.as_bytes()), expected, "{text}");
        }
        for wrong in ["", "k", "-1", "1e3k", "infk", "NaNk", "1.2", "1.2.3k", "1x"] {
            assert_eq!(size(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(since_creation(b"since mount:    1\nsince filesystem creation:   2k\n"), Some(2048.0));
        assert_eq!(since_creation(b"since mount:    1\n"), None);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let (labels, mut out) = (Labels::new(), Samples::new());
        for (emit, line) in [
            (error as Emit, "subvol_missing"),
            (error, "subvol_missing x"),
            (compression, "zstd 226G"),
            (compression, "zstd x 603G 115k"),
            (btree_write, "initial 1 2"),
            (btree_write, "initial: 1"),
        ] {
            assert_eq!((emit(line, &labels, &mut out), out.series()), (None, 0), "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, line: String) {
            size(&bytes);
            since_creation(&bytes);
            for (_, _, emit) in TABLES {
                emit(&line, &Labels::new(), &mut Samples::new());
            }
        }
    }
}
