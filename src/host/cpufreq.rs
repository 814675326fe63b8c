//! Reads `/sys/devices/system/cpu/cpu*/cpufreq/*`: at which frequency each CPU runs, may run and can run. Emits `node_cpu_frequency_*` and
//! `node_cpu_scaling_*`.
//!
//! Only files that are shown are read (reading a frequency may wake a CPU, 20 to 50 ms on some), and one that fails costs itself.

use crate::exposition::{Family, Samples, from_u64};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, is_absent};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "cpufreq",
    enabled: Flag::switch("collector.cpufreq", true, "Frequencies of the CPUs."),
    flags: &[],
    new: |_| Ok(Box::new(CpuFreq)),
};

/// The families and their files, all in kHz.
#[rustfmt::skip]
static FIELDS: [(Family, &str); 7] = [
    // Only root may read it.
    (Family::gauge("node_cpu_frequency_hertz", "Frequency that the hardware reports: cpuinfo_cur_freq."), "cpuinfo_cur_freq"),
    (Family::gauge("node_cpu_frequency_avg_hertz", "Frequency on average: cpuinfo_avg_freq."), "cpuinfo_avg_freq"),
    (Family::gauge("node_cpu_frequency_max_hertz", "Highest frequency of the CPU: cpuinfo_max_freq."), "cpuinfo_max_freq"),
    (Family::gauge("node_cpu_frequency_min_hertz", "Lowest frequency of the CPU: cpuinfo_min_freq."), "cpuinfo_min_freq"),
    (Family::gauge("node_cpu_scaling_frequency_hertz", "Frequency that the governor chose: scaling_cur_freq."), "scaling_cur_freq"),
    (Family::gauge("node_cpu_scaling_frequency_max_hertz", "Highest that it may choose: scaling_max_freq."), "scaling_max_freq"),
    (Family::gauge("node_cpu_scaling_frequency_min_hertz", "Lowest that it may choose: scaling_min_freq."), "scaling_min_freq"),
];
static GOVERNOR: Family =
    Family::gauge("node_cpu_scaling_governor", "1 for the governor in use, 0 for the others of scaling_available_governors.");

const CPUS: &str = "devices/system/cpu";

struct CpuFreq;

impl Collector for CpuFreq {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for name in system.entries(CPUS)? {
            let Some(cpu) = name.strip_prefix("cpu").filter(|number| is_number(number)) else { continue };
            let folder = format!("{CPUS}/{name}/cpufreq");
            // A CPU that is switched off, or a machine that has no say in it (most virtual ones), has no folder.
            if std::fs::metadata(system.roots.sys(&folder)).is_err_and(|error| is_absent(&error)) {
                continue;
            }
            for (family, file) in &FIELDS {
                if let Some(kilohertz) = system.number(format!("{folder}/{file}")) {
                    out.family(family).add([("cpu", cpu)], from_u64(kilohertz) * 1000.0);
                }
            }
            if let Some(chosen) = system.label(format!("{folder}/scaling_governor")) {
                let available = system.label(format!("{folder}/scaling_available_governors")).unwrap_or_default();
                for governor in available.split_ascii_whitespace() {
                    out.family(&GOVERNOR).add([("cpu", cpu), ("governor", governor)], governor == chosen);
                }
            }
        }
        Ok(())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn a_bad_file_costs_itself_only() {
        let dir = tempfile::tempdir().unwrap();
        let cpus = dir.path().join(CPUS);
        for folder in ["cpu0/cpufreq", "cpu1", "cpufreq", "cpuidle"] {
            std::fs::create_dir_all(cpus.join(folder)).unwrap();
        }
        for (file, text) in [
            ("cpuinfo_cur_freq", "<unknown>\n"),
            ("scaling_cur_freq", "1699981\n"),
            ("scaling_governor", "powersave\n"),
            ("scaling_available_governors", "performance powersave \n"),
        ] {
            std::fs::write(cpus.join("cpu0/cpufreq").join(file), text).unwrap();
        }
        let mut system = System::new(Roots { sys: dir.path().into(), ..Roots::default() });
        let mut out = Samples::new();
        CpuFreq.collect(&mut system, &mut out).unwrap();
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        let samples: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "node_cpu_scaling_frequency_hertz{cpu=\"0\"} 1699981000",
                "node_cpu_scaling_governor{cpu=\"0\",governor=\"performance\"} 0",
                "node_cpu_scaling_governor{cpu=\"0\",governor=\"powersave\"} 1",
            ]
        );
    }
}
