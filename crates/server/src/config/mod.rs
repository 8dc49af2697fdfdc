//! Settings: one TOML file, under `MILEPOST_*` variables, under flags.
//!
//! The part that numbers depend on is [`milepost_model::Config`], whose keys stand at the top level of the file beside
//! the operational ones. Unknown keys are refused: a mistyped one would otherwise change numbers in silence.

mod cluster;
mod layer;
pub(crate) mod log;
mod mistake;
mod person_key;
mod sense;
mod source;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use milepost_ingest::DoorLimits;
use milepost_model::config::slo::Slo;
use milepost_model::config::{CapabilityConfig, Windows};
use milepost_model::{Config, Limits, Span};
use serde::{Deserialize, Serialize};

use crate::guard::{AuthSettings, MetricsSettings, TlsSettings};
use crate::keeper::{KeeperLimits, NameLimits};
use crate::serve::{ConnectionLimits, PeerLimits};

pub use cluster::{AggregateSettings, ClickHouseSettings, KafkaSettings, Password, QuerySettings, Role};
pub use mistake::Mistake;
pub use person_key::{KeyError, PersonKeys};
pub use source::{ConfigError, Flags, check, load, process_variables, read};

/// Everything that can be configured, with its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The part this process plays.
    pub role: Role,
    /// The address to listen at.
    pub listen: String,
    /// The data directory.
    pub data: PathBuf,
    /// What is taken at most.
    pub limits: LimitSettings,
    /// How persons are made pseudonyms.
    pub privacy: Privacy,
    /// How long contents of events are kept.
    pub retention: RetentionSettings,
    /// Tokens.
    pub auth: AuthSettings,
    /// TLS.
    pub tls: TlsSettings,
    /// The listener of `/metrics`.
    pub metrics: MetricsSettings,
    /// Kafka.
    pub kafka: KafkaSettings,
    /// ClickHouse.
    pub clickhouse: ClickHouseSettings,
    /// From Kafka to ClickHouse.
    pub aggregate: AggregateSettings,
    /// From ClickHouse to numbers.
    pub query: QuerySettings,
    /// See [`Config::capabilities`]; so for the following.
    pub capabilities: BTreeMap<String, CapabilityConfig>,
    #[allow(missing_docs)]
    pub production: Vec<String>,
    #[allow(missing_docs)]
    pub min_group: u32,
    #[allow(missing_docs)]
    pub timeout: Span,
    #[allow(missing_docs)]
    pub incident_gap: Span,
    #[allow(missing_docs)]
    pub slo: BTreeMap<String, Slo>,
    #[allow(missing_docs)]
    pub windows: Windows,
}

/// What is taken at most, and how much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Events of one batch.
    pub batch_events: usize,
    /// Bytes of one request, also once decompressed.
    pub body_bytes: usize,
    /// Bytes of one event as it is sent; where it is not said, no more than of a request.
    pub event_bytes: usize,
    /// Bytes of a source or an id.
    pub identity_bytes: usize,
    /// Bytes of any other text.
    pub name_bytes: usize,
    /// Changes of one deploy.
    pub changes: usize,
    /// How far in the future an event may be dated.
    pub future: Span,
    /// Batches of one gRPC stream that may wait for their answer.
    pub stream_batches: usize,
    /// Events that may wait to be committed.
    pub queue_events: u32,
    /// How long a batch waits for room in the queue before it is handed back.
    pub queue_wait: Span,
    /// A commit takes no further batch once it has so many events.
    pub commit_events: usize,
    /// Refused events the quarantine keeps; the oldest are dropped.
    pub quarantine_events: u32,
    /// Bytes of them; the oldest are dropped.
    pub quarantine_bytes: u64,
    /// How long it keeps them. Absent: until there are too many.
    pub quarantine_age: Option<Span>,
    /// Names of teams there may be.
    pub teams: usize,
    /// Names of services there may be.
    pub services: usize,
    /// Names of capabilities there may be.
    pub capabilities: usize,
    /// Series that a scrape of `/metrics` has at most.
    pub series: usize,
    /// Connections at the same time.
    pub connections: usize,
    /// The same from one address; this machine's own is not counted.
    pub connections_per_peer: usize,
    /// Requests under way at the same time.
    pub requests: usize,
    /// The same from one address; this machine's own is not counted.
    pub requests_per_peer: usize,
    /// From the beginning of a connection to its first request.
    pub connection_start: Span,
    /// Between the requests of a connection.
    pub connection_idle: Span,
    /// From the headers of a request to those of its answer.
    pub request: Span,
    /// Bytes of all bodies under way together.
    pub bodies_bytes: usize,
    /// Bytes of all large requests that are being prepared or wait to be kept, once decompressed.
    pub decoded_bytes: usize,
    /// Bytes of all answers that are not sent yet.
    pub answers_bytes: usize,
    /// How long requests under way may take to finish when the process is asked to end.
    pub shutdown: Span,
}

