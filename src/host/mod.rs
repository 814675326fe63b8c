//! `node_*`: the host, in place of node_exporter. One file per collector.
//!
//! A new collector is one file and one line in [`KERNEL`], [`MOUNTS`] or [`BUS`]; its flags, its place in `--help` and in
//! `collect[]` are derived from its [`Entry`].

mod arp;
mod bcache;
mod bcachefs;
mod bonding;
mod btrfs;
mod buddyinfo;
mod cgroups;
mod conntrack;
mod cpu;
mod cpu_vulnerabilities;
mod cpufreq;
mod cpuinfo;
mod cpusys;
mod diskstats;
mod dmi;
mod dmmultipath;
mod drbd;
mod drm;
mod edac;
mod entropy;
mod ethtool;
mod fibrechannel;
mod filefd;
mod filesystem;
pub mod filter;
mod glob;
mod hwmon;
mod hwmon_chips;
mod infiniband;
mod infiniband_counters;
mod interfaces;
mod interrupts;
mod ipvs;
mod kernel_hung;
mod ksmd;
mod lnstat;
mod loadavg;
mod logind;
mod mdadm;
mod meminfo;
mod meminfo_numa;
mod mounts;
mod mountstats;
mod mountstats_families;
mod netclass;
mod netclass_files;
mod netclass_speed;
mod netdev;
mod netstat;
mod network_route;
mod nfs;
mod nfsd;
mod nvme;
mod nvmesubsystem;
mod os;
mod pci_ids;
mod pcidevice;
mod perf;
mod perf_events;
mod powersupplyclass;
mod pressure;
mod processes;
mod qdisc;
mod rapl;
mod retired;
mod rpc;
mod schedstat;
mod selinux;
mod slabinfo;
mod sockstat;
mod softirqs;
mod softnet;
mod stat;
mod swap;
mod sysctl;
mod systemd;
mod systemd_units;
mod tapestats;
mod tcpstat;
mod textfile;
mod thermal_zone;
mod time;
mod timex;
#[cfg(test)]
mod tree;
mod udp_queues;
mod uname;
mod vmstat;
mod watchdog;
mod wifi;
mod wifi_fixtures;
mod xfrm;
mod xfs;
mod zfs;
mod zoneinfo;

use crate::exposition::Samples;
use crate::scrape::{Collector, Entry, Module, Part, Source, Sources};
use crate::settings::{Error, Flag, Settings};
use crate::system::{Foreign, Roots, System, foreign};

/// This part's line in the table of parts.
pub static MODULE: Module = Module {
    part: Part::Host,
    enabled: Flag::switch("host", true, "Collect `node_*`."),
    flags,
    collectors,
    commands: &[],
    start,
};

/// What reads only what the kernel answers at once: one after the other on the thread `host`, as parallel reads of sysfs
/// contend for the kernel's locks and gain nothing.
pub static KERNEL: &[&Entry] = &[
    &arp::ENTRY,
    &bcache::ENTRY,
    &bcachefs::ENTRY,
    &bonding::ENTRY,
    &buddyinfo::ENTRY,
    &cgroups::ENTRY,
    &conntrack::ENTRY,
    &cpu::ENTRY,
    &cpu_vulnerabilities::ENTRY,
    &cpufreq::ENTRY,
    &diskstats::ENTRY,
    &dmi::ENTRY,
    &dmmultipath::ENTRY,
    &drbd::ENTRY,
    &drm::ENTRY,
    &edac::ENTRY,
    &entropy::ENTRY,
    &ethtool::ENTRY,
    &fibrechannel::ENTRY,
    &filefd::ENTRY,
    &hwmon::ENTRY,
    &infiniband::ENTRY,
    &interrupts::ENTRY,
    &ipvs::ENTRY,
    &kernel_hung::ENTRY,
    &ksmd::ENTRY,
    &lnstat::ENTRY,
    &loadavg::ENTRY,
    &mdadm::ENTRY,
    &meminfo::ENTRY,
    &meminfo_numa::ENTRY,
    &mountstats::ENTRY,
    &netclass::ENTRY,
    &netdev::ENTRY,
    &netstat::ENTRY,
    &network_route::ENTRY,
    &nfs::ENTRY,
    &nfsd::ENTRY,
    &nvme::ENTRY,
    &nvmesubsystem::ENTRY,
    &os::ENTRY,
    &pcidevice::ENTRY,
    &perf::ENTRY,
    &powersupplyclass::ENTRY,
    &pressure::ENTRY,
    &processes::ENTRY,
    &qdisc::ENTRY,
    &rapl::ENTRY,
    &schedstat::ENTRY,
    &selinux::ENTRY,
    &slabinfo::ENTRY,
    &sockstat::ENTRY,
    &softirqs::ENTRY,
    &softnet::ENTRY,
    &stat::ENTRY,
    &swap::ENTRY,
    &sysctl::ENTRY,
    &tapestats::ENTRY,
    &tcpstat::ENTRY,
    &thermal_zone::ENTRY,
    &time::ENTRY,
    &timex::ENTRY,
    &udp_queues::ENTRY,
    &uname::ENTRY,
    &vmstat::ENTRY,
    &watchdog::ENTRY,
    &wifi::ENTRY,
    &xfrm::ENTRY,
    &xfs::ENTRY,
    &zfs::ENTRY,
    &zoneinfo::ENTRY,
];

