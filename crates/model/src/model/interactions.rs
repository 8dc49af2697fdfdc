//! Interactions: what was begun on the platform, and how it ended.

use std::cmp::Ordering;

use super::index::{self, Index};
use super::names::{Source, Subject};
use super::place::{Ids, Place, Placed, Wanted};
use super::sorted::Sorted;
use super::texts::TextRef;
use crate::event::Outcome;
use crate::time::{Span, Timestamp};

/// How an interaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// As wanted or not.
    pub outcome: Outcome,
    /// Whether a human had to help; not known counts as helped.
    pub assisted: bool,
}

/// A finish, or a start, which has no ending.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) place: Place,
    pub(super) subject: Subject,
    pub(super) ending: Option<Ending>,
}

impl Placed for Turn {
    fn place(&self) -> Place {
        self.place
    }
}

/// What is known of one interaction.
#[derive(Debug, Clone)]
pub struct Interaction {
    /// What identifies it: the source, and its id within that.
    pub(super) source: Source,
    pub(super) id: TextRef,
    /// The finishes, then the starts, each in the order of events.
    pub(super) turns: Sorted<Turn>,
}

/// The state of an interaction at T, with the event that set it and what that event names.
#[derive(Debug, Clone, Copy)]
pub enum State<'a> {
    /// Its first finish.
    Finished(&'a Place, Subject, Ending),
    /// Not finished in time: when the time-out ran out.
    Abandoned(&'a Place, Subject, Timestamp),
    /// Begun, and in time.
    Pending(&'a Place, Subject),
}

impl Interaction {
    /// Its state as of `at`; `timeout` gives the time-out of an interaction by its start. `None`: not begun.
    pub fn state(&self, at: Timestamp, timeout: impl Fn(Subject) -> Span) -> Option<State<'_>> {
        if let Some(Turn { place, subject, ending: Some(ending) }) = self.turns.first()
            && place.at < at
        {
            return Some(State::Finished(place, *subject, *ending));
        }
        let Turn { place, subject, .. } = self.first_start().filter(|turn| turn.place.at < at)?;
        let deadline = place.at + timeout(*subject);
        Some(if deadline < at {
            State::Abandoned(place, *subject, deadline)
        } else {
            State::Pending(place, *subject)
        })
    }

    /// What identifies it: the source, and its id within that.
    pub fn identity<'a>(&self, ids: &'a Ids) -> (&'a str, &'a str) {
        (ids.sources.text(self.source), ids.texts.get(self.id))
    }

    /// Its earliest start.
    pub fn start(&self) -> Option<&Place> {
        self.first_start().map(|turn| &turn.place)
    }

    fn first_start(&self) -> Option<&Turn> {
        self.turns.from(|turn| turn.ending.is_some()).next()
    }
}

/// All interactions.
#[derive(Debug, Clone, Default)]
pub struct Interactions {
    index: Index,
    pub(super) all: Vec<Interaction>,
}

fn hash(source: Source, id: &str) -> u32 {
    index::hash(&(source, id.as_bytes()))
}

impl Interactions {
    fn find(&self, source: Source, id: &str, ids: &Ids) -> Option<usize> {
        self.index.find(hash(source, id), |place| {
            let known = &self.all[place];
            known.source == source && ids.texts.bytes(known.id) == id.as_bytes()
        })
    }

    /// The place of an interaction, made if it is new.
    pub(super) fn place(&mut self, source: Source, id: &str, ids: &mut Ids) -> usize {
        self.find(source, id, ids).unwrap_or_else(|| {
            self.index.insert(hash(source, id), self.all.len());
            self.all.push(Interaction { source, id: ids.texts.insert(id), turns: Sorted::default() });
            self.all.len() - 1
        })
    }

    /// Adds a start, or a finish if there is an ending.
    pub(super) fn insert(
        &mut self,
        id: &str,
        wanted: Wanted<'_>,
        (subject, ending): (Subject, Option<Ending>),
        ids: &mut Ids,
    ) {
        let place = self.place(wanted.source, id, ids);
        put(&mut self.all[place].turns, wanted, (subject, ending), ids);
    }

    /// Takes it away again.
    pub(super) fn remove(&mut self, id: &str, wanted: Wanted<'_>, is_finish: bool, ids: &mut Ids) {
        let Some(place) = self.find(wanted.source, id, ids) else { return };
        self.all[place].turns.take_by(ids, |turn, ids| compare(turn, &wanted, is_finish, ids));
    }

    /// Each interaction.
    pub fn all(&self) -> impl Iterator<Item = &Interaction> {
        self.all.iter()
    }
}

pub(super) fn put(
    turns: &mut Sorted<Turn>,
    wanted: Wanted<'_>,
    (subject, ending): (Subject, Option<Ending>),
    ids: &mut Ids,
) {
    let compare = |turn: &Turn, ids: &Ids| compare(turn, &wanted, ending.is_some(), ids);
    turns.put_by(wanted, ids, compare, |place| Turn { place, subject, ending });
}

fn compare(turn: &Turn, wanted: &Wanted<'_>, is_finish: bool, ids: &Ids) -> Ordering {
    let (here, there) = (turn.ending.is_none(), !is_finish);
    here.cmp(&there).then_with(|| ids.compare(&turn.place, wanted))
}
