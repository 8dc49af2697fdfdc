//! The one writer: a thread that owns the store and alone changes the Model.
//!
//! Laws:
//!
//! 1. **Commit, then apply, then answer.** An acked event is durable, and in every answer given after the ack: whoever
//!    has its ack and asks finds it. Applied before the commit, an answer could rest on an event that a crash takes
//!    away; answered before it is applied, a sender could miss his own event.
//! 2. **The Model is applied to in the order of commits**, so it is at every moment that of a prefix of the log.
//! 3. **Waiting is bounded**, in events and in time. What does not fit is handed back, nothing of it kept.
//! 4. **All that was taken is answered**, also when the process ends: the queue is drained before the thread does. A task of
//!    the runtime does the answering, so the runtime ends after those who wait in it.
//!
//! Whatever has queued up while a commit was under way goes into the next one together, so one fsync serves many
//! senders exactly when there are many, and a single one never waits for company.

mod commit;
mod names;
mod refusals;
mod retain;
mod retry;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use milepost_ingest::{Accept, HandedBack, Kept, Submission};
use milepost_model::{Event, Refusal, Sealed};
use milepost_store::failpoint::reach;
use milepost_store::{Appended, Effect, Store, StoreError};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::checkpointer::Checkpointer;
use crate::engine::{Engine, system_clock};
use crate::health::Health;
use commit::Commit;
pub use names::NameLimits;
use retain::Retain;
pub use retain::RetainError;
use retry::Retry;

/// How much may wait, and how much goes into one commit.
#[derive(Debug, Clone, Copy)]
pub struct KeeperLimits {
    /// Events that may wait to be committed.
    pub queue_events: u32,
    /// How long a submission waits for room in the queue before it is handed back.
    pub queue_wait: Duration,
    /// A commit takes no further submission once it has so many events.
    pub commit_events: usize,
    /// A commit takes at most so many submissions.
    pub commit_submissions: usize,
    /// Names there may be.
    pub names: NameLimits,
}

impl Default for KeeperLimits {
    fn default() -> Self {
        Self {
            queue_events: 100_000,
            queue_wait: Duration::from_secs(2),
            commit_events: 20_000,
            commit_submissions: 1_000,
            names: NameLimits::default(),
        }
    }
}

/// A submission on its way into a commit.
struct Pending {
    submission: Submission,
    accepted: Instant,
    answer: oneshot::Sender<Result<Vec<Kept>, HandedBack>>,
    /// Its room in the queue, given back when it has been answered.
    room: OwnedSemaphorePermit,
}

/// What the thread does one after the other.
enum Work {
    Keep(Pending),
    Retry(Retry),
    Retain(Retain),
}

/// The way to the writer.
pub struct Keeper {
    limits: KeeperLimits,
    room: Arc<Semaphore>,
    /// None once the keeper is closed.
    queue: Mutex<Option<mpsc::UnboundedSender<Work>>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    health: Arc<Health>,
}

impl Keeper {
    /// Starts the thread. `engine.model` must hold what is in the store; there is none where nobody asks for numbers.
    pub fn start(
        store: Box<dyn Store>,
        engine: Option<Arc<Engine>>,
        checkpointer: Option<Checkpointer>,
        health: Arc<Health>,
        limits: KeeperLimits,
    ) -> std::io::Result<Arc<Self>> {
        // Unbounded, because the permits bound it: in events, which differ in number from submission to submission.
        let (queue, pending) = mpsc::unbounded_channel();
        let runtime = Handle::try_current().ok();
        let writer = Writer { store, engine, checkpointer, health: Arc::clone(&health), limits, runtime };
        let thread = thread::Builder::new().name("keeper".into()).spawn(move || writer.run(pending))?;
        Ok(Arc::new(Self {
            limits,
            room: Arc::new(Semaphore::new(limits.queue_events as usize)),
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
            health,
        }))
    }

    /// Takes no more, commits and answers what is queued, and ends the thread. Blocks until then.
    pub fn close(&self) {
        drop(self.queue.lock().take());
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            self.health.fail("the keeper has failed");
        }
    }

    async fn submit(&self, submission: Submission) -> Result<Vec<Kept>, HandedBack> {
        let events = submission.events.len() + submission.rejected.len();
        let pending =
            |answer, room| Work::Keep(Pending { submission, accepted: Instant::now(), answer, room });
        self.queue(events, pending).await
    }

    /// Queues work that is about so many events, and waits until it is done.
    async fn queue(
        &self,
        events: usize,
        work: impl FnOnce(oneshot::Sender<Result<Vec<Kept>, HandedBack>>, OwnedSemaphorePermit) -> Work,
    ) -> Result<Vec<Kept>, HandedBack> {
        // Taken before waiting for room: the thread does not end while a sender exists, so what gets in is answered.
        let queue = self.queue.lock().clone().ok_or_else(|| unavailable("shutting down"))?;
        // One larger than the whole queue gets in when the queue is empty.
        let permits = u32::try_from(events).unwrap_or(u32::MAX).clamp(1, self.limits.queue_events);
        let room = Arc::clone(&self.room).acquire_many_owned(permits);
        let Ok(Ok(room)) = tokio::time::timeout(self.limits.queue_wait, room).await else {
            return Err(HandedBack::Busy { retry_after: Duration::from_secs(1) });
        };
        let (answer, answered) = oneshot::channel();
        self.health.queue_events.fetch_add(events as u64, Relaxed);
        if queue.send(work(answer, room)).is_err() {
            self.health.queue_events.fetch_sub(events as u64, Relaxed);
            return Err(unavailable("the keeper has failed"));
        }
        drop(queue);
        answered.await.unwrap_or_else(|_| Err(unavailable("the keeper has failed")))
    }
}

