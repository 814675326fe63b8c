//! Reads `/sys/class/drm/card*/device/*` of AMD graphics cards, the only ones whose driver tells there. Emits `node_drm_*`.
//!
//! The files are those of the kernel's documentation of amdgpu (Documentation/gpu/amdgpu).

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "drm",
    enabled: Flag::switch("collector.drm", false, "Load and memory of AMD graphics cards."),
    flags: &[],
    new: |_| Ok(Box::new(Drm)),
};

static INFO: Family = Family::gauge("node_drm_card_info", "What the card's files of text say of it; 1.");

/// The families and their files, each of which a card may lack.
#[rustfmt::skip]
static FIELDS: [(Family, &str); 7] = [
    (Family::gauge("node_drm_gpu_busy_percent", "Load of the graphics processor: gpu_busy_percent."), "gpu_busy_percent"),
    (Family::gauge("node_drm_memory_gtt_size_bytes", "The host's memory that the card may use: mem_info_gtt_total."), "mem_info_gtt_total"),
    (Family::gauge("node_drm_memory_gtt_used_bytes", "The host's memory that the card uses: mem_info_gtt_used."), "mem_info_gtt_used"),
    (Family::gauge("node_drm_memory_vis_vram_size_bytes", "The card's memory that the CPU can reach: mem_info_vis_vram_total."), "mem_info_vis_vram_total"),
    (Family::gauge("node_drm_memory_vis_vram_used_bytes", "What of that is in use: mem_info_vis_vram_used."), "mem_info_vis_vram_used"),
    (Family::gauge("node_drm_memory_vram_size_bytes", "The card's memory: mem_info_vram_total."), "mem_info_vram_total"),
    (Family::gauge("node_drm_memory_vram_used_bytes", "The card's memory that is in use: mem_info_vram_used."), "mem_info_vram_used"),
];

const CLASS: &str = "class/drm";

struct Drm;

impl Collector for Drm {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let names = match system.entries(CLASS) {
            // A machine without graphics is complete, as node_exporter sees it.
            Err(fault) if fault.is_absence() => return Ok(()),
            names => names?,
        };
        // Beside the cards stand their sockets (card0-HDMI-A-1) and renderers (renderD128).
        let is_card =
            |name: &&String| name.strip_prefix("card").is_some_and(|number| text::number::<u32>(number.as_bytes()).is_some());
        for card in names.iter().filter(is_card) {
            let Ok(device) = system.folder(format!("{CLASS}/{card}/device")) else { continue };
            let is_amd = |uevent: &[u8]| text::lines(uevent).find(|line| *line == b"DRIVER=amdgpu").map(drop);
            if device.read("uevent", is_amd).is_none() {
                continue;
            }
            let text = |file: &str| device.label(file).unwrap_or_default();
            let labels = [
                ("card", &**card),
                ("memory_vendor", &*text("mem_info_vram_vendor")),
                ("power_performance_level", &*text("power_dpm_force_performance_level")),
                ("unique_id", &*text("unique_id")),
                ("vendor", "amd"),
            ];
            out.family(&INFO).add(labels, 1u8);
            for (family, file) in &FIELDS {
                // What the card does not tell is not shown; node_exporter shows 0.
                if let Some(value) = device.read(file, text::number::<u64>) {
                    out.family(family).add([("card", card)], value);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::Tree;

    #[test]
    fn amd_cards_tell_what_they_know() {
        let mut tree = Tree::of(&[]);
        assert_eq!(tree.lines(&ENTRY), Vec::<String>::new());
        for (file, text) in [
            ("card0/device/uevent", "DRIVER=i915\nPCI_CLASS=30000\n"),
            ("card0/device/mem_info_vram_total", "7\n"),
            ("card10/device/uevent", "DRIVER=amdgpu\nPCI_CLASS=30000\n"),
            ("card10/device/gpu_busy_percent", "4\n"),
            ("card10/device/mem_info_gtt_total", "8573157376\n"),
            ("card10/device/mem_info_gtt_used", "unknown\n"),
            ("card10/device/mem_info_vram_vendor", "samsung\n"),
            ("card10/device/power_dpm_force_performance_level", "manual\n"),
            ("card10/device/unique_id", "0123456789abcdef\n"),
            ("card10-HDMI-A-1/device/uevent", "DRIVER=amdgpu\n"),
            ("renderD128/device/uevent", "DRIVER=amdgpu\n"),
        ] {
            tree.write(&format!("sys/class/drm/{file}"), text);
        }
        let expected = [
            concat!(
                r#"node_drm_card_info{card="card10",memory_vendor="samsung",power_performance_level="manual","#,
                r#"unique_id="0123456789abcdef",vendor="amd"} 1"#
            ),
            r#"node_drm_gpu_busy_percent{card="card10"} 4"#,
            r#"node_drm_memory_gtt_size_bytes{card="card10"} 8573157376"#,
        ];
        assert_eq!(tree.lines(&ENTRY), expected);
    }
}
