//! The tables, and how they are brought to the newest form.
//!
//! Law: a migration may be begun by any number of processes at the same time, and cut off anywhere; done once more, it is done. So every
//! statement of it does nothing where it was done before, and that a migration is done is noted after its last one. A migration is never
//! changed once released: to change the tables, add `migrations/NNNN-*.sql` and a line to [`MIGRATIONS`].
//!
//! The sharded form has the same tables with `_local` behind their names on every server, and tables `Distributed` over them under the names
//! themselves; `DISTRIBUTE table BY key` in a migration makes one, and is nothing in the plain form.

use clickhouse::Row;
use serde::Deserialize;

use super::connection::{Connection, quoted};
use super::{Error, Options};

/// What one of [`MIGRATIONS`] is called, and its statements.
type Script = (&'static str, &'static str);

/// All migrations, in order; the first has the number 1.
const MIGRATIONS: [Script; 4] = [
    ("events", include_str!("migrations/0001-events.sql")),
    ("winners", include_str!("migrations/0002-winners.sql")),
    ("history", include_str!("migrations/0003-history.sql")),
    ("retention", include_str!("migrations/0004-retention.sql")),
];

/// A migration that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its number, from 1.
    pub number: u32,
    /// What it is about.
    pub name: &'static str,
}

/// Where the tables are.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    database: String,
    cluster: Option<String>,
}

#[derive(Row, Deserialize)]
struct Server {
    name: String,
    migrations: u64,
    newest: u32,
}

impl Schema {
    pub(super) fn new(options: &Options) -> Self {
        Self { database: options.database.clone(), cluster: options.cluster.clone() }
    }

    /// A table, as it is called in statements.
    pub(super) fn table(&self, name: &str) -> String {
        format!("{}.{name}", self.database)
    }

    /// As [`Self::table`], of those that hold rows: on this server, where they are spread.
    pub(super) fn local(&self, name: &str) -> String {
        format!("{}.{name}{}", self.database, self.suffix())
    }

    /// A query for the bytes that the tables take on all servers.
    pub(super) fn bytes_on_disk(&self) -> String {
        let parts = match &self.cluster {
            None => "system.parts".to_owned(),
            Some(cluster) => format!("clusterAllReplicas({}, system.parts)", quoted(cluster)),
        };
        format!(
            "SELECT sum(bytes_on_disk) FROM {parts} WHERE active AND database = {}",
            quoted(&self.database)
        )
    }

