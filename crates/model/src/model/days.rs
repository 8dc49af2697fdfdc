//! Which unit was there on which days, as bits.
//!
//! Time is cut into epochs of 512 days. In an epoch a unit has a row of eight words, one cache line, only if it was there
//! on one of its days; the rows of an epoch lie side by side. So a year of all units is read in a stream, and a day far
//! in the past costs one row.

use std::collections::BTreeMap;

use super::index::{self, Index};
use super::names::Symbol;
use crate::time::Day;

const WORDS: usize = 8;
const BITS: i32 = WORDS as i32 * 64;
const NO_ROW: u32 = u32::MAX;
/// Rows that are made room for together: a list that doubles would be copied again and again, and be a third empty.
const BLOCK: usize = 16;

/// Days of an epoch.
pub(super) type Row = [u64; WORDS];

#[derive(Debug, Clone, Default)]
struct Epoch {
    /// By unit of the table: where its row is.
    place: Vec<u32>,
    #[allow(clippy::vec_box, reason = "when the list grows, pointers are moved and not rows")]
    rows: Vec<Box<[Row; BLOCK]>>,
    /// Rows in use.
    len: usize,
}

impl Epoch {
    fn row(&self, unit: UnitIndex) -> Option<&Row> {
        self.place
            .get(unit.0 as usize)
            .filter(|place| **place != NO_ROW)
            .map(|place| &self.rows[*place as usize / BLOCK][*place as usize % BLOCK])
    }

    fn row_mut(&mut self, unit: UnitIndex) -> &mut Row {
        let unit = unit.0 as usize;
        if self.place.len() <= unit {
            self.place.resize(unit + 1, NO_ROW);
        }
        if self.place[unit] == NO_ROW {
            self.place[unit] = self.len as u32;
            if self.len.is_multiple_of(BLOCK) {
                self.rows.push(Box::new([[0; WORDS]; BLOCK]));
            }
            self.len += 1;
        }
        let place = self.place[unit] as usize;
        &mut self.rows[place / BLOCK][place % BLOCK]
    }
}

/// A unit of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitIndex(u32);

/// The days of many units.
#[derive(Debug, Clone)]
pub struct DayTable<U> {
    index: Index,
    units: Vec<U>,
    epochs: BTreeMap<i32, Epoch>,
}

impl<U> Default for DayTable<U> {
    fn default() -> Self {
        Self { index: Index::default(), units: Vec::new(), epochs: BTreeMap::new() }
    }
}

/// The epoch of a day, and its bit there.
pub(super) fn place(day: Day) -> (i32, usize) {
    (day.number().div_euclid(BITS), day.number().rem_euclid(BITS) as usize)
}

/// The bits of word `word` of an epoch that lie in `low` … `high` of the epoch.
fn mask(word: usize, low: usize, high: usize) -> u64 {
    let (first, last) = (word * 64, word * 64 + 63);
    if low > last || high < first {
        return 0;
    }
    (u64::MAX << low.saturating_sub(first)) & (u64::MAX >> last.saturating_sub(high))
}

impl<U: Symbol> DayTable<U> {
    /// The units that were ever in it.
    pub fn units(&self) -> impl Iterator<Item = (UnitIndex, U)> {
        self.units.iter().enumerate().map(|(index, unit)| (UnitIndex(index as u32), *unit))
    }

    /// A unit that was ever in it.
    pub fn find(&self, unit: U) -> Option<UnitIndex> {
        let found = self.index.find(index::hash(&unit), |place| self.units[place] == unit)?;
        Some(UnitIndex(found as u32))
    }

    /// A unit, put in if it is new.
    pub fn unit(&mut self, unit: U) -> UnitIndex {
        self.find(unit).unwrap_or_else(|| {
            self.index.insert(index::hash(&unit), self.units.len());
            self.units.push(unit);
            UnitIndex(self.units.len() as u32 - 1)
        })
    }

    /// The unit was there on the day.
    pub fn insert(&mut self, unit: UnitIndex, day: Day) {
        let (epoch, bit) = place(day);
        self.epochs.entry(epoch).or_default().row_mut(unit)[bit / 64] |= 1 << (bit % 64);
    }

