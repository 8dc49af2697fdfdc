//! Events and stores for tests.

use milepost_model::{
    Body, Content, Door, Event, EventId, Payload, Reason, Refusal, Rejected, Sealed, Timestamp,
};
use milepost_store::Reader;
use milepost_store::sqlite::{Options, Sqlite};
use std::path::Path;

/// When tests receive events.
pub(crate) fn now() -> Timestamp {
    at(1_000_000)
}

/// So many seconds after the epoch.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).unwrap()
}

/// A use of a capability by a team.
pub(crate) fn used(id: &str, revision: u64, team: &str) -> Event {
    Event {
        id: EventId { source: "ci".to_owned(), id: id.to_owned() },
        revision,
        content: Content {
            actor: None,
            body: Body::CapabilityUsed,
            capability: Some("pipeline".to_owned()),
            occurred_at: at(500),
            service: None,
            team: Some(team.to_owned()),
        },
    }
}

pub(crate) fn seal(events: &[Event]) -> Vec<Sealed> {
    events.iter().cloned().map(Sealed::new).collect()
}

pub(crate) fn rejected(id: &str, payload: Option<Payload>) -> Rejected {
    Rejected {
        refusal: Refusal::new(Reason::OutOfRange, "body.score", "11 is not a score"),
        door: Door::Http,
        source: Some("portal".to_owned()),
        id: Some(id.to_owned()),
        payload,
    }
}

pub(crate) fn open(directory: &Path) -> Sqlite {
    Sqlite::open(directory, Options::default()).unwrap()
}

/// All winners, in the order kept.
pub(crate) fn winners(reader: &mut dyn Reader) -> Vec<Event> {
    let mut winners = Vec::new();
    reader.replay(&mut |event| winners.push(event.clone())).unwrap();
    winners
}