/// What touches mounted file systems: on a thread of its own, since a mount may hang.
pub static MOUNTS: &[&Entry] = &[&btrfs::ENTRY, &filesystem::ENTRY, &textfile::ENTRY];

/// What asks other programs over the message bus: on a thread of its own, since they may not answer.
pub static BUS: &[&Entry] = &[&logind::ENTRY, &systemd::ENTRY];

static DISABLE_DEFAULTS: Flag =
    Flag::switch("collector.disable-defaults", false, "Switch off every host collector that is not named by a flag of its own.");

/// All host collectors.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    KERNEL.iter().chain(MOUNTS).chain(BUS).copied()
}

fn flags() -> Vec<&'static Flag> {
    let of_entry = |entry: &'static Entry| std::iter::once(&entry.enabled).chain(entry.flags);
    let general = std::iter::once(&DISABLE_DEFAULTS).chain(&interfaces::FLAGS);
    general.chain(entries().flat_map(of_entry)).chain(retired::flags()).collect()
}

fn collectors(settings: &Settings) -> Vec<(&'static str, bool)> {
    entries().map(|entry| (entry.name, is_enabled(entry, settings))).collect()
}

fn is_enabled(entry: &Entry, settings: &Settings) -> bool {
    settings.switch(&entry.enabled) && (settings.is_given(&entry.enabled) || !settings.switch(&DISABLE_DEFAULTS))
}

fn start(settings: &Settings, sources: &Sources) -> Result<(), Error> {
    retired::check(settings)?;
    for (name, table) in [("host", KERNEL), ("mounts", MOUNTS), ("bus", BUS)] {
        let mut built = Vec::new();
        for entry in table.iter().filter(|entry| is_enabled(entry, settings)) {
            built.push((entry.name, (entry.new)(settings)?));
        }
        if !built.is_empty() {
            sources.add(thread(name, settings, built).map_err(|error| Error::new(format!("cannot start a thread: {error}")))?);
        }
    }
    warn(settings, sources);
    Ok(())
}

/// Tells which collectors that are on show figures of a container, and what to mount so that they show the host's.
fn warn(settings: &Settings, sources: &Sources) {
    let on: Vec<_> = entries().filter(|entry| is_enabled(entry, settings)).map(|entry| entry.name).collect();
    for Foreign { what, collectors, remedy } in foreign(&Roots::of(settings)) {
        let wrong: Vec<_> = collectors.iter().copied().filter(|name| on.contains(name)).collect();
        if !wrong.is_empty() {
            sources.warn(
                Part::Host,
                what,
                format!("{} show the container's figures, not the host's: {remedy}", wrong.join(", ")),
            );
        }
    }
}

fn thread(name: &str, settings: &Settings, mut built: Vec<(&'static str, Box<dyn Collector>)>) -> std::io::Result<Source> {
    let names = built.iter().map(|(name, _)| *name).collect();
    let (mut system, mut scratch) = (System::new(Roots::of(settings)), Samples::new());
    Source::thread(Part::Host, name, names, move |job| {
        system.begin(job.deadline());
        for (name, collector) in &mut built {
            job.run(name, &mut scratch, |out| collector.collect(&mut system, out));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    #[test]
    fn names_are_the_flags_names_and_stand_once() {
        let mut names: Vec<_> = flags().iter().map(|flag| flag.name).collect();
        for entry in entries() {
            assert_eq!(entry.enabled.name, format!("collector.{}", entry.name));
            assert!(entry.flags.iter().all(|flag| flag.name.starts_with("collector.")), "{}", entry.name);
        }
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn disable_defaults_spares_what_is_named() {
        let mut settings = Settings::default();
        assert!(collectors(&settings).contains(&("loadavg", true)));
        settings.set(&DISABLE_DEFAULTS, Origin::CommandLine, Setting::Switch(true));
        assert!(collectors(&settings).iter().all(|(_, on)| !on));
        settings.set(&loadavg::ENTRY.enabled, Origin::CommandLine, Setting::Switch(true));
        assert!(collectors(&settings).iter().all(|(name, on)| *on == (*name == "loadavg")));
    }
}
