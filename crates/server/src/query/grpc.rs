//! Questions over gRPC: the `MetricsService` of metrics.proto.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use milepost_model::{Answer, Timestamp, metrics};
use milepost_wire::pb::metrics_service_server::{MetricsService, MetricsServiceServer};
use milepost_wire::{pb, proto};
use tonic::metadata::AsciiMetadataValue;
use tonic::{Request, Response, Status};

use super::watch;
use crate::answers::{self, Ask, AskError, EventRef, Explained, PageRequest, Unit};
use crate::engine::Engine;
use crate::guard::Scopes;

/// Questions in one watch: each is computed again at every change.
const MAX_WATCHED: usize = 100;

/// Questions are short.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// The service.
pub fn service(engine: Arc<Engine>) -> MetricsServiceServer<Metrics> {
    MetricsServiceServer::new(Metrics { engine })
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        // Answers are as long as their question makes them; ranges and pages are bounded where they are read.
        .max_encoding_message_size(usize::MAX)
}

/// Answers questions from an [`Engine`].
pub struct Metrics {
    engine: Arc<Engine>,
}

impl Metrics {
    async fn answer(&self, ask: Ask) -> Result<Response<pb::QueryResponse>, Status> {
        let encode = |_: &Ask, answers: Vec<Answer>| {
            Ok(answers.into_iter().map(|answer| proto::answer(&answer)).collect())
        };
        let (answers, long) = answers::answering(self.engine.clone(), ask, encode).await?;
        let mut response = self.with_what_is_beside(pb::QueryResponse { answers });
        response.extensions_mut().insert(long);
        Ok(response)
    }

    fn with_what_is_beside<T>(&self, message: T) -> Response<T> {
        let mut response = Response::new(message);
        for (name, value) in super::beside(&self.engine) {
            if let Ok(value) = AsciiMetadataValue::try_from(value) {
                response.metadata_mut().insert(name, value);
            }
        }
        response
    }
}

#[tonic::async_trait]
impl MetricsService for Metrics {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

    async fn list(&self, _: Request<pb::ListRequest>) -> Result<Response<pb::ListResponse>, Status> {
        let metrics = metrics::registry().iter().map(|metric| proto::metric_info(metric.spec())).collect();
        Ok(self.with_what_is_beside(pb::ListResponse { metrics }))
    }

    async fn query(&self, request: Request<pb::QueryRequest>) -> Result<Response<pb::QueryResponse>, Status> {
        let pb::QueryRequest { selector, as_of } = request.into_inner();
        self.answer(moment(selector, &as_of, self.engine.now())?).await
    }

    async fn query_range(
        &self,
        request: Request<pb::QueryRangeRequest>,
    ) -> Result<Response<pb::QueryResponse>, Status> {
        let pb::QueryRangeRequest { selector, from, to, step } = request.into_inner();
        let (metric, selector) = proto::selector(required(selector)?);
        self.answer(Ask::range(&metric, selector, (&from, &to, &step), self.engine.now())?).await
    }

    async fn explain(
        &self,
        request: Request<pb::ExplainRequest>,
    ) -> Result<Response<pb::ExplainResponse>, Status> {
        let scopes = request.extensions().get::<Scopes>().cloned();
        let pb::ExplainRequest { selector, as_of, page_size, page_token } = request.into_inner();
        let ask = moment(selector, &as_of, self.engine.now())?;
        Scopes::may_explain(scopes.as_ref(), ask.metric.spec())?;
        let page = PageRequest { size: page_size, token: page_token };
        let work = move |engine: &Engine| answers::explain(engine, &ask, &page);
        Ok(self.with_what_is_beside(explained(answers::computing(self.engine.clone(), work).await?)))
    }

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let selectors = request.into_inner().selectors;
        if !(1..=MAX_WATCHED).contains(&selectors.len()) {
            let message = format!("selectors: {} given; give 1 to {MAX_WATCHED}", selectors.len());
            return Err(Status::invalid_argument(message));
        }
        let now = self.engine.now();
        let asks = selectors.into_iter().map(|s| moment(Some(s), "", now)).collect::<Result<_, _>>()?;
        let updates = watch::watch(self.engine.clone(), asks).map(|update| {
            let watch::Update { snapshot, answers } = update?;
            Ok(pb::WatchResponse { snapshot, answers: answers.iter().map(proto::answer).collect() })
        });
        Ok(self.with_what_is_beside(Box::pin(updates)))
    }
}

fn moment(selector: Option<pb::Selector>, as_of: &str, now: Timestamp) -> Result<Ask, AskError> {
    let (metric, selector) = proto::selector(required(selector)?);
    Ask::moment(&metric, selector, as_of, now)
}

fn required(selector: Option<pb::Selector>) -> Result<pb::Selector, AskError> {
    selector.ok_or_else(|| AskError::bad("selector", "missing: it names the metric"))
}

fn explained(explained: Explained) -> pb::ExplainResponse {
    pb::ExplainResponse {
        definition: explained.definition.to_owned(),
        answers: explained.answers.iter().map(proto::answer).collect(),
        units: explained.units.into_iter().map(unit).collect(),
        next_page_token: explained.next_page_token,
        total_units: explained.total_units as u64,
    }
}

fn unit(unit: Unit) -> pb::ExplainedUnit {
    pb::ExplainedUnit {
        labels: unit.labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        unit: unit.unit,
        class: unit.class.to_owned(),
        part: unit.part.to_owned(),
        events: unit.events.into_iter().map(event).collect(),
        count: unit.count,
        event_count: unit.event_count as u64,
        dropped_event_count: unit.dropped_event_count as u64,
    }
}

fn event(event: EventRef) -> pb::EventRef {
    pb::EventRef {
        source: event.source,
        id: event.id,
        occurred_at: Some(proto::timestamp(event.occurred_at)),
    }
}

impl From<AskError> for Status {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Unknown(_) => Self::not_found(error.to_string()),
            AskError::Bad { .. } => Self::invalid_argument(error.to_string()),
            AskError::Busy => Self::unavailable(error.to_string()),
            AskError::Forbidden(_) => Self::permission_denied(error.to_string()),
            AskError::Failed(_) => Self::internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
