//! Connections, and all that bounds them. docs/limits.md has the table.
//!
//! Laws:
//!
//! 1. **A connection that asks nothing is closed**: soon if it never did, later if it did before. What is under way is
//!    never cut short by that.
//! 2. **A request is answered within a bounded time**, however slowly its body comes. Only the streams of the contract
//!    live longer.
//! 3. **Bodies under way take a bounded memory together.** Who finds no room is not read from until there is some.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use futures::StreamExt as _;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tower::ServiceExt as _;

use crate::guard::Guard;

/// Streams of one HTTP/2 connection.
const STREAMS: u32 = 200;
/// Streams that a peer opened and reset, and that are still in the books.
const PENDING_RESETS: usize = 20;
/// Resets a peer may provoke before it is disconnected.
const PROVOKED_RESETS: usize = 1_024;
/// Bytes of the headers of a request.
const HEADER_BYTES: u32 = 16 * 1024;
/// Headers of an HTTP/1 request.
const HEADERS: usize = 100;
/// Bytes of an HTTP/1 connection that wait to be read. Headers must fit.
const HTTP1_BUFFER: usize = 64 * 1024;
/// Bytes a peer may send ahead of what is read, on one stream and on all of a connection. The latter is also what h2 allows
/// small frames by: it takes a peer that sends more of them than half of it pays for as hostile, and a stream of small
/// batches is none.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// Bytes of one frame.
const FRAME_BYTES: u32 = 16 * 1024;
/// Bytes of the answers of one stream that wait to be sent.
const SEND_BUFFER: usize = 256 * 1024;
/// After this silence a connection is asked whether it is still there, and has so long to say so.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(20);
/// A peer that is told that its connection ends has so long to agree.
const FAREWELL: Duration = Duration::from_secs(5);
/// Bytes of each body that need no room: who sends a few events is not kept waiting by who sends many.
const FREE_BYTES: usize = 64 * 1024;
/// After an error in accepting, such as no file being left, it is tried again.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What may be configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Connections at the same time; further ones wait in the queue of the operating system.
    pub(crate) connections: usize,
    /// From the beginning of a connection, TLS included, to the end of the headers of its first request.
    pub(crate) start: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
    /// From the headers of a request to those of its answer.
    pub(crate) request: Duration,
    /// Bytes of all bodies under way.
    pub(crate) bodies: usize,
}

/// Serves connections until `closing` becomes true and all of them have ended.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    guard: Guard,
    limits: ConnectionLimits,
    mut closing: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let bodies = Arc::new(Semaphore::new(limits.bodies.min(Semaphore::MAX_PERMITS)));
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = closed(&mut closing) => break,
            Some(_) = open.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let peer =
            Peer { router: router.clone(), bodies: Arc::clone(&bodies), limits, activity: Activity::new() };
        let (acceptor, closing) = (guard.acceptor(), closing.clone());
        open.spawn(async move {
            let _permit = permit;
            match acceptor {
                None => peer.serve(stream, closing).await,
                Some(config) => {
                    let handshake = TlsAcceptor::from(config).accept(stream);
                    if let Ok(Ok(stream)) = timeout(limits.start, handshake).await {
                        peer.serve(stream, closing).await;
                    }
                }
            }
        });
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could say so, or who is served.
    let _ = closing.wait_for(|closing| *closing).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // A matter of speed alone.
    let _ = stream.set_nodelay(true);
    Ok((stream, permit))
}

/// One connection.
struct Peer {
    router: Router,
    bodies: Arc<Semaphore>,
    limits: ConnectionLimits,
    activity: Activity,
}

impl Peer {
    async fn serve<S>(self, stream: S, mut closing: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { router, bodies, limits, activity } = self;
        let busy = activity.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let under_way = busy.begin();
            let (router, bodies) = (router.clone(), Arc::clone(&bodies));
            async move {
                let response = answer(router, request, bodies, limits.request).await;
                Ok::<_, Infallible>(response.map(|body| Held { body, _under_way: under_way }))
            }
        });
        let builder = builder(limits);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            // What a peer does wrong is its own affair.
            _ = connection.as_mut() => return,
            () = activity.ceases(limits.start, limits.idle) => {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(FAREWELL, connection).await;
                return;
            }
            () = closed(&mut closing) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection.as_mut() => {}
            () = activity.ceases(FAREWELL, FAREWELL) => {}
        }
    }
}

