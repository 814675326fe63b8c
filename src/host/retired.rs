//! Flags of node_exporter behind which there is nothing here: accepted where that changes nothing, refused where something would be missing.

use crate::settings::{Error, Flag, Settings};

/// A Rust program has no such knob: one thread reads the kernel, whatever this says.
static GOMAXPROCS: Flag =
    Flag::number("runtime.gomaxprocs", 1, "Accepted and not needed: one thread reads the kernel.").env("GOMAXPROCS").hidden();

/// Collectors that node_exporter itself has declared to be on their way out.
static GONE: [(&Flag, &[Flag]); 3] = [
    (
        &gone_switch("collector.ntp"),
        &[
            gone("collector.ntp.server"),
            gone("collector.ntp.server-port"),
            gone("collector.ntp.protocol-version"),
            gone_switch("collector.ntp.server-is-local"),
            gone("collector.ntp.ip-ttl"),
            gone("collector.ntp.max-distance"),
            gone("collector.ntp.local-offset-tolerance"),
        ],
    ),
    (&gone_switch("collector.runit"), &[gone("collector.runit.servicedir")]),
    (&gone_switch("collector.supervisord"), &[gone("collector.supervisord.url")]),
];

const HELP: &str = "Refused: deprecated by node_exporter and not in this program.";

const fn gone(name: &'static str) -> Flag {
    Flag::text(name, "", HELP).hidden()
}

const fn gone_switch(name: &'static str) -> Flag {
    Flag::switch(name, false, HELP).hidden()
}

/// The flags, for the part's table.
pub(super) fn flags() -> impl Iterator<Item = &'static Flag> {
    std::iter::once(&GOMAXPROCS).chain(GONE.iter().flat_map(|(switch, flags)| std::iter::once(*switch).chain(*flags)))
}

/// Refuses what asks for a collector that is not here; to switch it off is as good as done.
pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    for (switch, flags) in GONE {
        let wanted = flags.iter().find(|flag| settings.is_given(flag));
        if let Some(flag) = wanted.or(Some(switch).filter(|switch| settings.switch(switch))) {
            return Err(Error::new(format!("{}: {} is deprecated upstream and not in this program", flag.name, switch.name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    fn with(name: &str, setting: Setting) -> Result<(), String> {
        let mut settings = Settings::default();
        let flag = flags().find(|flag| flag.name == name).unwrap();
        settings.set(flag, Origin::CommandLine, setting);
        check(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn what_would_be_missing_is_refused_by_name() {
        let error = with("collector.ntp", Setting::Switch(true)).unwrap_err();
        assert_eq!(error, "collector.ntp: collector.ntp is deprecated upstream and not in this program");
        let error = with("collector.supervisord.url", Setting::Text("http://x".into())).unwrap_err();
        assert_eq!(error, "collector.supervisord.url: collector.supervisord is deprecated upstream and not in this program");
    }

    #[test]
    fn what_changes_nothing_is_accepted() {
        with("collector.ntp", Setting::Switch(false)).unwrap();
        with("collector.runit", Setting::Switch(false)).unwrap();
        with("runtime.gomaxprocs", Setting::Number(8)).unwrap();
    }
}