    /// The unit was there on these days of an epoch.
    pub(super) fn insert_row(&mut self, unit: UnitIndex, epoch: i32, days: &Row) {
        let row = self.epochs.entry(epoch).or_default().row_mut(unit);
        row.iter_mut().zip(days).for_each(|(row, days)| *row |= days);
    }

    /// It was not.
    pub fn remove(&mut self, unit: UnitIndex, day: Day) {
        let (epoch, bit) = place(day);
        if let Some(epoch) = self.epochs.get_mut(&epoch) {
            epoch.row_mut(unit)[bit / 64] &= !(1 << (bit % 64));
        }
    }

    /// It never was.
    pub fn clear(&mut self, unit: UnitIndex) {
        for epoch in self.epochs.values_mut().filter(|epoch| epoch.row(unit).is_some()) {
            *epoch.row_mut(unit) = [0; WORDS];
        }
    }

    /// Whether it was there on any day of `from` … `to`, both included.
    pub fn any(&self, unit: UnitIndex, from: Day, to: Day) -> bool {
        let ((first, low), (last, high)) = (place(from), place(to));
        if from > to {
            return false;
        }
        self.epochs.range(first..=last).any(|(epoch, rows)| {
            let low = if *epoch == first { low } else { 0 };
            let high = if *epoch == last { high } else { BITS as usize - 1 };
            let words = (low / 64)..=(high / 64);
            rows.row(unit)
                .is_some_and(|row| words.into_iter().any(|word| row[word] & mask(word, low, high) != 0))
        })
    }

    /// The first day it was there.
    pub fn first(&self, unit: UnitIndex) -> Option<Day> {
        self.epochs.iter().find_map(|(epoch, rows)| {
            let row = rows.row(unit)?;
            let word = row.iter().position(|word| *word != 0)?;
            Some(Day::from_number(epoch * BITS + word as i32 * 64 + row[word].trailing_zeros() as i32))
        })
    }

    /// Its days from `first_word` × 64 days after 1970-01-01 on, 64 to a word, as many as fit into `out`.
    pub fn copy_words(&self, unit: UnitIndex, first_word: i32, out: &mut [u64]) {
        out.fill(0);
        let words = WORDS as i32;
        let last_word = first_word + out.len() as i32 - 1;
        for (epoch, rows) in self.epochs.range(first_word.div_euclid(words)..=last_word.div_euclid(words)) {
            let Some(row) = rows.row(unit) else { continue };
            let offset = epoch * words - first_word;
            for (word, bits) in (offset..).zip(row).filter(|(word, _)| *word >= 0) {
                if let Some(slot) = out.get_mut(word as usize) {
                    *slot = *bits;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::model::names::Team;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Insert(i32),
        Remove(i32),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (-1_200..1_200_i32).prop_map(Step::Insert),
            10 => (-1_200..1_200_i32).prop_map(Step::Remove),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_days_for_each_unit(
            steps in prop::collection::vec((0..3_usize, step()), 0..90),
            from in -1_300..1_300_i32,
            len in 0..1_500_i32,
            first_word in -22..22_i32,
        ) {
            let mut table = DayTable::default();
            let mut plain = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
            for (unit, step) in steps {
                let at = table.unit(Team::from_index(unit));
                match step {
                    Step::Insert(day) => { table.insert(at, Day::from_number(day)); plain[unit].insert(day); }
                    Step::Remove(day) => { table.remove(at, Day::from_number(day)); plain[unit].remove(&day); }
                    Step::Clear => { table.clear(at); plain[unit].clear(); }
                }
            }
            for (at, unit) in table.units() {
                let plain = &plain[unit.index()];
                prop_assert_eq!(table.first(at).map(Day::number), plain.first().copied());
                let any = table.any(at, Day::from_number(from), Day::from_number(from + len));
                prop_assert_eq!(any, plain.range(from..=from + len).next().is_some());
                let mut words = [7; 11];
                table.copy_words(at, first_word, &mut words);
                for day in 0..words.len() as i32 * 64 {
                    let bit = words[day as usize / 64] >> (day % 64) & 1 == 1;
                    prop_assert_eq!(bit, plain.contains(&(first_word * 64 + day)));
                }
            }
        }
    }
}
