//! What all doors share: check, pseudonyms, seal, submit, one fate per event.
//!
//! [`Intake::prepare`] is pure but for the clock and may run on any thread; [`Intake::submit`] waits until the events
//! are durable. Between them nothing is stored or counted.

use std::sync::Arc;
use std::time::Duration;

use milepost_model::refusal::{Reason, flaw};
use milepost_model::{Door, Event, Fate, Limits, Position, Refusal, Rejected, Sealed, Timestamp};
use milepost_wire::json::REMOVED;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::counters::Counters;
use crate::grant::Grant;
use crate::persistent::Persistent;
use crate::pseudonym::Pseudonymizer;
use crate::sent::{Remains, Sent};
use crate::{Accept, HandedBack, Kept, Submission};

/// Above this many bytes a request is prepared on a thread that may block: the async workers have connections to serve.
const INLINE_BYTES: usize = 32 * 1024;

/// Requests prepared there at the same time: the keeper and the connections need cores too.
const PREPARED_AT_ONCE: usize = 8;

/// What one event and one request may be at most.
#[derive(Debug, Clone, Copy)]
pub struct DoorLimits {
    /// Of the fields of an event.
    pub event: Limits,
    /// Bytes of an event as it is sent.
    pub event_bytes: usize,
    /// Events of one batch.
    pub batch_events: usize,
    /// Bytes of one request, also once decompressed.
    pub body_bytes: usize,
    /// Batches of one stream that may wait for their answer.
    pub stream_batches: usize,
    /// Bytes of all large requests that are being prepared or wait to be kept, once decompressed.
    pub decoded_bytes: usize,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            event: Limits::default(),
            event_bytes: 1024 * 1024,
            batch_events: 10_000,
            body_bytes: 16 * 1024 * 1024,
            stream_batches: 16,
            decoded_bytes: 24 * 1024 * 1024,
        }
    }
}

/// The way of an event from any door to what is behind it.
pub struct Intake {
    limits: DoorLimits,
    pseudonyms: Pseudonymizer,
    clock: fn() -> Timestamp,
    accept: Arc<dyn Accept>,
    counters: Arc<Counters>,
    preparing: Arc<Semaphore>,
    decoded: Arc<Semaphore>,
}

/// Events of one request, ready to be submitted.
#[derive(Debug)]
pub struct Prepared {
    door: Door,
    submission: Submission,
    /// One for each event received, in order: why it is refused, if it is.
    refusals: Vec<Option<Refusal>>,
    /// Of its events, as they were sent.
    bytes: usize,
    reserved: Option<Reserved>,
}

/// Room for a large request, from before it is decompressed until it is kept.
#[derive(Debug)]
pub struct Reserved(OwnedSemaphorePermit);

impl Prepared {
    /// How many events were received.
    pub fn len(&self) -> usize {
        self.refusals.len()
    }

    /// With the room that was reserved for it, as much of it as is needed; the rest is given back.
    #[must_use]
    pub fn within(mut self, reserved: Option<Reserved>) -> Self {
        self.reserved = reserved.map(|Reserved(mut permit)| {
            drop(permit.split(permit.num_permits().saturating_sub(self.bytes)));
            Reserved(permit)
        });
        self
    }

    /// With where in Kafka its events came from, in order.
    #[must_use]
    pub fn from_positions(mut self, positions: impl IntoIterator<Item = Position>) -> Self {
        let refused = self.refusals.iter().zip(positions).filter(|(refusal, _)| refusal.is_some());
        for ((_, origin), (_, position)) in self.submission.rejected.iter_mut().zip(refused) {
            *origin = Some(position);
        }
        self
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.refusals.is_empty()
    }
}

impl Intake {
    /// In front of `accept`.
    pub fn new(
        limits: DoorLimits,
        pseudonyms: Pseudonymizer,
        clock: fn() -> Timestamp,
        accept: Arc<dyn Accept>,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        let decoded = Arc::new(Semaphore::new(limits.decoded_bytes.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self {
            limits,
            pseudonyms,
            clock,
            accept,
            counters,
            preparing: Arc::new(Semaphore::new(PREPARED_AT_ONCE)),
            decoded,
        })
    }

    /// What is taken at most.
    pub fn limits(&self) -> &DoorLimits {
        &self.limits
    }

    /// Counts a request that could not be taken apart into events.
    pub fn unreadable(&self, door: Door) {
        self.counters.unreadable(door);
    }

    /// Decodes, checks, pseudonymises and seals the events of one request.
    pub fn prepare<'a>(&self, door: Door, events: impl IntoIterator<Item = Sent<'a>>) -> Prepared {
        self.prepare_granted(&Grant::All, door, events)
    }

