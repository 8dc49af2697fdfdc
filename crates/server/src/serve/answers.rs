//! Answers on their way to a peer, who may read them slowly or never.
//!
//! Law: what is not sent yet is counted, all of it but small pieces, against one room for all peers. An answer that finds
//! none there is not kept: its asker is told to come again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::activity::{Duty, Overdue, UnderWay};

/// Bytes of a piece of an answer that needs no room.
const FREE_BYTES: usize = 16 * 1024;

/// The body of an answer. Its request is under way until all of it is sent.
pub(super) struct Answer {
    body: Body,
    /// What was ready at once, and has its room.
    first: Option<Frame<Bytes>>,
    /// None where there was not even room for the request.
    lender: Option<Lender>,
}

/// What is lent to an answer until it is sent.
pub(super) struct Lender {
    pub(super) room: Arc<Semaphore>,
    /// All of the room: what is larger takes it alone.
    pub(super) most: usize,
    pub(super) overdue: Overdue,
    pub(super) under_way: Arc<UnderWay>,
    pub(super) is_grpc: bool,
}

/// There is no room for an answer.
pub(super) struct NoRoom;

/// A piece that is not sent yet. Whoever sends it drops it then.
struct Unsent {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
    _duty: Duty,
    _under_way: Arc<UnderWay>,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Lender {
    fn lend(&self, bytes: Bytes) -> Result<Bytes, NoRoom> {
        if bytes.is_empty() {
            return Ok(bytes);
        }
        let room = if bytes.len() > FREE_BYTES {
            let size = u32::try_from(bytes.len().min(self.most)).unwrap_or(u32::MAX);
            Some(Arc::clone(&self.room).try_acquire_many_owned(size).map_err(|_| NoRoom)?)
        } else {
            None
        };
        let (duty, under_way) = (self.overdue.to_read(), Arc::clone(&self.under_way));
        Ok(Bytes::from_owner(Unsent { bytes, _room: room, _duty: duty, _under_way: under_way }))
    }

    fn frame(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, NoRoom> {
        match frame.into_data() {
            Ok(bytes) => self.lend(bytes).map(Frame::data),
            Err(other) => Ok(other),
        }
    }
}

impl Answer {
    /// A body of an answer, as much of it as there is at once taken into account; or back, what would lend.
    pub(super) async fn of(response: Response<Body>, lender: Lender) -> Result<Response<Self>, Lender> {
        let (parts, mut body) = response.into_parts();
        let mut first = None;
        if !body.is_end_stream() {
            // An unread answer would lie in memory uncounted while its peer takes nothing.
            let ready =
                std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut body).poll_frame(context))).await;
            match ready {
                Poll::Ready(Some(Ok(frame))) => match lender.frame(frame) {
                    Ok(frame) => first = Some(frame),
                    Err(NoRoom) => return Err(lender),
                },
                Poll::Ready(Some(Err(error))) => body = Body::from_stream(failed(error)),
                Poll::Ready(None) => body = Body::empty(),
                Poll::Pending => {}
            }
        }
        Ok(Response::from_parts(parts, Self { body, first, lender: Some(lender) }))
    }

    /// A short one, which always has room.
    pub(super) fn short(response: Response<Body>, lender: Option<Lender>) -> Response<Self> {
        response.map(|body| Self { body, first: None, lender })
    }
}

fn failed(error: axum::Error) -> impl futures::Stream<Item = Result<Bytes, axum::Error>> {
    futures::stream::iter([Err(error)])
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        let Some(lender) = &self.lender else { return Poll::Ready(Some(Ok(frame))) };
        if let Ok(frame) = lender.frame(frame) {
            return Poll::Ready(Some(Ok(frame)));
        }
        let is_grpc = lender.is_grpc;
        self.body = Body::empty();
        Poll::Ready(Some(if is_grpc {
            Ok(Frame::trailers(no_room_trailers()))
        } else {
            Err(axum::Error::new(std::io::Error::other("too many answers wait to be read")))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        if let Some(first) = self.first.as_ref().and_then(Frame::data_ref) {
            let first = first.len() as u64;
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + first);
            }
            hint.set_lower(hint.lower() + first);
        }
        hint
    }
}

/// What a stream of gRPC ends with where its next message finds no room.
fn no_room_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let status = Status::resource_exhausted("too many answers wait to be read; ask again later");
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", HeaderValue::from_static("8"));
    }
    trailers
}
