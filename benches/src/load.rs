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

/// Sends all requests over one connection per 100 in flight, `in_flight` of them at a time. None may be refused.
pub fn publish(server: &Server, requests: &Arc<Vec<Bytes>>, in_flight: usize) -> Sent {
    let runtime = Runtime::new().expect("a runtime");
    let (cpu, began) = (server.cpu(), Instant::now());
    let (stored, duplicate) = runtime.block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        let mut channel = connect(server).await;
        for number in 0..in_flight {
            if number % 100 == 99 {
                channel = connect(server).await;
            }
            senders.spawn(send(channel.clone(), Arc::clone(requests), Arc::clone(&next)));
        }
        let sums = senders.join_all().await;
        sums.into_iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d))
    });
    Sent { stored, duplicate, seconds: began.elapsed().as_secs_f64(), cpu: server.cpu() - cpu }
}

async fn connect(server: &Server) -> Channel {
    let endpoint = Channel::from_shared(server.url.clone()).expect("a URL");
    endpoint.connect().await.expect("the server takes gRPC")
}

async fn send(channel: Channel, requests: Arc<Vec<Bytes>>, next: Arc<AtomicUsize>) -> (usize, usize) {
    let (mut stored, mut duplicate) = (0, 0);
    while let Some(request) = requests.get(next.fetch_add(1, Relaxed)) {
        let response = call(channel.clone(), request.clone()).await.expect("an answer");
        for result in response.results {
            match result.fate {
                Some(Fate::Stored(_)) => stored += 1,
                Some(Fate::Duplicate(_)) => duplicate += 1,
                other => panic!("neither stored nor duplicate: {other:?}"),
            }
        }
    }
    (stored, duplicate)
}

async fn call(channel: Channel, request: Bytes) -> Result<pb::PublishResponse, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/milepost.v1.IngestService/Publish");
    Ok(client.unary(Request::new(request), path, Encoded).await?.into_inner())
}

/// Sends each request at its time, `per_second` of them, whether or not those before it are answered, and gives how long each
/// took from the moment it was due: a server that stalls is not spared the calls it kept from being made.
pub fn publish_at(server: &Server, requests: &[Bytes], per_second: f64) -> Vec<f64> {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let channel = connect(server).await;
        let began = Instant::now();
        let mut calls = JoinSet::new();
        for (number, request) in requests.iter().enumerate() {
            let due = began + Duration::from_secs_f64(number as f64 / per_second);
            tokio::time::sleep_until(due.into()).await;
            let (channel, request) = (channel.clone(), request.clone());
            calls.spawn(async move {
                let response = call(channel, request).await.expect("an answer");
                assert!(response.results.iter().all(|r| matches!(r.fate, Some(Fate::Stored(_)))));
                due.elapsed().as_secs_f64()
            });
        }
        let mut seconds = calls.join_all().await;
        seconds.sort_by(f64::total_cmp);
        seconds
    })
}

/// Requests that are encoded already.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = pb::PublishResponse;
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
    type Item = pb::PublishResponse;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        pb::PublishResponse::decode(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
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
