//! Databases and logs for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clickhouse::Client;
use milepost_model::{
    Body, Content, Event, EventId, Model, Partition, Position, Positions, Sealed, Timestamp,
};
use milepost_services::shared::{self, Shared};
use milepost_store::clickhouse::{
    Batch, Change, ClickHouse, Counts, Error, Followed, Follower, Loaded, Options, Row, Timeouts,
};
use tokio::runtime::Runtime;
use url::Url;

/// A database of its own on a server that all tests share.
pub(crate) struct Database {
    pub(crate) runtime: Runtime,
    pub(crate) options: Options,
    pub(crate) clickhouse: ClickHouse,
    _server: Arc<Shared>,
}

impl Database {
    /// Without tables.
    pub(crate) fn empty(name: &str) -> Self {
        let server = shared::clickhouse().unwrap();
        let options = Options { database: shared::unique(name), ..of_server(server.address()) };
        Self { runtime: runtime(), clickhouse: ClickHouse::new(&options).unwrap(), options, _server: server }
    }

    pub(crate) fn new(name: &str) -> Self {
        let database = Self::empty(name);
        database.runtime.block_on(database.clickhouse.migrate()).unwrap();
        database
    }

    /// What a statement gives, `TabSeparated`.
    pub(crate) fn sql(&self, statement: &str) -> String {
        self.runtime.block_on(sql(&self.options, statement)).unwrap()
    }

    /// Keeps records, all of them.
    pub(crate) fn keep(&self, log: &Log) {
        self.runtime.block_on(self.clickhouse.insert(&log.batch())).unwrap();
        self.runtime.block_on(self.clickhouse.advance(&log.end(), 0)).unwrap();
    }

    pub(crate) fn load(&self) -> Loaded {
        self.runtime.block_on(self.clickhouse.load(|_, _| {})).unwrap()
    }

    /// All winners, as a reader sees them.
    pub(crate) fn winners(&self) -> BTreeMap<EventId, Event> {
        let mut winners = BTreeMap::new();
        let mut reader = self.clickhouse.reader(self.runtime.handle().clone());
        reader
            .replay(&mut |event| assert_eq!(winners.insert(event.id.clone(), event.clone()), None))
            .unwrap();
        winners
    }

