//! From what something is to its place in a list: nine bytes an entry, and the list holds the rest.

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::{BuildHasher as _, Hash};

/// Places in a list by the hash of what stands there. The list only grows.
#[derive(Debug, Clone, Default)]
pub(super) struct Index(HashTable<(u32, u32)>);

/// The hash that [`Index`] takes.
pub(super) fn hash(key: &(impl Hash + ?Sized)) -> u32 {
    (FxBuildHasher.hash_one(key) >> 32) as u32 ^ FxBuildHasher.hash_one(key) as u32
}

/// The table wants its bits mixed once more: it takes the place from the low ones, and tells entries apart by the high ones.
fn mixed(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Index {
    /// The place with this hash that `is` the one.
    pub(super) fn find(&self, hash: u32, is: impl Fn(usize) -> bool) -> Option<usize> {
        let found = self.0.find(mixed(hash), |(other, place)| *other == hash && is(*place as usize));
        found.map(|(_, place)| *place as usize)
    }

    /// Notes a place that is in there under no other.
    pub(super) fn insert(&mut self, hash: u32, place: usize) {
        self.0.insert_unique(mixed(hash), (hash, place as u32), |(hash, _)| mixed(*hash));
    }
}

/// A map that only grows, its entries side by side in the order they came.
#[derive(Debug, Clone)]
pub(super) struct Table<K, V> {
    index: Index,
    rows: Vec<(K, V)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { index: Index::default(), rows: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Default> Table<K, V> {
    /// The place of a key.
    pub(super) fn find(&self, key: K) -> Option<usize> {
        self.index.find(hash(&key), |place| self.rows[place].0 == key)
    }

    /// The place of a key, made if it is new.
    pub(super) fn place(&mut self, key: K) -> usize {
        let hash = hash(&key);
        self.index.find(hash, |place| self.rows[place].0 == key).unwrap_or_else(|| {
            self.index.insert(hash, self.rows.len());
            self.rows.push((key, V::default()));
            self.rows.len() - 1
        })
    }

    /// What belongs to a key.
    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.find(key).map(|place| &self.rows[place].1)
    }

    /// What belongs to a key, to be changed.
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.find(key).map(|place| &mut self.rows[place].1)
    }

    /// What belongs to a key, made if it is new.
    pub(super) fn entry(&mut self, key: K) -> &mut V {
        let place = self.place(key);
        &mut self.rows[place].1
    }

    /// What belongs to the key at a place.
    pub(super) fn at_mut(&mut self, place: usize) -> &mut V {
        &mut self.rows[place].1
    }

    /// All of it, by place, to be changed.
    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.rows.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// All of it, by place.
    pub(super) fn rows(&self) -> &[(K, V)] {
        &self.rows
    }
}
