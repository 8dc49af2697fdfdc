//! Sending encoded requests over gRPC, as many at a time as wanted, and a handler that does nothing with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BufMut as _, Bytes};
use milepost_wire::pb;
use milepost_wire::pb::event_result::Fate;
use milepost_wire::pb::ingest_service_server::{IngestService, IngestServiceServer};
use prost::Message as _;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::server::Server;

/// How a load went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sent {
    /// Events that were new.
    pub stored: usize,
    /// Events that were known.
    pub duplicate: usize,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// CPU seconds of the server between.
    pub cpu: f64,
}

impl Sent {
    /// Events answered for.
    pub fn events(&self) -> f64 {
        (self.stored + self.duplicate) as f64
    }

    /// CPU seconds of the server for a million events.
    pub fn cpu_per_million(&self) -> f64 {
        self.cpu / self.events() * 1e6
    }

    /// Events a second.
    pub fn rate(&self) -> f64 {
        self.events() / self.seconds
    }
}

/// Where events are sent.
const PUBLISH: &str = "/milepost.v1.IngestService/Publish";

/// Sends all requests over one connection per 100 in flight, `in_flight` of them at a time. None may be refused.
pub fn publish(server: &Server, requests: &Arc<Vec<Bytes>>, in_flight: usize) -> Sent {
    let cpu = server.cpu();
    let fates = |answer| {
        let results = published(answer).results;
        let is_new = |result: &&pb::EventResult| match &result.fate {
            Some(Fate::Stored(_)) => true,
            Some(Fate::Duplicate(_)) => false,
            other => panic!("neither stored nor duplicate: {other:?}"),
        };
        let stored = results.iter().filter(is_new).count();
        (stored, results.len() - stored)
    };
    let (answers, seconds) = send_all(server, PUBLISH, requests, in_flight, fates);
    let (stored, duplicate) = answers.into_iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    Sent { stored, duplicate, seconds, cpu: server.cpu() - cpu }
}

/// Sends all requests to a method, and gives what `read` makes of the answers, in no order, and how many seconds it took.
pub fn send_all<T: Send + 'static>(
    server: &Server,
    method: &'static str,
    requests: &Arc<Vec<Bytes>>,
    in_flight: usize,
    read: impl Fn(Bytes) -> T + Clone + Send + Sync + 'static,
) -> (Vec<T>, f64) {
    let runtime = Runtime::new().expect("a runtime");
    let began = Instant::now();
    let answers = runtime.block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        let mut channel = connect(server).await;
        for number in 0..in_flight {
            if number % 100 == 99 {
                channel = connect(server).await;
            }
            let (channel, requests, next) = (channel.clone(), Arc::clone(requests), Arc::clone(&next));
            let read = read.clone();
            senders.spawn(async move {
                let mut answers = Vec::new();
                while let Some(request) = requests.get(next.fetch_add(1, Relaxed)) {
                    answers.push(read(call(channel.clone(), method, request.clone()).await));
                }
                answers
            });
        }
        senders.join_all().await.into_iter().flatten().collect()
    });
    (answers, began.elapsed().as_secs_f64())
}

async fn connect(server: &Server) -> Channel {
    let endpoint = Channel::from_shared(server.url.clone()).expect("a URL");
    endpoint.connect().await.expect("the server takes gRPC")
}

/// The answer, which must be one.
async fn call(channel: Channel, method: &'static str, request: Bytes) -> Bytes {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("a connection");
    let path = PathAndQuery::from_static(method);
    client.unary(Request::new(request), path, Encoded).await.expect("an answer").into_inner()
}

fn published(answer: Bytes) -> pb::PublishResponse {
    pb::PublishResponse::decode(answer).expect("an answer to events")
}

/// Sends each request at its time, `per_second` of them, whether or not those before it are answered, and gives how long each
/// took from the moment it was due: a server that stalls is not spared the calls it kept from being made.
pub fn publish_at(server: &Server, requests: &[Bytes], per_second: f64) -> Vec<f64> {
    publish_until(server, requests, per_second, &watch::Sender::new(false).subscribe())
}

/// The same, until it is told to stop, if that is sooner.
pub fn publish_until(
    server: &Server,
    requests: &[Bytes],
    per_second: f64,
    stopped: &watch::Receiver<bool>,
) -> Vec<f64> {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let channel = connect(server).await;
        let began = Instant::now();
        let mut calls = JoinSet::new();
        for (number, request) in requests.iter().enumerate() {
            let due = began + Duration::from_secs_f64(number as f64 / per_second);
            tokio::time::sleep_until(due.into()).await;
            if *stopped.borrow() {
                break;
            }
            let (channel, request) = (channel.clone(), request.clone());
            calls.spawn(async move {
                let response = published(call(channel, PUBLISH, request).await);
                assert!(response.results.iter().all(|r| matches!(r.fate, Some(Fate::Stored(_)))));
                due.elapsed().as_secs_f64()
            });
        }
        let mut seconds = calls.join_all().await;
        seconds.sort_by(f64::total_cmp);
        seconds
    })
}

/// Requests that are encoded already, and answers that still are.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// The floor of gRPC itself: a tonic server whose handler says `stored` to everything. Does not return.
pub fn serve_empty_handler() -> ! {
    let runtime = Runtime::new().expect("a runtime");
    runtime
        .block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            eprintln!("listens at http://{} ", listener.local_addr().expect("an address"));
            let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
            let service = IngestServiceServer::new(Empty);
            tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await
        })
        .expect("it serves until it is killed");
    std::process::exit(0)
}

struct Empty;

#[tonic::async_trait]
impl IngestService for Empty {
    async fn publish(
        &self,
        request: Request<pb::PublishRequest>,
    ) -> Result<Response<pb::PublishResponse>, Status> {
        let stored = || pb::EventResult { fate: Some(Fate::Stored(pb::Stored::default())) };
        let results = request.into_inner().events.iter().map(|_| stored()).collect();
        Ok(Response::new(pb::PublishResponse { results }))
    }

    type PublishStreamStream = tonic::Streaming<pb::PublishStreamResponse>;

    async fn publish_stream(
        &self,
        _: Request<tonic::Streaming<pb::PublishStreamRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        Err(Status::unimplemented("nobody measures it"))
    }
}
