//! Interactions: what was begun on the platform, and how it ended.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::few::Few;
use super::names::{Place, Subject};
use crate::event::Outcome;
use crate::time::{Span, Timestamp};

/// What identifies an interaction: the source, and the interaction's id within it.
pub type InteractionId = (Arc<str>, Box<str>);

/// How an interaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// As wanted or not.
    pub outcome: Outcome,
    /// Whether a human had to help; not known counts as helped.
    pub assisted: bool,
}

/// What is known of one interaction.
#[derive(Debug, Clone, Default)]
pub struct Interaction {
    starts: Few<Place, Subject>,
    finishes: Few<Place, (Subject, Ending)>,
}

/// The state of an interaction at T, with the event that set it and what that event names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        if let Some((place, (subject, ending))) = self.finishes.first()
            && place.at < at
        {
            return Some(State::Finished(place, *subject, *ending));
        }
        let (place, subject) = self.starts.first().filter(|(place, _)| place.at < at)?;
        let deadline = place.at + timeout(*subject);
        Some(if deadline < at {
            State::Abandoned(place, *subject, deadline)
        } else {
            State::Pending(place, *subject)
        })
    }

    /// Its earliest start.
    pub fn start(&self) -> Option<&Place> {
        self.starts.first().map(|(place, _)| place)
    }
}

/// All interactions.
#[derive(Debug, Clone, Default)]
pub struct Interactions(FxHashMap<InteractionId, Interaction>);

impl Interactions {
    /// Adds a start, or a finish if there is an ending.
    pub fn insert(&mut self, id: InteractionId, place: Place, subject: Subject, ending: Option<Ending>) {
        let interaction = self.0.entry(id).or_default();
        match ending {
            None => interaction.starts.insert(place, subject),
            Some(ending) => interaction.finishes.insert(place, (subject, ending)),
        }
    }

    /// Takes it away again.
    pub fn remove(&mut self, id: &InteractionId, place: &Place) {
        if let Some(interaction) = self.0.get_mut(id) {
            interaction.starts.remove(place);
            interaction.finishes.remove(place);
        }
    }

    /// Each interaction.
    pub fn all(&self) -> impl Iterator<Item = (&InteractionId, &Interaction)> {
        self.0.iter()
    }

    /// One interaction.
    pub fn get(&self, id: &InteractionId) -> Option<&Interaction> {
        self.0.get(id)
    }
}
