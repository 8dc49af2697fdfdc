//! A ClickHouse for the tests of this role.

use std::sync::Arc;

use milepost_model::{Event, Partition, Position, Positions, Rejected, Sealed, Timestamp};
use milepost_services::shared::{self, Shared};
use milepost_store::clickhouse::{Batch, ClickHouse, Options, RefusedRow, Row};
use serde_json::Value;

/// When all of it came: noon, 2021-01-10.
pub(super) const NOON: i64 = 1_610_280_000_000_000;

pub(super) fn at_noon() -> Timestamp {
    Timestamp::from_micros(NOON).unwrap()
}

/// A database of its own, with a log of one partition.
pub(super) struct Database {
    pub(super) clickhouse: ClickHouse,
    pub(super) options: Options,
    _server: Arc<Shared>,
    next: i64,
}

impl Database {
    pub(super) async fn new(name: &str) -> Self {
        let server = shared::clickhouse().unwrap();
        let options = Options { database: shared::unique(name), ..of_server(server.address()) };
        let clickhouse = ClickHouse::new(&options).unwrap();
        clickhouse.migrate().await.unwrap();
        Self { clickhouse, options, _server: server, next: 0 }
    }

    /// What an aggregator does.
    pub(super) async fn keep(&mut self, events: impl IntoIterator<Item = Event>) {
        let partition = Partition { topic: "log".into(), number: 0 };
        let sealed: Vec<_> = events
            .into_iter()
            .map(|event| {
                self.next += 1;
                let position = Position { partition: partition.clone(), offset: self.next - 1 };
                (position, Sealed::new(event))
            })
            .collect();
        let rows: Vec<_> = sealed
            .iter()
            .map(|(position, sealed)| Row { position, received_at: at_noon(), sealed })
            .collect();
        self.clickhouse.insert(&Batch::new(&rows, &[])).await.unwrap();
        let progress = Positions::from_iter([(partition, self.next)]);
        self.clickhouse.advance(&progress, 0).await.unwrap();
    }

    /// What an aggregator does with dead letters.
    pub(super) async fn refuse(&self, rejected: &[Rejected]) {
        let partition = Partition { topic: "refused".into(), number: 0 };
        let at: Vec<_> = (0..)
            .map(|offset| Position { partition: partition.clone(), offset })
            .take(rejected.len())
            .collect();
        let rows: Vec<_> = rejected
            .iter()
            .zip(&at)
            .map(|(rejected, position)| RefusedRow { position, origin: None, at: at_noon(), rejected })
            .collect();
        self.clickhouse.insert(&Batch::new(&[], &rows)).await.unwrap();
    }

    /// The lines that a statement gives, as JSON.
    pub(super) fn rows(&self, statement: &str) -> Vec<Value> {
        let statement = statement.replace("{database}", &self.options.database);
        let mut answer = self.post(&format!("{statement} FORMAT JSONEachRow")).unwrap();
        let text = answer.body_mut().with_config().limit(u64::MAX).read_to_string().unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn post(&self, statement: &str) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let Options { url, user, password, .. } = &self.options;
        ureq::post(format!("{url}/?output_format_json_quote_64bit_integers=0"))
            .header("X-ClickHouse-User", user)
            .header("X-ClickHouse-Key", password)
            .send(statement)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.post(&format!("DROP DATABASE {}", self.options.database));
    }
}

/// Those of a server, whose URL may hold a user and a password.
fn of_server(address: &str) -> Options {
    let (scheme, rest) = address.split_once("://").unwrap();
    let (who, host) = rest.rsplit_once('@').unwrap_or(("default", rest));
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    Options {
        url: format!("{scheme}://{host}"),
        user: user.to_owned(),
        password: password.to_owned(),
        ..Options::default()
    }
}
