//! ClickHouse to numbers: a Model that follows, and answers from it. Any number of these give the same answers.

mod follow;
mod history;
mod retain;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use milepost_store::clickhouse::ClickHouse;
use milepost_wire::pb::metrics_service_server;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::service::Routes;

use super::Part;
use crate::config::Settings;
use crate::engine::{Engine, Following, system_clock};
use crate::exporter::exposition::{Family, Number};
use crate::exporter::{Scraped, own};
use crate::health::Health;
use crate::serve::StartError;
use crate::{quarantine, query};
use follow::{Follow, Followed};
use history::{History, Written};
use retain::Retain;

/// The role.
pub struct Query {
    /// Answers.
    pub engine: Arc<Engine>,
    health: Arc<Health>,
    followed: Arc<Mutex<Followed>>,
    following: JoinHandle<()>,
    /// What this process does beside following: it ends with it.
    beside: Vec<JoinHandle<()>>,
    /// Of the one that writes the history.
    written: Option<Arc<Written>>,
    failed: mpsc::Receiver<String>,
    series: usize,
}

impl Part for Query {
    const SERVICES: &'static [&'static str] = &[metrics_service_server::SERVICE_NAME];
    const PATHS: &'static str = "/v1/metrics, /v1/quarantine, ";

    async fn open(settings: Settings) -> Result<Self, StartError> {
        let clickhouse = ClickHouse::new(&settings.clickhouse.options())?;
        let engine =
            Engine::following(settings.metrics(), clickhouse.reader(Handle::current()), system_clock);
        let health = Health::new(system_clock());
        health.set_starting(Some("ClickHouse has not been reached yet".into()));
        let followed = Arc::default();
        let mut beside = Vec::new();
        let written = settings.query.history.then(|| {
            let written = Arc::default();
            let (engine, followed) = (Arc::clone(&engine), Arc::clone(&followed));
            let history = History::new(clickhouse.clone(), engine, followed, Arc::clone(&written));
            beside.push(tokio::spawn(history.for_ever(Duration::from_secs(settings.query.history_seconds))));
            written
        });
        if let Some(days) = settings.retention.days.filter(|_| settings.query.retain) {
            let retain = Retain::new(clickhouse.clone(), Arc::clone(&engine), days);
            beside.push(tokio::spawn(retain.for_ever()));
        }
        let follow = Follow {
            clickhouse,
            engine: Arc::clone(&engine),
            health: Arc::clone(&health),
            followed: Arc::clone(&followed),
            every: Duration::from_millis(settings.query.poll_ms),
        };
        let (fail, failed) = mpsc::channel(1);
        let following = tokio::spawn(async move {
            // An error means that nobody waits for it any more.
            let _ = fail.try_send(follow.for_ever().await.to_string());
        });
        Ok(Self {
            engine,
            health,
            followed,
            following,
            beside,
            written,
            failed,
            series: settings.limits.series,
        })
    }

    fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    fn scraped(&self) -> Scraped {
        let (engine, health) = (Arc::clone(&self.engine), Arc::clone(&self.health));
        let followed = Arc::clone(&self.followed);
        let written = self.written.clone();
        Scraped {
            engine: Some(Arc::clone(&engine)),
            started_at: health.started_at,
            own: Arc::new(move || {
                // Not held while ClickHouse is asked: whoever follows needs it to go on.
                let followed = followed.lock().clone();
                let mut families = families(&engine, &health, &followed);
                families.extend(written.iter().flat_map(|written| history(written)));
                families
            }),
            series: self.series,
        }
    }

    fn http(&self) -> Router {
        query::http::router(Arc::clone(&self.engine)).merge(quarantine::http::without_doors(&self.engine))
    }

    fn grpc(&self, routes: Routes) -> Routes {
        routes.add_service(query::grpc::service(Arc::clone(&self.engine)))
    }

    fn end_streams(&self) {
        self.engine.closing.send_replace(true);
    }

    async fn failed(&mut self) -> String {
        super::told(&mut self.failed).await
    }

    async fn close(self) {
        self.following.abort();
        self.beside.iter().for_each(JoinHandle::abort);
    }
}

fn families(engine: &Engine, health: &Health, followed: &Followed) -> Vec<Family> {
    let mut families = vec![own::denied(health)];
    if let Some(staleness) = engine.follows().and_then(Following::staleness) {
        let help = "How long ago everything that ClickHouse had was in the answers.";
        families.push(
            Family::gauge("milepost_staleness_seconds", help)
                .with(Vec::new(), Number::Real(staleness.as_secs_f64())),
        );
    }
    let help = "Where the answers stand in the log: the offset of the next record of each partition.";
    families.push(followed.progress.positions.iter().fold(
        Family::gauge("milepost_log_position", help),
        |family, (partition, next)| {
            let labels =
                vec![("topic", partition.topic.to_string()), ("partition", partition.number.to_string())];
            family.with(labels, Number::Count(next.max(0).unsigned_abs()))
        },
    ));
    families.push(own::counter(
        "milepost_follow_failures",
        "How often ClickHouse could not be asked for new events.",
        followed.failures,
    ));
    families.push(own::counter(
        "milepost_ignored_versions",
        "Versions of events that retention had frozen when they came: they change nothing.",
        followed.ignored,
    ));
    families.extend(own::model_of(engine, followed.sizes, followed.horizon));
    families.extend(own::identity(&engine.digest));
    families
}

/// Of a process that writes the history.
fn history(written: &Written) -> [Family; 2] {
    [
        own::counter(
            "milepost_history_rows",
            "Rows written into the table metrics of ClickHouse, as what they say has changed.",
            written.rows.load(Relaxed),
        ),
        own::counter(
            "milepost_history_failures",
            "How often the table metrics could not be brought up to date. It is tried again.",
            written.failures.load(Relaxed),
        ),
    ]
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
