//! Registrations and retirements: what exists when, and who owns it.

use std::cmp::Ordering;

use super::names::{Symbol, Team};
use super::place::{Ids, Place, Placed, Wanted};
use super::sorted::Sorted;
use super::work::grown;
use crate::time::{Day, Timestamp};

/// What a registration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// The owner it names.
    pub owner: Option<Team>,
    /// The team its event names; who owns the service at the time where it names none.
    pub team: Option<Team>,
    /// It existed before.
    pub preexisting: bool,
    /// Its use is mandated.
    pub mandated: Option<bool>,
    /// Since when its use is observed.
    pub observed_since: Option<Timestamp>,
}

/// A registration, or a retirement, which says nothing. Their order is that of time; at the same instant registrations are
/// the later ones, so that they win.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) place: Place,
    pub(super) registration: Option<Registration>,
}

impl Placed for Turn {
    fn place(&self) -> Place {
        self.place
    }
}

impl Turn {
    fn is_retirement(&self) -> bool {
        self.registration.is_none()
    }
}

fn compare(turn: &Turn, wanted: &Wanted<'_>, registered: bool, ids: &Ids) -> Ordering {
    let by_time = turn.place.at.cmp(&wanted.at).then(turn.registration.is_some().cmp(&registered));
    by_time.then_with(|| ids.compare(&turn.place, wanted))
}

/// The registrations and retirements of one team, service or capability.
#[derive(Debug, Clone, Default)]
pub struct Life {
    pub(super) turns: Sorted<Turn>,
}

impl Life {
    /// The registrations in the order of events.
    pub fn registrations(&self) -> impl DoubleEndedIterator<Item = (&Place, &Registration)> {
        self.turns.iter().filter_map(registration)
    }

    /// The first retirement after `after`.
    pub fn retired_after(&self, after: Timestamp) -> Option<&Place> {
        let mut later = self.turns.from(|turn| turn.place.at <= after);
        later.find(|turn| turn.is_retirement()).map(|turn| &turn.place)
    }

    /// Whether the latest turn at or before `at` is a retirement.
    pub fn retired_at(&self, at: Timestamp) -> bool {
        self.turns.before(|turn| turn.place.at <= at).next_back().is_some_and(Turn::is_retirement)
    }

    /// Whether the latest turn before `at` is a retirement.
    pub fn retired_before(&self, at: Timestamp) -> bool {
        self.turns.before(|turn| turn.place.at < at).next_back().is_some_and(Turn::is_retirement)
    }

    /// The latest registration before `at`.
    pub fn latest_registration(&self, at: Timestamp) -> Option<&Registration> {
        let mut earlier = self.turns.before(|turn| turn.place.at < at).rev();
        earlier.find_map(|turn| turn.registration.as_ref())
    }

    /// Days at whose end the latest turn was a retirement, as spans from one day up to, not including, another.
    pub fn retired_spans(&self) -> Vec<(Day, Option<Day>)> {
        let mut spans: Vec<(Day, Option<Day>)> = Vec::new();
        for Turn { place, registration } in self.turns.iter() {
            let open = spans.last().is_some_and(|(_, end)| end.is_none());
            match registration {
                None if !open => spans.push((place.at.day(), None)),
                Some(_) if open => {
                    if let Some((_, end)) = spans.last_mut() {
                        *end = Some(place.at.day());
                    }
                }
                _ => {}
            }
        }
        spans
    }

    /// Every owner named, each with when, in the order of events.
    pub fn owners(&self) -> impl DoubleEndedIterator<Item = (Timestamp, Team)> {
        self.registrations().filter_map(|(place, registration)| Some((place.at, registration.owner?)))
    }

    /// The owner named last before a registration that is looked for.
    pub(super) fn owner_named_before(&self, wanted: &Wanted<'_>, ids: &Ids) -> Option<Team> {
        let mut earlier = self.turns.before(|turn| compare(turn, wanted, true, ids).is_lt()).rev();
        earlier.find_map(|turn| turn.registration?.owner)
    }

    /// The owner of what happened at `at`, as far as is known at `seen`: the team of the latest registration at or
    /// before, or, where all are later, of the earliest.
    pub fn owner(&self, at: Timestamp, seen: Timestamp) -> Option<Team> {
        let owner = |turn: &Turn| turn.registration?.owner;
        let mut known = self.turns.before(|turn| turn.place.at <= at && turn.place.at < seen).rev();
        known.find_map(owner).or_else(|| {
            let (_, team) = self.owners().next().filter(|(from, _)| *from < seen)?;
            Some(team)
        })
    }
}

fn registration(turn: &Turn) -> Option<(&Place, &Registration)> {
    Some((&turn.place, turn.registration.as_ref()?))
}

/// The lives of all names of one kind.
#[derive(Debug, Clone)]
pub struct Lives<S> {
    pub(super) lives: Vec<Life>,
    never: Life,
    kind: std::marker::PhantomData<S>,
}

impl<S> Default for Lives<S> {
    fn default() -> Self {
        Self { lives: Vec::new(), never: Life::default(), kind: std::marker::PhantomData }
    }
}

impl<S: Symbol> Lives<S> {
    /// The life of a name.
    pub fn of(&self, name: S) -> &Life {
        self.lives.get(name.index()).unwrap_or(&self.never)
    }

    /// Adds a registration, or a retirement if there is none.
    pub(super) fn insert(
        &mut self,
        name: S,
        wanted: Wanted<'_>,
        registration: Option<Registration>,
        ids: &mut Ids,
    ) {
        let compare = |turn: &Turn, ids: &Ids| compare(turn, &wanted, registration.is_some(), ids);
        let fact = |place| Turn { place, registration };
        grown(&mut self.lives, name).turns.put_by(wanted, ids, compare, fact);
    }

    /// Takes it away again.
    pub(super) fn remove(&mut self, name: S, wanted: Wanted<'_>, registered: bool, ids: &mut Ids) {
        if let Some(life) = self.lives.get_mut(name.index()) {
            life.turns.take_by(ids, |turn, ids| compare(turn, &wanted, registered, ids));
        }
    }
}
