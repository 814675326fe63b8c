//! Reads `/sys/class/watchdog/*`: hardware that starts the machine anew when nobody stops it. Emits `node_watchdog_*`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "watchdog",
    enabled: Flag::switch("collector.watchdog", true, "Watchdog devices."),
    flags: &[],
    new: |_| Ok(Box::new(Watchdog)),
};

/// The families and their files, each of which a driver may lack.
#[rustfmt::skip]
static FIELDS: [(Family, &str); 7] = [
    (Family::gauge("node_watchdog_bootstatus", "Why the machine started: bootstatus."), "bootstatus"),
    (Family::gauge("node_watchdog_fw_version", "Version of its firmware: fw_version."), "fw_version"),
    (Family::gauge("node_watchdog_nowayout", "1 if it cannot be stopped: nowayout."), "nowayout"),
    (Family::gauge("node_watchdog_timeleft_seconds", "Time left: timeleft."), "timeleft"),
    (Family::gauge("node_watchdog_timeout_seconds", "Time between two signs of life: timeout."), "timeout"),
    (Family::gauge("node_watchdog_pretimeout_seconds", "Time before the end at which it warns: pretimeout."), "pretimeout"),
    (Family::gauge("node_watchdog_access_cs0", "Whether it started from the first boot medium: access_cs0."), "access_cs0"),
];
static INFO: Family = Family::gauge("node_watchdog_info", "What the watchdog's other files say of it; 1.");

struct Watchdog;

impl Collector for Watchdog {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for name in system.entries("class/watchdog")? {
            let path = |file: &str| format!("class/watchdog/{name}/{file}");
            for (family, file) in &FIELDS {
                if let Some(value) = system.number::<i64>(path(file)) {
                    out.family(family).add([("name", &*name)], value);
                }
            }
            let mut text = |file: &str| system.label(path(file)).unwrap_or_default();
            let labels = [
                ("identity", &*text("identity")),
                ("name", &*name),
                ("options", &*text("options")),
                ("pretimeout_governor", &*text("pretimeout_governor")),
                ("state", &*text("state")),
                ("status", &*text("status")),
            ];
            out.family(&INFO).add(labels, 1u8);
        }
        Ok(())
    }
}
