//! Writes what the metrics say as of the end of each day into ClickHouse, for people who ask in SQL.
//!
//! Laws:
//!
//! 1. **The table says what the questions say**: once a pass is done, for every day up to the present one, what is written is what
//!    `GET /v1/metrics/…` answers as of the end of that day, and nothing beside it is.
//! 2. **Only what changed is written.** What happened on a day shows from the end of that day on, so a change is followed by a pass
//!    over the days from there. A pass compares with what the table has, so nothing has to be remembered over a restart.
//! 3. **Whoever is behind changes nothing that is there.** A row has an [`Edition`], which grows with the progress of the log. What only one of
//!    two writers ever said is taken back when the day is over: then all days are compared.

mod difference;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use milepost_model::metrics::{self, MAX_ANSWERS};
use milepost_model::{Answer, Config, Day, Model, QuestionError, Selector};
use milepost_store::clickhouse::{Agreement, ClickHouse, Edition, Error};
use parking_lot::Mutex;

use super::follow::{EVERY_DAY, Followed};
use crate::engine::Engine;
use difference::{Difference, difference};

/// Days before the present one that a history begins at most: as many as a question may be about.
const MOST_DAYS: i64 = 11_000;

/// How long the Model is read in one go, about: as long may what came have to wait to be put in.
const READING: Duration = Duration::from_millis(50);

/// Answers of one metric that are compared together, if they are of several days.
const ANSWERS: usize = MAX_ANSWERS / 5;

/// What has become of it, for the exporter.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) rows: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// Why a pass is cut off.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Store(#[from] Error),
    #[error(transparent)]
    Question(#[from] QuestionError),
    #[error("the computation failed")]
    Interrupted,
}

/// The writer.
pub(super) struct History {
    clickhouse: ClickHouse,
    engine: Arc<Engine>,
    followed: Arc<Mutex<Followed>>,
    written: Arc<Written>,
    /// The first day that anything happened on.
    first: Option<Day>,
    /// From this day on what is written may be another than what is true; none: everything written is true.
    behind: Option<Day>,
    /// The present day, when it was written last.
    until: Option<Day>,
    /// How many days are looked at together.
    stride: i64,
}

impl History {
    pub(super) fn new(
        clickhouse: ClickHouse,
        engine: Arc<Engine>,
        followed: Arc<Mutex<Followed>>,
        written: Arc<Written>,
    ) -> Self {
        Self { clickhouse, engine, followed, written, first: None, behind: None, until: None, stride: 1 }
    }

    /// Once the Model is loaded, and then as often.
    pub(super) async fn for_ever(mut self, every: Duration) {
        let mut changed = self.engine.changed.subscribe();
        // An error means that nobody follows any more.
        while !self.engine.is_loaded() && changed.changed().await.is_ok() {}
        loop {
            if let Err(error) = self.pass().await {
                tracing::warn!(%error, "the history of the metrics is not written; it is tried again");
                self.written.failures.fetch_add(1, Relaxed);
            }
            tokio::time::sleep(every).await;
        }
    }

    /// Writes what is another than what is written.
    async fn pass(&mut self) -> Result<(), Failure> {
        let today = self.engine.now().day();
        let Some(behind) = self.look(today) else { return Ok(()) };
        if self.clickhouse.agree_on_config(&self.engine.digest, false).await? != Agreement::Same {
            return Ok(());
        }
        if self.first.is_none_or(|first| behind < first) {
            self.first = self.clickhouse.first_day().await?;
        }
        let Some(first) = self.first else { return Ok(()) };
        let (started, before) = (Instant::now(), self.written.rows.load(Relaxed));
        let floor = first.max(today.plus(1 - MOST_DAYS)).max(Day::from_number(0));
        let (mut day, mut ahead) = (behind.max(floor), None);
        while day <= today {
            let last = day.plus(self.stride - 1).min(today);
            let Some((answers, edition)) = self.compute(day, last).await? else { continue };
            // Beyond the first day and the present one nothing is true.
            let kept = self
                .clickhouse
                .recorded((day > floor).then_some(day), (last < today).then_some(last))
                .await?;
            let Difference { rows, is_behind } = difference(answers, kept, edition, &self.engine.digest);
            if !rows.is_empty() {
                self.clickhouse.record(&rows).await?;
                self.written.rows.fetch_add(rows.len() as u64, Relaxed);
            }
            ahead = ahead.or(is_behind.then_some(day));
            day = last.plus(1);
            self.behind = ahead.or(Some(day));
        }
        (self.behind, self.until) = (ahead, Some(today));
        let rows = self.written.rows.load(Relaxed) - before;
        tracing::debug!(from = %behind.max(floor), %today, rows, seconds = started.elapsed().as_secs_f64(), "history");
        Ok(())
    }

    /// From which day on what is written may be another than what is true, if it may.
    fn look(&mut self, today: Day) -> Option<Day> {
        let changed = self.followed.lock().take_changes();
        let is_over = self.until.is_some_and(|until| until != today);
        self.behind = [self.behind, changed, is_over.then_some(EVERY_DAY)].into_iter().flatten().min();
        self.behind
    }

    /// What the metrics say as of the end of these days, and what that is of. None: the Model was being changed, and is not any more.
    async fn compute(&mut self, from: Day, to: Day) -> Result<Option<(Vec<Answer>, Edition)>, Failure> {
        let mut changed = self.engine.changed.subscribe();
        let (engine, followed) = (Arc::clone(&self.engine), Arc::clone(&self.followed));
        let computed = tokio::task::spawn_blocking(move || {
            let followed = followed.lock();
            if !followed.settled {
                return Ok(None);
            }
            let model = engine.model.read();
            let edition = Edition::of(&followed.progress);
            drop(followed);
            let began = Instant::now();
            let answers = answers(&model, &engine.config, from, to)?;
            let names = model.capability_names.all().count();
            Ok::<_, QuestionError>(Some((answers, edition, began.elapsed(), names)))
        });
        let Some((answers, edition, took, names)) = computed.await.map_err(|_| Failure::Interrupted)?? else {
            // An error means that nobody changes it any more.
            let _ = changed.changed().await;
            return Ok(None);
        };
        self.stride = stride(self.stride, took, names);
        Ok(Some((answers, edition)))
    }
}

/// How many days to look at next, after so many took so long.
fn stride(days: i64, took: Duration, names: usize) -> i64 {
    let next = if took < READING / 2 {
        days * 2
    } else if took > READING {
        days / 2
    } else {
        days
    };
    next.clamp(1, (ANSWERS / names.max(1)).max(1) as i64)
}

/// What the metrics that are exported say as of the end of each day.
fn answers(model: &Model, config: &Config, from: Day, to: Day) -> Result<Vec<Answer>, QuestionError> {
    let mut answers = Vec::new();
    for metric in metrics::registry().iter().copied().filter(|metric| metric.spec().exported) {
        answers.extend(metrics::query_range(model, config, metric, &Selector::default(), from, to, 1)?);
    }
    Ok(answers)
}
