//! Names as small numbers, and the sets of them an event mentions.

use std::num::NonZeroU32;
use std::sync::Arc;

use rustc_hash::FxHashMap;

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
    Environment
);

/// The names of one kind. Names are never forgotten: a symbol means the same name as long as the Model lives.
#[derive(Debug, Clone)]
pub struct Names<S> {
    symbols: FxHashMap<Arc<str>, S>,
    texts: Vec<Arc<str>>,
}

impl<S> Default for Names<S> {
    fn default() -> Self {
        Self { symbols: FxHashMap::default(), texts: Vec::new() }
    }
}

impl<S: Symbol> Names<S> {
    /// The symbol of a name, made if it is new.
    pub fn intern(&mut self, text: &str) -> S {
        if let Some(symbol) = self.symbols.get(text) {
            return *symbol;
        }
        let symbol = S::from_index(self.texts.len());
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.symbols.insert(text, symbol);
        symbol
    }

    /// The symbol of a name that was mentioned before.
    pub fn get(&self, text: &str) -> Option<S> {
        self.symbols.get(text).copied()
    }

    /// The name of a symbol.
    pub fn text(&self, symbol: S) -> &str {
        &self.texts[symbol.index()]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Every symbol made, in the order of first mention.
    pub fn all(&self) -> impl Iterator<Item = S> + use<S> {
        (0..self.texts.len()).map(S::from_index)
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

/// A place in the order of events: by time, and at the same instant by (source, id).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When.
    pub at: crate::time::Timestamp,
    /// The event's source.
    pub source: Arc<str>,
    /// The event's id.
    pub id: Box<str>,
}

impl Place {
    /// The handle of the event that stands here.
    pub fn key(&self) -> crate::event::EventKey {
        crate::event::EventKey::of(&self.source, &self.id)
    }
}
