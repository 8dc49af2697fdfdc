//! Sorted sets of small entries.
//!
//! Facts are kept by what they are about: an interaction has one start and one finish, a team some uses of a capability, a
//! busy service a hundred thousand deploys. So one entry stands where the set itself does, some more in an array that
//! is hardly longer than they are, and many in a list of such arrays, so that no order of insertion costs more than moving one
//! of them.
//!
//! The order is not that of the type: callers say by a closure how an entry compares with what they look for, since it may
//! depend on texts that stand elsewhere. It must be the same order every time.
//!
//! Law: in every way but the memory it takes this is a sorted set.

use std::cmp::Ordering;

/// Entries of one array.
const ARRAY: usize = 512;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Sorted<T>(Entries<T>);

#[derive(Debug, Clone)]
enum Entries<T> {
    None,
    One(T),
    Some(Vec<T>),
    #[allow(clippy::box_collection, reason = "the list itself would make every set longer")]
    Many(Box<Vec<Vec<T>>>),
}

/// A place in a set: of the array in the list, and of the entry in the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize, usize);

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self(Entries::None)
    }
}

impl<T: Copy> Sorted<T> {
    /// A set of entries that are in order.
    pub(super) fn of(entries: Vec<T>) -> Self {
        Self(match *entries {
            [] => Entries::None,
            [one] => Entries::One(one),
            _ if entries.len() <= ARRAY => Entries::Some(entries),
            _ => Entries::Many(Box::new(entries.chunks(ARRAY).map(<[T]>::to_vec).collect())),
        })
    }

    /// The first array, and those behind it.
    fn parts(&self) -> (&[T], &[Vec<T>]) {
        match &self.0 {
            Entries::None => (&[], &[]),
            Entries::One(one) => (std::slice::from_ref(one), &[]),
            Entries::Some(some) => (some, &[]),
            Entries::Many(many) => (&[], many),
        }
    }

    /// All entries in order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        let (flat, many) = self.parts();
        flat.iter().chain(many.iter().flatten())
    }

    /// The entries behind those that are `before`, of which there are none behind others.
    pub(super) fn from<F: Fn(&T) -> bool>(
        &self,
        before: F,
    ) -> impl DoubleEndedIterator<Item = &T> + use<'_, T, F> {
        let (flat, many) = self.parts();
        let flat = &flat[flat.partition_point(&before)..];
        let many = &many[many.partition_point(|array| array.last().is_some_and(&before))..];
        let (first, rest) = many
            .split_first()
            .map_or((&[][..], &[][..]), |(first, rest)| (&first[first.partition_point(&before)..], rest));
        flat.iter().chain(first).chain(rest.iter().flatten())
    }

    /// The entries that are `before`, of which there are none behind others.
    pub(super) fn before<F: Fn(&T) -> bool>(
        &self,
        before: F,
    ) -> impl DoubleEndedIterator<Item = &T> + use<'_, T, F> {
        let (flat, many) = self.parts();
        let flat = &flat[..flat.partition_point(&before)];
        let whole = many.partition_point(|array| array.last().is_some_and(&before));
        let last = many.get(whole).map_or(&[][..], |array| &array[..array.partition_point(&before)]);
        flat.iter().chain(many[..whole].iter().flatten()).chain(last)
    }

    /// The first entry.
    pub(super) fn first(&self) -> Option<&T> {
        let (flat, many) = self.parts();
        flat.first().or_else(|| many.first()?.first())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        let (flat, many) = self.parts();
        flat.len() + many.iter().map(Vec::len).sum::<usize>()
    }

    /// Where the entry is that `compare` calls equal, or where it would be.
    pub(super) fn find(&self, compare: impl Fn(&T) -> Ordering) -> Result<Slot, Slot> {
        let (flat, many) = self.parts();
        if many.is_empty() {
            return search(flat, compare).map(|at| Slot(0, at)).map_err(|at| Slot(0, at));
        }
        let array = many.partition_point(|array| array.last().is_some_and(|last| compare(last).is_lt()));
        let array = array.min(many.len() - 1);
        search(&many[array], compare).map(|at| Slot(array, at)).map_err(|at| Slot(array, at))
    }

    /// The entry there.
    pub(super) fn get(&self, at: Slot) -> Option<&T> {
        let (flat, many) = self.parts();
        if many.is_empty() { flat.get(at.1) } else { many.get(at.0)?.get(at.1) }
    }

    /// Puts an entry in where [`Sorted::find`] said that it would be.
    pub(super) fn insert(&mut self, at: Slot, entry: T) {
        match &mut self.0 {
            Entries::None => self.0 = Entries::One(entry),
            Entries::One(one) => {
                let pair = if at.1 == 0 { [entry, *one] } else { [*one, entry] };
                self.0 = Entries::Some(pair.to_vec());
            }
            Entries::Some(some) if some.len() < ARRAY => {
                if some.len() == some.capacity() {
                    // Doubling would take for three what is enough for four.
                    some.reserve_exact((some.len() / 3).max(1));
                }
                some.insert(at.1, entry);
            }
            Entries::Some(some) => {
                let mut many = vec![std::mem::take(some)];
                insert_into(&mut many, at, entry);
                self.0 = Entries::Many(Box::new(many));
            }
            Entries::Many(many) => insert_into(many, at, entry),
        }
    }

    /// Puts an entry in the place of one that was found.
    pub(super) fn replace(&mut self, at: Slot, entry: T) {
        let place = match &mut self.0 {
            Entries::None => None,
            Entries::One(one) => Some(one),
            Entries::Some(some) => some.get_mut(at.1),
            Entries::Many(many) => many.get_mut(at.0).and_then(|array| array.get_mut(at.1)),
        };
        if let Some(place) = place {
            *place = entry;
        }
    }

    /// Takes out an entry that was found.
    pub(super) fn remove(&mut self, at: Slot) {
        match &mut self.0 {
            Entries::None => {}
            Entries::One(_) => self.0 = Entries::None,
            Entries::Some(some) => {
                some.remove(at.1);
                if some.is_empty() {
                    self.0 = Entries::None;
                }
            }
            Entries::Many(many) => {
                many[at.0].remove(at.1);
                if many[at.0].is_empty() {
                    many.remove(at.0);
                }
                if many.is_empty() {
                    self.0 = Entries::None;
                }
            }
        }
    }
}

