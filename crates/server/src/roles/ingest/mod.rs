//! Doors to Kafka: checks events as every door does, and has them acked once Kafka has them.

mod accept;

use std::sync::Arc;

use axum::Router;
use milepost_ingest::Intake;
use milepost_ingest::grpc::IngestService;
use milepost_log::{LogError, Options, Producer, Status, prepare};
use milepost_wire::pb::ingest_service_server;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::service::Routes;

use super::topics::{self, Topics};
use super::{Part, patience};
use crate::config::Settings;
use crate::engine::system_clock;
use crate::exporter::exposition::Family;
use crate::exporter::{Scraped, own};
use crate::health::Health;
use crate::serve::StartError;
use accept::ToLog;

/// The role.
pub struct Ingest {
    /// Its own numbers.
    pub health: Arc<Health>,
    intake: Arc<Intake>,
    producer: Arc<Producer>,
    topics: Option<Topics>,
    closing: watch::Sender<bool>,
    preparing: JoinHandle<()>,
    failed: mpsc::Receiver<String>,
    digest: String,
    settings: Settings,
}

impl Part for Ingest {
    const SERVICES: &'static [&'static str] = &[ingest_service_server::SERVICE_NAME];
    const PATHS: &'static str = "/v1/events, ";

    async fn open(settings: Settings) -> Result<Self, StartError> {
        let options = settings.kafka.options(settings.limits.event_bytes);
        let producer = Arc::new(Producer::new(&options)?);
        let health = Health::new(system_clock());
        let keys = settings.privacy.key.as_ref().ok_or(StartError::NoKey)?;
        let mut limits = settings.limits.doors();
        // The store is far away: whoever sends is told by the door.
        limits.event.past = settings.retention.days;
        let intake = Intake::new(
            limits,
            keys.pseudonymizer(),
            system_clock,
            Arc::new(ToLog::new(Arc::clone(&producer), Arc::clone(&health), settings.limits.keeper())),
            Arc::clone(&health.events),
        );
        let (fail, failed) = mpsc::channel(1);
        health.set_starting(Some("Kafka has not been reached yet".into()));
        let topics = Topics::open(&settings, &intake, fail.clone())?;
        let preparing = tokio::spawn(check_topics(options, Arc::clone(&health), fail));
        let digest = settings.metrics().digest();
        let closing = watch::Sender::new(false);
        Ok(Self { health, intake, producer, topics, closing, preparing, failed, digest, settings })
    }

    fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    fn scraped(&self) -> Scraped {
        let (health, digest) = (Arc::clone(&self.health), self.digest.clone());
        let topics = self.topics.as_ref().map(|topics| topics.status.clone());
        Scraped {
            engine: None,
            started_at: health.started_at,
            own: Arc::new(move || families(&health, topics.as_ref(), &digest)),
            series: self.settings.limits.series,
        }
    }

    fn http(&self) -> Router {
        milepost_ingest::http::router(Arc::clone(&self.intake))
    }

    fn grpc(&self, routes: Routes) -> Routes {
        routes.add_service(IngestService::new(Arc::clone(&self.intake), self.closing.subscribe()))
    }

    fn end_streams(&self) {
        self.closing.send_replace(true);
    }

    async fn failed(&mut self) -> String {
        super::told(&mut self.failed).await
    }

    async fn close(self) {
        self.preparing.abort();
        if let Some(topics) = self.topics {
            topics.close().await;
        }
        let within = std::time::Duration::from_secs(self.settings.limits.shutdown.seconds());
        // Whoever waited for an ack has been sent away by now, or has it; what is left may be sent again by its sender.
        if let Err(error) = self.producer.flush(within).await {
            tracing::warn!(%error, "some events were not acked; their senders were told so");
        }
    }
}

/// Until the topics are there and are what they have to be.
async fn check_topics(options: Options, health: Arc<Health>, fail: mpsc::Sender<String>) {
    let mut wait = patience();
    loop {
        match prepare(&options).await {
            Ok(report) => {
                super::told_of_topics(&report);
                return health.set_starting(None);
            }
            Err(LogError::Unavailable(why)) => {
                tracing::warn!(%why, "waiting for Kafka");
                health.set_starting(Some(format!("Kafka is not available: {why}")));
                wait.pause().await;
            }
            Err(error) => {
                // An error means that nobody waits for it any more.
                let _ = fail.try_send(error.to_string());
                return;
            }
        }
    }
}

fn families(health: &Health, topics: Option<&Status>, digest: &str) -> Vec<Family> {
    let mut families = own::doors(health);
    families.push(own::denied(health));
    families.extend(own::keeping(health));
    families.extend(topics::families(topics));
    families.extend(own::identity(digest));
    families
}
