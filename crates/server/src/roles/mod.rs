//! The parts a process can play: the whole installation, or one role of a cluster.
//!
//! In a cluster an event goes from [`ingest`] through Kafka to [`aggregate`], from there into ClickHouse, and [`query`] reads it
//! there. None of them keeps anything that cannot be read again.

use std::sync::Arc;

use axum::Router;
use tonic::service::Routes;

use crate::config::Settings;
use crate::exporter::Scraped;
use crate::health::Health;
use crate::serve::StartError;

pub mod whole;

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
