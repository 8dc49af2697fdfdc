//! Connections, and all that bounds them. docs/limits.md has the table.
//!
//! Laws:
//!
//! 1. **A connection that asks nothing is closed**: soon if it never did, later if it did before. What is under way is
//!    never cut short by that.
//! 2. **A request is answered within a bounded time**, however slowly its body comes, and its answer read within the same.
//!    Only the streams of the contract live longer; each of their batches and answers is bounded so.
//! 3. **Bodies under way take a bounded memory together.** Who finds no room is not read from until there is some, or
//!    until it is the one that may go on without. So do answers that are not read yet; one that finds no room is
//!    dropped, and its asker told to come again.
//! 4. **No peer takes all there is**, as [`super::peers`] counts. Where all connections are taken, the one that has been
//!    silent for longest makes room for the next.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use futures::StreamExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use milepost_ingest::{Room, Share};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tower::ServiceExt as _;

use super::activity::{Activity, Duty, Silent};
use super::answers::{Answer, Lender};
use super::peers::{PeerLimits, Peers, Seat};
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
/// Bytes a peer may send ahead of what is read, on one stream and on all of a connection: memory that no other bound
/// counts. Half of the latter is also what h2 lets frames of less than 256 bytes cost that are not read yet, before it
/// takes their sender for hostile; a stream of batches of one small event each, its window full, stays below.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
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
const FREE_BYTES: usize = 16 * 1024;
/// After an error in accepting, such as no file being left, it is tried again.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// While all connections are taken, another silent one is looked for so often.
const ROOM_AGAIN: Duration = Duration::from_millis(20);
/// A connection that makes room for another has so long to say goodbye.
const QUICK_FAREWELL: Duration = Duration::from_millis(50);

/// What may be configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Connections at the same time. For further ones silent ones are closed; without any they wait.
    pub(crate) connections: usize,
    /// What one address may have of everything.
    pub(crate) peers: PeerLimits,
    /// From the beginning of a connection, TLS included, to the end of the headers of its first request.
    pub(crate) start: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
    /// From the headers of a request to those of its answer.
    pub(crate) request: Duration,
    /// Bytes of all bodies under way.
    pub(crate) bodies: usize,
    /// Bytes of all answers that are not sent yet.
    pub(crate) answers: usize,
}

/// What all connections of a listener have together.
struct Common {
    router: Router,
    limits: ConnectionLimits,
    bodies: Arc<Room>,
    answers: Arc<Semaphore>,
    silent: Silent,
}

