//! Fetch, keep, say so, commit; again and again.
//!
//! Laws:
//!
//! 1. **Progress is said after what it speaks of is kept**, and offsets are committed after that. So whoever reads the progress
//!    finds all rows before it, and whoever starts at the progress misses nothing.
//! 2. **A zombie is harmless**: rows are functions of their records, and of two progresses the larger one counts. Partitions that
//!    were taken away while their records were under way need no care.
//! 3. **One consumer takes part in one reading of the log**: whoever began some partitions before a replay would say of them that
//!    they were read in it, and they were not.
//! 4. **Nothing is given up**: what ClickHouse cannot take now is sent again, the same bytes, until it can. Meanwhile the
//!    consumer fetches no more, but stays in its group.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use milepost_log::{BatchLimits, Consumer, Fetched, LogError, Logged, Options, Producer, Status, prepare};
use milepost_model::{Partition, Positions};
use milepost_store::clickhouse::{self, ClickHouse};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::super::{patience, told_of_topics};
use super::keep::Keep;
use crate::config::AggregateSettings;
use crate::health::Health;

/// While nothing comes, it is looked this often whether the log is to be read again.
const LOOK: Duration = Duration::from_secs(2);

/// What the loop needs.
pub(super) struct Run {
    pub(super) clickhouse: ClickHouse,
    pub(super) log: Options,
    pub(super) limits: AggregateSettings,
    pub(super) health: Arc<Health>,
    pub(super) status: Arc<Mutex<Option<Status>>>,
    pub(super) stopped: watch::Receiver<bool>,
}

/// Where partitions are begun, once it is known.
type Places = BoxFuture<'static, Result<Positions, String>>;

/// Why the consumer has to begin anew.
enum Ended {
    Stopped,
    /// The log is to be read again from elsewhere.
    Rewound,
}

impl Run {
    /// Until it is stopped, or cannot go on: why.
    pub(super) async fn until_stopped(self) -> Result<(), String> {
        let mut stopped = self.stopped.clone();
        let begun = async {
            self.migrate().await?;
            self.check_topics().await
        };
        tokio::select! {
            begun = begun => begun?,
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(()),
        }
        self.health.set_starting(None);
        let producer = Arc::new(Producer::new(&self.log).map_err(|error| error.to_string())?);
        while let Ended::Rewound = self.consume(&producer).await? {
            tracing::warn!("the log is read again, from where ClickHouse says");
        }
        Ok(())
    }

    async fn migrate(&self) -> Result<(), String> {
        let mut wait = patience();
        loop {
            match self.clickhouse.migrate().await {
                Ok(applied) => {
                    for migration in applied {
                        tracing::info!(
                            number = migration.number,
                            name = migration.name,
                            "migrated ClickHouse"
                        );
                    }
                    return Ok(());
                }
                Err(error @ clickhouse::Error::Unavailable(_)) => {
                    tracing::warn!(%error, "waiting for ClickHouse");
                    self.health.set_starting(Some(error.to_string()));
                    wait.pause().await;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    async fn check_topics(&self) -> Result<(), String> {
        let mut wait = patience();
        loop {
            match prepare(&self.log).await {
                Ok(report) => {
                    told_of_topics(&report);
                    return Ok(());
                }
                Err(error @ LogError::Unavailable(_)) => {
                    tracing::warn!(%error, "waiting for Kafka");
                    self.health.set_starting(Some(error.to_string()));
                    wait.pause().await;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Reads as a member of the group.
    async fn consume(&self, producer: &Arc<Producer>) -> Result<Ended, String> {
        let AggregateSettings { batch_events, batch_bytes, linger_ms } = self.limits;
        let limits = BatchLimits {
            events: batch_events,
            bytes: batch_bytes,
            linger: Duration::from_millis(linger_ms),
        };
        let reading = Arc::<Reading>::default();
        let mut consumer = Consumer::<Logged>::start(&self.log, limits, self.places(&reading))
            .map_err(|error| error.to_string())?;
        *self.status.lock() = Some(consumer.status());
        let mut keep = Keep {
            clickhouse: self.clickhouse.clone(),
            producer: Arc::clone(producer),
            health: Arc::clone(&self.health),
            log_topic: self.log.topic.as_str().into(),
        };
        let mut stopped = self.stopped.clone();
        let ended = loop {
            let fetched = tokio::select! {
                fetched = consumer.next() => fetched.map_err(|error| error.to_string())?,
                () = self.rewound(&reading) => break Ended::Rewound,
                _ = stopped.wait_for(|stopped| *stopped) => break Ended::Stopped,
            };
            let batch = match fetched {
                Fetched::Batch(batch) => batch,
                Fetched::Assigned(positions) => {
                    tracing::info!(partitions = positions.len(), "partitions assigned");
                    continue;
                }
                Fetched::Revoked(partitions) => {
                    tracing::info!(partitions = partitions.len(), "partitions revoked");
                    continue;
                }
            };
            let positions = batch.positions();
            let epoch = reading.epoch();
            let kept = tokio::select! {
                kept = keep.all_of(batch, epoch) => kept?,
                // What is under way may arrive or not: it is read again.
                () = gave_up(&mut stopped) => break Ended::Stopped,
            };
            if kept != epoch {
                break Ended::Rewound;
            }
            consumer.commit(&positions);
        };
        *self.status.lock() = None;
        consumer.close().await;
        Ok(ended)
    }

    /// Where partitions are begun: where ClickHouse says.
    fn places(&self, reading: &Arc<Reading>) -> impl Fn(Vec<Partition>) -> Places + Send + Sync + use<> {
        let (clickhouse, reading) = (self.clickhouse.clone(), Arc::clone(reading));
        move |_| {
            let (clickhouse, reading) = (clickhouse.clone(), Arc::clone(&reading));
            async move {
                let progress = clickhouse.progress().await.map_err(|error| error.to_string())?;
                let is_ours = reading.is_of(progress.epoch);
                is_ours.then_some(progress.positions).ok_or_else(|| "the log is to be read again".to_owned())
            }
            .boxed()
        }
    }

    /// Until the log is to be read again, which shows when a partition is begun, or after a while in which nothing comes.
    async fn rewound(&self, reading: &Reading) {
        let looked = async {
            loop {
                tokio::time::sleep(LOOK).await;
                // If it cannot be asked now, later.
                if self.clickhouse.progress().await.is_ok_and(|progress| !reading.is_of(progress.epoch)) {
                    return;
                }
            }
        };
        tokio::select! {
            () = looked => {}
            () = reading.over.notified() => {}
        }
    }
}

/// The reading of the log that a consumer takes part in: that of the first progress it hears of.
#[derive(Default)]
struct Reading {
    epoch: OnceLock<u64>,
    over: Notify,
}

impl Reading {
    fn epoch(&self) -> u64 {
        self.epoch.get().copied().unwrap_or_default()
    }

    /// Whether a progress is of this reading. If it is not, this one is over.
    fn is_of(&self, epoch: u64) -> bool {
        let is_ours = *self.epoch.get_or_init(|| epoch) == epoch;
        if !is_ours {
            self.over.notify_one();
        }
        is_ours
    }
}

/// A while after it was asked to stop: long enough for ClickHouse to answer if it does at all.
async fn gave_up(stopped: &mut watch::Receiver<bool>) {
    const A_WHILE: Duration = Duration::from_secs(3);
    // An error means that nobody can ask any more.
    let _ = stopped.wait_for(|stopped| *stopped).await;
    tokio::time::sleep(A_WHILE).await;
}
