//! Events that are not kept after all: what they would change is frozen, or their names are too many.
//!
//! Held where the one writer commits, as no two requests can slip past each other there.

use milepost_model::{Event, Refusal, Sealed};
use milepost_store::{Store, StoreError};

use super::names::{self, NameLimits};
use crate::engine::Engine;

/// For each event why it is refused, if it is; none at all if all are taken.
pub(super) fn refusals(
    store: &mut dyn Store,
    engine: Option<&Engine>,
    limits: NameLimits,
    events: &[Sealed],
) -> Result<Vec<Option<Refusal>>, StoreError> {
    let frozen = store.refusals(events)?;
    let Some(engine) = engine else { return Ok(frozen) };
    let model = engine.model.read();
    if frozen.iter().all(Option::is_none) {
        return Ok(names::refusals(&model, limits, events.iter().map(|sealed| &sealed.event)));
    }
    // One that is refused takes no place of a name.
    let left = events.iter().zip(&frozen).filter(|(_, refusal)| refusal.is_none());
    let left: Vec<&Event> = left.map(|(sealed, _)| &sealed.event).collect();
    let mut named = names::refusals(&model, limits, left.into_iter()).into_iter();
    Ok(frozen.into_iter().map(|refusal| refusal.or_else(|| named.next().flatten())).collect())
}
