//! Who was asked, and what they answered.

use std::cmp::Ordering;

use super::names::{Person, Subject, Symbol as _};
use super::place::{Ids, Place, Placed, Wanted};
use super::sorted::Sorted;
use super::work::grown;

/// An answer, or an invitation. Their order is that of time, then of the id; the source decides between equals.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Where in the order of events.
    pub place: Place,
    /// What its event names.
    pub subject: Subject,
    /// The answer; none for an invitation.
    pub score: Option<u8>,
}

impl Placed for Turn {
    fn place(&self) -> Place {
        self.place
    }

    fn compare(&self, wanted: &Wanted<'_>, ids: &Ids) -> Ordering {
        ids.compare_ids(&self.place, wanted)
    }
}

/// All of them, by person.
#[derive(Debug, Clone, Default)]
pub struct Surveys(pub(super) Vec<Sorted<Turn>>);

impl Surveys {
    /// Adds an answer, or an invitation.
    pub(super) fn insert(
        &mut self,
        person: Person,
        wanted: Wanted<'_>,
        (subject, score): (Subject, Option<u8>),
        ids: &mut Ids,
    ) {
        grown(&mut self.0, person).put(wanted, ids, |place| Turn { place, subject, score });
    }

    /// Takes it away again.
    pub(super) fn remove(&mut self, person: Person, wanted: Wanted<'_>, ids: &mut Ids) {
        if let Some(turns) = self.0.get_mut(person.index()) {
            turns.take(wanted, ids);
        }
    }

    /// Each person with what they were asked and answered, in order.
    pub fn all(&self) -> impl Iterator<Item = (Person, impl Iterator<Item = &Turn>)> {
        self.0.iter().enumerate().map(|(index, turns)| (Person::from_index(index), turns.iter()))
    }

    /// One person's, in order.
    pub fn of(&self, person: Person) -> impl Iterator<Item = &Turn> {
        self.0.get(person.index()).into_iter().flat_map(Sorted::iter)
    }
}
