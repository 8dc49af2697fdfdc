//! Everything in one process: doors, keeper, questions and exporter on one port.

mod activity;
mod answers;
mod connections;
mod peers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use milepost_ingest::Intake;
use milepost_ingest::grpc::IngestService;
use milepost_wire::pb;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::config::Settings;
use crate::engine::Engine;
use crate::guard::{self, Guard, GuardError, Guarded};
use crate::health::Health;
use crate::installation::{OpenError, Writing};
use crate::{exporter, quarantine, query};
pub(crate) use connections::ConnectionLimits;
pub(crate) use peers::PeerLimits;

/// What the health service speaks of: all, which it calls by no name, and each.
const SERVICES: [&str; 3] =
    ["", pb::ingest_service_server::SERVICE_NAME, pb::metrics_service_server::SERVICE_NAME];

/// Why it cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address.
    #[error("cannot listen at {listen}: {source}")]
    Listen {
        /// As configured.
        listen: String,
        /// What happened.
        source: io::Error,
    },
    /// What must guard it.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The data directory.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The descriptors for reflection.
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// Opening was interrupted.
    #[error("opening the data directory was interrupted")]
    Interrupted,
}

/// A serving installation.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where `/metrics` is, if that is somewhere else.
    pub metrics_addr: Option<SocketAddr>,
    /// What guards it.
    pub guard: Guard,
    /// Answers.
    pub engine: Arc<Engine>,
    /// Its own numbers.
    pub health: Arc<Health>,
    /// The way in, for those in the same process.
    pub intake: Arc<Intake>,
    writing: Writing,
    reporter: HealthReporter,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    following: JoinHandle<()>,
    deadline: Duration,
}

/// Opens the data directory and serves it. Returns once requests are answered.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    // First of all, as nothing else fails as fast.
    let (listener, addr) = listen(&settings.listen).await?;
    let own = match &settings.metrics.listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let metrics_addr = own.as_ref().map(|(_, addr)| *addr);
    let guard = Guard::new(&settings, addr)?;
    let metrics_guard = metrics_addr.map(|addr| guard.for_metrics(&settings.metrics, addr));
    let deadline = Duration::from_secs(settings.limits.shutdown.seconds());
    let (limits, series) = (settings.limits.connections(), settings.limits.series);

    let opened = tokio::task::spawn_blocking(move || {
        let (writing, engine) = Writing::open_with_model(&settings)?;
        writing.retain(&settings)?;
        Ok::<_, OpenError>((writing, engine))
    });
    let (writing, engine) = opened.await.map_err(|_| StartError::Interrupted)??;
    let (health, intake) = (Arc::clone(&writing.health), Arc::clone(&writing.intake));
    let quarantine = quarantine::http::router(writing.quarantine(&engine));
    let exporter = exporter::router(Arc::clone(&engine), Arc::clone(&health), series);
    let (with_metrics, alone) =
        if own.is_none() { (exporter, None) } else { (Router::new(), Some(exporter)) };
    let (reporter, router) = routes(&engine, &health, &intake, quarantine.merge(with_metrics)).await?;

    let stop = watch::Sender::new(false);
    let serve = |listener, router: Router, guard: Guard| {
        let guarded = Guarded { guard: guard.clone(), health: Arc::clone(&health) };
        let router = router.layer(axum::middleware::from_fn_with_state(guarded, guard::authorize));
        connections::serve(listener, router, guard, limits, stop.subscribe())
    };
    let everything = serve(listener, router, guard.clone());
    let metrics = own.zip(metrics_guard).map(|((listener, _), guard)| {
        let router = probes(&health).merge(alone.unwrap_or_default());
        serve(listener, router.fallback(not_found), guard)
    });
    let server = tokio::spawn(async move {
        futures::future::join(everything, futures::future::OptionFuture::from(metrics)).await;
    });
    let following = tokio::spawn(guard.clone().follow());
    tokio::spawn(report_failure(Arc::clone(&health), reporter.clone()));
    health.set_serving(true);
    Ok(Running {
        addr,
        metrics_addr,
        guard,
        engine,
        health,
        intake,
        writing,
        reporter,
        stop,
        server,
        following,
        deadline,
    })
}

async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), StartError> {
    let unable = |source| StartError::Listen { listen: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(unable)?;
    let addr = listener.local_addr().map_err(unable)?;
    Ok((listener, addr))
}

/// For who looks after the process.
fn probes(health: &Arc<Health>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(Arc::clone(health)))
}

/// HTTP and gRPC on one port: a gRPC method is a path.
async fn routes(
    engine: &Arc<Engine>,
    health: &Arc<Health>,
    intake: &Arc<Intake>,
    more: Router,
) -> Result<(HealthReporter, Router), StartError> {
    let http = probes(health)
        .merge(milepost_ingest::http::router(Arc::clone(intake)))
        .merge(query::http::router(Arc::clone(engine)))
        .merge(more)
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found);

    let (reporter, grpc_health) = tonic_health::server::health_reporter();
    for service in &SERVICES[1..] {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::from(http)
        .add_service(IngestService::new(Arc::clone(intake), engine.closing.subscribe()))
        .add_service(query::grpc::service(Arc::clone(engine)))
        .add_service(grpc_health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok((reporter, routes.into_axum_router()))
}

/// Tells those who ask the health service what `/readyz` tells the others.
async fn report_failure(health: Arc<Health>, reporter: HealthReporter) {
    health.failed().await;
    for service in SERVICES {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    match health.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

/// In the language of whoever asked.
async fn not_found(headers: HeaderMap) -> Response {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if content_type.starts_with(b"application/grpc") {
        return Status::unimplemented("no such service; reflection lists those there are").into_http();
    }
    let message = "no such path: there are /v1/events, /v1/metrics, /v1/quarantine/retry, /metrics, /healthz and /readyz";
    refusal(StatusCode::NOT_FOUND, "not_found", "path", message)
}

/// The answer says in its `Allow` header which methods there are.
async fn wrong_method(method: Method) -> Response {
    let message = format!("{method} is no method of this path; those of the Allow header are");
    refusal(StatusCode::METHOD_NOT_ALLOWED, "invalid", "method", &message)
}

fn refusal(status: StatusCode, reason: &str, field: &str, message: &str) -> Response {
    let body = serde_json::json!({"error": {"reason": reason, "field": field, "message": message}});
    (status, axum::Json(body)).into_response()
}

impl Running {
    /// Stops accepting, lets requests under way finish within the deadline, keeps all that was taken, and gives up the
    /// data directory.
    pub async fn shutdown(self) {
        let Self { engine, health, writing, mut reporter, stop, mut server, following, deadline, .. } = self;
        following.abort();
        health.set_serving(false);
        engine.closing.send_replace(true);
        for service in SERVICES {
            // Ends the streams of those who watch it.
            reporter.clear_service_status(service).await;
        }
        stop.send_replace(true);
        if tokio::time::timeout(deadline, &mut server).await.is_err() {
            tracing::warn!("requests were still under way at the deadline; their connections are closed");
            server.abort();
        }
        if tokio::task::spawn_blocking(move || writing.close()).await.is_err() {
            tracing::error!("the keeper could not be closed");
        }
    }
}

#[cfg(test)]
mod tests;
