//! Fetch, keep, say so, commit; again and again.
//!
//! Laws:
//!
//! 1. **Progress is said after what it speaks of is kept**, and offsets are committed after that. So whoever reads the progress
//!    finds all rows before it, and whoever starts at the progress misses nothing.
//! 2. **A zombie is harmless**: rows are functions of their records, and of two progresses the larger one counts. Partitions that
//!    were taken away while their records were under way need no care.
//! 3. **Nothing is given up**: what ClickHouse cannot take now is sent again, the same bytes, until it can. Meanwhile the
//!    consumer fetches no more, but stays in its group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt as _;
use milepost_log::{BatchLimits, Consumer, Fetched, LogError, Logged, Options, Producer, Status, prepare};
use milepost_store::clickhouse::{self, ClickHouse};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::super::{patience, told_of_topics};
use super::keep::Keep;
use crate::config::AggregateSettings;
use crate::health::Health;

/// What the loop needs.
pub(super) struct Run {
    pub(super) clickhouse: ClickHouse,
    pub(super) log: Options,
    pub(super) limits: AggregateSettings,
    pub(super) health: Arc<Health>,
    pub(super) status: Arc<Mutex<Option<Status>>>,
    pub(super) stopped: watch::Receiver<bool>,
}

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
        // Of the progress that the partitions were begun at.
        let epoch = Arc::new(AtomicU64::new(0));
        let (clickhouse, begun) = (self.clickhouse.clone(), Arc::clone(&epoch));
        let start = move |_| {
            let (clickhouse, begun) = (clickhouse.clone(), Arc::clone(&begun));
            async move {
                let progress = clickhouse.progress().await.map_err(|error| error.to_string())?;
                begun.fetch_max(progress.epoch, SeqCst);
                Ok(progress.positions)
            }
            .boxed()
        };
        let mut consumer =
            Consumer::<Logged>::start(&self.log, limits, start).map_err(|error| error.to_string())?;
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
            let epoch = epoch.load(SeqCst);
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
}

/// A while after it was asked to stop: long enough for ClickHouse to answer if it does at all.
async fn gave_up(stopped: &mut watch::Receiver<bool>) {
    const A_WHILE: Duration = Duration::from_secs(3);
    // An error means that nobody can ask any more.
    let _ = stopped.wait_for(|stopped| *stopped).await;
    tokio::time::sleep(A_WHILE).await;
}
