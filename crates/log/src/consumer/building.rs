//! The batch that is being filled.

use std::time::{Duration, Instant};

use milepost_model::Partition;

use super::readings::Reading;
use super::{Batch, BatchLimits, Part, Record};

/// How long to wait when a batch is due and the last one not yet taken.
const OVERDUE: Duration = Duration::from_millis(5);

/// See the module.
pub(super) struct Building<T> {
    limits: BatchLimits,
    parts: Vec<Part<T>>,
    /// Where the last record went: the next one is most often of the same partition.
    last: usize,
    records: usize,
    bytes: usize,
    begun: Instant,
}

impl<T> Building<T> {
    pub(super) fn new(limits: BatchLimits) -> Self {
        Self { limits, parts: Vec::new(), last: 0, records: 0, bytes: 0, begun: Instant::now() }
    }

    pub(super) fn push(&mut self, reading: &Reading, record: Record<T>, bytes: usize) {
        if self.records == 0 {
            self.begun = Instant::now();
        }
        self.records += 1;
        self.bytes += bytes;
        let same = |part: &Part<T>| {
            part.assignment == reading.assignment
                && part.partition.number == reading.partition.number
                && part.partition.topic == reading.partition.topic
        };
        if !self.parts.get(self.last).is_some_and(same) {
            self.last = self.parts.iter().position(same).unwrap_or(self.parts.len());
        }
        match self.parts.get_mut(self.last) {
            Some(part) => part.records.push(record),
            None => self.parts.push(Part {
                partition: reading.partition.clone(),
                records: vec![record],
                assignment: reading.assignment,
            }),
        }
    }

    /// What was read of these is nobody's any more. Its bytes go on counting until the batch is handed over.
    pub(super) fn drop_revoked(&mut self, partitions: &[Partition]) {
        self.parts.retain(|part| !partitions.contains(&part.partition));
        self.records = self.parts.iter().map(|part| part.records.len()).sum();
        if self.records == 0 {
            self.bytes = 0;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.records > 0 && (self.records >= self.limits.events || self.bytes >= self.limits.bytes)
    }

    /// Whether it should be handed over.
    pub(super) fn is_due(&self) -> bool {
        self.is_full() || (self.records > 0 && self.begun.elapsed() >= self.limits.linger)
    }

    /// How long nothing has to be done with it, if no record comes; none if it is empty.
    pub(super) fn time_left(&self) -> Option<Duration> {
        (self.records > 0).then(|| self.limits.linger.saturating_sub(self.begun.elapsed()).max(OVERDUE))
    }

    pub(super) fn take(&mut self) -> Batch<T> {
        (self.records, self.bytes, self.last) = (0, 0, 0);
        Batch { parts: std::mem::take(&mut self.parts) }
    }
}

#[cfg(test)]
mod tests {
    use milepost_model::Timestamp;

    use super::*;

    fn reading(number: i32, assignment: u64) -> Reading {
        Reading { partition: Partition { topic: "log".into(), number }, assignment, next: Some(0) }
    }

    fn record(offset: i64) -> Record<()> {
        Record { offset, received_at: Timestamp::from_micros(0).unwrap(), value: () }
    }

    fn building(events: usize, bytes: usize, linger: Duration) -> Building<()> {
        Building::new(BatchLimits { events, bytes, linger })
    }

    #[test]
    fn a_batch_is_due_by_number_size_or_age() {
        let never = Duration::MAX;
        let mut by_number = building(2, 100, never);
        by_number.push(&reading(0, 1), record(0), 99);
        assert!(!by_number.is_due() && by_number.time_left().is_some());
        by_number.push(&reading(0, 1), record(1), 0);
        assert!(by_number.is_due() && by_number.is_full());
        let mut by_size = building(2, 100, never);
        by_size.push(&reading(0, 1), record(0), 100);
        assert!(by_size.is_due() && by_size.is_full());
        let mut by_age = building(2, 100, Duration::ZERO);
        assert!(!by_age.is_due() && by_age.time_left().is_none());
        by_age.push(&reading(0, 1), record(0), 1);
        assert!(by_age.is_due() && !by_age.is_full());
        assert_eq!(by_age.take().len(), 1);
        assert!(by_age.is_empty() && !by_age.is_due());
    }

    #[test]
    fn f11_each_partition_has_its_own_position() {
        let mut building = building(100, 1_000, Duration::ZERO);
        for (number, offset) in [(0, 5), (1, 70), (0, 6), (2, 1), (1, 75)] {
            building.push(&reading(number, 1), record(offset), 1);
        }
        building.drop_revoked(&[reading(2, 1).partition]);
        let batch = building.take();
        assert_eq!(batch.len(), 4);
        let positions = batch.positions();
        let next = |number| positions.next(&reading(number, 1).partition);
        assert_eq!((next(0), next(1), next(2)), (Some(7), Some(76), None));
    }
}
