//! The files `/proc/net/rpc/{nfs,nfsd}`, a part of the collectors [`nfs`](super::nfs) and [`nfsd`](super::nfsd).
//!
//! Each line is a word and numbers: `net 70 70 69 45`. Those about requests begin with how many follow: `proc2 18 16 57 …`.

use crate::exposition::{Family, Labels, Samples};
use crate::system::{Fault, text};

/// A number that is a sample by itself.
pub(super) struct Figure {
    /// The line's first word.
    pub(super) line: &'static str,
    /// Which number of the line, from 0.
    pub(super) column: usize,
    /// What it is shown as.
    pub(super) family: &'static Family,
    /// The sample's labels.
    pub(super) labels: &'static [(&'static str, &'static str)],
}

/// A line of requests.
pub(super) struct Requests {
    /// Its first word.
    pub(super) line: &'static str,
    /// The version of NFS.
    pub(super) proto: &'static str,
    /// The methods in the kernel's order, parted by blanks; `-` for one that is not shown.
    pub(super) methods: &'static str,
    /// Whether methods that a kernel does not know yet are shown as 0.
    pub(super) padded: bool,
}

/// Shows what the tables name. A number that is none costs itself only.
pub(super) fn emit(
    text: &[u8],
    figures: &[Figure],
    requests: &[Requests],
    family: &'static Family,
    out: &mut Samples,
) -> Result<(), Fault> {
    let mut bad = None;
    for line in text::lines(text) {
        let mut fields = text::fields(line);
        let name = text::utf8(fields.next().unwrap_or_default());
        let fields: Vec<&[u8]> = fields.collect();
        for figure in figures.iter().filter(|figure| figure.line == name) {
            match fields.get(figure.column).and_then(|field| text::number::<u64>(field)) {
                Some(count) => _ = out.family(figure.family).line("", &Labels::new(), figure.labels, count),
                None => bad = Some(Fault::parse("net/rpc", line)),
            }
        }
        for Requests { proto, methods, padded, .. } in requests.iter().filter(|requests| requests.line == name) {
            let mut counts = fields.iter().skip(1);
            for method in methods.split(' ') {
                let count = match counts.next() {
                    Some(field) => text::number::<u64>(field),
                    None if *padded => Some(0),
                    None => break,
                };
                match count {
                    Some(_) if method == "-" => {}
                    Some(count) => _ = out.family(family).add([("method", method), ("proto", proto)], count),
                    None => bad = Some(Fault::parse("net/rpc", line)),
                }
            }
        }
    }
    bad.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;

    static ONE: Family = Family::counter("one", "");
    static MANY: Family = Family::counter("many", "");
    static FIGURES: [Figure; 2] = [
        Figure { line: "net", column: 1, family: &ONE, labels: &[("protocol", "udp")] },
        Figure { line: "net", column: 2, family: &ONE, labels: &[("protocol", "tcp")] },
    ];
    static REQUESTS: [Requests; 2] = [
        Requests { line: "proc3", proto: "3", methods: "Null - GetAttr Later", padded: false },
        Requests { line: "proc4", proto: "4", methods: "Null Read Later", padded: true },
    ];

    fn page(text: &[u8]) -> (Result<(), Fault>, String) {
        let mut out = Samples::new();
        let result = emit(text, &FIGURES, &REQUESTS, &MANY, &mut out);
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        (result, page.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect())
    }

    #[test]
    fn lines_are_cut_by_the_tables() {
        let (result, page) = page(b"net 70 71 72 1\nproc3 3 5 6 7\nproc4 1 9\nother x\n");
        assert!(result.is_ok());
        let expected = "many{method=\"Null\",proto=\"3\"} 5\nmany{method=\"GetAttr\",proto=\"3\"} 7\n\
            many{method=\"Null\",proto=\"4\"} 9\nmany{method=\"Read\",proto=\"4\"} 0\nmany{method=\"Later\",proto=\"4\"} 0\n\
            one{protocol=\"udp\"} 71\none{protocol=\"tcp\"} 72\n";
        assert_eq!(page, expected);
    }

    #[test]
    fn what_is_no_number_costs_itself() {
        let (result, page) = page(b"net 70 x 72\nproc3 3 x 6 7\n");
        assert!(result.is_err());
        assert_eq!(page, "many{method=\"GetAttr\",proto=\"3\"} 7\none{protocol=\"tcp\"} 72\n");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(text: Vec<u8>, words in "(net|proc3|proc4|[0-9 \n]){0,20}") {
            let _ = (page(&text), page(words.as_bytes()));
        }
    }
}
