//! What any role serves: its own paths and services on one port, with probes and `/metrics`, behind the guard.

mod activity;
mod answers;
mod connections;
mod peers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use milepost_log::LogError;
use milepost_store::clickhouse;
use milepost_wire::pb;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::config::Settings;
use crate::exporter;
use crate::guard::{self, Guard, GuardError, Guarded};
use crate::health::Health;
use crate::installation::OpenError;
use crate::roles::{Part, Whole};
pub(crate) use connections::ConnectionLimits;
pub(crate) use peers::PeerLimits;

/// What the health service calls all there is.
const ALL: &str = "";

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
    /// Kafka.
    #[error(transparent)]
    Log(#[from] LogError),
    /// ClickHouse.
    #[error(transparent)]
    ClickHouse(#[from] clickhouse::Error),
    /// There is no key for persons.
    #[error("privacy.key: missing: give all that take events the same one (MILEPOST_PRIVACY__KEY)")]
    NoKey,
    /// Opening was interrupted.
    #[error("opening the data directory was interrupted")]
    Interrupted,
}

/// A part of an installation that serves: all of it in one process, or one role of a cluster.
pub struct Running<P: Part = Whole> {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Where `/metrics` is, if that is somewhere else.
    pub metrics_addr: Option<SocketAddr>,
    /// What guards it.
    pub guard: Guard,
    /// What is served.
    pub part: P,
    reporter: HealthReporter,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    following: JoinHandle<()>,
    deadline: Duration,
}

/// Serves all of an installation in this process. Returns once requests are answered.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    start_part(settings).await
}

/// Opens a part and serves it. Returns once requests are answered.
pub async fn start_part<P: Part>(settings: Settings) -> Result<Running<P>, StartError> {
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
    let limits = settings.limits.connections();

    let part = P::open(settings).await?;
    let health = part.health();
    let exporter = exporter::router(part.scraped());
    let (with_metrics, alone) =
        if own.is_none() { (exporter, None) } else { (Router::new(), Some(exporter)) };
    let (reporter, router) = routes(&part, with_metrics).await?;

    let stop = watch::Sender::new(false);
    let serve = |listener, router: Router, guard: Guard| {
        let guarded = Guarded { guard: guard.clone(), health: Arc::clone(&health) };
        let router = router
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&health), not_before_it_is_ready))
            .layer(axum::middleware::from_fn_with_state(guarded, guard::authorize));
        connections::serve(listener, router, guard, limits, stop.subscribe())
    };
    let everything = serve(listener, router, guard.clone());
    let metrics = own.zip(metrics_guard).map(|((listener, _), guard)| {
        let router = probes(&health).merge(alone.unwrap_or_default());
        serve(listener, router.fallback(not_found::<P>), guard)
    });
    let server = tokio::spawn(async move {
        futures::future::join(everything, futures::future::OptionFuture::from(metrics)).await;
    });
    let following = tokio::spawn(guard.clone().follow());
    tokio::spawn(report_failure(Arc::clone(&health), P::SERVICES, reporter.clone()));
    health.set_serving(true);
    Ok(Running { addr, metrics_addr, guard, part, reporter, stop, server, following, deadline })
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
async fn routes<P: Part>(part: &P, more: Router) -> Result<(HealthReporter, Router), StartError> {
    let http = probes(&part.health())
        .merge(part.http())
        .merge(more)
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found::<P>);

    let (reporter, grpc_health) = tonic_health::server::health_reporter();
    for service in P::SERVICES {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = part
        .grpc(Routes::from(http))
        .add_service(grpc_health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok((reporter, routes.into_axum_router()))
}

/// Tells those who ask the health service what `/readyz` tells the others.
async fn report_failure(health: Arc<Health>, services: &'static [&'static str], reporter: HealthReporter) {
    health.failed().await;
    for service in [ALL].iter().chain(services) {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
}

/// Turns away whoever would be answered from what is not there yet, in the language of whoever asks.
async fn not_before_it_is_ready(State(health): State<Arc<Health>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_of_the_process =
        ["/healthz", "/readyz", "/metrics"].contains(&path) || path.starts_with("/grpc.health.v1.Health/");
    let Some(why) = health.starting().filter(|_| !is_of_the_process) else {
        return next.run(request).await;
    };
    let message = format!("{why}; ask again later");
    if is_grpc(request.headers()) {
        return Status::unavailable(message).into_http();
    }
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "starting", "", &message);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    content_type.starts_with(b"application/grpc")
}

async fn ready(State(health): State<Arc<Health>>) -> Response {
    match health.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

/// In the language of whoever asked.
async fn not_found<P: Part>(headers: HeaderMap) -> Response {
    if is_grpc(&headers) {
        return Status::unimplemented("no such service; reflection lists those there are").into_http();
    }
    let message = format!("no such path: there are {}/metrics, /healthz and /readyz", P::PATHS);
    refusal(StatusCode::NOT_FOUND, "not_found", "path", &message)
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

impl<P: Part> Running<P> {
    /// Waits until the part cannot go on. Why.
    pub async fn failed(&mut self) -> String {
        self.part.failed().await
    }

    /// Stops accepting, lets requests under way finish within the deadline, keeps all that was taken, and gives up what
    /// the part holds.
    pub async fn shutdown(self) {
        let Self { part, mut reporter, stop, mut server, following, deadline, .. } = self;
        following.abort();
        part.health().set_serving(false);
        part.end_streams();
        for service in [ALL].iter().chain(P::SERVICES) {
            // Ends the streams of those who watch it.
            reporter.clear_service_status(service).await;
        }
        stop.send_replace(true);
        if tokio::time::timeout(deadline, &mut server).await.is_err() {
            tracing::warn!("requests were still under way at the deadline; their connections are closed");
            server.abort();
        }
        part.close().await;
    }
}

#[cfg(test)]
mod tests;
