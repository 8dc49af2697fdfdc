//! What the operating system says of the process, under the names every Prometheus client gives it. Where it does not
//! say (no `/proc`), there is no sample.

use std::fs;

use milepost_model::Timestamp;

use super::exposition::{Family, Number};
use super::own::unix;

/// Clock ticks in a second as `/proc/self/stat` counts them: the kernel's `USER_HZ`, 100 on Linux.
const TICKS: f64 = 100.0;

/// All families.
pub(super) fn process(started_at: Timestamp) -> Vec<Family> {
    let started = Some(Number::Real(unix(started_at)));
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let open = fs::read_dir("/proc/self/fd").ok().map(|files| Number::Count(files.count() as u64));
    [
        (Family::gauge("process_start_time_seconds", "When the process started, as a Unix time."), started),
        (Family::counter("process_cpu_seconds", "Time the process spent on processors."), cpu_seconds(&stat)),
        (
            Family::gauge("process_resident_memory_bytes", "Memory the process occupies."),
            bytes(&status, "VmRSS:"),
        ),
        (
            Family::gauge("process_virtual_memory_bytes", "Address space of the process."),
            bytes(&status, "VmSize:"),
        ),
        (Family::gauge("process_open_fds", "Files and sockets the process has open."), open),
    ]
    .into_iter()
    .filter_map(|(family, value)| Some(family.with(Vec::new(), value?)))
    .collect()
}

/// `utime` and `stime`: the 12th and 13th field behind the name, which alone may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<Number> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(Number::Real(ticks as f64 / TICKS))
}

/// A line such as `VmRSS:     1234 kB`.
fn bytes(status: &str, name: &str) -> Option<Number> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(Number::Count(kilobytes * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1 1 1";
        assert_eq!(cpu_seconds(stat), Some(Number::Real(3.0)));
        assert_eq!(cpu_seconds("nothing"), None);
        assert_eq!(bytes("Name:\tx\nVmRSS:\t    12 kB\n", "VmRSS:"), Some(Number::Count(12 * 1024)));
    }
}
