//! What the benchmarks share: deterministic numbers, events, servers to send them to, and the CPU time of a piece of work.

#![allow(clippy::missing_panics_doc, reason = "a benchmark that cannot go on ends with what went wrong")]

pub mod cluster;
pub mod copies;
pub mod load;
pub mod mix;
pub mod otlp;
pub mod records;
pub mod rotel;
pub mod server;

use rustix::time::{ClockId, clock_gettime};

/// A small deterministic generator (xorshift64*): benchmarks must see the same input on every machine.
pub struct Random(u64);

impl Random {
    /// Equal seeds, equal numbers. The seed must not be 0.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// CPU seconds this thread spent in `work`.
pub fn used_cpu(work: impl FnOnce()) -> f64 {
    let before = cpu(ClockId::ThreadCPUTime);
    work();
    cpu(ClockId::ThreadCPUTime) - before
}

/// CPU seconds that this process has used, in all its threads, those that have ended included.
pub fn process_cpu() -> f64 {
    cpu(ClockId::ProcessCPUTime)
}

fn cpu(clock: ClockId) -> f64 {
    let used = clock_gettime(clock);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Bytes of memory that this process occupies; 0 where the kernel does not tell.
pub fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0
}

/// The middle one.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    quantile(&figures, 0.5)
}

/// The figure at rank ⌈q·n⌉ of sorted ones.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// A number that a variable may change, such as `MILEPOST_BENCH_EVENTS=100000` for a shorter run.
pub fn setting(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("the variable is a whole number"))
}
