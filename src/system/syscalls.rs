//! System and C library calls that no crate makes for us: the only file where `unsafe` is allowed.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::Socket;
use tokio::io::unix::AsyncFd;

/// What adjtimex(2) reads of the kernel's clock, and the state of the clock (`TIME_OK` … `TIME_ERROR`) that it returns.
pub fn adjtimex() -> io::Result<(libc::timex, libc::c_int)> {
    // SAFETY: `timex` holds integers only, for which all-zero bytes are a value. `modes` 0 asks for nothing to be changed.
    let mut clock: libc::timex = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the pointer is to a live, exclusively borrowed `timex`; the kernel writes no further than its end.
    match unsafe { libc::adjtimex(&raw mut clock) } {
        -1 => Err(io::Error::last_os_error()),
        state => Ok((clock, state)),
    }
}

/// The local time zone at `seconds` of Unix time: its abbreviation and how many seconds it is east of Greenwich.
pub fn local_zone(seconds: libc::time_t) -> Option<(String, i64)> {
    // SAFETY: `tm` holds integers and a pointer, for which all-zero bytes are a value.
    let mut time: libc::tm = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: both pointers are to live values; the function is thread-safe, and no code here changes the environment
    // that it reads TZ from (clippy.toml forbids `set_var`).
    let filled = unsafe { libc::localtime_r(&raw const seconds, &raw mut time) };
    if filled.is_null() || time.tm_zone.is_null() {
        return None;
    }
    // SAFETY: not null, as was tested; the C library keeps zone names, ended by a zero byte, until the end of the process.
    let name = unsafe { CStr::from_ptr(time.tm_zone) };
    Some((name.to_string_lossy().into_owned(), time.tm_gmtoff))
}

/// Calls `action` while this thread, and no other, acts as the user `uid`: whoever it connects to takes us for that user.
///
/// Only root may do that; for anyone else, and in a container without CAP_SETUID, `action` is called as it is.
pub fn as_user<T>(uid: libc::uid_t, action: impl FnOnce() -> T) -> T {
    /// Back to who we were, however `action` ends. The saved user is not changed, so the kernel cannot refuse.
    struct Back(libc::uid_t);
    impl Drop for Back {
        fn drop(&mut self) {
            set_effective_user(self.0);
        }
    }
    // SAFETY: geteuid has no arguments and cannot fail.
    let _back = Back(unsafe { libc::geteuid() });
    set_effective_user(uid);
    action()
}

/// setresuid(2) itself, since the C library's function of that name changes all threads.
fn set_effective_user(uid: libc::uid_t) {
    const SAME: libc::c_long = -1;
    // SAFETY: the call takes three integers and touches no memory of ours.
    let _refused_is_harmless = unsafe { libc::syscall(libc::SYS_setresuid, SAME, libc::c_long::from(uid), SAME) };
}

/// Has this thread's reads and writes wait until nobody else wants the disk, where the disk's scheduler knows priorities.
pub fn idle_io_priority() -> io::Result<()> {
    const OF_THREAD: libc::c_int = 1;
    const MYSELF: libc::c_int = 0;
    const IDLE: libc::c_int = 3 << 13;
    // SAFETY: the call takes three integers and touches no memory of ours.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, OF_THREAD, MYSELF, IDLE) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The `count` descriptors from 3 on that systemd has passed to this process (sd_listen_fds(3)), once: a second call gets none.
///
/// Ask for no more than `LISTEN_FDS` says, and only where `LISTEN_PID` is this process: they are its own to close then.
pub fn inherited_descriptors(count: u32) -> Vec<OwnedFd> {
    const FIRST: libc::c_int = 3;
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if count == 0 || TAKEN.swap(true, Ordering::AcqRel) {
        return Vec::new();
    }
    let end = FIRST.saturating_add_unsigned(count);
    // SAFETY: fcntl with these commands takes integers only, and says whether there is such a descriptor.
    let open = |descriptor: &libc::c_int| unsafe { libc::fcntl(*descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } == 0;
    // SAFETY: it is open, and whoever started us put it there for us: nobody else here knows of it, and this line is reached once.
    (FIRST..end).take_while(open).map(|descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) }).collect()
}

/// A socket of any kind, watched by the runtime this is called in.
pub fn watch(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: a Socket owns its descriptor, always names the same one, and is not reachable for a change before it is unregistered:
    // AsyncFd lends it by shared reference, through which a Socket cannot be replaced.
    Ok(unsafe { AsyncFd::register(socket) }?)
}

/// The requests to btrfs of linux/btrfs.h, their structures taken as what they are made of: 64-bit words.
mod btrfs {
    const MAGIC: u8 = 0x94;
    nix::ioctl_readwrite!(device, MAGIC, 30, [u64; 512]);
    nix::ioctl_read!(file_system, MAGIC, 31, [u64; 128]);
    nix::ioctl_readwrite!(device_errors, MAGIC, 52, [u64; 129]);
}

/// `btrfs_ioctl_fs_info_args` of the btrfs that `folder` lies on.
pub fn btrfs_file_system(folder: impl AsFd) -> nix::Result<[u64; 128]> {
    let mut words = [0; 128];
    // SAFETY: the request's number, which the kernel checks, holds the size of the array: it writes no further than its end.
    unsafe { btrfs::file_system(folder.as_fd().as_raw_fd(), &raw mut words) }?;
    Ok(words)
}

/// `btrfs_ioctl_dev_info_args` of the file system's device with the number `id`.
pub fn btrfs_device(folder: impl AsFd, id: u64) -> nix::Result<[u64; 512]> {
    let mut words = [0; 512];
    words[0] = id;
    // SAFETY: as in `btrfs_file_system`.
    unsafe { btrfs::device(folder.as_fd().as_raw_fd(), &raw mut words) }?;
    Ok(words)
}

