//! How far the reader is in each partition that is ours.

use std::sync::Arc;

use milepost_model::Partition;

/// See the module. Looked up for every record: by number in a list, in the list of its topic.
#[derive(Default)]
pub(super) struct Readings {
    topics: Vec<(Arc<str>, Vec<Option<Reading>>)>,
}

pub(super) struct Reading {
    pub(super) partition: Partition,
    pub(super) assignment: u64,
    /// The offset that comes next; none before it is begun.
    pub(super) next: Option<i64>,
}

impl Readings {
    pub(super) fn assign(&mut self, partitions: &[Partition], assignment: u64) {
        for partition in partitions {
            let reading = Reading { partition: partition.clone(), assignment, next: None };
            if let Some(place) = self.place(partition) {
                *place = Some(reading);
            }
        }
    }

    pub(super) fn revoke(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            if let Some(place) = self.place(partition) {
                *place = None;
            }
        }
    }

    /// It is fetched from here on.
    pub(super) fn begin(&mut self, partition: &Partition, next: i64) {
        if let Some(Some(reading)) = self.place(partition) {
            reading.next = Some(next);
        }
    }

    /// Where a record belongs, if it is one that is waited for.
    pub(super) fn expecting(&mut self, topic: &str, number: i32, offset: i64) -> Option<&mut Reading> {
        let (_, readings) = self.topics.iter_mut().find(|(name, _)| **name == *topic)?;
        let reading = readings.get_mut(usize::try_from(number).ok()?)?.as_mut()?;
        (reading.next? <= offset).then_some(reading)
    }

    /// Those that are begun.
    pub(super) fn begun(&self) -> impl Iterator<Item = (&Reading, i64)> {
        let all = self.topics.iter().flat_map(|(_, readings)| readings.iter().flatten());
        all.filter_map(|reading| Some((reading, reading.next?)))
    }

    /// The offset that comes next in a partition, if it is begun.
    pub(super) fn next(&self, partition: &Partition) -> Option<i64> {
        self.begun().find(|(reading, _)| reading.partition == *partition).map(|(_, next)| next)
    }

    pub(super) fn is_begun(&self, partition: &Partition) -> bool {
        self.next(partition).is_some()
    }

    fn place(&mut self, partition: &Partition) -> Option<&mut Option<Reading>> {
        let number = usize::try_from(partition.number).ok()?;
        let known = self.topics.iter().position(|(topic, _)| *topic == partition.topic);
        let index = known.unwrap_or_else(|| {
            self.topics.push((Arc::clone(&partition.topic), Vec::new()));
            self.topics.len() - 1
        });
        let readings = &mut self.topics[index].1;
        if readings.len() <= number {
            readings.resize_with(number + 1, || None);
        }
        readings.get_mut(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_begun_and_not_read_yet_is_waited_for() {
        let partition = |topic: &str, number| Partition { topic: topic.into(), number };
        let mut readings = Readings::default();
        readings.assign(&[partition("a", 2), partition("b", 0)], 1);
        assert!(readings.expecting("a", 2, 7).is_none(), "not begun");
        readings.begin(&partition("a", 2), 7);
        readings.begin(&partition("a", 3), 7);
        assert!(readings.expecting("a", 2, 6).is_none(), "read before");
        assert!(readings.expecting("a", 3, 7).is_none() && readings.expecting("b", 0, 7).is_none());
        assert!(readings.expecting("c", 0, 7).is_none() && readings.expecting("a", -1, 7).is_none());
        let reading = readings.expecting("a", 2, 9).unwrap();
        reading.next = Some(10);
        assert!(readings.expecting("a", 2, 9).is_none());
        assert_eq!(readings.begun().map(|(_, next)| next).collect::<Vec<_>>(), [10]);
        readings.revoke(&[partition("a", 2)]);
        assert!(readings.expecting("a", 2, 10).is_none() && readings.begun().next().is_none());
    }
}
