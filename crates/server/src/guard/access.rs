//! What a request needs, and whether its token is good for that.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use milepost_ingest::Grant;
use milepost_model::metrics::Spec;
use milepost_wire::pb;
use serde_json::json;
use tonic::Status;

use super::Guard;
use super::tokens::{Scope, Token};
use crate::answers::AskError;
use crate::engine::system_clock;
use crate::health::Health;

/// Metrics whose explanation goes through persons one by one, if only by their pseudonyms.
const ABOUT_PERSONS: [&str; 2] = ["nps", "onboarding_time"];

/// What [`authorize`] needs.
#[derive(Clone)]
pub struct Guarded {
    /// What guards the listener.
    pub guard: Guard,
    /// Where requests that are turned away are counted.
    pub health: Arc<Health>,
}

/// What the token of a request is good for. Absent where nobody guards.
#[derive(Debug, Clone)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Refuses to explain a metric about persons to a token that is not for that.
    pub fn may_explain(scopes: Option<&Self>, spec: &Spec) -> Result<(), AskError> {
        let allowed = scopes.is_none_or(|Self(scopes)| scopes.contains(&Scope::Admin));
        if allowed || !ABOUT_PERSONS.contains(&spec.name) {
            return Ok(());
        }
        Err(AskError::Forbidden(format!(
            "{} is explained person by person: that needs a token with scope admin",
            spec.name
        )))
    }
}

/// What a request needs of its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing, not even a token: probes have none.
    Nothing,
    /// Any token.
    Any,
    Write,
    Read,
    Admin,
}

/// By the path alone, so that nothing of a request is read before it is known who sent it.
fn need(path: &str) -> Need {
    let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if ["/healthz", "/readyz"].contains(&path) || service == "grpc.health.v1.Health" {
        Need::Nothing
    } else if path == "/v1/events" || service == pb::ingest_service_server::SERVICE_NAME {
        Need::Write
    } else if path.starts_with("/v1/quarantine") {
        Need::Admin
    } else if path == "/metrics"
        || path.starts_with("/v1/metrics")
        || service == pb::metrics_service_server::SERVICE_NAME
    {
        Need::Read
    } else {
        Need::Any
    }
}

/// Why a request is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Denied {
    #[error("no token: send `Authorization: Bearer mp_…`; `milepost token create` makes one")]
    None,
    #[error("the Authorization is no Bearer: send `Authorization: Bearer mp_…`")]
    NotBearer,
    #[error("the token is not known here, or is revoked: `milepost token create` makes another")]
    Unknown,
    #[error("the token {name} has expired at {at}: `milepost token create` makes another")]
    Expired { name: String, at: String },
    #[error("the token {name} is not for this: it needs scope {need}")]
    Scope { name: String, need: &'static str },
}

/// Lets a request through if its token is good for it, and tells the doors what the token may write.
pub async fn authorize(State(guarded): State<Guarded>, mut request: Request, next: Next) -> Response {
    let need = need(request.uri().path());
    let Some(tokens) = guarded.guard.tokens().filter(|_| need != Need::Nothing) else {
        return next.run(request).await;
    };
    let allowed = presented(request.headers())
        .and_then(|presented| tokens.find(presented).ok_or(Denied::Unknown))
        .and_then(|token| allow(token, need).map(|()| token));
    match allowed {
        Ok(token) => {
            let sources = &token.sources;
            let grant =
                if sources.is_empty() { Grant::All } else { Grant::Sources(sources.as_slice().into()) };
            request.extensions_mut().insert(grant);
            request.extensions_mut().insert(Scopes(token.scopes.clone()));
            next.run(request).await
        }
        Err(denied) => {
            let is_known = matches!(denied, Denied::Scope { .. });
            guarded.health.denied(is_known);
            answer(&denied, is_known, request.headers())
        }
    }
}

fn presented(headers: &HeaderMap) -> Result<&str, Denied> {
    let value = headers.get(header::AUTHORIZATION).ok_or(Denied::None)?;
    let (scheme, token) =
        value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Denied::NotBearer)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Denied::NotBearer) }
}

fn allow(token: &Token, need: Need) -> Result<(), Denied> {
    let name = || token.name.clone();
    if let Some(at) = token.expires.filter(|_| token.has_expired(system_clock())) {
        return Err(Denied::Expired { name: name(), at: at.to_string() });
    }
    let has = |scope| token.scopes.contains(&scope);
    match need {
        Need::Write if !has(Scope::Write) => Err(Denied::Scope { name: name(), need: "write" }),
        Need::Read if !has(Scope::Read) && !has(Scope::Admin) => {
            Err(Denied::Scope { name: name(), need: "read" })
        }
        Need::Admin if !has(Scope::Admin) => Err(Denied::Scope { name: name(), need: "admin" }),
        _ => Ok(()),
    }
}

/// In the language of whoever asked.
fn answer(denied: &Denied, is_known: bool, headers: &HeaderMap) -> Response {
    let message = denied.to_string();
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if content_type.starts_with(b"application/grpc") {
        let status =
            if is_known { Status::permission_denied(message) } else { Status::unauthenticated(message) };
        return status.into_http();
    }
    let (status, reason) = if is_known {
        (StatusCode::FORBIDDEN, "forbidden")
    } else {
        (StatusCode::UNAUTHORIZED, "unauthenticated")
    };
    let body = json!({"error": {"reason": reason, "field": "Authorization", "message": message}});
    let mut response = (status, axum::Json(body)).into_response();
    if !is_known {
        let challenge = HeaderValue::from_static("Bearer realm=\"milepost\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

#[cfg(test)]
mod tests {
    use milepost_model::metrics;

    use super::*;

    #[test]
    fn what_a_path_needs() {
        for (path, expected) in [
            ("/healthz", Need::Nothing),
            ("/grpc.health.v1.Health/Check", Need::Nothing),
            ("/v1/events", Need::Write),
            ("/milepost.v1.IngestService/Publish", Need::Write),
            ("/milepost.v1.MetricsService/Explain", Need::Read),
            ("/v1/metrics", Need::Read),
            ("/v1/metrics/nps/explain", Need::Read),
            ("/metrics", Need::Read),
            ("/v1/quarantine", Need::Admin),
            ("/v1/quarantine/retry", Need::Admin),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Need::Any),
            ("//healthz", Need::Any),
            ("/nowhere", Need::Any),
        ] {
            assert_eq!(need(path), expected, "{path}");
        }
    }

    #[test]
    fn metrics_about_persons_exist_and_are_explained_to_admins_only() {
        let scopes = |scope| Some(Scopes(vec![scope]));
        for name in ABOUT_PERSONS {
            let spec = metrics::find(name).unwrap().spec();
            assert!(Scopes::may_explain(scopes(Scope::Read).as_ref(), spec).is_err());
            assert!(Scopes::may_explain(scopes(Scope::Admin).as_ref(), spec).is_ok());
            assert!(Scopes::may_explain(None, spec).is_ok());
        }
        let spec = metrics::find("market_share").unwrap().spec();
        assert!(Scopes::may_explain(scopes(Scope::Read).as_ref(), spec).is_ok());
    }
}