/// `btrfs_ioctl_get_dev_stats` of that device: `items` counts of errors are asked for, and nothing is reset.
pub fn btrfs_device_errors(folder: impl AsFd, id: u64, items: u64) -> nix::Result<[u64; 129]> {
    let mut words = [0; 129];
    [words[0], words[1]] = [id, items];
    // SAFETY: as in `btrfs_file_system`; of the counts the kernel writes no more than the structure has room for, whatever `items` says.
    unsafe { btrfs::device_errors(folder.as_fd().as_raw_fd(), &raw mut words) }?;
    Ok(words)
}

/// What an interface's driver may fill with one answer: 32,768 names of counters.
pub const ETHTOOL_ROOM: usize = 1 << 20;

/// Asks the driver of `interface` what the command at the start of `room` (`ETHTOOL_G*`) stands for; the answer takes its place.
///
/// The caller makes sure beforehand that the answer is well below the room: the kernel asks the driver how long it is, not us.
pub fn ethtool(socket: &OwnedFd, interface: &str, room: &mut [u8; ETHTOOL_ROOM]) -> io::Result<()> {
    // SAFETY: `ifreq` holds bytes, integers and a pointer, for which all-zero bytes are a value.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    // The last byte stays zero.
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    request.ifr_name.iter_mut().zip(interface.bytes()).for_each(|(to, from)| *to = libc::c_char::from_ne_bytes([from]));
    request.ifr_ifru.ifru_data = room.as_mut_ptr().cast();
    // SAFETY: the pointer is to a live `ifreq`, whose own is to `room`, exclusively borrowed. The reading commands write one structure of
    // at most 200 bytes, or a head of 12 bytes and at most 32 for each of the driver's counters, of which the caller has made sure
    // that they fill a small part of it.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Makes the C library give memory back: a page's buffers (above 128 KiB) are mapped and unmapped one by one instead of growing a heap
/// that stays, and all threads share one arena.
///
/// Measured on bursts like scrapes with four threads: 2.3 MB resident afterwards against 11.8 MB with the defaults.
/// Call it first thing, before there are threads.
pub fn tune_allocator() {
    for (parameter, value) in [(libc::M_MMAP_THRESHOLD, 128 * 1024), (libc::M_TRIM_THRESHOLD, 128 * 1024), (libc::M_ARENA_MAX, 1)]
    {
        // SAFETY: mallopt takes two integers and refuses those it does not know by returning 0.
        let _refused_is_harmless = unsafe { libc::mallopt(parameter, value) };
    }
}

/// `struct perf_event_attr` in its first version, which every kernel takes: 64 bytes.
#[repr(C)]
#[derive(Default)]
struct PerfEventAttributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    breakpoint_address: u64,
}

/// Counts an event of `perf_event_open(2)`, of all processes on one CPU, from now on. What is read are three numbers: the count, and for
/// how long the event was enabled and counted, in ns.
pub fn perf_event_open(kind: u32, config: u64, cpu: i32) -> io::Result<OwnedFd> {
    const WITH_TIMES: u64 = 1 | 1 << 1;
    const NOT_OF_HYPERVISOR: u64 = 1 << 6;
    const CLOSE_ON_EXEC: libc::c_ulong = 8;
    const ALL_PROCESSES: libc::pid_t = -1;
    const NO_GROUP: libc::c_int = -1;
    let attributes = PerfEventAttributes {
        kind,
        size: 64,
        config,
        read_format: WITH_TIMES,
        flags: NOT_OF_HYPERVISOR,
        ..PerfEventAttributes::default()
    };
    // SAFETY: the pointer is to a live value whose size it tells; the kernel only reads it.
    let fd =
        unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attributes, ALL_PROCESSES, cpu, NO_GROUP, CLOSE_ON_EXEC) };
    match libc::c_int::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_can_be_read() {
        let (clock, state) = adjtimex().unwrap();
        assert!(clock.tick > 0, "{}", clock.tick);
        assert!((libc::TIME_OK..=libc::TIME_ERROR).contains(&state), "{state}");
    }

    #[test]
    fn one_thread_acts_as_another_user_for_a_while() {
        /// `Uid: 0 65534 0 65534`: real, effective, saved, for files.
        fn user() -> String {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        }
        let me = user();
        let (inside, beside) = as_user(65_534, || (user(), std::thread::scope(|scope| scope.spawn(user).join().unwrap())));
        assert_eq!(inside, if me == "0" { "65534" } else { &me });
        // A thread inherits its maker's user; the other threads, and this one afterwards, are as before.
        assert_eq!((beside, user()), (inside, me));
    }

    #[test]
    fn one_thread_alone_becomes_idle() {
        let priority = |thread: &str| {
            let output = std::process::Command::new("ionice").args(["-p", thread]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let id = || std::fs::read_link("/proc/thread-self").unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let beside = std::thread::scope(|scope| {
            let idle = scope.spawn(|| {
                idle_io_priority().unwrap();
                priority(&id())
            });
            idle.join().unwrap()
        });
        assert_eq!(beside, "idle");
        assert_ne!(priority(&id()), "idle");
    }

    #[test]
    fn the_local_zone_is_that_of_date() {
        let date = |format| {
            let output = std::process::Command::new("date").args(["-d", "@1000000000", format]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let (name, offset) = local_zone(1_000_000_000).unwrap();
        assert_eq!(name, date("+%Z"));
        assert_eq!(
            format!("{}{:02}{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 3600, offset.abs() / 60 % 60),
            date("+%z")
        );
    }
}
