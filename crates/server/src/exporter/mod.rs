//! `GET /metrics`: the metrics as of now ([`business`]), and Milepost's own health ([`own`]), in the text
//! format of Prometheus or, for who prefers it, of OpenMetrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

mod budget;
pub mod business;
pub mod exposition;
mod negotiation;
pub mod own;
mod process;

use crate::answers::{self, AskError};
use crate::engine::Engine;
use crate::health::Health;
use business::Business;

#[derive(Clone)]
struct Exported {
    engine: Arc<Engine>,
    health: Arc<Health>,
    scrapes: Arc<Semaphore>,
    series: usize,
}

/// Scrapes at the same time. They do not wait for questions, however many or long those are.
const SCRAPES: usize = 2;

/// The route. One scrape has at most so many series.
pub fn router(engine: Arc<Engine>, health: Arc<Health>, series: usize) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(Exported {
        engine,
        health,
        scrapes: Arc::new(Semaphore::new(SCRAPES)),
        series,
    })
}

async fn metrics(State(exported): State<Exported>, headers: HeaderMap) -> Result<Response, AskError> {
    let Exported { engine, health, scrapes, series } = exported;
    let dialect = negotiation::dialect(headers.get_all(header::ACCEPT));
    let text = answers::computing_within(scrapes, engine, move |engine| {
        let now = engine.now();
        let (business, events) = {
            let model = engine.model.read();
            let business = business::business(&model, &engine.config, now, series);
            (business.map_err(|error| AskError::Failed(error.to_string()))?, model.events())
        };
        let Business { mut families, folded } = business;
        // A store that cannot be asked is told of by the commits that fail; the rest of the scrape still counts.
        let (sizes, horizon) = {
            let mut reader = engine.reader.lock();
            (reader.sizes().ok(), reader.horizon().ok().flatten())
        };
        families.extend(own::own(&health, &engine.digest, events, sizes));
        families.extend(own::retention(horizon));
        families.extend(process::process(health.started_at));
        families.extend(own::exported(&families, folded, series));
        Ok(exposition::write(&families, dialect))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, dialect.content_type())], text).into_response())
}

#[cfg(test)]
mod tests;
