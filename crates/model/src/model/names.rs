//! Names as small numbers, and the sets of them an event mentions.

use std::num::NonZeroU32;

use super::index::{self, Index};

/// A kind of name: a type of its own, so that a team is never taken for a service.
pub trait Symbol: Copy + Eq + std::hash::Hash {
    /// From a position in the order of first mention.
    fn from_index(index: usize) -> Self;
    /// That position.
    fn index(self) -> usize;
}

macro_rules! symbols {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroU32);

        impl Symbol for $name {
            fn from_index(index: usize) -> Self {
                Self(NonZeroU32::MIN.saturating_add(index as u32))
            }

            fn index(self) -> usize {
                self.0.get() as usize - 1
            }
        }
    )*};
}
symbols!(
    /// A team.
    Team,
    /// A service.
    Service,
    /// A capability.
    Capability,
    /// A person's pseudonym.
    Person,
    /// An environment.
    Environment,
    /// Who sent an event.
    Source,
    /// What events call something that is no unit: a change, an incident, a pipeline, another event.
    Word
);

/// The names of one kind. Names are never forgotten: a symbol means the same name as long as the Model lives.
#[derive(Debug, Clone)]
pub struct Names<S> {
    index: Index,
    /// All of them, one behind the other.
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
    kind: std::marker::PhantomData<S>,
}

impl<S> Default for Names<S> {
    fn default() -> Self {
        Self {
            index: Index::default(),
            text: String::new(),
            ends: Vec::new(),
            kind: std::marker::PhantomData,
        }
    }
}

impl<S: Symbol> Names<S> {
    /// The symbol of a name, made if it is new.
    pub fn intern(&mut self, text: &str) -> S {
        let hash = index::hash(text.as_bytes());
        if let Some(place) = self.find(hash, text) {
            return S::from_index(place);
        }
        let place = self.ends.len();
        self.text.push_str(text);
        self.ends.push(self.text.len());
        self.index.insert(hash, place);
        S::from_index(place)
    }

    fn find(&self, hash: u32, text: &str) -> Option<usize> {
        self.index.find(hash, |place| self.at(place) == text)
    }

    fn at(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[place]]
    }

    /// The symbol of a name that was mentioned before.
    pub fn get(&self, text: &str) -> Option<S> {
        self.find(index::hash(text.as_bytes()), text).map(S::from_index)
    }

    /// The name of a symbol.
    pub fn text(&self, symbol: S) -> &str {
        self.at(symbol.index())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Every symbol made, in the order of first mention.
    pub fn all(&self) -> impl Iterator<Item = S> + use<S> {
        (0..self.ends.len()).map(S::from_index)
    }
}

/// What an event says it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The team it names; events without one belong to the owner of the service.
    pub team: Option<Team>,
    /// The service it names.
    pub service: Option<Service>,
    /// The capability it names.
    pub capability: Option<Capability>,
}
