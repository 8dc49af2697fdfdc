//! Who was asked, and what they answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::names::{Person, Subject};
use crate::event::EventKey;
use crate::time::Timestamp;

/// Order of answers: the latest by time, then by id, is the last one; the source decides between equals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// When.
    pub at: Timestamp,
    /// The event's id.
    pub id: Box<str>,
    /// The event's source.
    pub source: Arc<str>,
}

impl Turn {
    /// The handle of the event.
    pub fn key(&self) -> EventKey {
        EventKey::of(&self.source, &self.id)
    }
}

/// The answers (with a score) and invitations (without) of one person.
pub type Turns = BTreeMap<Turn, (Subject, Option<u8>)>;

/// All of them, by person.
#[derive(Debug, Clone, Default)]
pub struct Surveys(FxHashMap<Person, Turns>);

impl Surveys {
    /// Adds an answer, or an invitation.
    pub fn insert(&mut self, person: Person, turn: Turn, subject: Subject, score: Option<u8>) {
        self.0.entry(person).or_default().insert(turn, (subject, score));
    }

    /// Takes it away again.
    pub fn remove(&mut self, person: Person, turn: &Turn) {
        if let Some(turns) = self.0.get_mut(&person) {
            turns.remove(turn);
        }
    }

    /// Each person with what they were asked and answered.
    pub fn all(&self) -> impl Iterator<Item = (Person, &Turns)> {
        self.0.iter().map(|(person, turns)| (*person, turns))
    }

    /// One person's.
    pub fn of(&self, person: Person) -> Option<&Turns> {
        self.0.get(&person)
    }
}
