//! Reads `/proc/sys/kernel/hung_task_detect_count`: how often a task was found to hang. Emits `node_kernel_hung_tasks_total`.

use crate::exposition::{Family, Samples};
use crate::scrape::{Collector, Entry};
use crate::settings::Flag;
use crate::system::{Fault, System, text};

static HUNG: Family = Family::counter(
    "node_kernel_hung_tasks_total",
    "Tasks found hanging in uninterruptible sleep: /proc/sys/kernel/hung_task_detect_count (Linux 6.13).",
);

/// The collector's line in the table.
pub(super) static ENTRY: Entry = Entry {
    name: "kernel_hung",
    enabled: Flag::switch("collector.kernel_hung", true, "Tasks found hanging."),
    flags: &[],
    new: |_| Ok(Box::new(KernelHung)),
};

struct KernelHung;

impl Collector for KernelHung {
    fn collect(&mut self, system: &mut System, out: &mut Samples) -> Result<(), Fault> {
        let text = system.proc("sys/kernel/hung_task_detect_count")?;
        let count: u64 = text::number(text).ok_or_else(|| Fault::parse("hung_task_detect_count", text))?;
        out.family(&HUNG).add([], count);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::{Tree, built};

    #[test]
    fn an_older_kernel_has_no_count_and_nonsense_is_no_count() {
        let mut tree = Tree::of(&[]);
        let mut collector = built(&ENTRY, &[]).unwrap();
        assert!(tree.show(&mut *collector).1.unwrap_err().is_absence());
        tree.write("proc/sys/kernel/hung_task_detect_count", "-\n");
        assert!(matches!(tree.show(&mut *collector), (lines, Err(Fault::Parse { .. })) if lines.is_empty()));
        tree.write("proc/sys/kernel/hung_task_detect_count", "42\n");
        assert_eq!(tree.show(&mut *collector).0, ["node_kernel_hung_tasks_total 42"]);
    }
}
