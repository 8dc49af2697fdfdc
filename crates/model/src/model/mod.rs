//! All facts in memory.

use crate::event::Event;

/// The facts of all winning events, laid out for the metrics.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Model {
    events: usize,
}

impl Model {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the facts of a winning event. The caller removes the event's previous winner first, if it had one.
    pub fn insert(&mut self, _event: &Event) {
        self.events += 1;
    }

    /// Takes away the facts of an event that was inserted and is no longer the winner.
    pub fn remove(&mut self, _event: &Event) {
        self.events -= 1;
    }

    /// Winning events in it, retractions included.
    pub fn events(&self) -> usize {
        self.events
    }
}