    /// The same for a sender who may not write everything.
    pub fn prepare_granted<'a>(
        &self,
        grant: &Grant,
        door: Door,
        events: impl IntoIterator<Item = Sent<'a>>,
    ) -> Prepared {
        let now = (self.clock)();
        let events = events.into_iter();
        let right = Vec::with_capacity(events.size_hint().0.min(self.limits.batch_events));
        let mut submission = Submission { door, events: right, rejected: Vec::new() };
        let mut bytes = 0;
        let refusals = events
            .inspect(|sent| bytes += sent.size())
            .map(|sent| match self.check(grant, sent, now) {
                Ok(event) => {
                    submission.events.push(Sealed::new(event));
                    None
                }
                Err(refusal) => {
                    let (rejected, refusal) = self.reject(grant, door, sent, refusal);
                    submission.rejected.push((rejected, None));
                    Some(refusal)
                }
            })
            .collect();
        Prepared { door, submission, refusals, bytes, reserved: None }
    }

    /// An event that may be kept, its persons pseudonyms.
    fn check(&self, grant: &Grant, sent: Sent<'_>, now: Timestamp) -> Result<Event, Refusal> {
        let mut event = self.sound(sent, now)?;
        grant
            .check(&event.id.source)
            .map_err(|refusal| Refusal { field: sent.field_path(&event, &refusal.field), ..refusal })?;
        self.pseudonyms.apply(&mut event);
        Ok(event)
    }

    /// An event in which nothing is wrong, its persons as they are named in it.
    fn sound(&self, sent: Sent<'_>, now: Timestamp) -> Result<Event, Refusal> {
        let event = self.read(sent)?;
        self.within_limits(sent, &event, now)?;
        Ok(event)
    }

    fn read(&self, sent: Sent<'_>) -> Result<Event, Refusal> {
        let (size, most) = (sent.size(), self.limits.event_bytes);
        if size > most {
            let message = format!("the event is {size} bytes long; at most {most} are taken");
            return Err(Refusal::new(Reason::TooLarge, "", message));
        }
        sent.decode()
    }

    fn within_limits(&self, sent: Sent<'_>, event: &Event, now: Timestamp) -> Result<(), Refusal> {
        self.limits
            .event
            .check(event, now)
            .map_err(|refusal| Refusal { field: sent.field_path(event, &refusal.field), ..refusal })
    }

    /// As the quarantine keeps it, and what its sender is told. Whatever else is wrong, that its sender may not write it is
    /// told first: it must not get in when only the rest is mended.
    fn reject(&self, grant: &Grant, door: Door, sent: Sent<'_>, refusal: Refusal) -> (Rejected, Refusal) {
        let remains = sent.remains(&mut |name| self.kept_name(name));
        let refusal = match remains.source.as_ref().map(|source| grant.check(source)) {
            Some(Err(forbidden)) => Refusal { field: sent.source_field().to_owned(), ..forbidden },
            _ => refusal,
        };
        let mut kept = refusal.clone();
        if remains.payload.is_none() {
            let (said, size) = (&refusal.message, sent.size());
            kept.message = format!(
                "{said} (what was sent is not kept: of {size} bytes that cannot be read nobody can tell where persons are named)"
            );
        }
        let Remains { source, id, payload } = remains;
        (Rejected { refusal: kept, door, source, id, payload }, refusal)
    }

    /// Makes the name of a person in a refused event a pseudonym; one that the checks would not let pass as a name is not
    /// kept at all, for of a pseudonym nobody could tell any more.
    fn kept_name(&self, name: &mut String) {
        if name.len() > self.limits.event.name_bytes || flaw(name).is_some() {
            REMOVED.clone_into(name);
        } else {
            self.pseudonyms.replace(name);
        }
    }

    /// Runs `work`, which prepares a request of so many bytes, at most, where it holds up no connection; waits until there
    /// is room for it. [`Prepared::within`] keeps the room until the request is.
    pub async fn off_workers<T: Send + 'static>(
        self: &Arc<Self>,
        bytes: usize,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<(T, Option<Reserved>), HandedBack> {
        if bytes <= INLINE_BYTES {
            return Ok((work(self), None));
        }
        let room = u32::try_from(bytes.min(self.limits.decoded_bytes)).unwrap_or(u32::MAX);
        let reserved = Arc::clone(&self.decoded).acquire_many_owned(room).await.map_err(|_| interrupted())?;
        let permit = Arc::clone(&self.preparing).acquire_owned().await.map_err(|_| interrupted())?;
        let intake = Arc::clone(self);
        let prepared = tokio::task::spawn_blocking(move || {
            // Held by the work, not by its sender, who may hang up.
            let _permit = permit;
            (work(&intake), Some(Reserved(reserved)))
        });
        prepared.await.map_err(|_| interrupted())
    }

    /// Submits what was prepared. One fate per event received, in order, once they are durable and counted; or the whole
    /// batch handed back, nothing of it kept.
    ///
    /// A sender who hangs up does not take the counting with it: what is left to do then becomes a task of its own.
    pub async fn submit(self: &Arc<Self>, prepared: Prepared) -> Result<Vec<Fate>, HandedBack> {
        let intake = Arc::clone(self);
        Persistent::new(async move { intake.settle(prepared).await }).await
    }

    async fn settle(&self, prepared: Prepared) -> Result<Vec<Fate>, HandedBack> {
        let Prepared { door, submission, refusals, bytes: _, reserved } = prepared;
        let kept = match self.accept.accept(submission).await {
            Ok(kept) => kept,
            Err(handed_back) => {
                self.counters.handed_back(door, refusals.len());
                return Err(handed_back);
            }
        };
        drop(reserved);
        let mut kept = kept.into_iter().map(|kept| match kept {
            Kept::Stored { conflict } => Fate::Stored { conflict },
            Kept::Duplicate => Fate::Duplicate,
            Kept::Refused(refusal) => Fate::Refused(refusal),
        });
        let fates: Vec<_> = refusals
            .into_iter()
            .filter_map(|refusal| refusal.map(Fate::Refused).or_else(|| kept.next()))
            .collect();
        self.counters.fates(door, &fates);
        Ok(fates)
    }
}

fn interrupted() -> HandedBack {
    HandedBack::Unavailable {
        reason: "the request was interrupted".into(),
        retry_after: Duration::from_secs(1),
    }
}

mod kept;
#[cfg(test)]
mod tests;