/// Serves connections until `closing` becomes true and all of them have ended.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    guard: Guard,
    limits: ConnectionLimits,
    mut closing: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let peers = Peers::new(limits.peers);
    let common = Arc::new(Common {
        router,
        limits,
        bodies: Room::new(limits.bodies),
        answers: Arc::new(Semaphore::new(limits.answers.min(Semaphore::MAX_PERMITS))),
        silent: Silent::default(),
    });
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = closed(&mut closing) => break,
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, seat) = match accepted {
            Ok((stream, address)) => match peers.seat(address.ip()) {
                Some(seat) => (stream, seat),
                // Closed at once: its peer has more than enough.
                None => continue,
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let place = tokio::select! {
            biased;
            () = closed(&mut closing) => break,
            place = place(&places, &common.silent) => place,
        };
        // A matter of speed alone.
        let _ = stream.set_nodelay(true);
        let activity = Activity::new(common.silent.clone());
        let connection = Connection { common: Arc::clone(&common), seat: Arc::new(seat), activity };
        let (acceptor, closing) = (guard.acceptor(), closing.clone());
        open.spawn(async move {
            let _place = place;
            match acceptor {
                None => connection.serve(stream, closing).await,
                Some(config) => {
                    let handshake = timeout(limits.start, TlsAcceptor::from(config).accept(stream));
                    let shaken = tokio::select! {
                        shaken = handshake => shaken,
                        () = connection.activity.gives_way() => return,
                    };
                    if let Ok(Ok(stream)) = shaken {
                        connection.serve(stream, closing).await;
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

/// Waits for a place for a connection, and has silent ones make room as long as there is none.
async fn place(places: &Arc<Semaphore>, silent: &Silent) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    loop {
        silent.end_longest();
        if let Ok(place) = timeout(ROOM_AGAIN, Arc::clone(places).acquire_owned()).await {
            // None were a semaphore that is closed, which nobody does.
            return place.ok();
        }
    }
}

/// One connection.
struct Connection {
    common: Arc<Common>,
    seat: Arc<Seat>,
    activity: Activity,
}

impl Connection {
    async fn serve<S>(self, stream: S, mut closing: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (limits, activity) = (self.common.limits, self.activity.clone());
        let asked = Arc::new(self);
        let service = service_fn(move |request: Request<Incoming>| {
            let asked = Arc::clone(&asked);
            async move { Ok::<_, Infallible>(asked.answer(request).await) }
        });
        let builder = builder(limits);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let farewell = tokio::select! {
            // What a peer does wrong is its own affair.
            _ = connection.as_mut() => return,
            () = activity.overdue().passes(limits.request) => return,
            () = activity.gives_way() => QUICK_FAREWELL,
            () = activity.ceases(limits.start, limits.idle) => FAREWELL,
            () = closed(&mut closing) => Duration::MAX,
        };
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = timeout(farewell, connection.as_mut()) => {}
            () = activity.overdue().passes(limits.request) => {}
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

impl Connection {
    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let is_grpc = is_grpc(&request);
        let Some(ticket) = self.seat.ticket() else {
            return Answer::short(busy(is_grpc), None);
        };
        let under_way = Arc::new(self.activity.begin(ticket));
        let lender = Lender {
            room: Arc::clone(&self.common.answers),
            most: self.common.limits.answers,
            overdue: self.activity.overdue().clone(),
            under_way: Arc::clone(&under_way),
            is_grpc,
        };
        let response = self.ask(request, is_grpc).await;
        match Answer::of(response, lender).await {
            Ok(answer) => answer,
            Err(lender) => Answer::short(busy(is_grpc), Some(lender)),
        }
    }

    async fn ask(&self, request: Request<Incoming>, is_grpc: bool) -> Response<Body> {
        let is_stream = request.uri().path().ends_with("/PublishStream");
        let share = Share::new(Arc::clone(&self.common.bodies), FREE_BYTES);
        let duty = is_stream.then(|| self.activity.overdue().to_finish(share.clone()));
        let mut request = request.map(|body| metered(Body::new(body), share.clone(), duty));
        if is_stream {
            // Its door gives back what each batch has taken: a stream is answered before it has ended.
            request.extensions_mut().insert(share.clone());
        }
        let most = self.common.limits.request;
        let response = timeout(most, self.common.router.clone().oneshot(request)).await;
        // The room of the body is given back only here: until now it may have been kept.
        drop(share);
        match response {
            Ok(Ok(response)) => response,
            Err(_) => too_slow(is_grpc, most),
        }
    }
}

/// A body that is read no faster than there is room for what has been read.
///
/// A stream has a duty beside it: each of its batches has to come to its end.
fn metered(body: Body, share: Share, duty: Option<Duty>) -> Body {
    Body::from_stream(body.into_data_stream().then(move |chunk| {
        let _for_as_long = &duty;
        let share = share.clone();
        async move {
            share.take(chunk.as_ref().map_or(0, Bytes::len)).await;
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

/// What is told to who asks for more at once than there is room for.
fn busy(is_grpc: bool) -> Response<Body> {
    const AGAIN: (HeaderName, HeaderValue) = (header::RETRY_AFTER, HeaderValue::from_static("1"));
    let message = "too much is under way; come again later";
    if is_grpc {
        let mut response = Status::resource_exhausted(message).into_http();
        response.headers_mut().extend([AGAIN]);
        return response;
    }
    let body = serde_json::json!({"error": {"reason": "busy", "field": "", "message": message}});
    (StatusCode::SERVICE_UNAVAILABLE, [AGAIN], axum::Json(body)).into_response()
}
