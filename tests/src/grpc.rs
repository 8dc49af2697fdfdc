//! The generated client, for tests that are not asynchronous themselves.

use milepost_wire::pb;
use milepost_wire::pb::ingest_service_client::IngestServiceClient;
use milepost_wire::pb::metrics_service_client::MetricsServiceClient;
use tokio::runtime::Runtime;
use tonic::Status;
use tonic::transport::Channel;

use crate::Served;

/// A connection to a server.
pub struct Grpc {
    runtime: Runtime,
    channel: Channel,
}

impl Grpc {
    /// Connects.
    pub fn connect(served: &Served) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let endpoint = Channel::from_shared(served.url()).expect("the URL is one");
        let channel = runtime.block_on(endpoint.connect()).expect("the server takes gRPC");
        Self { runtime, channel }
    }

    /// One batch.
    pub fn publish(&self, events: Vec<pb::Event>) -> Result<Vec<pb::EventResult>, Status> {
        let mut client = IngestServiceClient::new(self.channel.clone());
        let response = self.runtime.block_on(client.publish(pb::PublishRequest { events }))?;
        Ok(response.into_inner().results)
    }

    /// Batches on one stream, numbered from 0; all answers.
    pub fn publish_stream(
        &self,
        batches: Vec<Vec<pb::Event>>,
    ) -> Result<Vec<pb::PublishStreamResponse>, Status> {
        let requests: Vec<_> = (0..)
            .zip(batches)
            .map(|(sequence, events)| pb::PublishStreamRequest { sequence, events })
            .collect();
        let mut client = IngestServiceClient::new(self.channel.clone());
        self.runtime.block_on(async {
            let mut responses = client.publish_stream(tokio_stream::iter(requests)).await?.into_inner();
            let mut all = Vec::new();
            while let Some(response) = responses.message().await? {
                all.push(response);
            }
            Ok(all)
        })
    }

    /// Begins a stream, sends one batch, waits for its answer and drops the stream without ending it.
    pub fn cut_stream(&self, events: Vec<pb::Event>) -> Result<pb::PublishStreamResponse, Status> {
        let mut client = IngestServiceClient::new(self.channel.clone());
        self.runtime.block_on(async {
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            let first = pb::PublishStreamRequest { sequence: 1, events };
            sender.send(first).await.map_err(|_| Status::internal("the stream is closed"))?;
            let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
            let mut responses = client.publish_stream(requests).await?.into_inner();
            responses.message().await?.ok_or_else(|| Status::internal("no answer"))
        })
    }

    /// One metric as of one moment.
    pub fn query(&self, request: pb::QueryRequest) -> Result<Vec<pb::Answer>, Status> {
        let mut client = MetricsServiceClient::new(self.channel.clone());
        Ok(self.runtime.block_on(client.query(request))?.into_inner().answers)
    }
}

/// How many of these results are stored, duplicate and refused.
pub fn fates(results: &[pb::EventResult]) -> (usize, usize, usize) {
    use pb::event_result::Fate;
    let count = |wanted: fn(&Fate) -> bool| {
        results.iter().filter_map(|r| r.fate.as_ref()).filter(|f| wanted(f)).count()
    };
    (
        count(|fate| matches!(fate, Fate::Stored(_))),
        count(|fate| matches!(fate, Fate::Duplicate(_))),
        count(|fate| matches!(fate, Fate::Refused(_))),
    )
}
