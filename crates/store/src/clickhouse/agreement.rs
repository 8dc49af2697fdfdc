//! Whether all replicas calculate with the same configuration.
//!
//! Law: the digest of the largest number counts, of several with that number the smallest. So whoever asks later gets the same, whoever was first.

use clickhouse::Row;
use serde::Deserialize;

use super::connection::quoted;
use super::{ClickHouse, Error};

/// Whether this configuration is the one agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agreement {
    /// It is.
    Same,
    /// It is not: the digest of the one that is.
    Other(String),
}

#[derive(Row, Deserialize)]
struct Agreed {
    number: u64,
    digest: String,
}

impl ClickHouse {
    /// Compares the digest of a configuration with the one agreed on: the first one there was, or the last that was to overwrite what
    /// there was. To be asked again now and then, as another may overwrite it.
    pub async fn agree_on_config(&self, digest: &str, overwrite: bool) -> Result<Agreement, Error> {
        let agreed = self.agreed().await?;
        match agreed {
            Some(Agreed { digest: agreed, .. }) if agreed == digest => return Ok(Agreement::Same),
            Some(Agreed { digest: agreed, .. }) if !overwrite => return Ok(Agreement::Other(agreed)),
            _ => {}
        }
        let number = agreed.map_or(0, |agreed| agreed.number) + 1;
        let config = self.table("config");
        self.connection
            .execute(&format!("INSERT INTO {config} (number, digest) VALUES ({number}, {})", quoted(digest)))
            .await?;
        // Another one may have been quicker.
        Ok(match self.agreed().await? {
            Some(Agreed { digest: agreed, .. }) if agreed != digest => Agreement::Other(agreed),
            _ => Agreement::Same,
        })
    }

    async fn agreed(&self) -> Result<Option<Agreed>, Error> {
        let config = self.table("config");
        let agreed = format!("SELECT number, digest FROM {config} ORDER BY number DESC, digest LIMIT 1");
        Ok(self.connection.all(&agreed).await?.pop())
    }
}
