//! Places in the order of events, and the facts that stand there.
//!
//! "Of events at the same instant the one with the smallest (source, id) is first": so a fact that has to be in order holds
//! both, as numbers, and what they stand for is in [`Ids`].

use std::cmp::Ordering;

use super::names::{Names, Source};
use super::sorted::Sorted;
use super::texts::{TextRef, Texts};
use crate::event::EventKey;
use crate::time::Timestamp;

/// A place in the order of events: by time, and at the same instant by (source, id). What the two are, [`Ids`] knows.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// When.
    pub at: Timestamp,
    pub(super) source: Source,
    pub(super) id: TextRef,
}

/// A place that is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) at: Timestamp,
    pub(super) source: Source,
    pub(super) id: &'a str,
}

/// Sources, and the ids of the events whose place in the order is kept.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    /// Sources.
    pub sources: Names<Source>,
    pub(super) texts: Texts,
}

impl Ids {
    /// The handle of the event that stands at a place.
    pub fn key(&self, place: &Place) -> EventKey {
        EventKey::of(self.sources.text(place.source), self.texts.get(place.id))
    }

    /// Source and id of the event that stands at a place.
    pub fn identity(&self, place: &Place) -> (&str, &str) {
        (self.sources.text(place.source), self.texts.get(place.id))
    }

    pub(super) fn id(&self, place: &Place) -> &str {
        self.texts.get(place.id)
    }

    /// Keeps the id of what was looked for and not found.
    pub(super) fn keep(&mut self, wanted: Wanted<'_>) -> Place {
        Place { at: wanted.at, source: wanted.source, id: self.texts.insert(wanted.id) }
    }

    /// Forgets the id of what is kept no longer.
    pub(super) fn forget(&mut self, place: Place) {
        self.texts.remove(place.id);
    }

    /// Which of two events is first.
    pub fn order(&self, one: &Place, other: &Place) -> Ordering {
        self.compare(one, &Wanted { at: other.at, source: other.source, id: self.texts.get(other.id) })
    }

    /// By time, source and id.
    pub(super) fn compare(&self, place: &Place, wanted: &Wanted<'_>) -> Ordering {
        place.at.cmp(&wanted.at).then_with(|| {
            let sources = || self.sources.text(place.source).cmp(self.sources.text(wanted.source));
            let source = if place.source == wanted.source { Ordering::Equal } else { sources() };
            source.then_with(|| self.texts.bytes(place.id).cmp(wanted.id.as_bytes()))
        })
    }

    /// By time, id and source: the order of answers.
    pub(super) fn compare_ids(&self, place: &Place, wanted: &Wanted<'_>) -> Ordering {
        place.at.cmp(&wanted.at).then_with(|| {
            let ids = self.texts.bytes(place.id).cmp(wanted.id.as_bytes());
            ids.then_with(|| self.sources.text(place.source).cmp(self.sources.text(wanted.source)))
        })
    }
}

/// A fact that stands at a place.
pub(super) trait Placed: Copy {
    fn place(&self) -> Place;

    /// How it compares with what is looked for.
    fn compare(&self, wanted: &Wanted<'_>, ids: &Ids) -> Ordering {
        ids.compare(&self.place(), wanted)
    }
}

impl<T: Placed> Sorted<T> {
    /// Puts a fact in, in the place of one that stands there already.
    pub(super) fn put(&mut self, wanted: Wanted<'_>, ids: &mut Ids, fact: impl FnOnce(Place) -> T) {
        self.put_by(wanted, ids, |known, ids| known.compare(&wanted, ids), fact);
    }

    /// As [`Sorted::put`], where the order needs to know more of what is looked for.
    pub(super) fn put_by(
        &mut self,
        wanted: Wanted<'_>,
        ids: &mut Ids,
        compare: impl Fn(&T, &Ids) -> Ordering,
        fact: impl FnOnce(Place) -> T,
    ) {
        match self.find(|known| compare(known, ids)) {
            Err(at) => self.insert(at, fact(ids.keep(wanted))),
            Ok(at) => {
                if let Some(known) = self.get(at).map(Placed::place) {
                    self.replace(at, fact(known));
                }
            }
        }
    }

    /// Takes a fact out.
    pub(super) fn take(&mut self, wanted: Wanted<'_>, ids: &mut Ids) {
        self.take_by(ids, |known, ids| known.compare(&wanted, ids));
    }

    /// As [`Sorted::take`], where the order needs to know more of what is looked for.
    pub(super) fn take_by(&mut self, ids: &mut Ids, compare: impl Fn(&T, &Ids) -> Ordering) {
        if let Ok(at) = self.find(|known| compare(known, ids)) {
            self.get(at).map(Placed::place).inspect(|place| ids.forget(*place));
            self.remove(at);
        }
    }
}
