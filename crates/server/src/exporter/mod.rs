//! `GET /metrics`: the metrics as of now ([`business`]), and Milepost's own health ([`own`]), in the text
//! format of Prometheus or, for who prefers it, of OpenMetrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

pub mod business;
pub mod exposition;
mod negotiation;
pub mod own;
mod process;

use crate::answers::{self, AskError};
use crate::engine::Engine;
use crate::health::Health;

#[derive(Clone)]
struct Exported {
    engine: Arc<Engine>,
    health: Arc<Health>,
    scrapes: Arc<Semaphore>,
}

/// Scrapes at the same time. They do not wait for questions, however many or long those are.
const SCRAPES: usize = 2;

/// The route.
pub fn router(engine: Arc<Engine>, health: Arc<Health>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(Exported {
        engine,
        health,
        scrapes: Arc::new(Semaphore::new(SCRAPES)),
    })
}

async fn metrics(State(exported): State<Exported>, headers: HeaderMap) -> Result<Response, AskError> {
    let Exported { engine, health, scrapes } = exported;
    let dialect = negotiation::dialect(headers.get_all(header::ACCEPT));
    let text = answers::computing_within(scrapes, engine, move |engine| {
        let now = engine.now();
        let (mut families, events) = {
            let model = engine.model.read();
            let families = business::business(&model, &engine.config, now);
            (families.map_err(|error| AskError::Failed(error.to_string()))?, model.events())
        };
        // A store that cannot be asked is told of by the commits that fail; the rest of the scrape still counts.
        let sizes = engine.reader.lock().sizes().ok();
        families.extend(own::own(&health, &engine.digest, events, sizes));
        families.extend(process::process(health.started_at));
        Ok(exposition::write(&families, dialect))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, dialect.content_type())], text).into_response())
}

#[cfg(test)]
mod tests;
