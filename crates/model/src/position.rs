//! Where a record stands in a partitioned log, and how far a log has been read.
//!
//! Law: the records before a position never change, so how far two readers have come can be compared partition by partition, and
//! whoever has come equally far in all of them has read the same.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic.
    pub topic: Arc<str>,
    /// Its number in the topic, from 0.
    pub number: i32,
}

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// In which partition.
    pub partition: Partition,
    /// Its number there; grows, and may have gaps.
    pub offset: i64,
}

/// How far a log has been read: for each partition the offset of the next record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Positions(BTreeMap<Partition, i64>);

impl Positions {
    /// Nothing has been read.
    pub fn new() -> Self {
        Self::default()
    }

    /// The offset of the next record of a partition; none if it was never read.
    pub fn next(&self, partition: &Partition) -> Option<i64> {
        self.0.get(partition).copied()
    }

    /// Whether a record has been read.
    pub fn is_past(&self, position: &Position) -> bool {
        self.next(&position.partition).is_some_and(|next| position.offset < next)
    }

    /// Goes on to this offset in a partition; never back.
    pub fn advance(&mut self, partition: &Partition, next: i64) {
        match self.0.get_mut(partition) {
            Some(known) => *known = next.max(*known),
            None => drop(self.0.insert(partition.clone(), next)),
        }
    }

    /// Partitions with the offset of their next record, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.0.iter().map(|(partition, next)| (partition, *next))
    }

    /// How many partitions have been read from.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing has been read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Partition, i64)> for Positions {
    fn from_iter<T: IntoIterator<Item = (Partition, i64)>>(partitions: T) -> Self {
        let mut positions = Self::new();
        for (partition, next) in partitions {
            positions.advance(&partition, next);
        }
        positions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let partition = Partition { topic: "log".into(), number: 3 };
        let mut positions = Positions::new();
        for next in [5, 2, 7, 7] {
            positions.advance(&partition, next);
        }
        assert_eq!(positions.next(&partition), Some(7));
        let at = |offset| Position { partition: partition.clone(), offset };
        assert!(positions.is_past(&at(6)) && !positions.is_past(&at(7)));
        let other = Position { partition: Partition { number: 4, ..partition }, offset: 0 };
        assert!(!positions.is_past(&other));
    }
}
