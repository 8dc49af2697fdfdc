//! A door with nothing behind it but a memory of what came through.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use milepost_ingest::{Accept, Counters, DoorLimits, HandedBack, Intake, Kept, Pseudonymizer, Submission};
use milepost_model::{EventId, Limits, Payload, Rejected, Sealed};
use milepost_wire::{json, pb, proto};
use prost::Message as _;
use tokio::runtime::{Builder, Runtime};

use crate::{hold_laws_of_event, now, persons};

/// Everything that was accepted and refused, in order.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Accepted.
    pub events: Vec<Sealed>,
    /// Refused.
    pub rejected: Vec<Rejected>,
}

#[derive(Default)]
struct Memory(Arc<Mutex<Remembered>>);

impl Accept for Memory {
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<Vec<Kept>, HandedBack>> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known: BTreeSet<(EventId, [u8; 32])> = memory.events.iter().map(identity).collect();
        let kept = submission.events.iter().map(|sealed| {
            if known.contains(&identity(sealed)) { Kept::Duplicate } else { Kept::Stored { conflict: false } }
        });
        let kept = kept.collect();
        memory.events.extend(submission.events);
        memory.rejected.extend(submission.rejected.into_iter().map(|(rejected, _)| rejected));
        std::future::ready(Ok(kept)).boxed()
    }
}

fn identity(sealed: &Sealed) -> (EventId, [u8; 32]) {
    (sealed.event.id.clone(), sealed.version().digest)
}

/// Lets `work` bring something to a door, and returns with it what came through.
pub fn through<T>(work: impl AsyncFnOnce(Arc<Intake>) -> T) -> (T, Remembered) {
    let memory = Arc::new(Mutex::new(Remembered::default()));
    let intake = Intake::new(
        DoorLimits::default(),
        Pseudonymizer::new(&[7; 32]),
        now,
        Arc::new(Memory(Arc::clone(&memory))),
        Arc::new(Counters::default()),
    );
    thread_local!(static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime"));
    let worked = RUNTIME.with(|runtime| runtime.block_on(work(intake)));
    let remembered = std::mem::take(&mut *memory.lock().unwrap_or_else(PoisonError::into_inner));
    hold_laws(&remembered);
    (worked, remembered)
}

/// Whoever is named behind the door is a pseudonym; what is accepted passes its own checks and can be kept.
fn hold_laws(remembered: &Remembered) {
    for sealed in &remembered.events {
        assert!(persons::all_are_pseudonyms(&sealed.event), "{:?}", sealed.event);
        assert_eq!(Sealed::new(sealed.event.clone()), *sealed);
        hold_laws_of_event(&sealed.event);
        let limits = Limits::default();
        assert_eq!(limits.check(&sealed.event, now()), Ok(()), "pseudonyms break no limit");
    }
    for rejected in &remembered.rejected {
        let event = match &rejected.payload {
            None => continue,
            Some(Payload::Json(text)) => json::decode(text.as_bytes()),
            Some(Payload::Protobuf(bytes)) => {
                proto::decode(pb::Event::decode(bytes.as_slice()).expect("what is kept is a message"))
            }
        };
        if let Ok(event) = event {
            assert!(persons::none_is_named(&event), "{event:?}");
        }
    }
}
