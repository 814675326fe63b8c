//! The devices of a btrfs and their errors, which only the file system itself tells: ioctl(2) on a folder of it.

use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::{syscalls, text};

/// The most device numbers that are tried. They grow with each device that is added or replaced.
const MOST_DEVICES: u64 = 4096;

/// A mounted btrfs.
#[derive(Debug, PartialEq)]
pub struct Btrfs {
    /// As it names its folder in /sys/fs/btrfs.
    pub uuid: String,
    /// Its devices by number.
    pub devices: Vec<Device>,
}

/// One of its devices.
#[derive(Debug, PartialEq)]
pub struct Device {
    /// The device's own UUID.
    pub uuid: String,
    /// Its path, empty for one that is missing.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of it that are given to chunks.
    pub used: u64,
    /// Errors in the kernel's order: write, read, flush, corruption, generation.
    pub errors: [u64; 5],
}

impl Btrfs {
    /// Asks the file system that is mounted at `path`. May hang, as any call to a file system.
    pub fn ask(path: &Path) -> nix::Result<Btrfs> {
        let folder = open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let words = syscalls::btrfs_file_system(&folder)?;
        let [last, _count, uuid @ ..] = &words;
        let mut devices = Vec::new();
        for id in 0..=(*last).min(MOST_DEVICES) {
            let about = match syscalls::btrfs_device(&folder, id) {
                // A number that no device has any more.
                Err(Errno::ENODEV) => continue,
                about => about?,
            };
            devices.push(device(&about, &syscalls::btrfs_device_errors(&folder, id, 5)?));
        }
        Ok(Btrfs { uuid: uuid_text(uuid), devices })
    }
}

/// Of `about` the words 1 and 2 are the UUID, 3 and 4 what is used and the size, those from 384 on the path; of `errors` the words
/// from 3 on are the counts.
fn device(about: &[u64; 512], errors: &[u64; 129]) -> Device {
    let [_id, uuid_and_sizes @ ..] = about;
    let [_, _, used, size, ..] = uuid_and_sizes;
    let [_id, _items, _flags, write, read, flush, corruption, generation, ..] = errors;
    let path: Vec<u8> = about.iter().skip(384).flat_map(|word| word.to_ne_bytes()).take_while(|byte| *byte != 0).collect();
    Device {
        uuid: uuid_text(uuid_and_sizes),
        path: text::utf8(&path).into_owned(),
        size: *size,
        used: *used,
        errors: [*write, *read, *flush, *corruption, *generation],
    }
}

/// The first 16 bytes as `b4479f8d-d803-459c-8733-037e15a14730`.
fn uuid_text(words: &[u64]) -> String {
    let bytes = words.iter().take(2).flat_map(|word| word.to_ne_bytes());
    let mut uuid = String::with_capacity(36);
    for (at, byte) in bytes.enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            uuid.push('-');
        }
        uuid.push_str(&format!("{byte:02x}"));
    }
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_as_the_kernel_has_them() {
        let (mut about, mut errors) = ([0; 512], [9; 129]);
        let uuid: Vec<u8> = (0xa0..0xb0).collect();
        about[1] = u64::from_ne_bytes(uuid[..8].try_into().unwrap());
        about[2] = u64::from_ne_bytes(uuid[8..].try_into().unwrap());
        (about[3], about[4], about[384]) = (7, 100, u64::from_ne_bytes(*b"/dev/sda"));
        errors[3..8].copy_from_slice(&[1, 2, 3, 4, 5]);
        let expected = Device {
            uuid: "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf".to_owned(),
            path: "/dev/sda".to_owned(),
            size: 100,
            used: 7,
            errors: [1, 2, 3, 4, 5],
        };
        assert_eq!(device(&about, &errors), expected);
        // A path as long as there is room for ends with the structure.
        let full = device(&[u64::from_ne_bytes([b'x'; 8]); 512], &errors);
        assert_eq!(full.path.len(), 1024);
    }

    #[test]
    fn what_is_no_btrfs_refuses() {
        assert_eq!(Btrfs::ask(Path::new("/proc")), Err(Errno::ENOTTY));
        assert_eq!(Btrfs::ask(Path::new("/none")), Err(Errno::ENOENT));
    }
}