    fn suffix(&self) -> &'static str {
        if self.cluster.is_some() { "_local" } else { "" }
    }

    /// Does what has not been done on each server, and says what that was.
    pub(super) async fn migrate(&self, connection: &Connection) -> Result<Vec<Migration>, Error> {
        let mut applied = Vec::new();
        for server in connection.each() {
            self.make_database(&server).await?;
            self.check_form(&server).await?;
            server.execute(&self.migrations_table()).await?;
            let newest = self.newest(&server).await?;
            for (number, script) in (1..).zip(MIGRATIONS).skip(newest as usize) {
                self.apply(&server, number, script).await?;
                let migration = Migration { number, name: script.0 };
                if !applied.contains(&migration) {
                    applied.push(migration);
                }
            }
        }
        self.check(connection).await?;
        Ok(applied)
    }

    async fn apply(&self, server: &Connection, number: u32, (name, script): Script) -> Result<(), Error> {
        for statement in statements(script).filter_map(|statement| self.statement(statement)) {
            server.execute(&statement).await?;
        }
        let migrations = self.table("migrations");
        server
            .execute(&format!("INSERT INTO {migrations} (number, name) VALUES ({number}, {})", quoted(name)))
            .await
    }

    /// Only if it is missing: whoever may not make one may still use one.
    async fn make_database(&self, server: &Connection) -> Result<(), Error> {
        let database = &self.database;
        let there = format!("SELECT count() FROM system.databases WHERE name = {}", quoted(database));
        if server.one::<u64>(&there).await? > 0 {
            return Ok(());
        }
        server.execute(&format!("CREATE DATABASE IF NOT EXISTS {database}")).await.map_err(|error| {
            if !error.is_denied() {
                return error;
            }
            Error::Setting(format!(
                "clickhouse.database: there is no database {database}, and the user of clickhouse.user may not make it: make it, or name \
                 another"
            ))
        })
    }

    fn migrations_table(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (number UInt32, name String, at DateTime64(6, 'UTC') DEFAULT now64(6)) \
             ENGINE = ReplacingMergeTree ORDER BY number SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
            self.table("migrations")
        )
    }

    /// A statement of a migration for this form; none if it is only for the other.
    fn statement(&self, statement: &str) -> Option<String> {
        if let Some((table, key)) =
            statement.strip_prefix("DISTRIBUTE ").and_then(|rest| rest.split_once(" BY "))
        {
            let (whole, local, cluster) = (self.table(table), self.local(table), self.cluster.as_ref()?);
            let Self { database, .. } = self;
            return Some(format!(
                "CREATE TABLE IF NOT EXISTS {whole} AS {local} ENGINE = Distributed({}, {database}, {table}{}, {key})",
                quoted(cluster),
                self.suffix()
            ));
        }
        Some(statement.replace("{database}", &self.database).replace("{local}", self.suffix()))
    }

    /// Whether the tables are those this Milepost knows, on every server.
    pub(super) async fn check(&self, connection: &Connection) -> Result<(), Error> {
        let source = match &self.cluster {
            None => self.table("migrations"),
            Some(cluster) => {
                Self::check_cluster(connection, cluster).await?;
                format!("clusterAllReplicas({}, {})", quoted(cluster), self.table("migrations"))
            }
        };
        self.check_form(connection).await?;
        let servers = format!(
            "SELECT concat(hostName(), ':', toString(tcpPort())) AS name, uniqExact(number) AS migrations, max(number) AS newest \
             FROM {source} GROUP BY name ORDER BY name"
        );
        for Server { name, migrations, newest } in connection.all::<Server>(&servers).await? {
            self.known(newest)?;
            if migrations < MIGRATIONS.len() as u64 {
                return Err(self.outdated(&name));
            }
        }
        Ok(())
    }

    async fn newest(&self, server: &Connection) -> Result<u32, Error> {
        let newest = server.one(&format!("SELECT max(number) FROM {}", self.table("migrations"))).await?;
        self.known(newest)?;
        Ok(newest)
    }

    fn known(&self, newest: u32) -> Result<(), Error> {
        if newest as usize > MIGRATIONS.len() {
            return Err(Error::Schema(format!(
                "the tables of the database {} have form {newest}, made by a newer milepost; this one knows forms up to {}: upgrade \
                 milepost",
                self.database,
                MIGRATIONS.len()
            )));
        }
        Ok(())
    }

    fn outdated(&self, server: &str) -> Error {
        Error::Schema(format!(
            "the tables of the database {} on {server} are of an older milepost: run `milepost migrate`, with every server of the cluster in \
             clickhouse.url if it has several",
            self.database
        ))
    }

    async fn check_cluster(connection: &Connection, cluster: &str) -> Result<(), Error> {
        let known: Vec<String> =
            connection.all("SELECT DISTINCT cluster FROM system.clusters ORDER BY cluster").await?;
        if !known.iter().any(|known| known == cluster) {
            return Err(Error::Setting(format!(
                "clickhouse.cluster: ClickHouse knows no cluster {cluster}, but {}: name one of them, or add it to its remote_servers",
                if known.is_empty() { "none at all".to_owned() } else { known.join(", ") }
            )));
        }
        let most =
            format!("SELECT max(replica_num) FROM system.clusters WHERE cluster = {}", quoted(cluster));
        if connection.one::<u32>(&most).await? > 1 {
            return Err(Error::Setting(format!(
                "clickhouse.cluster: shards of {cluster} have several replicas, which would each get a part of the events, as Milepost's tables are \
                 not replicated: name a cluster with one replica a shard"
            )));
        }
        Ok(())
    }

    /// Tables of one form are not taken for those of the other.
    async fn check_form(&self, server: &Connection) -> Result<(), Error> {
        let engines = format!(
            "SELECT engine FROM system.tables WHERE database = {} AND name = 'events'",
            quoted(&self.database)
        );
        let spread = server.all::<String>(&engines).await?.pop().map(|engine| engine == "Distributed");
        match (spread, &self.cluster) {
            (Some(true), None) => Err(Error::Setting(format!(
                "clickhouse.cluster: the tables of the database {} are spread over shards: name their cluster",
                self.database
            ))),
            (Some(false), Some(_)) => Err(Error::Setting(format!(
                "clickhouse.cluster: the tables of the database {} are on one server alone: leave it out, or name another database in \
                 clickhouse.database and read the log again into that",
                self.database
            ))),
            _ => Ok(()),
        }
    }
}

/// The statements of a script, without comments.
fn statements(script: &str) -> impl Iterator<Item = &str> {
    script
        .split(";\n")
        .map(|statement| {
            let mut rest = statement.trim();
            while let Some((_, below)) = rest.strip_prefix("--").and_then(|comment| comment.split_once('\n'))
            {
                rest = below.trim();
            }
            rest
        })
        .filter(|statement| !statement.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_both_forms() {
        let script = "-- One.\n-- Two.\nCREATE TABLE {database}.a{local} (k UInt8);\n\nDISTRIBUTE a BY k;\n";
        let of = |cluster: Option<&str>| {
            let schema = Schema { database: "m".to_owned(), cluster: cluster.map(str::to_owned) };
            statements(script).filter_map(|statement| schema.statement(statement)).collect::<Vec<_>>()
        };
        assert_eq!(of(None), ["CREATE TABLE m.a (k UInt8)"]);
        assert_eq!(
            of(Some("c")),
            [
                "CREATE TABLE m.a_local (k UInt8)",
                "CREATE TABLE IF NOT EXISTS m.a AS m.a_local ENGINE = Distributed('c', m, a_local, k)"
            ]
        );
    }

    #[test]
    fn every_statement_may_be_done_twice() {
        for (name, script) in MIGRATIONS {
            for statement in statements(script) {
                let again = ["IF NOT EXISTS", "IF EXISTS", "OR REPLACE", "DISTRIBUTE "];
                assert!(again.iter().any(|form| statement.contains(form)), "{name}: {statement}");
            }
        }
    }
}
