//! The keys of all events that were read, as far as it takes to know that one was not.

use milepost_model::EventKey;

use crate::filter::{Filter, Probe};

/// Of the first filter.
const ROOM: u64 = 1 << 20;

/// A set of keys that grows, and may say "perhaps" of a few that are not in it: a filter for each doubling, as one cannot grow.
#[derive(Debug)]
pub(super) struct Keys {
    filters: Vec<Filter>,
    /// How many keys the last one has room for, still.
    room: u64,
}

impl Keys {
    /// With room for so many, and as many more.
    pub(super) fn for_keys(keys: u64) -> Self {
        let room = (2 * keys).max(ROOM);
        Self { filters: vec![Filter::for_keys(room)], room }
    }

    pub(super) fn may_contain(&self, key: EventKey) -> bool {
        let probe = Probe::of(key.0);
        self.filters.iter().any(|filter| filter.may_contain(&probe))
    }

    /// Adds one that is not in it.
    pub(super) fn insert(&mut self, key: EventKey) {
        if self.room == 0 {
            self.room = ROOM << self.filters.len();
            self.filters.push(Filter::for_keys(self.room));
        }
        self.room -= 1;
        if let Some(last) = self.filters.last_mut() {
            last.insert(key.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows() {
        let key = |n: u64| EventKey::of("ci", &n.to_string());
        let mut keys = Keys::for_keys(0);
        keys.room = 10;
        (0..1_000).for_each(|n| keys.insert(key(n)));
        assert_eq!(keys.filters.len(), 2);
        assert!((0..1_000).all(|n| keys.may_contain(key(n))));
        assert!((1_000..2_000).filter(|n| keys.may_contain(key(*n))).count() < 20);
    }
}
