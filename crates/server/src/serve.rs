//! Everything in one process: doors, keeper, questions and exporter on one port.

use std::future::Future;
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
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::config::Settings;
use crate::engine::Engine;
use crate::health::Health;
use crate::installation::{OpenError, Writing};
use crate::{exporter, query};

/// Streams of one connection. Said explicitly, as is all below: tonic lifts some of hyper's limits where nothing is
/// said.
const STREAMS: u32 = 200;
/// Streams that a peer opened and reset, and that are still in the books.
const PENDING_RESETS: usize = 20;
/// Resets a peer may provoke before it is disconnected.
const PROVOKED_RESETS: usize = 1_024;
/// Bytes of the headers of a request.
const HEADER_BYTES: u32 = 16 * 1024;
/// Bytes a peer may send ahead of what is read, on one stream and on all of a connection. The latter is also what h2 allows
/// small frames by: it takes a peer that sends more of them than half of it pays for as hostile, and a stream of small
/// batches is none.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// After this silence a connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

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
    /// Answers.
    pub engine: Arc<Engine>,
    /// Its own numbers.
    pub health: Arc<Health>,
    /// The way in, for those in the same process.
    pub intake: Arc<Intake>,
    writing: Writing,
    reporter: HealthReporter,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    deadline: Duration,
}

/// Opens the data directory and serves it. Returns once requests are answered.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    let unable = |source| StartError::Listen { listen: settings.listen.clone(), source };
    // First of all, as nothing else fails as fast.
    let listener = TcpListener::bind(&settings.listen).await.map_err(unable)?;
    let addr = listener.local_addr().map_err(unable)?;
    let deadline = Duration::from_secs(settings.limits.shutdown.seconds());

    let opened = tokio::task::spawn_blocking(move || Writing::open_with_model(&settings));
    let (writing, engine) = opened.await.map_err(|_| StartError::Interrupted)??;
    let (health, intake) = (Arc::clone(&writing.health), Arc::clone(&writing.intake));
    let (reporter, routes) = routes(&engine, &health, &intake).await?;

    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(routes, listener, async {
        // An error means that nobody holds the other end any more: then there is nobody to serve for either.
        let _ = stopped.await;
    }));
    tokio::spawn(report_failure(Arc::clone(&health), reporter.clone()));
    health.set_serving(true);
    Ok(Running { addr, engine, health, intake, writing, reporter, stop, server, deadline })
}

/// HTTP and gRPC on one port: a gRPC method is a path.
async fn routes(
    engine: &Arc<Engine>,
    health: &Arc<Health>,
    intake: &Arc<Intake>,
) -> Result<(HealthReporter, Routes), StartError> {
    let http = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(Arc::clone(health)))
        .merge(milepost_ingest::http::router(Arc::clone(intake)))
        .merge(query::http::router(Arc::clone(engine)))
        .merge(exporter::router(Arc::clone(engine), Arc::clone(health)))
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
    Ok((reporter, routes))
}

/// Tells those who ask the health service what `/readyz` tells the others.
async fn report_failure(health: Arc<Health>, reporter: HealthReporter) {
    health.failed().await;
    for service in SERVICES {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
}

async fn serve(
    routes: Routes,
    listener: TcpListener,
    stopped: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(STREAMS)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(PROVOKED_RESETS))
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stopped)
        .await
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
    let message = "no such path: there are /v1/events, /v1/metrics, /metrics, /healthz and /readyz";
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
        let Self { engine, health, writing, mut reporter, stop, mut server, deadline, .. } = self;
        health.set_serving(false);
        engine.closing.send_replace(true);
        for service in SERVICES {
            // Ends the streams of those who watch it.
            reporter.clear_service_status(service).await;
        }
        // An error means that the server has ended already.
        let _ = stop.send(());
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
