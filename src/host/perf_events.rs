//! The events that the kernel can count, and the counters that are open for them.

use std::fs::File;
use std::io::{self, Read};

use crate::exposition::{Family, from_u64};
use crate::system::syscalls;

/// `PERF_TYPE_*`
const HARDWARE: u32 = 0;
const SOFTWARE: u32 = 1;
pub(super) const TRACEPOINT: u32 = 2;
const CACHE: u32 = 3;

/// Something that the kernel counts, as `perf_event_attr` names it.
pub(super) struct Event {
    /// node_exporter's name for it, in flags.
    pub(super) name: &'static str,
    pub(super) family: Family,
    kind: u32,
    config: u64,
}

macro_rules! events {
    ($kind:expr; $($name:literal $family:literal $config:expr, $help:literal;)*) => {
        [$(Event {
            name: $name,
            family: Family::counter(concat!("node_perf_", $family, "_total"), $help),
            kind: $kind,
            config: $config,
        }),*]
    };
}

/// `PERF_COUNT_HW_*`
pub(super) static HARDWARE_EVENTS: [Event; 9] = events! { HARDWARE;
    "CpuCycles" "cpucycles" 0, "Cycles of the CPU at the speed that it runs at: PERF_COUNT_HW_CPU_CYCLES.";
    "CpuInstr" "instructions" 1, "Instructions retired: PERF_COUNT_HW_INSTRUCTIONS.";
    "CacheRef" "cache_refs" 2, "Accesses to the last cache: PERF_COUNT_HW_CACHE_REFERENCES.";
    "CacheMisses" "cache_misses" 3, "Misses of the last cache: PERF_COUNT_HW_CACHE_MISSES.";
    "BranchInstr" "branch_instructions" 4, "Branches retired: PERF_COUNT_HW_BRANCH_INSTRUCTIONS.";
    "BranchMisses" "branch_misses" 5, "Branches predicted wrongly: PERF_COUNT_HW_BRANCH_MISSES.";
    "StalledCyclesFrontend" "stalled_cycles_frontend" 7, "Cycles that waited to issue: PERF_COUNT_HW_STALLED_CYCLES_FRONTEND.";
    "StalledCyclesBackend" "stalled_cycles_backend" 8, "Cycles that waited to retire: PERF_COUNT_HW_STALLED_CYCLES_BACKEND.";
    "RefCpuCycles" "ref_cpucycles" 9, "Cycles at the CPU's nominal speed: PERF_COUNT_HW_REF_CPU_CYCLES.";
};

/// `PERF_COUNT_SW_*`
pub(super) static SOFTWARE_EVENTS: [Event; 5] = events! { SOFTWARE;
    "PageFault" "page_faults" 2, "Page faults: PERF_COUNT_SW_PAGE_FAULTS.";
    "ContextSwitch" "context_switches" 3, "Context switches: PERF_COUNT_SW_CONTEXT_SWITCHES.";
    "CpuMigration" "cpu_migrations" 4, "Tasks moved to another CPU: PERF_COUNT_SW_CPU_MIGRATIONS.";
    "MinorFault" "minor_faults" 5, "Page faults without a read from disk: PERF_COUNT_SW_PAGE_FAULTS_MIN.";
    "MajorFault" "major_faults" 6, "Page faults with a read from disk: PERF_COUNT_SW_PAGE_FAULTS_MAJ.";
};

/// `PERF_COUNT_HW_CACHE_*`: the cache, what is done with it, and whether it had to miss.
const fn cache(cache: u64, is_write: bool, is_miss: bool) -> u64 {
    cache | (is_write as u64) << 8 | (is_miss as u64) << 16
}

const L1D: u64 = 0;
const L1I: u64 = 1;
const LAST: u64 = 2;
const DATA_TLB: u64 = 3;
const INSTRUCTION_TLB: u64 = 4;
const BRANCHES: u64 = 5;

