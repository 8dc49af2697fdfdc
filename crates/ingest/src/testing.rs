//! What stands behind the doors in tests, and events to send.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use milepost_model::{EventId, Position, Rejected, Sealed, Timestamp, Version};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{Accept, Counters, DoorLimits, HandedBack, Intake, Kept, Pseudonymizer, Submission};

/// What a [`Recorder`] does with a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Keep,
    Busy,
    Unavailable,
}

/// Keeps events in memory, as a store would, or hands them back.
pub(crate) struct Recorder {
    pub(crate) mood: Mutex<Mood>,
    pub(crate) events: Mutex<Vec<Sealed>>,
    pub(crate) rejected: Mutex<Vec<Rejected>>,
    /// Where in Kafka they came from, for each.
    pub(crate) origins: Mutex<Vec<Option<Position>>>,
    seen: Mutex<HashSet<(EventId, Version)>>,
    /// A submission waits for a permit here, and is counted while it does.
    pub(crate) gate: Semaphore,
    pub(crate) waiting: AtomicUsize,
    /// The most that ever waited at the same time.
    pub(crate) most_waiting: AtomicUsize,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(Mood::Keep),
            events: Mutex::default(),
            rejected: Mutex::default(),
            origins: Mutex::default(),
            seen: Mutex::default(),
            gate: Semaphore::new(1_000_000),
            waiting: AtomicUsize::new(0),
            most_waiting: AtomicUsize::new(0),
        })
    }

    /// Lets nothing pass until permits are added to the gate.
    pub(crate) fn shut(&self) {
        self.gate.forget_permits(usize::MAX);
    }

    fn keep(&self, submission: Submission) -> Vec<Kept> {
        let mut seen = self.seen.lock().unwrap();
        let kept = submission.events.iter().map(|sealed| {
            let new = seen.insert((sealed.event.id.clone(), sealed.version()));
            if new { Kept::Stored { conflict: false } } else { Kept::Duplicate }
        });
        let kept = kept.collect();
        self.events.lock().unwrap().extend(submission.events);
        let (rejected, origins): (Vec<_>, Vec<_>) = submission.rejected.into_iter().unzip();
        self.rejected.lock().unwrap().extend(rejected);
        self.origins.lock().unwrap().extend(origins);
        kept
    }
}

impl Accept for Recorder {
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<Vec<Kept>, HandedBack>> {
        Box::pin(async move {
            let waiting = self.waiting.fetch_add(1, Relaxed) + 1;
            self.most_waiting.fetch_max(waiting, Relaxed);
            self.gate.acquire().await.unwrap().forget();
            self.waiting.fetch_sub(1, Relaxed);
            let mood = *self.mood.lock().unwrap();
            let retry_after = Duration::from_millis(1_500);
            match mood {
                Mood::Keep => Ok(self.keep(submission)),
                Mood::Busy => Err(HandedBack::Busy { retry_after }),
                Mood::Unavailable => Err(HandedBack::Unavailable { reason: "disk full".into(), retry_after }),
            }
        })
    }
}

/// A door's intake before a recorder, at noon of 2026-07-01.
pub(crate) fn intake(recorder: &Arc<Recorder>, limits: DoorLimits) -> (Arc<Intake>, Arc<Counters>) {
    fn noon() -> Timestamp {
        "2026-07-01T12:00:00Z".parse().unwrap()
    }
    let counters = Arc::new(Counters::default());
    let pseudonyms = Pseudonymizer::new(&[7; 32]);
    (Intake::new(limits, pseudonyms, noon, Arc::clone(recorder) as _, Arc::clone(&counters)), counters)
}

/// A use of a capability, by alice.
pub(crate) fn used(id: &str) -> Value {
    json!({
        "context": {
            "specversion": "0.5.0", "id": id, "source": "/ci",
            "type": "dev.cdeventsx.milepost-capability.used.0.1.0", "timestamp": "2026-07-01T10:00:00Z",
        },
        "subject": {"id": "ci", "content": {}},
        "customData": {"team": "shop", "actor": "alice"},
    })
}

/// A survey answer by alice, with this score.
pub(crate) fn answered(id: &str, score: i64) -> Value {
    let mut event = used(id);
    event["context"]["type"] = json!("dev.cdeventsx.milepost-survey.answered.0.1.0");
    event["subject"]["content"] = json!({"survey": "q3", "respondent": "alice", "score": score});
    event
}
