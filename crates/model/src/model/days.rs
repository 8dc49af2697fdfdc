//! Sets of days, as bits.

use crate::time::Day;

/// A sparse set of days: 64 to a word, only words with a bit in them, in order. Any day of history costs the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaySet {
    words: Vec<(i32, u64)>,
}

fn place(day: Day) -> (i32, u32) {
    (day.number().div_euclid(64), day.number().rem_euclid(64) as u32)
}

/// The bits of word `word` that lie in `from` … `to`.
fn mask(word: i32, from: Day, to: Day) -> u64 {
    let ((first, low), (last, high)) = (place(from), place(to));
    if word < first || word > last || from > to {
        return 0;
    }
    let low = if word == first { u64::MAX << low } else { u64::MAX };
    let high = if word == last { u64::MAX >> (63 - high) } else { u64::MAX };
    low & high
}

impl DaySet {
    /// Adds a day.
    pub fn insert(&mut self, day: Day) {
        let (word, bit) = place(day);
        match self.find(word) {
            Ok(at) => self.words[at].1 |= 1 << bit,
            Err(at) => self.words.insert(at, (word, 1 << bit)),
        }
    }

    /// Takes a day out.
    pub fn remove(&mut self, day: Day) {
        let (word, bit) = place(day);
        if let Ok(at) = self.find(word) {
            self.words[at].1 &= !(1 << bit);
            if self.words[at].1 == 0 {
                self.words.remove(at);
            }
        }
    }

    /// Whether any day of `from` … `to`, both included, is in it.
    pub fn any(&self, from: Day, to: Day) -> bool {
        let start = self.find(place(from).0).unwrap_or_else(|at| at);
        self.words[start..]
            .iter()
            .take_while(|(word, _)| *word <= place(to).0)
            .any(|(word, bits)| bits & mask(*word, from, to) != 0)
    }

    /// The first day in it.
    pub fn first(&self) -> Option<Day> {
        let (word, bits) = self.words.first()?;
        Some(Day::from_number(word * 64 + bits.trailing_zeros() as i32))
    }

    /// Whether there is none in it.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Copies the bits of the days from `first` (a multiple of 64 days) on into `out`, one word each; bits of other
    /// days are left out.
    pub fn copy_words(&self, first_word: i32, out: &mut [u64]) {
        out.fill(0);
        let start = self.find(first_word).unwrap_or_else(|at| at);
        for (word, bits) in &self.words[start..] {
            let Some(slot) = out.get_mut((word - first_word) as usize) else { break };
            *slot = *bits;
        }
    }

    fn find(&self, word: i32) -> Result<usize, usize> {
        // Most questions and most events are about the end.
        match self.words.last() {
            Some((last, _)) if *last == word => Ok(self.words.len() - 1),
            Some((last, _)) if *last < word => Err(self.words.len()),
            _ => self.words.binary_search_by_key(&word, |(w, _)| *w),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(ops in prop::collection::vec((any::<bool>(), -300..300_i32), 0..60), from in -320..320_i32, len in 0..200_i32) {
            let (mut ours, mut plain) = (DaySet::default(), BTreeSet::new());
            for (add, number) in ops {
                if add {
                    ours.insert(Day::from_number(number));
                    plain.insert(number);
                } else {
                    ours.remove(Day::from_number(number));
                    plain.remove(&number);
                }
            }
            prop_assert_eq!(ours.first().map(Day::number), plain.first().copied());
            prop_assert_eq!(ours.is_empty(), plain.is_empty());
            let (first, last) = (Day::from_number(from), Day::from_number(from + len));
            prop_assert_eq!(ours.any(first, last), plain.range(from..=from + len).next().is_some());
            let mut words = [7; 3];
            ours.copy_words(-2, &mut words);
            for (index, word) in words.iter().enumerate() {
                for bit in 0..64 {
                    let number = (index as i32 - 2) * 64 + bit;
                    prop_assert_eq!(word >> bit & 1 == 1, plain.contains(&number));
                }
            }
        }
    }
}
