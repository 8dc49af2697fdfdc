//! Questions over HTTP.
//!
//! | path | answer |
//! |---|---|
//! | `GET /v1/metrics` | what can be asked |
//! | `GET /v1/metrics/{name}` | answers; the parameters are those of the command line, `format` is `json` or `csv` |
//! | `GET /v1/metrics/{name}/explain` | who counts and why; also `page_size` and `page_token` |
//!
//! A question that cannot be answered: `{"error":{"reason":…,"field":…,"message":…}}`, as at the door for events. 404
//! `not_found` for an unknown metric, 400 `invalid` for a wrong parameter, 503 `busy` where too many are being answered,
//! 500 `failed` if the question is fine and the answer fails.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{Extensions, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use milepost_model::metrics::{self, Spec};
use serde_json::{Value, json};

use crate::answers::text::{self, Format};
use crate::answers::{self, Ask, AskError, PATIENCE, PageRequest, Parameters};
use crate::engine::Engine;
use crate::guard::Scopes;

type Asked = Result<Query<Parameters>, QueryRejection>;

/// The routes.
pub fn router(engine: Arc<Engine>) -> Router {
    let answering = Arc::clone(&engine);
    let with_what_is_beside = move |mut response: Response| {
        let engine = Arc::clone(&answering);
        async move {
            let beside = super::beside(&engine);
            response.headers_mut().extend(beside.filter_map(|(name, value)| {
                Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
            }));
            response
        }
    };
    Router::new()
        .route("/v1/metrics", get(list))
        .route("/v1/metrics/{name}", get(query))
        .route("/v1/metrics/{name}/explain", get(explain))
        .layer(axum::middleware::map_response(with_what_is_beside))
        .with_state(engine)
}

async fn list() -> Response {
    let specs: Vec<_> = metrics::registry().iter().map(|metric| description(metric.spec())).collect();
    axum::Json(specs).into_response()
}

async fn query(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Response, AskError> {
    let mut parameters = read(asked)?;
    let format = take(&mut parameters, "format").map_or(Ok(Format::default()), |text| format(&text))?;
    let ask = Ask::read(&name, &parameters, engine.now())?;
    let write = move |ask: &Ask, answers: Vec<_>| text::write(format, ask.metric.spec(), &answers);
    let (body, long) = answers::answering(engine, ask, write).await?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], Extension(long), body).into_response())
}

async fn explain(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    extensions: Extensions,
    asked: Asked,
) -> Result<Response, AskError> {
    let mut parameters = read(asked)?;
    let page = PageRequest {
        size: take(&mut parameters, "page_size").map_or(Ok(0), |text| page_size(&text))?,
        token: take(&mut parameters, "page_token").unwrap_or_default(),
    };
    let ask = Ask::read(&name, &parameters, engine.now())?;
    Scopes::may_explain(extensions.get(), ask.metric.spec())?;
    let work = move |engine: &Engine| text::explanation(&answers::explain(engine, &ask, &page)?);
    let body = answers::computing(engine, work).await?;
    Ok(([(header::CONTENT_TYPE, Format::Json.content_type())], body).into_response())
}

fn read(asked: Asked) -> Result<Parameters, AskError> {
    let Query(parameters) = asked.map_err(|error| AskError::bad("query", error.body_text()))?;
    Ok(parameters)
}

/// Takes a parameter out that is not of the question itself.
fn take(parameters: &mut Parameters, name: &str) -> Option<String> {
    let index = parameters.iter().position(|(given, _)| given == name)?;
    Some(parameters.remove(index).1)
}

fn format(text: &str) -> Result<Format, AskError> {
    match text {
        "json" => Ok(Format::Json),
        "csv" => Ok(Format::Csv),
        _ => Err(AskError::bad("format", format!("`{text}` is none of json, csv"))),
    }
}

fn page_size(text: &str) -> Result<u32, AskError> {
    text.parse().map_err(|_| AskError::bad("page_size", format!("`{text}` is not a whole number")))
}

fn description(spec: &Spec) -> Value {
    json!({
        "name": spec.name,
        "kind": spec.kind.as_str(),
        "help": spec.help,
        "definition": spec.definition,
        "parameters": spec
            .parameters
            .iter()
            .map(|p| json!({"name": p.name, "default": p.default, "help": p.help}))
            .collect::<Vec<_>>(),
        "dimensions": spec.dimensions.iter().map(|d| d.as_str()).collect::<Vec<_>>(),
        "counts": spec.counts.iter().map(|(name, help)| json!({"name": name, "help": help})).collect::<Vec<_>>(),
        "needs": spec.needs,
        "exported": spec.exported,
    })
}

impl IntoResponse for AskError {
    fn into_response(self) -> Response {
        let (status, reason) = match self {
            Self::Unknown(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Bad { .. } => (StatusCode::BAD_REQUEST, "invalid"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        };
        let field = self.field().unwrap_or_default();
        let body = json!({"error": {"reason": reason, "field": field, "message": self.message()}});
        let mut response = (status, axum::Json(body)).into_response();
        if self == Self::Busy {
            response.headers_mut().insert(header::RETRY_AFTER, PATIENCE.as_secs().into());
        }
        response
    }
}

#[cfg(test)]
mod tests;
