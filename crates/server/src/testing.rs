//! A small installation for the tests of this crate: no store, a clock that stands still.

use std::sync::Arc;

use milepost_model::{Body, Config, Content, Event, EventId, EventKey, Model, Timestamp};
use milepost_store::{Quarantined, Reader, Sizes, StoreError};

use crate::engine::Engine;

/// What the clock says.
pub(crate) const NOW: &str = "2026-03-01T12:00:00Z";

/// Six teams, of which three use `ci` and one `docs`.
pub(crate) fn engine() -> Arc<Engine> {
    engine_of(&history())
}

/// An engine that holds these events.
pub(crate) fn engine_of(events: &[Event]) -> Arc<Engine> {
    let mut model = Model::new();
    for event in events {
        model.insert(event);
    }
    Engine::with_clock(model, Config::default(), Box::new(Remembered(events.to_vec())), || {
        NOW.parse().unwrap()
    })
}

/// The events of [`engine`].
pub(crate) fn history() -> Vec<Event> {
    let registered = (1..=6)
        .map(|team| event("2026-01-01T00:00:00Z", Body::TeamRegistered, &format!("team-{team}"), None));
    let used = (1..=3).map(|team| used("2026-02-20T08:00:00Z", &format!("team-{team}"), "ci"));
    registered.chain(used).chain([self::used("2026-02-21T08:00:00Z", "team-6", "docs")]).collect()
}

/// A use of a capability by a team.
pub(crate) fn used(at: &str, team: &str, capability: &str) -> Event {
    event(at, Body::CapabilityUsed, team, Some(capability))
}

fn event(at: &str, body: Body, team: &str, capability: Option<&str>) -> Event {
    let id = format!("{} {team} {at}", body.type_name());
    let content = Content {
        actor: None,
        body,
        capability: capability.map(str::to_owned),
        occurred_at: at.parse().unwrap(),
        service: None,
        team: Some(team.to_owned()),
    };
    Event { id: EventId { source: "test".to_owned(), id }, revision: 0, content }
}

/// A reader of events in memory.
struct Remembered(Vec<Event>);

impl Reader for Remembered {
    fn find(&mut self, key: EventKey, at: Timestamp) -> Result<Vec<EventId>, StoreError> {
        let found = self.0.iter().filter(|event| event.id.key() == key && event.content.occurred_at == at);
        Ok(found.map(|event| event.id.clone()).collect())
    }

    fn replay(&mut self, each: &mut dyn FnMut(&Event)) -> Result<(), StoreError> {
        self.0.iter().for_each(each);
        Ok(())
    }

    fn quarantine(&mut self, _: Option<u64>, _: usize) -> Result<Vec<Quarantined>, StoreError> {
        Ok(Vec::new())
    }

    fn refusals(&mut self, _: u64, _: usize) -> Result<Vec<Quarantined>, StoreError> {
        Ok(Vec::new())
    }

    fn sizes(&mut self) -> Result<Sizes, StoreError> {
        Ok(Sizes { versions: self.0.len() as u64, ..Sizes::default() })
    }
}
