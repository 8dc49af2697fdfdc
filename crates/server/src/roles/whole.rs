//! The whole installation in one process, on a data directory: doors, keeper, questions and exporter.

use std::sync::Arc;

use axum::Router;
use milepost_ingest::Intake;
use milepost_ingest::grpc::IngestService;
use milepost_wire::pb::{ingest_service_server, metrics_service_server};
use tokio::sync::mpsc;
use tonic::service::Routes;

use super::Part;
use super::topics::{self, Topics};
use crate::config::Settings;
use crate::engine::Engine;
use crate::exporter::exposition::Family;
use crate::exporter::{Scraped, own};
use crate::health::Health;
use crate::installation::{OpenError, Writing};
use crate::serve::StartError;
use crate::{quarantine, query};

/// All of an installation.
pub struct Whole {
    /// Answers.
    pub engine: Arc<Engine>,
    /// The way in, for those in the same process.
    pub intake: Arc<Intake>,
    /// Its own numbers.
    pub health: Arc<Health>,
    writing: Writing,
    topics: Option<Topics>,
    failed: mpsc::Receiver<String>,
    series: usize,
}

impl Part for Whole {
    const SERVICES: &'static [&'static str] =
        &[ingest_service_server::SERVICE_NAME, metrics_service_server::SERVICE_NAME];
    const PATHS: &'static str = "/v1/events, /v1/metrics, /v1/quarantine, ";

    async fn open(settings: Settings) -> Result<Self, StartError> {
        let opened = {
            let settings = settings.clone();
            tokio::task::spawn_blocking(move || {
                let (writing, engine) = Writing::open_with_model(&settings)?;
                writing.retain(&settings)?;
                Ok::<_, OpenError>((writing, engine))
            })
        };
        let (writing, engine) = opened.await.map_err(|_| StartError::Interrupted)??;
        let (intake, health) = (Arc::clone(&writing.intake), Arc::clone(&writing.health));
        let (fail, failed) = mpsc::channel(1);
        let topics = Topics::open(&settings, &intake, fail)?;
        Ok(Self { engine, intake, health, writing, topics, failed, series: settings.limits.series })
    }

    fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    fn scraped(&self) -> Scraped {
        let (engine, health) = (Arc::clone(&self.engine), Arc::clone(&self.health));
        let topics = self.topics.as_ref().map(|topics| topics.status.clone());
        Scraped {
            engine: Some(Arc::clone(&engine)),
            started_at: health.started_at,
            own: Arc::new(move || {
                let mut families = families(&engine, &health);
                families.extend(topics::families(topics.as_ref()));
                families
            }),
            series: self.series,
        }
    }

    fn http(&self) -> Router {
        milepost_ingest::http::router(Arc::clone(&self.intake))
            .merge(query::http::router(Arc::clone(&self.engine)))
            .merge(quarantine::http::router(self.writing.quarantine(&self.engine)))
    }

    fn grpc(&self, routes: Routes) -> Routes {
        routes
            .add_service(IngestService::new(Arc::clone(&self.intake), self.engine.closing.subscribe()))
            .add_service(query::grpc::service(Arc::clone(&self.engine)))
    }

    fn end_streams(&self) {
        self.engine.closing.send_replace(true);
    }

    async fn failed(&mut self) -> String {
        super::told(&mut self.failed).await
    }

    async fn close(self) {
        if let Some(topics) = self.topics {
            topics.close().await;
        }
        let writing = self.writing;
        if tokio::task::spawn_blocking(move || writing.close()).await.is_err() {
            tracing::error!("the keeper could not be closed");
        }
    }
}

/// Milepost's own families.
pub(crate) fn families(engine: &Engine, health: &Health) -> Vec<Family> {
    let mut families = own::doors(health);
    families.extend([own::retried(health), own::denied(health)]);
    families.extend(own::keeping(health));
    families.extend(own::model(engine));
    families.extend(own::identity(&engine.digest));
    families
}
