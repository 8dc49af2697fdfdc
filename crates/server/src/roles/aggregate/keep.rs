//! Keeps a batch: events in ClickHouse, refused ones in its quarantine, what cannot be read among the dead letters.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use milepost_log::{Batch, LogError, Logged, Producer};
use milepost_model::refusal::Reason;
use milepost_model::{Door, Position, Positions, Refusal, Rejected, Sealed, Timestamp};
use milepost_store::clickhouse::{self, ClickHouse, RefusedRow, Row};

use super::super::patience;
use crate::engine::system_clock;
use crate::health::Health;

/// Where batches are kept.
pub(super) struct Keep {
    pub(super) clickhouse: ClickHouse,
    pub(super) producer: Arc<Producer>,
    pub(super) health: Arc<Health>,
    pub(super) log_topic: Arc<str>,
}

/// A batch by what becomes of its records.
#[derive(Default)]
struct Sorted {
    events: Vec<(Position, Timestamp, Sealed)>,
    refused: Vec<(Position, Timestamp, Rejected, Option<Position>)>,
    /// What is to be among the dead letters, and where it was.
    dead: Vec<(Rejected, Option<Position>)>,
}

impl Keep {
    /// Returns once all of it is kept and the progress says so. The epoch that counts: if it is another one than this, the progress
    /// does not say so.
    pub(super) async fn all_of(&mut self, batch: Batch<Logged>, epoch: u64) -> Result<u64, String> {
        let (size, positions, started) = (batch.len(), batch.positions(), Instant::now());
        let Sorted { events, refused, dead } = sort(batch, &self.log_topic);
        self.bury(&dead).await?;
        let rows: Vec<_> = events
            .iter()
            .map(|(position, received_at, sealed)| Row { position, received_at: *received_at, sealed })
            .collect();
        let refused: Vec<_> = refused
            .iter()
            .map(|(position, at, rejected, origin)| RefusedRow {
                position,
                origin: origin.as_ref(),
                at: *at,
                rejected,
            })
            .collect();
        self.insert(&rows, &refused).await?;
        let counted = self.advance(&positions, epoch).await?;
        self.health.commit_events.observe(size as f64);
        self.health.commit_seconds.observe_duration(started.elapsed());
        self.health.committed(system_clock());
        if let Some(oldest) = events.iter().map(|(_, received_at, _)| *received_at).min() {
            let waited = system_clock().micros().saturating_sub(oldest.micros());
            self.health.freshness_seconds.observe(waited.max(0) as f64 / 1e6);
        }
        Ok(counted)
    }

    /// Sends the same rows until they are kept. A row that ClickHouse will never take is found by halving, and is a dead letter.
    fn insert<'a>(
        &'a self,
        events: &'a [Row<'a>],
        refused: &'a [RefusedRow<'a>],
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            if events.is_empty() && refused.is_empty() {
                return Ok(());
            }
            let batch = clickhouse::Batch::new(events, refused);
            let mut wait = patience();
            let why = loop {
                match self.clickhouse.insert(&batch).await {
                    Ok(()) => return Ok(()),
                    Err(clickhouse::Error::Rejected(why)) => break why,
                    Err(error) => self.failed(&error, events.len() + refused.len())?,
                }
                wait.pause().await;
            };
            match (events, refused) {
                ([event], []) => self.bury(&[refused_by_the_store(*event, &why)]).await,
                // The store takes no refusal of this kind at all: somebody has to look at it.
                ([], [_]) => Err(why),
                ([], _) => {
                    let (first, second) = refused.split_at(refused.len() / 2);
                    self.insert(&[], first).await?;
                    self.insert(&[], second).await
                }
                (_, [_, ..]) => {
                    self.insert(events, &[]).await?;
                    self.insert(&[], refused).await
                }
                (_, []) => {
                    let (first, second) = events.split_at(events.len() / 2);
                    self.insert(first, &[]).await?;
                    self.insert(second, &[]).await
                }
            }
        })
    }

    async fn advance(&self, positions: &Positions, epoch: u64) -> Result<u64, String> {
        let mut wait = patience();
        loop {
            match self.clickhouse.advance(positions, epoch).await {
                Ok(epoch) => return Ok(epoch),
                Err(error) => self.failed(&error, 0)?,
            }
            wait.pause().await;
        }
    }

    /// Puts records among the dead letters, from where they come back as refused ones.
    async fn bury(&self, dead: &[(Rejected, Option<Position>)]) -> Result<(), String> {
        let mut wait = patience();
        while !dead.is_empty() {
            match self.producer.append(&[], dead).await {
                Ok(()) => {
                    for (rejected, at) in dead {
                        tracing::warn!(
                            ?at,
                            why = rejected.refusal.message,
                            "a record of the log is a dead letter"
                        );
                    }
                    break;
                }
                Err(error @ (LogError::Unavailable(_) | LogError::Busy { .. })) => {
                    tracing::warn!(%error, "waiting for Kafka");
                    wait.pause().await;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// Notes that so many events could not be kept. Whether it makes sense to go on.
    fn failed(&self, error: &clickhouse::Error, events: usize) -> Result<(), String> {
        self.health.commit_failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match error {
            clickhouse::Error::Unavailable(_) => {
                tracing::warn!(%error, events, "ClickHouse did not take it; the same is sent again");
                Ok(())
            }
            error => Err(error.to_string()),
        }
    }
}

fn sort(batch: Batch<Logged>, log_topic: &Arc<str>) -> Sorted {
    let mut sorted = Sorted::default();
    for part in batch.parts {
        for record in part.records {
            let position = Position { partition: part.partition.clone(), offset: record.offset };
            match record.value {
                Logged::Event(sealed) => sorted.events.push((position, record.received_at, sealed)),
                Logged::Refused { rejected, origin } => {
                    sorted.refused.push((position, record.received_at, rejected, origin));
                }
                Logged::Poison(rejected) if part.partition.topic == *log_topic => {
                    sorted.dead.push((rejected, Some(position)));
                }
                // Among the dead letters already.
                Logged::Poison(rejected) => {
                    let origin = Some(position.clone());
                    sorted.refused.push((position, record.received_at, rejected, origin));
                }
            }
        }
    }
    sorted
}

fn refused_by_the_store(row: Row<'_>, why: &str) -> (Rejected, Option<Position>) {
    let id = &row.sealed.event.id;
    let rejected = Rejected {
        refusal: Refusal::new(Reason::Invalid, "", why),
        door: Door::Kafka,
        source: Some(id.source.clone()),
        id: Some(id.id.clone()),
        payload: None,
    };
    (rejected, Some(row.position.clone()))
}
