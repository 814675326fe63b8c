//! `/proc/1/mountinfo`: the host's mounts, a part of the collectors that ask mounts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::filter::Filter;
use crate::exposition::Labels;
use crate::system::{Fault, Patience, Roots, System, text};

/// The mounts to show. Their labels are rendered when the list changes, which is seldom.
pub(super) struct Mounts {
    points: Filter,
    types: Filter,
    text: Vec<u8>,
    list: Vec<Mount>,
}

/// One mount.
pub(super) struct Mount {
    /// The kernel's number of it.
    id: u64,
    path: Arc<Path>,
    /// Whether it cannot be written to.
    pub(super) read_only: bool,
    /// `device`, an empty `device_error`, `fstype`, `mountpoint`.
    pub(super) labels: Labels,
    /// `device`, `major`, `minor`, `mountpoint`.
    pub(super) numbers: Labels,
    identity: [String; 3],
}

/// What a call that may hang is about. The kernel gives a mount's number to no other mount while a call for it is under way.
#[derive(PartialEq)]
pub(super) struct Place {
    id: u64,
    /// Where it is found from here.
    pub(super) path: Arc<Path>,
}

/// How long to wait for calls that may hang: `timeout`, but half of what is left until the page leaves is kept for what else reads
/// files, and for the page itself.
pub(super) fn until(deadline: Option<Instant>, timeout: Duration) -> Instant {
    let now = Instant::now();
    let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(now) / 2);
    now + timeout.min(left)
}

impl Mount {
    /// For [`Patience`](crate::system::Patience).
    pub(super) fn place(&self) -> Place {
        Place { id: self.id, path: self.path.clone() }
    }

    /// What is mounted.
    pub(super) fn device(&self) -> &str {
        let [device, ..] = &self.identity;
        device
    }

    fn new(line: &Line<'_>, roots: &Roots) -> Self {
        let point = unescaped(line.point);
        let host_path = Path::new(OsStr::from_bytes(&point));
        // Outside of the root stands what is already the host's own view: init seen through the host's /proc.
        let stripped = roots.strip_root(host_path).unwrap_or(host_path);
        let identity =
            [&unescaped(line.source)[..], line.kind, stripped.as_os_str().as_bytes()].map(|part| text::utf8(part).into_owned());
        let [device, _, shown] = &identity;
        let (major, minor) = (text::utf8(line.major), text::utf8(line.minor));
        let mut mount = Mount {
            id: line.id,
            path: roots.root(stripped).into(),
            read_only: line.read_only,
            labels: Labels::new(),
            numbers: Labels::of(&[("device", device), ("major", &major), ("minor", &minor), ("mountpoint", shown)]),
            identity,
        };
        mount.labels = mount.labels_with("");
        mount
    }

    /// The labels with an error.
    pub(super) fn labels_with(&self, error: &str) -> Labels {
        let [device, kind, point] = &self.identity;
        Labels::of(&[("device", device), ("device_error", error), ("fstype", kind), ("mountpoint", point)])
    }
}

/// Asks about each of `places` with patience, but not where a call of another collector hangs: one parked thread for each mount is
/// enough. In the order of `places`, `None` where there is no answer by `until`.
pub(super) fn ask<T: Send + 'static>(
    patience: &mut Patience<Place, T>,
    places: impl Iterator<Item = Place>,
    until: Instant,
    system: &mut System,
    call: impl Fn(&Place) -> T + Send + Sync + 'static,
) -> Vec<Option<T>> {
    let name = patience.name();
    let hangs = |place: &Place| system.hung.iter().any(|(who, id)| *who != name && *id == place.id);
    let (mut asked, mut places_asked) = (Vec::new(), Vec::new());
    for place in places {
        let hangs = hangs(&place);
        asked.push(!hangs);
        places_asked.extend((!hangs).then_some(place));
    }
    let mut answers = patience.ask(places_asked, until, call).into_iter();
    system.hung.retain(|(who, _)| *who != name);
    system.hung.extend(patience.stuck().map(|place| (name, place.id)));
    asked.into_iter().map(|asked| if asked { answers.next().flatten() } else { None }).collect()
}

impl Mounts {
    /// Mounts whose point and type pass.
    pub(super) fn new(points: Filter, types: Filter) -> Self {
        Mounts { points, types, text: Vec::new(), list: Vec::new() }
    }

    /// The mounts as last read.
    pub(super) fn list(&self) -> &[Mount] {
        &self.list
    }

    /// Reads the list anew. A line that is not understood costs its own mount only.
    pub(super) fn read(&mut self, system: &mut System) -> Result<(), Fault> {
        let roots = system.roots.clone();
        let text = match system.proc("1/mountinfo") {
            // hidepid hides other users' processes.
            Err(Fault::Absent(_)) => system.proc("self/mountinfo")?,
            read => read?,
        };
        if text == self.text {
            return Ok(());
        }
        self.text.clear();
        self.text.extend_from_slice(text);
        self.update(&roots)
    }