/// Every limit is said explicitly: where nothing is said, libraries differ.
fn builder(limits: ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.start.max(limits.idle))
        .max_headers(HEADERS)
        .max_buf_size(HTTP1_BUFFER)
        .keep_alive(true)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(PROVOKED_RESETS)
        .max_header_list_size(HEADER_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_send_buf_size(SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_ANSWER);
    builder
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    bodies: Arc<Semaphore>,
    most: Duration,
) -> Response<Body> {
    let is_grpc = is_grpc(&request);
    // Its batches come one after the other and are counted where they wait.
    let is_stream = request.uri().path().ends_with("/PublishStream");
    let taken = Room::default();
    let request = request.map(|body| {
        let body = Body::new(body);
        if is_stream { body } else { metered(body, bodies, Room::clone(&taken)) }
    });
    let response = timeout(most, router.oneshot(request)).await;
    // The room of the body is given back only here: until now it may have been kept.
    drop(taken);
    match response {
        Ok(Ok(response)) => response,
        Err(_) => too_slow(is_grpc, most),
    }
}

/// What one body takes of the room of all.
type Room = Arc<Mutex<Taken>>;

#[derive(Default)]
struct Taken {
    read: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Taken {
    /// Counts bytes that have come. How many of them need room.
    fn read(&mut self, bytes: usize) -> usize {
        let before = self.read.saturating_sub(FREE_BYTES);
        self.read += bytes;
        self.read.saturating_sub(FREE_BYTES) - before
    }

    fn take(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(all) => all.merge(permit),
            none => *none = Some(permit),
        }
    }
}

/// A body that is read no faster than there is room for what has been read.
fn metered(body: Body, room: Arc<Semaphore>, taken: Room) -> Body {
    Body::from_stream(body.into_data_stream().then(move |chunk| {
        let (room, taken) = (Arc::clone(&room), Room::clone(&taken));
        async move {
            let bytes = taken.lock().read(chunk.as_ref().map_or(0, Bytes::len));
            if bytes > 0
                && let Ok(permit) = room.acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).await
            {
                taken.lock().take(permit);
            }
            chunk
        }
    }))
}

fn is_grpc<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    content_type.starts_with(b"application/grpc")
}

/// In the language of whoever asked.
fn too_slow(is_grpc: bool, most: Duration) -> Response<Body> {
    let message = format!(
        "the request took longer than {} s (limits.request); send fewer events at a time",
        most.as_secs()
    );
    if is_grpc {
        return Status::deadline_exceeded(message).into_http();
    }
    let body = serde_json::json!({"error": {"reason": "timeout", "field": "", "message": message}});
    let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
    (StatusCode::REQUEST_TIMEOUT, close, axum::Json(body)).into_response()
}

/// Whether a connection has requests under way, and whether it ever had any.
#[derive(Clone)]
struct Activity(Arc<watch::Sender<(usize, bool)>>);

impl Activity {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new((0, false))))
    }

    /// A request begins; it ends when what this returns is dropped.
    fn begin(&self) -> UnderWay {
        self.0.send_modify(|(under_way, ever)| (*under_way, *ever) = (*under_way + 1, true));
        UnderWay(self.clone())
    }

    /// Waits until nothing has been under way for `start`, or for `idle` if something was before.
    async fn ceases(&self, start: Duration, idle: Duration) {
        let mut state = self.0.subscribe();
        loop {
            let (under_way, ever) = *state.borrow_and_update();
            let patience = match (under_way, ever) {
                (0, false) => start,
                (0, true) => idle,
                _ => Duration::MAX,
            };
            if timeout(patience, state.changed()).await.is_err() {
                return;
            }
        }
    }
}

struct UnderWay(Activity);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.send_modify(|(under_way, _)| *under_way -= 1);
    }
}

/// The body of an answer: its request is under way until all of it is sent.
struct Held {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