pub(super) static CACHE_EVENTS: [Event; 16] = events! { CACHE;
    "L1DataReadHit" "cache_l1d_read_hits" cache(L1D, false, false), "Reads of the first data cache.";
    "L1DataReadMiss" "cache_l1d_read_misses" cache(L1D, false, true), "Reads that missed the first data cache.";
    "L1DataWriteHit" "cache_l1d_write_hits" cache(L1D, true, false), "Writes to the first data cache.";
    "L1InstrReadMiss" "cache_l1_instr_read_misses" cache(L1I, false, true), "Reads that missed the first instruction cache.";
    "LLReadHit" "cache_ll_read_hits" cache(LAST, false, false), "Reads of the last cache.";
    "LLReadMiss" "cache_ll_read_misses" cache(LAST, false, true), "Reads that missed the last cache.";
    "LLWriteHit" "cache_ll_write_hits" cache(LAST, true, false), "Writes to the last cache.";
    "LLWriteMiss" "cache_ll_write_misses" cache(LAST, true, true), "Writes that missed the last cache.";
    "DataTLBReadHit" "cache_tlb_data_read_hits" cache(DATA_TLB, false, false), "Reads of the data TLB.";
    "DataTLBReadMiss" "cache_tlb_data_read_misses" cache(DATA_TLB, false, true), "Reads that missed the data TLB.";
    "DataTLBWriteHit" "cache_tlb_data_write_hits" cache(DATA_TLB, true, false), "Writes by way of the data TLB.";
    "DataTLBWriteMiss" "cache_tlb_data_write_misses" cache(DATA_TLB, true, true), "Writes that missed the data TLB.";
    "InstrTLBReadHit" "cache_tlb_instr_read_hits" cache(INSTRUCTION_TLB, false, false), "Reads of the instruction TLB.";
    "InstrTLBReadMiss" "cache_tlb_instr_read_misses" cache(INSTRUCTION_TLB, false, true), "Reads that missed the instruction TLB.";
    "BPUReadHit" "cache_bpu_read_hits" cache(BRANCHES, false, false), "Look-ups of the branch predictor.";
    "BPUReadMiss" "cache_bpu_read_misses" cache(BRANCHES, false, true), "Look-ups that the branch predictor missed.";
};

/// A counter of all that happens on one CPU.
pub(super) struct Counter(File);

impl Counter {
    /// Counts `event` from now on.
    pub(super) fn open(event: &Event, cpu: i32) -> io::Result<Counter> {
        Counter::of(event.kind, event.config, cpu)
    }

    /// Counts an event that is known by numbers alone.
    pub(super) fn of(kind: u32, config: u64, cpu: i32) -> io::Result<Counter> {
        syscalls::perf_event_open(kind, config, cpu).map(|fd| Counter(File::from(fd)))
    }

    /// The count; `None` where the event had no turn on the CPU's few counters yet.
    pub(super) fn read(&self) -> io::Result<Option<f64>> {
        let mut bytes = [0; 24];
        (&self.0).read_exact(&mut bytes)?;
        Ok(scaled(&bytes))
    }
}

/// Value, time enabled, time running: what was counted part of the time stands for all of it.
fn scaled(bytes: &[u8; 24]) -> Option<f64> {
    let mut numbers = bytes.as_chunks::<8>().0.iter().map(|number| u64::from_ne_bytes(*number));
    let (value, enabled, running) = (numbers.next()?, numbers.next()?, numbers.next()?);
    match running {
        0 if enabled > 0 => None,
        // Software events on a kernel that keeps no times.
        0 => Some(from_u64(value)),
        _ if running >= enabled => Some(from_u64(value)),
        _ => Some((from_u64(value) * (from_u64(enabled) / from_u64(running))).round()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(numbers: [u64; 3]) -> [u8; 24] {
        numbers.map(u64::to_ne_bytes).as_flattened().try_into().unwrap()
    }

    #[test]
    fn a_count_of_part_of_the_time_stands_for_all_of_it() {
        assert_eq!(scaled(&bytes([1000, 4000, 1000])), Some(4000.0));
        assert_eq!(scaled(&bytes([1000, 4000, 4000])), Some(1000.0));
        assert_eq!(scaled(&bytes([0, 4000, 0])), None);
        assert_eq!(scaled(&bytes([7, 0, 0])), Some(7.0));
    }

    #[test]
    fn caches_are_numbered_as_the_kernel_numbers_them() {
        let known = |name| CACHE_EVENTS.iter().find(|event| event.name == name).unwrap().config;
        assert_eq!((known("L1DataReadHit"), known("LLWriteMiss"), known("BPUReadMiss")), (0, 0x1_01_02, 0x1_00_05));
    }
}
