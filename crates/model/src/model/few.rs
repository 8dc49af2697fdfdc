//! Sorted maps that mostly have one entry.
//!
//! Facts are kept by what they are about: an interaction has one start and one finish, a developer few deploys of a
//! service. A node of a B-tree has room for eleven entries even if it holds one, which for the facts of an interaction is
//! ten times what they take. Here the first entries stand in an array that is just long enough, and only more of them
//! become a tree, so that no order of insertion costs more than the logarithm.
//!
//! Law: in every way but the memory it takes this is a [`BTreeMap`].

use std::collections::BTreeMap;

/// With more entries than this it is a tree.
const FLAT: usize = 16;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Few<K, V>(Entries<K, V>);

#[derive(Debug, Clone)]
enum Entries<K, V> {
    Flat(Vec<(K, V)>),
    #[allow(clippy::box_collection, reason = "the map itself would make every one that is flat longer")]
    Tree(Box<BTreeMap<K, V>>),
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Entries::Flat(Vec::new()))
    }
}

impl<K: Ord, V> Few<K, V> {
    /// Puts an entry in, in place of one with the same key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match &mut self.0 {
            Entries::Flat(entries) => match entries.binary_search_by(|(other, _)| other.cmp(&key)) {
                Ok(place) => entries[place].1 = value,
                Err(place) if entries.len() < FLAT => {
                    // Doubling would take for one what is enough for four.
                    if entries.len() == entries.capacity() && entries.len() < 4 {
                        entries.reserve_exact(1);
                    }
                    entries.insert(place, (key, value));
                }
                Err(_) => {
                    let mut tree: BTreeMap<K, V> = std::mem::take(entries).into_iter().collect();
                    tree.insert(key, value);
                    self.0 = Entries::Tree(Box::new(tree));
                }
            },
            Entries::Tree(tree) => drop(tree.insert(key, value)),
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, key: &K) {
        match &mut self.0 {
            Entries::Flat(entries) => {
                if let Ok(place) = entries.binary_search_by(|(other, _)| other.cmp(key)) {
                    entries.remove(place);
                }
            }
            Entries::Tree(tree) => drop(tree.remove(key)),
        }
    }

    /// The entry with the smallest key.
    pub(super) fn first(&self) -> Option<(&K, &V)> {
        match &self.0 {
            Entries::Flat(entries) => entries.first().map(|(key, value)| (key, value)),
            Entries::Tree(tree) => tree.first_key_value(),
        }
    }

    /// The entries from `key` on, in order.
    pub(super) fn from(&self, key: K) -> impl Iterator<Item = (&K, &V)> + use<'_, K, V> {
        let (flat, tree) = match &self.0 {
            Entries::Flat(entries) => (&entries[entries.partition_point(|(other, _)| *other < key)..], None),
            Entries::Tree(tree) => (&[][..], Some(tree.range(key..))),
        };
        flat.iter().map(|(key, value)| (key, value)).chain(tree.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_sorted_map(
            steps in prop::collection::vec((any::<bool>(), 0..40_u8), 0..120),
            from in 0..40_u8,
        ) {
            let (mut few, mut plain) = (Few::default(), BTreeMap::new());
            for (number, (insert, key)) in steps.into_iter().enumerate() {
                if insert || number % 3 == 0 {
                    few.insert(key, number);
                    plain.insert(key, number);
                } else {
                    few.remove(&key);
                    plain.remove(&key);
                }
                prop_assert_eq!(few.first(), plain.first_key_value());
                prop_assert!(few.from(from).eq(plain.range(from..)));
            }
        }
    }
}
