//! Reads `/proc/sys/kernel/random/{entropy_avail,poolsize}`. Emits `node_entropy_available_bits` and `node_entropy_pool_size_bits`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static AVAILABLE: Family = Family::gauge("node_entropy_available_bits", "Bits of entropy in the pool: entropy_avail.");
static SIZE: Family = Family::gauge("node_entropy_pool_size_bits", "Bits that the pool can hold: poolsize.");

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "entropy",
    enabled: Flag::switch("collector.entropy", true, "Entropy of the kernel's random numbers."),
    flags: &[],
    new: |_| Ok(Box::new(Entropy)),
};

struct Entropy;

impl Collector for Entropy {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        for (family, path) in [(&AVAILABLE, "sys/kernel/random/entropy_avail"), (&SIZE, "sys/kernel/random/poolsize")] {
            let text = system.proc(path)?;
            let bits: u64 = text::number(text).ok_or_else(|| Fault::parse(path, text))?;
            out.family(family).add([], bits);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Page;
    use crate::system::Roots;

    #[test]
    fn one_number_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("sys/kernel/random");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("entropy_avail"), "256\n").unwrap();
        std::fs::write(folder.join("poolsize"), "many\n").unwrap();
        let mut system = System::new(Roots { proc: dir.path().into(), ..Roots::default() });
        let mut out = Samples::new();
        let fault = Entropy.collect(&mut system, &mut out).unwrap_err();
        assert!(fault.to_string().contains("poolsize") && fault.to_string().contains("many"), "{fault}");
        let page = String::from_utf8(Page::new(vec![out]).to_vec()).unwrap();
        assert!(page.ends_with("node_entropy_available_bits 256\n"), "{page}");
    }
}
