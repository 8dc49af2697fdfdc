//! Refused events tried again, once what was wrong is mended: a limit raised, a clock set right, a newer Milepost that
//! knows the type.
//!
//! Laws:
//!
//! 1. **The same checks**, under the configuration of now: see [`Intake::recheck`].
//! 2. **One fate, still.** Who is taken, new or a duplicate, leaves the quarantine in the transaction that keeps it; who
//!    is not stays there with the reason of now. Stopped anywhere, it can be asked for again.
//! 3. **Nobody gets in by waiting.** What its sender may not write is tried only if it is asked for by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use milepost_ingest::{HandedBack, Intake, Kept};
use milepost_model::Reason;
use milepost_store::{Quarantined, Retried, StoreError};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::keeper::Keeper;

pub mod http;
pub mod listed;
#[cfg(test)]
mod tests;

/// Refusals looked at by one call, or listed by one: with the largest of payloads, 32 MiB.
pub const PAGE: usize = 500;

/// Which refused events to try again, as it is sent to a server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    /// Those refused for one of these reasons; none: for any but `forbidden`.
    pub reasons: Vec<Reason>,
    /// Those with one of these numbers; none: with any.
    pub numbers: Vec<u64>,
    /// Those with a larger number than this: what [`Outcome::next`] said.
    pub after: u64,
    /// Whether nothing is to change. Each page is tried by itself then: what is in two of them counts as new twice.
    pub dry_run: bool,
}

/// What became of a page of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Refused events that were tried again: the sum of the next three.
    pub tried: u64,
    /// Kept now, and new.
    pub stored: u64,
    /// Known already.
    pub duplicate: u64,
    /// Refused again, by the reason of now.
    pub refused: BTreeMap<Reason, u64>,
    /// Left alone, as their senders may not write them and nobody asked for them by name.
    pub forbidden: u64,
    /// Looked at, those nobody asked for included.
    pub looked_at: u64,
    /// In the quarantine before.
    pub quarantined: u64,
    /// [`Asked::after`] for the next page; none if there is none.
    pub next: Option<u64>,
}

impl Outcome {
    /// Adds those of the next page.
    pub fn add(&mut self, page: &Self) {
        self.tried += page.tried;
        self.stored += page.stored;
        self.duplicate += page.duplicate;
        self.forbidden += page.forbidden;
        self.looked_at += page.looked_at;
        for (reason, count) in &page.refused {
            *self.refused.entry(*reason).or_default() += count;
        }
        self.next = page.next;
    }
}

/// Why they were not tried.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing of the page was changed.
    #[error(transparent)]
    HandedBack(#[from] HandedBack),
    /// It was stopped from outside; whether the page was changed is not known.
    #[error("interrupted")]
    Interrupted,
}

/// The quarantine of an installation.
#[derive(Clone)]
pub struct Quarantine {
    intake: Arc<Intake>,
    keeper: Arc<Keeper>,
    engine: Arc<Engine>,
}

impl Quarantine {
    /// Whose events are checked by `intake`, kept by `keeper` and read through `engine`.
    pub fn new(intake: Arc<Intake>, keeper: Arc<Keeper>, engine: Arc<Engine>) -> Self {
        Self { intake, keeper, engine }
    }

    /// Tries a page of refused events again.
    pub async fn retry(&self, asked: Asked) -> Result<Outcome, RetryError> {
        let (this, dry_run) = (self.clone(), asked.dry_run);
        let checked = tokio::task::spawn_blocking(move || this.check(&asked));
        let (mut outcome, retried) = checked.await.map_err(|_| RetryError::Interrupted)??;
        let still = retried.refused.iter().map(|(_, refusal)| refusal.reason).collect::<Vec<_>>();
        if outcome.tried == 0 {
            return Ok(outcome);
        }
        // A task of its own: who hangs up must not be taken for one whose events were not kept.
        let keeper = Arc::clone(&self.keeper);
        let kept = tokio::spawn(async move { keeper.retry(retried, dry_run).await });
        let kept = kept.await.map_err(|_| RetryError::Interrupted)??;
        still.into_iter().for_each(|reason| *outcome.refused.entry(reason).or_default() += 1);
        for kept in kept {
            match kept {
                Kept::Stored { .. } => outcome.stored += 1,
                Kept::Duplicate => outcome.duplicate += 1,
                Kept::Refused(refusal) => *outcome.refused.entry(refusal.reason).or_default() += 1,
            }
        }
        Ok(outcome)
    }

    /// Reads a page and checks those asked for.
    fn check(&self, asked: &Asked) -> Result<(Outcome, Retried), StoreError> {
        let first = asked.numbers.iter().min().map_or(0, |number| number.saturating_sub(1));
        let (page, sizes) = {
            let mut reader = self.engine.reader.lock();
            (reader.refusals(asked.after.max(first), PAGE)?, reader.sizes()?)
        };
        let last = page.last().map(|refused| refused.number).filter(|_| page.len() == PAGE);
        let mut outcome = Outcome {
            looked_at: page.len() as u64,
            quarantined: sizes.quarantined,
            next: last.filter(|last| asked.numbers.iter().max().is_none_or(|number| last < number)),
            ..Outcome::default()
        };
        let mut retried = Retried::default();
        for Quarantined { number, rejected, .. } in page {
            let reason = rejected.refusal.reason;
            match asked.wants(number, reason) {
                Wanted::No => continue,
                Wanted::IfNamed => {
                    outcome.forbidden += 1;
                    continue;
                }
                Wanted::Yes => outcome.tried += 1,
            }
            match self.intake.recheck(&rejected) {
                Ok(sealed) => {
                    retried.events.push(sealed);
                    retried.numbers.push(number);
                }
                Err(refusal) => retried.refused.push((number, refusal)),
            }
        }
        Ok((outcome, retried))
    }
}

enum Wanted {
    Yes,
    No,
    IfNamed,
}

impl Asked {
    fn wants(&self, number: u64, reason: Reason) -> Wanted {
        let by_number = self.numbers.contains(&number);
        let by_reason = self.reasons.contains(&reason);
        if !(by_number || self.numbers.is_empty()) || !(by_reason || self.reasons.is_empty()) {
            Wanted::No
        } else if reason == Reason::Forbidden && !by_number && !by_reason {
            Wanted::IfNamed
        } else {
            Wanted::Yes
        }
    }
}
