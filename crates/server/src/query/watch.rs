//! Watching answers: first a snapshot, then those that changed.
//!
//! A watch is pulled by its reader, and computes only when it is: between two pulls any number of commits is one step,
//! from what the reader was told last to what is true now. So a slow reader gets the latest state, never a backlog, and
//! costs nothing while it does not read but the memory of what it was told last, which is bounded for all of them together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use milepost_model::answer::Labels;
use milepost_model::{Answer, AsOf};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use crate::answers::{self, Ask, AskError, When};
use crate::engine::Engine;

/// Values as of now move by time alone, without any event.
const TICK: Duration = Duration::from_secs(60);

/// After a commit, the commits that follow at its heels are waited for: a burst costs one computation.
const SETTLE: Duration = Duration::from_millis(100);

/// Answers of one watch: it is told what changes among them, which nobody follows among more.
const MAX_ANSWERS: usize = 5_000;

/// Between two computations, a watch rests so many times as long as the first of them took.
const REST: u32 = 4;

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// All answers there are, or only those that changed.
    pub snapshot: bool,
    /// The answers.
    pub answers: Vec<Answer>,
}

/// Answers as of now, and again whenever they change, until the server closes.
pub fn watch(
    engine: Arc<Engine>,
    asks: Vec<Ask>,
) -> impl Stream<Item = Result<Update, AskError>> + Send + 'static {
    let watcher = Watcher {
        changed: engine.changed.subscribe(),
        closing: engine.closing.subscribe(),
        tick: ticks(),
        engine,
        asks,
        told: Told::default(),
        room: None,
        rest: SETTLE,
    };
    futures::stream::unfold(Some(watcher), async |watcher| {
        let mut watcher = watcher?;
        match watcher.next().await? {
            Ok(update) => Some((Ok(update), Some(watcher))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Watcher {
    engine: Arc<Engine>,
    asks: Vec<Ask>,
    changed: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    tick: Interval,
    told: Told,
    /// For the answers it was told last.
    room: Option<OwnedSemaphorePermit>,
    /// From a commit until it is looked at what it has changed.
    rest: Duration,
}

impl Watcher {
    /// The next update; none once the server closes.
    async fn next(&mut self) -> Option<Result<Update, AskError>> {
        loop {
            if self.told.any() && !self.wait().await {
                return None;
            }
            // Marked as seen before it is looked at: a commit during the computation is looked at again.
            self.changed.borrow_and_update();
            let begun = Instant::now();
            let computed = self.compute().await;
            self.rest = SETTLE.max(begun.elapsed() * REST);
            match computed {
                Ok(answers) => {
                    if let Err(error) = self.make_room(answers.iter().map(Vec::len).sum()) {
                        return Some(Err(error));
                    }
                    if let Some(update) = self.told.update(answers) {
                        return Some(Ok(update));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Waits until answers may have changed; false if the server closes instead.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            () = closed(&mut self.closing) => false,
            changed = self.changed.changed() => {
                tokio::select! {
                    () = closed(&mut self.closing) => false,
                    () = sleep(self.rest) => changed.is_ok(),
                }
            }
            _ = self.tick.tick() => true,
        }
    }

    /// Room for so many answers, beyond what it has; or none, where others have been told too many.
    fn make_room(&mut self, answers: usize) -> Result<(), AskError> {
        let has = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = u32::try_from(answers.saturating_sub(has)).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.engine.told).try_acquire_many_owned(missing);
        let more = more.map_err(|_| AskError::Busy)?;
        match &mut self.room {
            Some(room) => room.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }

    async fn compute(&self) -> Result<Vec<Vec<Answer>>, AskError> {
        let asks = self.asks.clone();
        answers::computing(self.engine.clone(), move |engine| {
            let now = When::Moment(AsOf::Instant(engine.now()));
            let mut count = 0;
            asks.into_iter()
                .map(|ask| {
                    let answers = answers::answer(engine, &Ask { when: now, ..ask })?;
                    count += answers.len();
                    if count > MAX_ANSWERS { Err(too_many()) } else { Ok(answers) }
                })
                .collect()
        })
        .await
    }
}

fn too_many() -> AskError {
    AskError::bad(
        "selectors",
        format!("they have more than {MAX_ANSWERS} answers together: name some of them"),
    )
}

/// Waits until the server closes, or is gone.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

fn ticks() -> Interval {
    let mut ticks = interval_at(Instant::now() + TICK, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What the watcher was told last, by question and labels.
#[derive(Default)]
struct Told(Option<BTreeMap<(usize, Labels), Answer>>);

impl Told {
    fn any(&self) -> bool {
        self.0.is_some()
    }

    /// What to tell, if anything. An answer that is no longer given cannot be told as a change: then all are.
    fn update(&mut self, answers: Vec<Vec<Answer>>) -> Option<Update> {
        let new: BTreeMap<_, _> = (0..)
            .zip(answers)
            .flat_map(|(question, answers)| {
                answers.into_iter().map(move |a| ((question, a.labels.clone()), a))
            })
            .collect();
        let update = match &self.0 {
            Some(old) if old.keys().all(|key| new.contains_key(key)) => {
                let changed =
                    new.iter().filter(|(key, answer)| old.get(*key).is_none_or(|old| !same(old, answer)));
                Update { snapshot: false, answers: changed.map(|(_, answer)| answer.clone()).collect() }
            }
            _ => Update { snapshot: true, answers: new.values().cloned().collect() },
        };
        self.0 = Some(new);
        (update.snapshot || !update.answers.is_empty()).then_some(update)
    }
}

/// Whether two answers say the same, whenever it was asked.
fn same(a: &Answer, b: &Answer) -> bool {
    a.value == b.value && a.counts == b.counts && a.notes == b.notes
}

#[cfg(test)]
mod tests;