    /// Merges all parts there are.
    pub(crate) fn merge(&self) {
        for table in ["events", "arrivals", "progress", "quarantine"] {
            self.sql(&format!("OPTIMIZE TABLE {}.{table} FINAL", self.options.database));
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {}", self.options.database);
        // It may be one that the test has stopped.
        let _ = self.runtime.block_on(sql(&self.options, &statement));
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Those of a server, whose URL may hold a user and a password.
pub(crate) fn of_server(address: &str) -> Options {
    let mut url = Url::parse(address).unwrap();
    let mut options = Options { timeouts: patient(), ..Options::default() };
    if !url.username().is_empty() {
        url.username().clone_into(&mut options.user);
        url.password().unwrap_or_default().clone_into(&mut options.password);
    }
    url.set_username("").unwrap();
    url.set_password(None).unwrap();
    options.url = url.into();
    options
}

pub(crate) fn patient() -> Timeouts {
    Timeouts { connect: Duration::from_secs(30), statement: Duration::from_secs(120) }
}

pub(crate) async fn sql(options: &Options, statement: &str) -> Result<String, clickhouse::error::Error> {
    let client =
        Client::default().with_url(&options.url).with_user(&options.user).with_password(&options.password);
    let answer = client.query_raw(statement).fetch_bytes("TabSeparated")?.collect().await?;
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

/// Records as they stand in a log with three partitions. Offsets do not begin at 0, and have gaps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(pub(crate) Vec<(Position, Sealed)>);

impl Log {
    pub(crate) fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let mut log = Self::default();
        events.into_iter().enumerate().for_each(|(n, event)| log.push(n as i32 % 3, event));
        log
    }

    pub(crate) fn push(&mut self, number: i32, event: Event) {
        let next = self.end().next(&partition(number)).unwrap_or(7);
        self.0.push((Position { partition: partition(number), offset: next + 1 }, Sealed::new(event)));
    }

    pub(crate) fn batch(&self) -> Batch {
        Self::encoded(&self.0)
    }

    pub(crate) fn encoded(records: &[(Position, Sealed)]) -> Batch {
        let rows: Vec<_> = records
            .iter()
            .map(|(position, sealed)| Row { position, received_at: at(position.offset), sealed })
            .collect();
        Batch::new(&rows, &[])
    }

    /// Behind its last records.
    pub(crate) fn end(&self) -> Positions {
        let mut end = Positions::new();
        self.0.iter().for_each(|(position, _)| end.advance(&position.partition, position.offset + 1));
        end
    }

    /// What is before these positions.
    pub(crate) fn before(&self, positions: &Positions) -> Self {
        Self(self.0.iter().filter(|(position, _)| positions.is_past(position)).cloned().collect())
    }

    /// The largest version of each event.
    pub(crate) fn winners(&self) -> BTreeMap<EventId, Event> {
        let mut winners = BTreeMap::<EventId, Event>::new();
        for (_, Sealed { event, .. }) in &self.0 {
            let winner = winners.entry(event.id.clone()).or_insert_with(|| event.clone());
            if event.version() > winner.version() {
                *winner = event.clone();
            }
        }
        winners
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut versions: Vec<_> =
            self.0.iter().map(|(_, sealed)| (&sealed.event.id, sealed.version())).collect();
        versions.sort();
        versions.dedup();
        let mut revisions: Vec<_> = versions.iter().map(|(id, version)| (id, version.revision)).collect();
        revisions.dedup();
        Counts {
            versions: versions.len() as u64,
            winners: self.winners().len() as u64,
            conflicts: (versions.len() - revisions.len()) as u64,
        }
    }

    /// The Model of its winners.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut model = Model::new();
        self.winners().values().for_each(|event| model.insert(event));
        model.fingerprint()
    }
}

pub(crate) fn partition(number: i32) -> Partition {
    Partition { topic: "log".into(), number }
}

/// So many seconds after the epoch.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).unwrap()
}

/// A use of a capability by a team.
pub(crate) fn used(id: &str, revision: u64, team: &str) -> Event {
    Event {
        id: EventId { source: "ci".to_owned(), id: id.to_owned() },
        revision,
        content: Content {
            actor: None,
            body: Body::CapabilityUsed,
            capability: Some("pipeline".to_owned()),
            occurred_at: at(500),
            service: None,
            team: Some(team.to_owned()),
        },
    }
}

/// As many events as wanted.
pub(crate) fn some(number: usize) -> Vec<Event> {
    (0..number).map(|n| used(&n.to_string(), 0, &format!("team-{}", n % 7))).collect()
}

/// A Model that follows, and a map that does.
pub(crate) struct Replica {
    pub(crate) follower: Follower,
    pub(crate) model: Model,
    pub(crate) winners: BTreeMap<EventId, Event>,
    pub(crate) counts: Counts,
}

impl Replica {
    /// Before there was anything.
    pub(crate) fn new(loaded: Loaded) -> Self {
        let Loaded { model, follower, counts } = loaded;
        assert_eq!(model.events(), 0);
        Self { follower, model, winners: BTreeMap::new(), counts }
    }

    /// Follows once; whether there is more.
    pub(crate) async fn follow(&mut self, limit: usize) -> Result<bool, Error> {
        let followed = self.follower.follow(limit).await?;
        let Followed::Changed { changes, counts, more, .. } = followed else { panic!("{followed:?}") };
        for Change { old, new } in changes {
            if let Some(old) = &old {
                self.model.remove(old);
            }
            self.model.insert(&new);
            assert_eq!(self.winners.insert(new.id.clone(), new), old);
        }
        self.counts += counts;
        Ok(more)
    }
}