impl<T: Copy + Ord> Sorted<T> {
    /// Puts an entry in that says itself where it belongs.
    pub(super) fn add(&mut self, entry: T) {
        if let Err(at) = self.find(|other| other.cmp(&entry)) {
            self.insert(at, entry);
        }
    }

    /// Takes it out again.
    pub(super) fn drop(&mut self, entry: T) {
        if let Ok(at) = self.find(|other| other.cmp(&entry)) {
            self.remove(at);
        }
    }
}

/// Facts mostly come in the order of time: the last one is looked at first.
fn search<T>(entries: &[T], compare: impl Fn(&T) -> Ordering) -> Result<usize, usize> {
    match entries.last().map(&compare) {
        None => Err(0),
        Some(Ordering::Less) => Err(entries.len()),
        Some(Ordering::Equal) => Ok(entries.len() - 1),
        Some(Ordering::Greater) => entries[..entries.len() - 1].binary_search_by(compare),
    }
}

fn insert_into<T: Copy>(many: &mut Vec<Vec<T>>, at: Slot, entry: T) {
    let array = &mut many[at.0];
    if array.len() < ARRAY {
        array.insert(at.1, entry);
    } else if at.1 == array.len() {
        // In order: the arrays stay full.
        many.insert(at.0 + 1, vec![entry]);
    } else {
        let mut behind = array.split_off(ARRAY / 2);
        match at.1.checked_sub(ARRAY / 2) {
            Some(at) => behind.insert(at, entry),
            None => array.insert(at.1, entry),
        }
        many.insert(at.0 + 1, behind);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn put(set: &mut Sorted<u32>, entry: u32) {
        match set.find(|other| other.cmp(&entry)) {
            Ok(at) => set.replace(at, entry),
            Err(at) => set.insert(at, entry),
        }
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_set(
            whole in 0..3_u32,
            steps in prop::collection::vec((any::<bool>(), 0..3_000_u32), 0..200),
            from in 0..3_100_u32,
        ) {
            let whole: Vec<u32> = (0..whole * 1_000).map(|n| n * 3 % 3_000 + n / 1_000).collect::<BTreeSet<_>>().into_iter().collect();
            let (mut set, mut plain) = (Sorted::of(whole.clone()), whole.into_iter().collect::<BTreeSet<_>>());
            for (number, (insert, entry)) in steps.into_iter().enumerate() {
                if insert || number % 3 == 0 {
                    put(&mut set, entry);
                    plain.insert(entry);
                } else if let Ok(at) = set.find(|other| other.cmp(&entry)) {
                    prop_assert_eq!(set.get(at), Some(&entry));
                    prop_assert!(plain.remove(&entry));
                    set.remove(at);
                } else {
                    prop_assert!(!plain.contains(&entry));
                }
                prop_assert_eq!((set.first(), set.len()), (plain.first(), plain.len()));
            }
            prop_assert!(set.iter().eq(&plain) && set.iter().rev().eq(plain.iter().rev()));
            prop_assert!(set.from(|other| *other < from).eq(plain.range(from..)));
        }
    }

    #[test]
    fn any_order_of_many_gives_the_same() {
        let orders: [&mut dyn Iterator<Item = u32>; 3] =
            [&mut (0..5_000), &mut (0..5_000).rev(), &mut (0..5_000).map(|n| n * 2_003 % 5_000)];
        for order in orders {
            let mut set = Sorted::default();
            order.for_each(|entry| put(&mut set, entry));
            assert!(set.iter().copied().eq(0..5_000));
            for entry in (0..5_000).rev() {
                let at = set.find(|other| other.cmp(&entry)).expect("it was put in");
                set.remove(at);
            }
            assert!(set.is_empty() && set.iter().next().is_none());
        }
    }
}