/// How persons are made pseudonyms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Privacy {
    /// The key, as 64 hex digits; after a rotation all of them, with commas between. Absent: those in the data directory, the
    /// first of which is made at the first start.
    pub key: Option<PersonKeys>,
}

/// How long contents of events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// Whole days before the present one, in UTC. Absent: for ever.
    pub days: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        let Config { capabilities, production, min_group, timeout, incident_gap, slo, windows } =
            Config::default();
        Self {
            role: Role::default(),
            listen: "127.0.0.1:7171".into(),
            data: "milepost-data".into(),
            limits: LimitSettings::default(),
            privacy: Privacy::default(),
            retention: RetentionSettings::default(),
            auth: AuthSettings::default(),
            tls: TlsSettings::default(),
            metrics: MetricsSettings::default(),
            kafka: KafkaSettings::default(),
            clickhouse: ClickHouseSettings::default(),
            aggregate: AggregateSettings::default(),
            query: QuerySettings::default(),
            capabilities,
            production,
            min_group,
            timeout,
            incident_gap,
            slo,
            windows,
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        let doors = DoorLimits::default();
        let keeper = KeeperLimits::default();
        Self {
            batch_events: doors.batch_events,
            body_bytes: doors.body_bytes,
            event_bytes: doors.event_bytes,
            identity_bytes: doors.event.identity_bytes,
            name_bytes: doors.event.name_bytes,
            changes: doors.event.changes,
            future: doors.event.future,
            stream_batches: doors.stream_batches,
            queue_events: keeper.queue_events,
            queue_wait: Span::from_seconds(keeper.queue_wait.as_secs()),
            commit_events: keeper.commit_events,
            quarantine_events: milepost_store::sqlite::Options::default().quarantine_rows,
            quarantine_bytes: milepost_store::sqlite::Options::default().quarantine_bytes,
            quarantine_age: None,
            teams: keeper.names.teams,
            services: keeper.names.services,
            capabilities: keeper.names.capabilities,
            series: 10_000,
            connections: 1_024,
            connections_per_peer: 128,
            requests: 2_048,
            requests_per_peer: 512,
            connection_start: Span::from_seconds(10),
            connection_idle: Span::from_seconds(120),
            request: Span::from_seconds(60),
            bodies_bytes: 48 * 1024 * 1024,
            decoded_bytes: doors.decoded_bytes,
            answers_bytes: 32 * 1024 * 1024,
            shutdown: Span::from_seconds(10),
        }
    }
}

impl Settings {
    /// The part that numbers depend on.
    pub fn metrics(&self) -> Config {
        Config {
            capabilities: self.capabilities.clone(),
            production: self.production.clone(),
            min_group: self.min_group,
            timeout: self.timeout,
            incident_gap: self.incident_gap,
            slo: self.slo.clone(),
            windows: self.windows.clone(),
        }
    }
}

impl LimitSettings {
    /// Those of the doors.
    pub fn doors(&self) -> DoorLimits {
        DoorLimits {
            event: Limits {
                identity_bytes: self.identity_bytes,
                name_bytes: self.name_bytes,
                changes: self.changes,
                future: self.future,
                past: None,
            },
            event_bytes: self.event_bytes,
            batch_events: self.batch_events,
            body_bytes: self.body_bytes,
            stream_batches: self.stream_batches,
            decoded_bytes: self.decoded_bytes,
        }
    }

    /// Those of connections.
    pub(crate) fn connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            connections: self.connections,
            peers: PeerLimits {
                connections: self.connections_per_peer,
                requests: self.requests,
                requests_each: self.requests_per_peer,
            },
            start: Duration::from_secs(self.connection_start.seconds()),
            idle: Duration::from_secs(self.connection_idle.seconds()),
            request: Duration::from_secs(self.request.seconds()),
            bodies: self.bodies_bytes,
            answers: self.answers_bytes,
        }
    }

    /// Those of the keeper.
    pub fn keeper(&self) -> KeeperLimits {
        KeeperLimits {
            queue_events: self.queue_events,
            queue_wait: Duration::from_secs(self.queue_wait.seconds()),
            commit_events: self.commit_events,
            names: NameLimits { teams: self.teams, services: self.services, capabilities: self.capabilities },
            ..KeeperLimits::default()
        }
    }
}

#[cfg(test)]
mod tests;