impl Accept for Keeper {
    fn accept(&self, submission: Submission) -> BoxFuture<'_, Result<Vec<Kept>, HandedBack>> {
        Box::pin(self.submit(submission))
    }
}

fn unavailable(reason: impl Into<String>) -> HandedBack {
    HandedBack::Unavailable { reason: reason.into(), retry_after: Duration::from_secs(2) }
}

/// What the thread owns.
struct Writer {
    store: Box<dyn Store>,
    engine: Option<Arc<Engine>>,
    checkpointer: Option<Checkpointer>,
    health: Arc<Health>,
    limits: KeeperLimits,
    /// Whose tasks answer the senders; without one the thread does it itself.
    runtime: Option<Handle>,
}

impl Writer {
    /// Until every sender is gone and the queue is empty.
    fn run(mut self, mut queue: mpsc::UnboundedReceiver<Work>) {
        // Should anything in here panic, nobody must be sent here any more.
        let _guard = FailOnPanic(Arc::clone(&self.health));
        let mut held = None;
        while let Some(work) = held.take().or_else(|| queue.blocking_recv()) {
            match work {
                Work::Retry(retry) => self.retry(retry),
                Work::Retain(retain) => self.retain(retain),
                Work::Keep(first) => {
                    let next = || match queue.try_recv().ok()? {
                        Work::Keep(pending) => Some(pending),
                        other => {
                            held = Some(other);
                            None
                        }
                    };
                    let commit = Commit::form(first, next, &self.limits);
                    self.keep(commit);
                }
            }
        }
        // Before the store gives up the data directory.
        if let Some(checkpointer) = self.checkpointer.take() {
            checkpointer.finish();
        }
    }

    /// Commits, applies, answers.
    fn keep(&mut self, mut commit: Commit) {
        let size = commit.size();
        match self.refusals(&commit.events) {
            Ok(refusals) => commit.refuse(refusals),
            Err(error) => {
                self.health.queue_events.fetch_sub(size as u64, Relaxed);
                return commit.hand_back(&self.failed(&error, size));
            }
        }
        let started = Instant::now();
        reach("keeper.taken");
        let result = self.store.append(&commit.events, &commit.rejected, system_clock());
        self.health.queue_events.fetch_sub(size as u64, Relaxed);
        match result {
            Ok(appended) => {
                self.health.commit_seconds.observe_duration(started.elapsed());
                self.health.commit_events.observe(size as f64);
                self.health.committed(system_clock());
                reach("keeper.committed");
                self.apply(&commit.events, &appended);
                reach("keeper.applied");
                self.answer(commit, appended);
            }
            Err(error) => commit.hand_back(&self.failed(&error, size)),
        }
    }

    /// For each event why it is not kept, if it is not.
    fn refusals(&mut self, events: &[Sealed]) -> Result<Vec<Option<Refusal>>, StoreError> {
        refusals::refusals(&mut *self.store, self.engine.as_deref(), self.limits.names, events)
    }

    /// Notes a commit of so many events that failed. What to tell their senders.
    fn failed(&self, error: &StoreError, events: usize) -> HandedBack {
        self.health.commit_failures.fetch_add(1, Relaxed);
        tracing::error!(%error, events, "commit failed; its events are handed back");
        if matches!(error, StoreError::Corrupt(_)) {
            self.health.fail(format!("the store is damaged: {error}"));
        }
        unavailable(error.to_string())
    }

    /// From a task if there can be one: to wake hundreds of senders, and to free their events, would keep the next commit
    /// waiting, and from outside of the runtime each of them would be woken by a system call.
    fn answer(&self, commit: Commit, appended: Vec<Appended>) {
        let health = Arc::clone(&self.health);
        let answer = move || {
            commit.answer(&appended, |accepted| {
                health.freshness_seconds.observe_duration(accepted.elapsed());
            });
            reach("keeper.acked");
        };
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(async move { answer() })),
            None => answer(),
        }
    }

    fn apply(&self, events: &[Sealed], appended: &[Appended]) {
        let conflicts =
            appended.iter().filter(|a| matches!(a, Appended::Stored { conflict: true, .. })).count();
        self.health.conflicts.fetch_add(conflicts as u64, Relaxed);
        let Some(engine) = &self.engine else { return };
        let winners: Vec<_> =
            events.iter().zip(appended).filter_map(|(sealed, a)| winner(sealed, a)).collect();
        if winners.is_empty() {
            return;
        }
        let mut model = engine.model.write();
        for (sealed, replaced) in winners {
            if let Some(replaced) = replaced {
                model.remove(replaced);
            }
            model.insert_with_key(&sealed.event, sealed.key);
        }
        model.set_position(self.store.position());
        drop(model);
        engine.changed.send_modify(|commits| *commits += 1);
    }
}

/// The event and the one it replaces, if it is the winner of its id now.
fn winner<'a>(sealed: &'a Sealed, appended: &'a Appended) -> Option<(&'a Sealed, Option<&'a Event>)> {
    match appended {
        Appended::Stored { effect: Effect::Wins, .. } => Some((sealed, None)),
        Appended::Stored { effect: Effect::Replaces(replaced), .. } => Some((sealed, Some(replaced))),
        Appended::Stored { effect: Effect::Loses, .. } | Appended::Duplicate => None,
    }
}

struct FailOnPanic(Arc<Health>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail("the keeper has failed");
        }
    }
}

#[cfg(test)]
mod tests;
