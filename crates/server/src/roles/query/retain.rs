//! Has contents of events dropped that are older than the configuration keeps.
//!
//! Once a day what they say is kept as facts, so that no number changes, and a while later ClickHouse is asked to drop them: see
//! [`milepost_store::clickhouse`]. Every replica loads again in between, and answers from what it has until that is done.

use std::sync::Arc;
use std::time::Duration;

use milepost_model::Timestamp;
use milepost_store::clickhouse::{ClickHouse, Dropping, Error};

use crate::engine::Engine;

/// How often it is looked whether there is anything to do.
const LOOK: Duration = Duration::from_secs(60);

/// How old facts are when contents are dropped: whoever was reading those knows by then, and one of two that did the same has given way.
const AGE: Duration = Duration::from_secs(600);

/// The one who does.
pub(super) struct Retain {
    clickhouse: ClickHouse,
    engine: Arc<Engine>,
    days: u32,
    age: Duration,
    /// The horizon before which all that was there is kept as facts.
    frozen: Option<Timestamp>,
    /// Whether contents of it are dropped.
    dropped: bool,
}

impl Retain {
    pub(super) fn new(clickhouse: ClickHouse, engine: Arc<Engine>, days: u32) -> Self {
        Self { clickhouse, engine, days, age: AGE, frozen: None, dropped: false }
    }

    /// Once the Model is loaded, and then now and then.
    pub(super) async fn for_ever(mut self) {
        let mut changed = self.engine.changed.subscribe();
        // An error means that nobody follows any more.
        while !self.engine.is_loaded() && changed.changed().await.is_ok() {}
        loop {
            if let Err(error) = self.pass().await {
                tracing::warn!(%error, "retention is cut off, and goes on in a minute");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn pass(&mut self) -> Result<(), Error> {
        let horizon = self.engine.now().days_before(self.days);
        if self.frozen.is_none_or(|frozen| frozen < horizon) {
            if let Some(freeze) = self.clickhouse.freeze(horizon).await? {
                tracing::info!(%horizon, events = freeze.events, "retention: events are kept as facts");
            }
            (self.frozen, self.dropped) = (Some(horizon), false);
        }
        if !self.dropped {
            self.dropped = self.clickhouse.drop_contents(self.age).await? == Dropping::Done;
            if self.dropped {
                tracing::info!(%horizon, "retention: all is dropped");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use milepost_model::{Config, Event};
    use serde_json::Value;

    use super::super::testing::{Database, at_noon};
    use super::*;
    use crate::testing::used;

    fn ago(days: i64) -> Event {
        used(&at_noon().day().plus(-days).start().to_string(), &format!("team-{days}"), "ci")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn numbers_stay_and_contents_go() {
        let mut database = Database::new("retain").await;
        database.keep([ago(9), ago(5), ago(4), ago(0)]).await;
        let clickhouse = database.clickhouse.clone();
        let reader = clickhouse.reader(tokio::runtime::Handle::current());
        let engine = Engine::following(Config::default(), reader, at_noon);
        let mut retain = Retain { age: Duration::ZERO, ..Retain::new(clickhouse.clone(), engine, 4) };
        let before = clickhouse.load(|_, _| {}).await.unwrap().model;
        let dropped = |database: &Database| -> Vec<Value> {
            let rows = database
                .rows("SELECT toInt32(sum(content = '')) AS n FROM {database}.events GROUP BY occurred_at ORDER BY occurred_at");
            rows.into_iter().map(|row| row["n"].clone()).collect()
        };
        retain.pass().await.unwrap();
        while !retain.dropped {
            tokio::time::sleep(Duration::from_millis(5)).await;
            retain.pass().await.unwrap();
        }
        // The day that is so many days ago is kept as a whole.
        assert_eq!(dropped(&database), [1, 1, 0, 0]);
        let loaded = clickhouse.load(|_, _| {}).await.unwrap();
        assert_eq!(loaded.model.fingerprint(), before.fingerprint());
        assert_eq!(loaded.counts.winners, 4);
        assert_eq!(clickhouse.freeze(at_noon().days_before(4)).await.unwrap(), None);
    }
}
