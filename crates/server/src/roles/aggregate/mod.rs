//! Kafka to ClickHouse.

mod keep;
mod run;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use milepost_log::Status;
use milepost_store::clickhouse::ClickHouse;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::Part;
use crate::config::Settings;
use crate::engine::system_clock;
use crate::exporter::exposition::Family;
use crate::exporter::{Scraped, own};
use crate::health::Health;
use crate::serve::StartError;

/// The role.
pub struct Aggregate {
    health: Arc<Health>,
    /// Of the consumer, while there is one.
    status: Arc<Mutex<Option<Status>>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    failed: mpsc::Receiver<String>,
    deadline: Duration,
    digest: String,
    series: usize,
}

impl Part for Aggregate {
    const SERVICES: &'static [&'static str] = &[];
    const PATHS: &'static str = "";

    async fn open(settings: Settings) -> Result<Self, StartError> {
        let health = Health::new(system_clock());
        let status = Arc::default();
        let (stop, stopped) = watch::channel(false);
        let (fail, failed) = mpsc::channel(1);
        health.set_starting(Some("ClickHouse has not been reached yet".into()));
        let run = run::Run {
            clickhouse: ClickHouse::new(&settings.clickhouse.options())?,
            log: settings.kafka.options(settings.limits.event_bytes),
            limits: settings.aggregate,
            health: Arc::clone(&health),
            status: Arc::clone(&status),
            stopped,
        };
        let task = tokio::spawn(async move {
            if let Err(why) = run.until_stopped().await {
                // An error means that nobody waits for it any more.
                let _ = fail.try_send(why);
            }
        });
        let deadline = Duration::from_secs(settings.limits.shutdown.seconds());
        let (digest, series) = (settings.metrics().digest(), settings.limits.series);
        Ok(Self { health, status, stop, task, failed, deadline, digest, series })
    }

    fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    fn scraped(&self) -> Scraped {
        let (health, status) = (Arc::clone(&self.health), Arc::clone(&self.status));
        let digest = self.digest.clone();
        Scraped {
            engine: None,
            started_at: health.started_at,
            own: Arc::new(move || families(&health, status.lock().as_ref(), &digest)),
            series: self.series,
        }
    }

    fn http(&self) -> Router {
        Router::new()
    }

    async fn failed(&mut self) -> String {
        super::told(&mut self.failed).await
    }

    async fn close(self) {
        self.stop.send_replace(true);
        let mut task = self.task;
        if tokio::time::timeout(self.deadline, &mut task).await.is_err() {
            tracing::warn!("ClickHouse has not answered by the deadline; what it was sent is read again");
            task.abort();
        }
    }
}

fn families(health: &Health, status: Option<&Status>, digest: &str) -> Vec<Family> {
    let mut families = vec![own::denied(health)];
    families.extend(own::keeping(health));
    families.extend(status.into_iter().flat_map(log));
    families.extend(own::identity(digest));
    families
}

fn log(status: &Status) -> Vec<Family> {
    let help =
        "Records of the log that are not in ClickHouse yet, of each partition that this process reads.";
    let lost =
        "Records that Kafka had deleted before they were read. More than 0 is a loss: see docs/scaling.md.";
    super::lag(status, ("milepost_log", help, lost)).into()
}