    fn update(&mut self, roots: &Roots) -> Result<(), Fault> {
        let (mut places, mut bad) = (HashMap::new(), None);
        self.list.clear();
        let text = std::mem::take(&mut self.text);
        for line in text::lines(&text) {
            let Some(line) = parse(line) else {
                bad.get_or_insert_with(|| Fault::parse("mountinfo", line));
                continue;
            };
            let mount = Mount::new(&line, roots);
            let [_, kind, point] = &mount.identity;
            if !(self.points.passes(point) && self.types.passes(kind)) {
                continue;
            }
            // A mount over a mount of the same device and type hides it, so the later one counts.
            match places.get(&mount.identity).and_then(|place: &usize| self.list.get_mut(*place)) {
                Some(hidden) => *hidden = mount,
                None => {
                    places.insert(mount.identity.clone(), self.list.len());
                    self.list.push(mount);
                }
            }
        }
        // A list with a bad line is read again, so that its error is told again.
        if bad.is_none() {
            self.text = text;
        }
        bad.map_or(Ok(()), Err)
    }
}

/// What a line says, escapes left as they are.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'a> {
    id: u64,
    major: &'a [u8],
    minor: &'a [u8],
    /// Where it is mounted.
    pub(super) point: &'a [u8],
    /// The file system's type.
    pub(super) kind: &'a [u8],
    /// What is mounted: a device, an export.
    pub(super) source: &'a [u8],
    /// The options of the file system, apart from those of the mount.
    pub(super) options: &'a [u8],
    read_only: bool,
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`: number, parent, device, root, mount point,
/// options, any number of tags, a dash, type, source, options of the file system.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut fields = text::fields(line);
    let id = text::number(fields.next()?)?;
    let (major, minor) = text::pair(fields.nth(1)?, b':')?;
    let point = fields.nth(1)?;
    let options = fields.next()?;
    fields.find(|field| *field == b"-")?;
    let (kind, source, of_system) = (fields.next()?, fields.next()?, fields.next()?);
    let has = |options: &[u8], wanted: &[u8]| options.split(|&byte| byte == b',').any(|option| option == wanted);
    // ext4 remounted by the kernel after an error has `emergency_ro` since Linux 6.14.
    let read_only = has(options, b"ro") || has(of_system, b"ro") || has(of_system, b"emergency_ro");
    Some(Line { id, major, minor, point, kind, source, options: of_system, read_only })
}

/// `\040` and the like, by which the kernel writes blank, tab, newline, `#` and backslash.
fn unescaped(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(field);
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(decoded) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            plain.push(decoded);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            plain.push(byte);
            rest = tail;
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_any_number_of_tags() {
        let line = parse(b"36 35 98:0 /mnt1 /mnt2 rw,noatime shared:7 master:1 - ext3 /dev/root rw,errors=continue").unwrap();
        assert_eq!((line.id, line.major, line.minor), (36, &b"98"[..], &b"0"[..]));
        assert_eq!((line.point, line.kind, line.source, line.read_only), (&b"/mnt2"[..], &b"ext3"[..], &b"/dev/root"[..], false));
        let read_only = |options: &str, of_system: &str| {
            parse(format!("1 1 0:1 / / {options} - x y {of_system}").as_bytes()).unwrap().read_only
        };
        assert!(
            read_only("ro", "rw")
                && read_only("rw", "rw,ro")
                && read_only("rw", "rw,emergency_ro")
                && !read_only("rw,errors=ro", "rw")
        );
        for wrong in ["", "36 35 98:0 / / rw", "x 35 98:0 / / rw - a b c", "36 35 98 / / rw - a b c", "36 35 98:0 / / rw - a b"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn escapes_are_decoded_and_other_backslashes_stay() {
        let cases = [("/a\\040b\\011c\\134d", "/a b\tc\\d"), ("/plain", "/plain"), ("\\9", "\\9"), ("\\777\\04", "\\777\\04")];
        for (escaped, plain) in cases {
            assert_eq!(unescaped(escaped.as_bytes()), plain.as_bytes(), "{escaped}");
        }
    }

    #[test]
    fn the_root_is_stripped_and_what_is_hidden_left_out() {
        let mut mounts = Mounts::new(Filter::default(), Filter::new(None, Some(regex_lite::Regex::new("^proc$").unwrap())));
        mounts.text = b"1 0 8:1 / /host rw - ext4 /dev/sda1 rw\n\
            2 1 0:5 / /host/proc rw - proc proc rw\n\
            3 1 8:2 / /host/my\\040data rw - xfs /dev/sdb1 rw\n\
            nonsense\n\
            4 1 8:2 / /host/my\\040data ro - xfs /dev/sdb1 rw\n"
            .to_vec();
        let fault = mounts.update(&Roots { root: "/host".into(), ..Roots::default() }).unwrap_err();
        assert!(fault.to_string().contains("nonsense"), "{fault}");
        let found: Vec<_> = mounts.list().iter().map(|mount| (mount.id, mount.path.to_str().unwrap(), mount.read_only)).collect();
        assert_eq!(found, [(1, "/host/", false), (4, "/host/my data", true)]);
        assert_eq!(
            mounts.list()[1].labels,
            Labels::of(&[("device", "/dev/sdb1"), ("device_error", ""), ("fstype", "xfs"), ("mountpoint", "/my data")])
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(line: Vec<u8>) {
            parse(&line);
            unescaped(&line);
        }
    }
}
