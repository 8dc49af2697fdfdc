//! ClickHouse, where the events of a cluster are kept.
//!
//! | table | has | order |
//! |---|---|---|
//! | `events` | every version of every event, with where its record stood in the log | key, identity, version |
//! | `arrivals` | the same in the order of the log, for [`Follower`]s | topic, partition, offset |
//! | `progress` | how far the log has been kept | epoch, topic, partition |
//! | `quarantine`, `settled` | refused events, and which of them were taken after all | where they came from |
//! | `metrics` | what the metrics said as of the end of each day; `metric_history` and `metric_today` show it in SQL | metric, capability, day |
//! | `freezes`, `frozen`, `frozen_events` | what retention has kept of events as facts, and which these are | |
//! | `config` | the digest of the configuration agreed on | |
//! | `migrations` | which migrations were done on this server | |
//! | `winners` | for people who ask in SQL: one row an event, its largest version | |
//!
//! How it stays exact:
//!
//! - **A row is a function of its record**, and identity is in its key. What is inserted again, after whatever fault, is the same, and merges leave one.
//! - **No merge is trusted** to have run. Every question is answered the same before and after.
//! - **`progress` speaks of what is there.** It is written after the insert has returned, and parts are synced to the disk before that. Rows beyond it
//!   may be there, and are not looked at.
//! - **Nothing is answered in part.** A shard that does not answer, a limit that is reached, a row that is damaged is an error.

mod agreement;
mod batch;
mod connection;
mod error;
mod follow;
mod history;
mod keys;
mod load;
mod native;
mod options;
mod progress;
mod quarantine;
mod reader;
mod retention;
mod schema;
mod versions;

pub use agreement::Agreement;
pub use batch::{Batch, RefusedRow, Row};
pub use error::Error;
pub use follow::{Followed, Follower};
pub use history::{Edition, Place, Record, Recorded};
pub use load::Loaded;
pub use options::{Options, Timeouts};
pub use progress::Progress;
pub use retention::{Dropping, Freeze};
pub use schema::Migration;
pub use versions::{Change, Counts};

use connection::Connection;
use schema::Schema;

/// A ClickHouse. Clones share their connections; each call is a statement or a few, and may be made at any time from anywhere in a tokio runtime.
#[derive(Clone)]
pub struct ClickHouse {
    connection: Connection,
    schema: Schema,
}

impl ClickHouse {
    /// Checks the options. Connects to nothing yet.
    pub fn new(options: &Options) -> Result<Self, Error> {
        Ok(Self { connection: Connection::new(options)?, schema: Schema::new(options) })
    }

    /// Makes database and tables, or brings them to the newest form, and says which migrations that took. Several may do so at the same time.
    pub async fn migrate(&self) -> Result<Vec<Migration>, Error> {
        self.schema.migrate(&self.connection).await
    }

    /// Whether database and tables are there in the form this Milepost knows, on every server.
    pub async fn check_schema(&self) -> Result<(), Error> {
        self.schema.check(&self.connection).await
    }

    /// Keeps a batch. Once it has returned, all of it is on the disk and seen by whoever asks. After an error a part of it may be, and the same batch can be sent
    /// again. [`Error::Rejected`] means that a row of it is at fault: a batch of half of them tells which.
    pub async fn insert(&self, batch: &Batch) -> Result<(), Error> {
        for (table, rows) in [("quarantine", &batch.refused), ("events", &batch.events)] {
            if !rows.is_empty() {
                self.connection.insert(&self.table(table), rows).await?;
            }
        }
        Ok(())
    }

    /// How many rows `events` has, those that merging would leave out included.
    async fn rows(&self) -> Result<u64, Error> {
        self.connection.one(&format!("SELECT count() FROM {}", self.table("events"))).await
    }

    fn table(&self, name: &str) -> String {
        self.schema.table(name)
    }
}
