//! Registrations and retirements: what exists when, and who owns it.

use std::collections::BTreeMap;

use super::names::{Place, Symbol, Team};
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

/// A registration, or a retirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Retired,
    Registered(Registration),
}

/// Order of turns: by time; at the same instant registrations are the later ones, so that they win.
type Moment = (Timestamp, bool, Place);

/// The registrations and retirements of one team, service or capability.
#[derive(Debug, Clone, Default)]
pub struct Life {
    turns: BTreeMap<Moment, Turn>,
}

impl Life {
    /// The registrations in the order of events.
    pub fn registrations(&self) -> impl DoubleEndedIterator<Item = (&Place, &Registration)> {
        self.turns.iter().filter_map(|((_, _, place), turn)| match turn {
            Turn::Registered(registration) => Some((place, registration)),
            Turn::Retired => None,
        })
    }

    /// The first retirement after `after`.
    pub fn retired_after(&self, after: Timestamp) -> Option<&Place> {
        self.turns
            .iter()
            .find(|((at, ..), turn)| *at > after && matches!(turn, Turn::Retired))
            .map(|((_, _, place), _)| place)
    }

    /// Whether the latest turn at or before `at` is a retirement.
    pub fn retired_at(&self, at: Timestamp) -> bool {
        let latest = self.turns.iter().rev().find(|((turned, ..), _)| *turned <= at);
        matches!(latest, Some((_, Turn::Retired)))
    }

    /// Whether the latest turn before `at` is a retirement.
    pub fn retired_before(&self, at: Timestamp) -> bool {
        let latest = self.turns.iter().rev().find(|((turned, ..), _)| *turned < at);
        matches!(latest, Some((_, Turn::Retired)))
    }

    /// The latest registration before `at`.
    pub fn latest_registration(&self, at: Timestamp) -> Option<&Registration> {
        self.registrations().rev().find(|(place, _)| place.at < at).map(|(_, registration)| registration)
    }

    /// Days at whose end the latest turn was a retirement, as spans from one day up to, not including, another.
    pub fn retired_spans(&self) -> Vec<(Day, Option<Day>)> {
        let mut spans: Vec<(Day, Option<Day>)> = Vec::new();
        for ((at, ..), turn) in &self.turns {
            let open = spans.last().is_some_and(|(_, end)| end.is_none());
            match turn {
                Turn::Retired if !open => spans.push((at.day(), None)),
                Turn::Registered(_) if open => {
                    if let Some((_, end)) = spans.last_mut() {
                        *end = Some(at.day());
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

    /// The owner named last before `place`, which is that of a registration.
    pub fn owner_named_before(&self, place: &Place) -> Option<Team> {
        let mut earlier = self.turns.range(..(place.at, true, place.clone())).rev();
        earlier.find_map(|(_, turn)| match turn {
            Turn::Registered(registration) => registration.owner,
            Turn::Retired => None,
        })
    }

    /// The owner of what happened at `at`, as far as is known at `seen`: the team of the latest registration at or
    /// before, or, where all are later, of the earliest.
    pub fn owner(&self, at: Timestamp, seen: Timestamp) -> Option<Team> {
        let known = || self.owners().filter(move |(from, _)| *from < seen);
        known().rev().find(|(from, _)| *from <= at).or_else(|| known().next()).map(|(_, team)| team)
    }
}

/// The lives of all names of one kind.
#[derive(Debug, Clone)]
pub struct Lives<S> {
    lives: Vec<Life>,
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
    pub fn insert(&mut self, name: S, place: Place, registration: Option<Registration>) {
        if self.lives.len() <= name.index() {
            self.lives.resize_with(name.index() + 1, Life::default);
        }
        let turn = registration.map_or(Turn::Retired, Turn::Registered);
        self.lives[name.index()].turns.insert((place.at, registration.is_some(), place), turn);
    }

    /// Takes it away again.
    pub fn remove(&mut self, name: S, place: Place, registered: bool) {
        if let Some(life) = self.lives.get_mut(name.index()) {
            life.turns.remove(&(place.at, registered, place));
        }
    }
}
