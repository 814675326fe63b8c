//! Reads `/etc/os-release`, else `/usr/lib/os-release`, below the host's root: which distribution this is.
//! Emits `node_os_info`, `node_os_version`, `node_os_support_end_timestamp_seconds`.

use std::borrow::Cow;

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static INFO: Family = Family::gauge("node_os_info", "The distribution, from os-release; always 1.");
static VERSION: Family = Family::gauge("node_os_version", "The leading major.minor of VERSION_ID of os-release, as a number.");
static SUPPORT_END: Family =
    Family::gauge("node_os_support_end_timestamp_seconds", "When the distribution's support ends: SUPPORT_END of os-release.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "os",
    enabled: Flag::switch("collector.os", true, "Name and version of the distribution."),
    flags: &[],
    new: |_| Ok(Box::new(Os)),
};

/// Labels of `node_os_info` and the keys they come from.
const LABELS: [(&str, &str); 12] = [
    ("build_id", "BUILD_ID"),
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("image_id", "IMAGE_ID"),
    ("image_version", "IMAGE_VERSION"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("variant", "VARIANT"),
    ("variant_id", "VARIANT_ID"),
    ("version", "VERSION"),
    ("version_codename", "VERSION_CODENAME"),
    ("version_id", "VERSION_ID"),
];

struct Os;

impl Collector for Os {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let (etc, usr) = (system.roots.root("etc/os-release"), system.roots.root("usr/lib/os-release"));
        let path = if etc.exists() { etc } else { usr };
        let release = Release(system.read(&path)?);
        let values = LABELS.map(|(label, key)| (label, release.get(key)));
        out.family(&INFO).add(values.each_ref().map(|(label, value)| (*label, value.as_ref())), 1u8);
        if let Some(version) = leading_number(&release.get("VERSION_ID")) {
            let [id, id_like, name] = ["ID", "ID_LIKE", "NAME"].map(|key| release.get(key));
            out.family(&VERSION).add([("id", id.as_ref()), ("id_like", &id_like), ("name", &name)], version);
        }
        if let Some(end) = unix_day(&release.get("SUPPORT_END")) {
            out.family(&SUPPORT_END).add([], end);
        }
        Ok(())
    }
}

/// The text of os-release.
struct Release<'a>(&'a [u8]);

impl<'a> Release<'a> {
    /// The value of `key`, empty where it is not there. As in a shell the last one counts.
    fn get(&self, key: &str) -> Cow<'a, str> {
        let lines = text::lines(self.0).filter_map(|line| text::pair(line, b'='));
        lines.filter(|(known, _)| *known == key.as_bytes()).last().map_or(Cow::Borrowed(""), |(_, value)| unquoted(value))
    }
}

/// `"20.04.2 LTS (Focal Fossa)"`, `'x'`, `ubuntu`: the text without quotes, and in double quotes or none without backslashes.
fn unquoted(value: &[u8]) -> Cow<'_, str> {
    if let Some(plain) = value.strip_prefix(b"'").and_then(|rest| rest.strip_suffix(b"'")) {
        return text::utf8(plain);
    }
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    if !inner.contains(&b'\\') {
        return text::utf8(inner);
    }
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        plain.extend(if byte == b'\\' { bytes.next().copied() } else { Some(byte) });
    }
    Cow::Owned(text::utf8(&plain).into_owned())
}

/// `20.04.6` -> 20.04; `None` where a rolling release has no number.
fn leading_number(version: &str) -> Option<f64> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let major = digits(version);
    let minor = version.get(major..)?.strip_prefix('.').map_or(0, |rest| 1 + digits(rest));
    version.get(..major + minor).filter(|_| major > 0)?.parse().ok()
}

/// `2025-05-14`: midnight UTC of that day in Unix time.
fn unix_day(date: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-').map(|part| text::number::<i64>(part.as_bytes()));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !((1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day)) {
        return None;
    }
    // Years counted from March, so that a leap day is a year's last: 306 days from 1 March to 1 January, 719,468 from year 0 to 1970.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_unquoted() {
        let release = Release(b"# comment\nNAME=\"A \\\"quoted\\\" name\"\nID=debian\nVERSION_ID='12'\nID=later\n");
        assert_eq!(release.get("NAME"), "A \"quoted\" name");
        assert_eq!(
            (release.get("ID"), release.get("VERSION_ID"), release.get("VARIANT")),
            ("later".into(), "12".into(), "".into())
        );
    }

    #[test]
    fn versions_are_their_leading_number() {
        let numbers = ["12", "3.10", "20.04.6", "3.", "rolling", ""].map(leading_number);
        assert_eq!(numbers, [Some(12.0), Some(3.1), Some(20.04), Some(3.0), None, None]);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(unix_day("1970-01-01"), Some(0));
        assert_eq!(unix_day("2000-02-29"), Some(951_782_400));
        assert_eq!(unix_day("2025-05-14"), Some(1_747_180_800));
        for wrong in ["", "2025-05", "2025-13-01", "x-05-14", "999999999-01-01"] {
            assert_eq!(unix_day(wrong), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(bytes: Vec<u8>, text: String) {
            Release(&bytes).get("NAME");
            unquoted(&bytes);
            leading_number(&text);
            unix_day(&text);
        }
    }
}
