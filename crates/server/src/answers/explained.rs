//! Explanations: pages of the units behind an answer, with the events each rests on.

use milepost_model::answer::Labels;
use milepost_model::{Answer, AsOf, Timestamp, metrics};
use milepost_store::StoreError;
use serde::Serialize;

use super::page::Token;
use super::{Ask, AskError, When};
use crate::engine::Engine;

/// Events named for one unit, the earliest ones; how many there are in all is always told.
pub const MAX_EVENTS: usize = 100;

const DEFAULT_PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;

/// Which page.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Units on it; 0: the default, 100.
    pub size: u32,
    /// From the page before; empty: the first.
    pub token: String,
}

/// One page of an explanation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "described in metrics.proto, as `ExplainResponse`")]
pub struct Explained {
    pub definition: &'static str,
    pub answers: Vec<Answer>,
    pub total_units: usize,
    pub units: Vec<Unit>,
    /// Empty on the last page.
    pub next_page_token: String,
}

/// One unit of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "described in metrics.proto, as `ExplainedUnit`")]
pub struct Unit {
    pub labels: Labels,
    pub unit: String,
    pub class: &'static str,
    pub part: &'static str,
    /// How many it stands for, if not for one.
    #[serde(skip_serializing_if = "is_one")]
    pub count: u64,
    pub events: Vec<EventRef>,
    pub event_count: usize,
    /// Of the events, those that retention has dropped.
    #[serde(skip_serializing_if = "is_none")]
    pub dropped_event_count: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_one(count: &u64) -> bool {
    *count == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct EventRef {
    pub source: String,
    pub id: String,
    pub occurred_at: Timestamp,
}

/// One page of the units behind the answers. May take long: not for an async worker.
pub fn explain(engine: &Engine, ask: &Ask, page: &PageRequest) -> Result<Explained, AskError> {
    let When::Moment(mut as_of) = ask.when else {
        return Err(AskError::bad(
            "from",
            "an explanation is about one moment: give `as_of`, or nothing for now",
        ));
    };
    let mut offset = 0;
    if !page.token.is_empty() {
        let (token, moment) = Token::read(&page.token, ask, &engine.digest)?;
        (offset, as_of) = (token.offset, moment);
    }
    let size = page_size(page.size)?;
    let explanation = {
        // The Model is released before the store is read: the keeper waits for it, and disks are slow.
        let model = engine.model.read();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        metrics::explain(&model, &engine.config, ask.metric, &ask.selector, as_of, offset, size)?
    };
    let end = offset + explanation.units.len() as u64;
    let more = !explanation.units.is_empty() && end < explanation.total as u64;
    Ok(Explained {
        definition: explanation.definition,
        answers: explanation.answers,
        total_units: explanation.total,
        units: explanation.units.into_iter().map(|unit| resolve(engine, unit)).collect::<Result<_, _>>()?,
        next_page_token: if more { token(engine, ask, as_of, end) } else { String::new() },
    })
}

fn token(engine: &Engine, ask: &Ask, as_of: AsOf, offset: u64) -> String {
    Token::new(ask, as_of, &engine.digest, offset).encode()
}

fn page_size(asked: u32) -> Result<usize, AskError> {
    match asked {
        0 => Ok(DEFAULT_PAGE as usize),
        1..=MAX_PAGE => Ok(asked as usize),
        _ => {
            Err(AskError::bad("page_size", format!("{asked} units on a page; at most {MAX_PAGE} are given")))
        }
    }
}

/// Names the events of a unit. One that a newer version has replaced since the Model was read is left out, and so is what
/// retention has dropped, or is about to.
fn resolve(engine: &Engine, unit: milepost_model::answer::ExplainedUnit) -> Result<Unit, AskError> {
    let mut events = Vec::new();
    let failed = |error: StoreError| AskError::Failed(error.to_string());
    let mut reader = engine.reader.lock();
    let horizon = reader.horizon().map_err(failed)?.map_or(Timestamp::MIN, |horizon| horizon.at);
    // They are in the order of time.
    let dropped = unit.events.partition_point(|(at, _)| *at < horizon);
    for (occurred_at, key) in unit.events[dropped..].iter().take(MAX_EVENTS) {
        let found = reader.find(*key, *occurred_at).map_err(failed)?;
        events.extend(found.into_iter().map(|id| EventRef {
            source: id.source,
            id: id.id,
            occurred_at: *occurred_at,
        }));
    }
    Ok(Unit {
        labels: unit.labels,
        unit: unit.unit,
        class: unit.class,
        part: unit.part.as_str(),
        events,
        count: unit.count,
        event_count: unit.events.len(),
        dropped_event_count: dropped,
    })
}
