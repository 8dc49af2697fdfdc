//! The newest identities, in memory: those of the events that no run covers yet.
//!
//! Law: a tail is the list of its insertions. Taking back the last of them undoes them, and leaves the tail that it was.

use rustc_hash::FxHashMap;

/// A key and the number of an event that has it.
pub(super) type Entry = (u64, i64);

#[derive(Debug, Default)]
pub(super) struct Tail {
    /// In the order of `seq`.
    log: Vec<Entry>,
    newest: FxHashMap<u64, i64>,
    /// From an event to the one before it that has the same key.
    earlier: FxHashMap<i64, i64>,
}

impl Tail {
    /// With room for so many entries, so that it need not grow to them.
    pub(super) fn with_capacity(entries: usize) -> Self {
        let mut tail = Self::default();
        tail.log.reserve_exact(entries);
        tail.newest.reserve(entries);
        tail
    }

    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.log
    }

    /// `seq` is larger than all before.
    pub(super) fn insert(&mut self, key: u64, seq: i64) {
        self.log.push((key, seq));
        if let Some(earlier) = self.newest.insert(key, seq) {
            self.earlier.insert(seq, earlier);
        }
    }

    /// Takes back what has a larger number than `last`.
    pub(super) fn truncate(&mut self, last: i64) {
        while let Some((key, seq)) = self.log.pop_if(|(_, seq)| *seq > last) {
            match self.earlier.remove(&seq) {
                Some(earlier) => self.newest.insert(key, earlier),
                None => self.newest.remove(&key),
            };
        }
    }

    pub(super) fn find(&self, key: u64, found: &mut Vec<i64>) {
        let mut next = self.newest.get(&key);
        while let Some(seq) = next {
            found.push(*seq);
            next = self.earlier.get(seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(tail: &Tail, key: u64) -> Vec<i64> {
        let mut found = Vec::new();
        tail.find(key, &mut found);
        found.reverse();
        found
    }

    proptest! {
        #[test]
        fn a_tail_is_the_list_of_its_insertions(keys in prop::collection::vec(0..5_u64, 0..30), kept in 0..30_i64) {
            let mut tail = Tail::default();
            (1..).zip(&keys).for_each(|(seq, key)| tail.insert(*key, seq));
            tail.truncate(kept);
            let left: Vec<Entry> = keys.iter().copied().zip(1..).filter(|(_, seq)| *seq <= kept).collect();
            prop_assert_eq!(tail.entries(), &left[..]);
            for key in 0..5 {
                let of_key: Vec<i64> = left.iter().filter(|entry| entry.0 == key).map(|entry| entry.1).collect();
                prop_assert_eq!(found(&tail, key), of_key);
            }
        }
    }
}
