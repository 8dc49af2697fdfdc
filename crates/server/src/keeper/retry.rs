//! Refused events that were tried again: committed by themselves, in turn with what the doors bring.
//!
//! Law: as for every other event, commit, then apply, then answer. What leaves the quarantine is in the commit that keeps
//! it.

use std::sync::atomic::Ordering::Relaxed;

use milepost_ingest::{HandedBack, Kept};
use milepost_model::Refusal;
use milepost_store::{Appended, Retried, StoreError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::commit::told;
use super::{Keeper, Work, Writer};
use crate::engine::system_clock;

/// On its way to the writer.
pub(super) struct Retry {
    retried: Retried,
    rehearsal: bool,
    answer: oneshot::Sender<Result<Vec<Kept>, HandedBack>>,
    _room: OwnedSemaphorePermit,
}

impl Keeper {
    /// Keeps refused events that were tried again. One result per event, in order, once they are durable. A rehearsal
    /// changes nothing.
    pub async fn retry(&self, retried: Retried, rehearsal: bool) -> Result<Vec<Kept>, HandedBack> {
        let size = retried.events.len() + retried.refused.len();
        self.queue(size, |answer, room| Work::Retry(Retry { retried, rehearsal, answer, _room: room })).await
    }
}

impl Writer {
    pub(super) fn retry(&mut self, retry: Retry) {
        let Retry { mut retried, rehearsal, answer, _room } = retry;
        let size = retried.events.len() + retried.refused.len();
        let result = self.still_refused(&mut retried).and_then(|refusals| {
            let appended = self.store.retry(&retried, system_clock(), rehearsal)?;
            Ok((refusals, appended))
        });
        self.health.queue_events.fetch_sub(size as u64, Relaxed);
        let kept = result.map_err(|error| self.failed(&error, size)).map(|(refusals, appended)| {
            if !rehearsal {
                self.health.committed(system_clock());
                self.apply(&retried.events, &appended);
                self.count(&appended, retried.refused.len());
            }
            together(&refusals, &appended)
        });
        // Who is gone needs no answer.
        let _ = answer.send(kept);
    }

    /// Moves the events to the refused ones that are not to be kept. Of every event that came why, if it is not.
    fn still_refused(&mut self, retried: &mut Retried) -> Result<Vec<Option<Refusal>>, StoreError> {
        let refusals = self.refusals(&retried.events)?;
        if refusals.iter().all(Option::is_none) {
            return Ok(vec![None; retried.events.len()]);
        }
        let numbers = std::mem::take(&mut retried.numbers);
        let events = std::mem::take(&mut retried.events);
        for ((sealed, number), refusal) in events.into_iter().zip(numbers).zip(&refusals) {
            if let Some(refusal) = refusal {
                retried.refused.push((number, refusal.clone()));
            } else {
                retried.events.push(sealed);
                retried.numbers.push(number);
            }
        }
        Ok(refusals)
    }

    fn count(&self, appended: &[Appended], refused: usize) {
        let duplicates = appended.iter().filter(|one| **one == Appended::Duplicate).count();
        let [stored, duplicate, still] = &self.health.retried;
        stored.fetch_add((appended.len() - duplicates) as u64, Relaxed);
        duplicate.fetch_add(duplicates as u64, Relaxed);
        still.fetch_add(refused as u64, Relaxed);
    }
}

/// What became of every event that came.
fn together(refusals: &[Option<Refusal>], appended: &[Appended]) -> Vec<Kept> {
    let mut appended = appended.iter().map(told);
    refusals
        .iter()
        .map_while(|refusal| refusal.clone().map(Kept::Refused).or_else(|| appended.next()))
        .collect()
}
