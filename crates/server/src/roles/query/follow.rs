//! Keeps the Model what ClickHouse says.
//!
//! Laws:
//!
//! 1. **The Model is that of a progress**: of all winners among the records before it, whatever else ClickHouse shows already. So two
//!    replicas at the same progress give the same bytes.
//! 2. **A replica that calculates with another configuration than the others does not answer**, and says so.
//! 3. **What is known is told**: while ClickHouse cannot be asked, answers go on, and say how old they are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use milepost_model::Day;
use milepost_store::clickhouse::{self, Agreement, Change, ClickHouse, Counts, Error, Follower, Progress};
use milepost_store::{Horizon, Sizes};
use parking_lot::Mutex;

use super::super::patience;
use crate::engine::Engine;
use crate::health::Health;

/// Records of the log that are looked at together.
const RECORDS: usize = 20_000;
/// Winners that are changed while the Model is locked.
const LOCKED: usize = 2_000;
/// After how long it is asked again what could not be answered.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is asked how much is kept.
const MEASURE: Duration = Duration::from_secs(15);
/// How often it is looked whether another configuration has been agreed on.
const AGREE: Duration = Duration::from_secs(2);

/// Since when everything may be another.
pub(super) const EVERY_DAY: Day = Day::from_number(i32::MIN);

/// How far it has come. Locked before the Model by whoever needs both.
#[derive(Debug, Clone, Default)]
pub(super) struct Followed {
    pub(super) progress: Progress,
    pub(super) failures: u64,
    /// Versions before the progress.
    pub(super) counts: Counts,
    /// What is kept, as of some seconds ago.
    pub(super) sizes: Option<Sizes>,
    /// How far retention had come, then.
    pub(super) horizon: Option<Horizon>,
    /// Versions that came too late to change anything.
    pub(super) ignored: u64,
    /// Whether the Model is that of the progress: not while it is being changed.
    pub(super) settled: bool,
    changed_since: Option<Day>,
}

impl Followed {
    /// The first day as of whose end something may be another since this was asked last: all that is seen as of a day
    /// happened on it or before. None: on no day.
    pub(super) fn take_changes(&mut self) -> Option<Day> {
        self.changed_since.take()
    }

    fn settle(&mut self, progress: &Progress, changed_since: Option<Day>) {
        self.progress = progress.clone();
        self.changed_since = [self.changed_since, changed_since].into_iter().flatten().min();
        self.settled = true;
    }
}

/// What the loop needs.
pub(super) struct Follow {
    pub(super) clickhouse: ClickHouse,
    pub(super) engine: Arc<Engine>,
    pub(super) health: Arc<Health>,
    pub(super) followed: Arc<Mutex<Followed>>,
    pub(super) every: Duration,
}

impl Follow {
    /// Until it cannot go on: why.
    pub(super) async fn for_ever(self) -> Error {
        let mut follower = None;
        loop {
            let done = match &mut follower {
                None => self.load().await.map(|loaded| follower = Some(loaded)),
                // Ended only where the Model has to be loaded again.
                Some(following) => self.follow(following).await.map(|()| follower = None),
            };
            match done {
                Ok(()) => {}
                Err(error @ Error::Unavailable(_)) => {
                    tracing::warn!(%error, "waiting for ClickHouse");
                    self.followed.lock().failures += 1;
                    if !self.engine.is_loaded() {
                        self.health.set_starting(Some(error.to_string()));
                    }
                    tokio::time::sleep(self.every.max(AGAIN)).await;
                }
                Err(error) => return error,
            }
        }
    }

