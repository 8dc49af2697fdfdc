//! What is behind the doors of a cluster: the log.
//!
//! Laws:
//!
//! 1. **An ack means that Kafka has it**, with as many copies as `min_insync_replicas` says.
//! 2. **Waiting is bounded**, in events and in time. What does not fit is handed back; some of it may be in the log all the same,
//!    and is a duplicate when it comes again.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use milepost_ingest::{Accept, HandedBack, Kept, Submission};
use milepost_log::{LogError, Producer};
use milepost_model::refusal::Reason;
use milepost_model::{Door, Position, Refusal, Rejected, Sealed};
use tokio::sync::Semaphore;

use crate::engine::system_clock;
use crate::health::Health;
use crate::keeper::KeeperLimits;

/// The way onto the log.
pub(super) struct ToLog {
    producer: Arc<Producer>,
    health: Arc<Health>,
    limits: KeeperLimits,
    room: Semaphore,
}

impl ToLog {
    pub(super) fn new(producer: Arc<Producer>, health: Arc<Health>, limits: KeeperLimits) -> Self {
        let room = Semaphore::new(limits.queue_events as usize);
        Self { producer, health, limits, room }
    }

    async fn append(&self, submission: Submission) -> Result<Vec<Kept>, HandedBack> {
        let Submission { door, events, rejected } = submission;
        let size = events.len() + rejected.len();
        // One larger than all there may be gets in when there is nothing else.
        let permits = u32::try_from(size).unwrap_or(u32::MAX).clamp(1, self.limits.queue_events);
        let room = tokio::time::timeout(self.limits.queue_wait, self.room.acquire_many(permits));
        let Ok(Ok(_room)) = room.await else {
            return Err(HandedBack::Busy { retry_after: Duration::from_secs(1) });
        };
        self.health.queue_events.fetch_add(size as u64, Relaxed);
        let started = Instant::now();
        let appended = self.append_what_fits(door, events, rejected).await;
        self.health.queue_events.fetch_sub(size as u64, Relaxed);
        match &appended {
            Ok(_) => {
                self.health.commit_seconds.observe_duration(started.elapsed());
                self.health.commit_events.observe(size as f64);
                self.health.committed(system_clock());
            }
            Err(error) => {
                self.health.commit_failures.fetch_add(1, Relaxed);
                tracing::error!(%error, events = size, "not appended to the log; handed back");
            }
        }
        appended.map_err(handed_back)
    }

    /// Refuses what is too large for a record, which shows only here.
    async fn append_what_fits(
        &self,
        door: Door,
        mut events: Vec<Sealed>,
        mut rejected: Vec<(Rejected, Option<Position>)>,
    ) -> Result<Vec<Kept>, LogError> {
        let mut kept = vec![Kept::Stored { conflict: false }; events.len()];
        let mut places: Vec<usize> = (0..events.len()).collect();
        loop {
            match self.producer.append(&events, &rejected).await {
                Ok(()) => return Ok(kept),
                Err(LogError::TooLarge { index, bytes, most }) if index < events.len() => {
                    let message =
                        format!("the event is {bytes} bytes long as it is kept; at most {most} are taken");
                    let refusal = Refusal::new(Reason::TooLarge, "", message);
                    let event = events.remove(index).event;
                    kept[places.remove(index)] = Kept::Refused(refusal.clone());
                    let (source, id) = (Some(event.id.source), Some(event.id.id));
                    rejected.push((Rejected { refusal, door, source, id, payload: None }, None));
                }
                // What was sent does not fit beside the reason; the reason is kept.
                Err(LogError::TooLarge { index, .. })
                    if rejected
                        .get(index - events.len())
                        .is_some_and(|(rejected, _)| rejected.payload.is_some()) =>
                {
                    rejected[index - events.len()].0.payload = None;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Accept for ToLog {
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<Vec<Kept>, HandedBack>> {
        Box::pin(self.append(submission))
    }
}

fn handed_back(error: LogError) -> HandedBack {
    match error {
        LogError::Busy { .. } => HandedBack::Busy { retry_after: Duration::from_secs(1) },
        error => HandedBack::Unavailable { reason: error.to_string(), retry_after: Duration::from_secs(2) },
    }
}
