//! Huge pages: files whose names hold the size of a page, `hugetlb.2MB.usage_in_bytes`.

use std::path::Path;

use super::attribute::{Attribute, Controller};
use super::parse::pairs;
use super::stats::{Pages, fill};
use crate::system::text::number;

/// What to read for pages of each size. Where the kernel tells of reservations apart (`rsvd`, since Linux 5.7), they come first and are
/// believed: a page counts as used from when it is promised.
pub(super) fn attributes(sizes: &[String]) -> Vec<Attribute> {
    let mut all = Vec::new();
    for (index, size) in sizes.iter().enumerate() {
        for reserved in ["rsvd.", ""] {
            let mut add = |controller, name: &str, parse| {
                all.push(Attribute::of_pages(controller, format!("hugetlb.{size}.{reserved}{name}"), index, parse));
            };
            add(Controller::Hugetlb, "usage_in_bytes", usage);
            add(Controller::Hugetlb, "max_usage_in_bytes", |text, pages| fill(&mut pages.max_usage, number(text)));
            add(Controller::Hugetlb, "failcnt", |text, pages| fill(&mut pages.failcnt, number(text)));
            add(Controller::Unified, "current", usage);
        }
        all.push(Attribute::of_pages(Controller::Unified, format!("hugetlb.{size}.events"), index, events));
    }
    all
}

/// `2097152`
fn usage(text: &[u8], pages: &mut Pages) {
    fill(&mut pages.usage, number(text));
}

/// `max 3`: how often the limit was hit
fn events(text: &[u8], pages: &mut Pages) {
    fill(&mut pages.failcnt, pairs(text).find(|(key, _)| *key == b"max").map(|(_, value)| value));
}

/// The sizes of huge pages there are, as the names of files have them, the smallest first: `kernel/mm/hugepages/hugepages-2048kB` is `2MB`.
pub(super) fn sizes(sys: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(sys.join("kernel/mm/hugepages")).into_iter().flatten().flatten();
    let mut sizes: Vec<u64> = entries.filter_map(|entry| kilobytes(entry.file_name().to_str()?)).collect();
    sizes.sort_unstable();
    sizes.into_iter().map(name).collect()
}

/// `hugepages-2048kB`
fn kilobytes(folder: &str) -> Option<u64> {
    folder.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()
}

fn name(kilobytes: u64) -> String {
    match kilobytes {
        1_048_576.. => format!("{}GB", kilobytes >> 20),
        1024.. => format!("{}MB", kilobytes >> 10),
        _ => format!("{kilobytes}KB"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stats::Stats;
    use super::*;

    #[test]
    fn sizes_are_called_as_the_kernel_calls_them() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["hugepages-1048576kB", "hugepages-64kB", "hugepages-2048kB", "other"] {
            std::fs::create_dir_all(dir.path().join("kernel/mm/hugepages").join(folder)).unwrap();
        }
        assert_eq!(sizes(dir.path()), ["64KB", "2MB", "1GB"]);
        assert!(sizes(Path::new("/nonexistent")).is_empty());
    }

    #[test]
    fn reservations_are_believed_first() {
        let all = attributes(&["2MB".to_owned()]);
        let mut stats = Stats::default();
        let texts =
            [("hugetlb.2MB.rsvd.current", "4194304\n"), ("hugetlb.2MB.current", "2097152\n"), ("hugetlb.2MB.events", "max 3\n")];
        for attribute in all.iter().filter(|attribute| attribute.controller == Controller::Unified) {
            let (_, text) = texts.iter().find(|(file, _)| *file == attribute.file).unwrap();
            attribute.parse(text.as_bytes(), &mut stats);
        }
        assert_eq!(stats.pages, [Pages { size: 0, usage: Some(4_194_304), max_usage: None, failcnt: Some(3) }]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_will_do(text: Vec<u8>, folder: String) {
            kilobytes(&folder).map(name);
            let mut stats = Stats::default();
            attributes(&["2MB".to_owned()]).iter().for_each(|attribute| attribute.parse(&text, &mut stats));
        }
    }
}
