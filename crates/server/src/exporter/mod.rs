//! `GET /metrics`: the metrics as of now ([`business`]), and Milepost's own health ([`own`]), in the text
//! format of Prometheus or, for who prefers it, of OpenMetrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use milepost_model::Timestamp;
use tokio::sync::Semaphore;

mod budget;
pub mod business;
pub mod exposition;
mod negotiation;
pub mod own;
mod process;

use crate::answers::{self, AskError};
use crate::engine::Engine;
use business::Business;
use exposition::Family;

/// What a scrape is of.
#[derive(Clone)]
pub struct Scraped {
    /// Whose metrics there are. None: nobody's.
    pub engine: Option<Arc<Engine>>,
    /// Milepost's own families.
    pub own: Arc<dyn Fn() -> Vec<Family> + Send + Sync>,
    /// When the process started.
    pub started_at: Timestamp,
    /// Series that one scrape has at most.
    pub series: usize,
}

#[derive(Clone)]
struct Exported {
    scraped: Scraped,
    scrapes: Arc<Semaphore>,
}

/// Scrapes at the same time. They do not wait for questions, however many or long those are.
const SCRAPES: usize = 2;

/// The route.
pub fn router(scraped: Scraped) -> Router {
    let exported = Exported { scraped, scrapes: Arc::new(Semaphore::new(SCRAPES)) };
    Router::new().route("/metrics", get(metrics)).with_state(exported)
}

async fn metrics(State(exported): State<Exported>, headers: HeaderMap) -> Result<Response, AskError> {
    let Exported { scraped, scrapes } = exported;
    let dialect = negotiation::dialect(headers.get_all(header::ACCEPT));
    let text = answers::computing_within(scrapes, move || {
        let Scraped { engine, own, started_at, series } = scraped;
        let business = engine.filter(|engine| engine.is_loaded()).map(|engine| {
            let now = engine.now();
            business::business(&engine.model.read(), &engine.config, now, series)
        });
        let business = business.transpose().map_err(|error| AskError::Failed(error.to_string()))?;
        let Business { mut families, folded } = business.unwrap_or_default();
        families.extend(own());
        families.extend(process::process(started_at));
        families.extend(own::exported(&families, folded, series));
        Ok(exposition::write(&families, dialect))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, dialect.content_type())], text).into_response())
}

#[cfg(test)]
mod tests;
