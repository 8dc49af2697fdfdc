//! The parts a process can play: the whole installation, or one role of a cluster.
//!
//! In a cluster an event goes from [`ingest`] through Kafka to [`aggregate`], from there into ClickHouse, and [`query`] reads it
//! there. None of them keeps anything that cannot be read again.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use milepost_log::{Report, Status};
use milepost_model::Partition;
use tokio::sync::mpsc;
use tonic::service::Routes;

use crate::config::Settings;
use crate::exporter::exposition::{Family, Number};
use crate::exporter::{Scraped, own};
use crate::health::Health;
use crate::serve::StartError;

pub mod aggregate;
pub mod ingest;
pub mod query;
mod topics;
pub mod whole;

pub use aggregate::Aggregate;
pub use ingest::Ingest;
pub use query::Query;
pub use whole::Whole;

/// A part that a process can play. [`crate::serve`] puts it behind a listener.
pub trait Part: Sized + Send + 'static {
    /// The gRPC services it has, by the names the health service calls them.
    const SERVICES: &'static [&'static str];
    /// Its paths, as whoever asks for another one is told: each with a comma behind it.
    const PATHS: &'static str;

    /// Opens what it holds.
    fn open(settings: Settings) -> impl Future<Output = Result<Self, StartError>> + Send;

    /// Its own numbers, and whether it can be asked.
    fn health(&self) -> Arc<Health>;

    /// What a scrape of it gives.
    fn scraped(&self) -> Scraped;

    /// What it answers over HTTP.
    fn http(&self) -> Router;

    /// With its gRPC services.
    fn grpc(&self, routes: Routes) -> Routes {
        routes
    }

    /// Ends streams that have no end of their own.
    fn end_streams(&self) {}

    /// Waits until it cannot go on. Why.
    fn failed(&mut self) -> impl Future<Output = String> + Send {
        std::future::pending()
    }

    /// Keeps all that was taken, and gives up what it holds. Nobody asks for anything any more.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// What it was told by a task of its own that has failed.
async fn told(failed: &mut mpsc::Receiver<String>) -> String {
    match failed.recv().await {
        Some(why) => why,
        // They have all ended well, and will not fail any more.
        None => std::future::pending().await,
    }
}

/// How far a consumer has come, in families that begin with this name.
fn lag(status: &Status, (name, lag, lost): (&str, &str, &str)) -> [Family; 2] {
    let records =
        status.lag().into_iter().fold(Family::gauge(format!("{name}_lag_records"), lag), |family, lag| {
            let Partition { topic, number } = lag.partition;
            let labels = vec![("topic", topic.to_string()), ("partition", number.to_string())];
            family.with(labels, Number::Count(lag.records.max(0).unsigned_abs()))
        });
    [records, own::counter(&format!("{name}_lost_records"), lost, status.lost())]
}

/// Says what was done to the topics.
fn told_of_topics(report: &Report) {
    for topic in &report.made {
        tracing::info!(topic, "made in Kafka");
    }
    for note in &report.notes {
        tracing::warn!(note, "Kafka's topics");
    }
}

/// Pauses between tries, each twice as long as the one before, up to some seconds.
struct Patience(Duration);

fn patience() -> Patience {
    Patience(Duration::from_millis(100))
}

impl Patience {
    async fn pause(&mut self) {
        const LONGEST: Duration = Duration::from_secs(5);
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST);
    }
}
