//! Which runs are made one, and how.
//!
//! Laws:
//!
//! 1. A merged run has the entries of its parts, and covers their ranges, which follow one another.
//! 2. Once nothing is left to merge, no run is of a smaller size class than the one after it, and fewer than [`FAN_IN`]
//!    are of the same. So n events are in O(log n) runs, and each was written O(log n) times.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::run::{Run, RunError, RunWriter, Scan};
use super::tail::Entry;

/// So many runs of a size class become one of the next.
pub(super) const FAN_IN: usize = 4;

/// Entries written between two looks at whether to go on.
const STRIDE: u64 = 1 << 16;

/// The size class of a run, where the smallest have about `unit` entries.
fn class(entries: u64, unit: u64) -> u32 {
    (entries / unit.max(1)).max(1).ilog(FAN_IN as u64)
}

/// The runs to merge next, given the entries of all of them in the order of their ranges; `None` if they are well as they
/// are. The smallest first: they are merged quickly, and are what there are many of.
pub(super) fn due(entries: &[u64], unit: u64) -> Option<Range<usize>> {
    let classes: Vec<u32> = entries.iter().map(|entries| class(*entries, unit)).collect();
    let smaller_before_larger = |from: usize| {
        (from + 1 < classes.len() && classes[from] < classes[from + 1]).then_some(from..from + 2)
    };
    let of_a_class = |from: usize| {
        let alike = classes[from..].iter().take_while(|class| **class == classes[from]).count();
        (alike >= FAN_IN).then_some(from..from + alike)
    };
    (0..classes.len())
        .filter_map(|from| smaller_before_larger(from).or_else(|| of_a_class(from)))
        .min_by_key(|runs| classes[runs.start])
}

/// Merges runs that follow one another.
pub(super) fn merge(
    directory: &Path,
    number: u64,
    runs: &[Arc<Run>],
    stop: &AtomicBool,
) -> Result<Run, RunError> {
    let first = runs.iter().map(|run| run.registration().first).min().unwrap_or_default();
    let last = runs.iter().map(|run| run.registration().last).max().unwrap_or_default();
    let entries = runs.iter().map(|run| run.entries()).sum();
    let mut writer = RunWriter::new(directory, number, (first, last), entries)?;
    let mut parts = Vec::new();
    for run in runs {
        let mut scan = run.scan();
        if let Some(head) = scan.next()? {
            parts.push((head, scan));
        }
    }
    let mut written = 0_u64;
    while let Some(entry) = smallest(&mut parts)? {
        writer.push(entry)?;
        written += 1;
        if written.is_multiple_of(STRIDE) && stop.load(Relaxed) {
            return Err(RunError::Interrupted);
        }
    }
    writer.finish()
}

/// Takes the smallest of the heads; there are few enough to look at all.
fn smallest(parts: &mut Vec<(Entry, Scan<'_>)>) -> Result<Option<Entry>, RunError> {
    let Some(place) = (0..parts.len()).min_by_key(|place| parts[*place].0) else { return Ok(None) };
    let (head, scan) = &mut parts[place];
    let entry = *head;
    match scan.next()? {
        Some(next) => *head = next,
        None => drop(parts.swap_remove(place)),
    }
    Ok(Some(entry))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As many units are flushed as there are numbers, and merged as far as there is time between.
        #[test]
        fn there_are_few_runs_and_each_is_written_rarely(
            unit in 1..5_u64,
            rounds in prop::collection::vec(0..4_usize, 1..300),
        ) {
            let mut runs: Vec<u64> = Vec::new();
            let mut written = 0;
            let total = unit * rounds.len() as u64;
            for merges in rounds.into_iter().chain([usize::MAX]) {
                if merges < usize::MAX {
                    runs.push(unit);
                }
                for _ in 0..merges {
                    let Some(range) = due(&runs, unit) else { break };
                    let merged: u64 = runs[range.clone()].iter().sum();
                    written += merged;
                    runs.splice(range, [merged]);
                }
            }
            let classes = u64::from(class(total, unit)) + 1;
            prop_assert!(runs.len() as u64 <= (FAN_IN as u64 - 1) * classes, "{:?}", runs);
            prop_assert!(written <= total * classes, "{} written for {}", written, total);
            prop_assert_eq!(runs.iter().sum::<u64>(), total);
        }

        #[test]
        fn any_runs_come_to_rest(unit in 1..5_u64, runs in prop::collection::vec(1..500_u64, 0..60)) {
            let mut runs = runs;
            while let Some(range) = due(&runs, unit) {
                prop_assert!(range.len() > 1);
                let merged: u64 = runs[range.clone()].iter().sum();
                runs.splice(range, [merged]);
            }
            prop_assert!(runs.is_sorted_by(|a, b| class(*a, unit) >= class(*b, unit)));
        }
    }
}