    /// Loads all there is.
    pub(super) async fn load(&self) -> Result<Follower, Error> {
        for migration in self.clickhouse.migrate().await? {
            tracing::info!(number = migration.number, name = migration.name, "migrated ClickHouse");
        }
        self.agree().await?;
        let at = Instant::now();
        // Answers that were given go on being given while they are loaded anew.
        let health = (!self.engine.is_loaded()).then(|| Arc::clone(&self.health));
        let clickhouse::Loaded { model, follower, counts } = self
            .clickhouse
            .load(move |read, of| {
                let percent = read.saturating_mul(100).checked_div(of).unwrap_or(100).min(100);
                let what = format!("loading events: {read} of {of}, {percent} %");
                health.iter().for_each(|health| health.set_starting(Some(what.clone())));
            })
            .await?;
        if follower.progress().recovering {
            let what = "the log is being read again, and has not come as far as it was";
            return Err(Error::Unavailable(what.into()));
        }
        tracing::info!(events = model.events(), seconds = at.elapsed().as_secs_f64(), "the Model is there");
        self.followed.lock().settled = false;
        *self.engine.model.write() = model;
        {
            let mut followed = self.followed.lock();
            followed.counts = counts;
            followed.settle(follower.progress(), Some(EVERY_DAY));
        }
        self.measure().await;
        self.caught_up(at);
        self.health.set_starting(None);
        self.engine.changed.send_modify(|changes| *changes += 1);
        Ok(follower)
    }

    /// Follows until the Model has to be loaded again.
    async fn follow(&self, follower: &mut Follower) -> Result<(), Error> {
        let (mut agreed, mut measured) = (Instant::now(), Instant::now());
        loop {
            if measured.elapsed() >= MEASURE {
                self.measure().await;
                measured = Instant::now();
            }
            if agreed.elapsed() >= AGREE {
                self.agree().await?;
                agreed = Instant::now();
            }
            let at = Instant::now();
            match follower.follow(RECORDS).await? {
                clickhouse::Followed::Changed { changes, counts, ignored, more } => {
                    {
                        let mut followed = self.followed.lock();
                        followed.ignored += ignored;
                        followed.counts += counts;
                    }
                    self.take(&changes, follower.progress());
                    if more {
                        continue;
                    }
                    self.caught_up(at);
                }
                // The answers there are stay right, and become older.
                clickhouse::Followed::Recovering => {}
                clickhouse::Followed::Reload => {
                    tracing::info!("the log was read again, or retention has moved on: loading events");
                    return Ok(());
                }
            }
            tokio::time::sleep(self.every.saturating_sub(at.elapsed())).await;
        }
    }

    /// Makes the Model that of this progress.
    pub(super) fn take(&self, changes: &[Change], progress: &Progress) {
        self.followed.lock().settled = changes.is_empty();
        self.apply(changes);
        self.followed.lock().settle(progress, first_day(changes));
        if !changes.is_empty() {
            self.engine.changed.send_modify(|changes| *changes += 1);
        }
    }

    fn apply(&self, changes: &[Change]) {
        for some in changes.chunks(LOCKED) {
            let mut model = self.engine.model.write();
            for change in some {
                if let Some(old) = &change.old {
                    model.remove(old);
                }
                model.insert(&change.new);
            }
        }
    }

    /// Asks how much is kept. What cannot be told now is told later.
    async fn measure(&self) {
        let counts = self.followed.lock().counts;
        let (sizes, horizon) = tokio::join!(self.clickhouse.sizes_beside(counts), self.clickhouse.horizon());
        let mut followed = self.followed.lock();
        followed.sizes = sizes.ok().or(followed.sizes);
        followed.horizon = horizon.unwrap_or(followed.horizon);
    }

    fn caught_up(&self, at: Instant) {
        self.engine.follows().inspect(|following| following.caught_up(at));
    }

    /// Waits until the configuration of this replica is the one agreed on.
    async fn agree(&self) -> Result<(), Error> {
        let mut wait = patience();
        let mut disagreed = false;
        let digest = &self.engine.digest;
        while let Agreement::Other(other) = self.clickhouse.agree_on_config(digest, false).await? {
            let what = format!(
                "the configuration of this replica has the digest {digest}, and that of the cluster {other}: give all the same, \
                 or have this one agreed on by `milepost migrate` with it"
            );
            if !disagreed {
                tracing::error!("{what}");
            }
            disagreed = true;
            self.health.set_starting(Some(what));
            wait.pause().await;
        }
        if disagreed && self.engine.is_loaded() {
            self.health.set_starting(None);
        }
        Ok(())
    }
}

/// The first day that anything of it happened on.
fn first_day(changes: &[Change]) -> Option<Day> {
    changes
        .iter()
        .flat_map(|change| change.old.iter().chain([&change.new]))
        .map(|event| event.at().day())
        .min()
}
