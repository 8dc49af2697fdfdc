//! Statements to a server, and what it answers within its time.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clickhouse::query::RowCursor;
use clickhouse::{Client, Compression, RowOwned, RowRead, RowWrite};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use url::Url;

use super::options::OURS;
use super::{Error, Options, Timeouts};

/// ClickHouse closes connections that were idle for three seconds.
const IDLE: Duration = Duration::from_secs(2);

/// Clients of all servers, of which one is asked.
#[derive(Clone)]
pub(super) struct Connection {
    servers: Arc<[Client]>,
    /// Which one; the next one when it cannot be reached.
    asked: Arc<AtomicUsize>,
    timeouts: Timeouts,
}

impl Connection {
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let clients =
            options.servers()?.iter().map(|url| client(url, options)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { servers: clients.into(), asked: Arc::default(), timeouts: options.timeouts })
    }

    /// One connection for each server.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        self.servers.iter().map(|client| Self {
            servers: [client.clone()].into(),
            asked: Arc::default(),
            timeouts: self.timeouts,
        })
    }

    fn client(&self) -> (usize, &Client) {
        let asked = self.asked.load(Ordering::Relaxed);
        (asked, &self.servers[asked])
    }

    /// What came of asking a server. If it cannot be reached, the next one is asked next time.
    fn outcome<T>(
        &self,
        server: usize,
        outcome: Result<clickhouse::error::Result<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, Error> {
        let error = match outcome {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error,
            Err(_) => clickhouse::error::Error::TimedOut,
        };
        if matches!(error, clickhouse::error::Error::Network(_) | clickhouse::error::Error::TimedOut) {
            // Unless somebody did so already.
            let next = (server + 1) % self.servers.len();
            let _ = self.asked.compare_exchange(server, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        Err(Error::of(&error, self.timeouts))
    }

    /// Has a statement done.
    pub(super) async fn execute(&self, statement: &str) -> Result<(), Error> {
        let (server, client) = self.client();
        let done = timeout(self.timeouts.statement, client.query_raw(statement).execute()).await;
        self.outcome(server, done)
    }

    /// Inserts rows that are in ClickHouse's format `Native`.
    pub(super) async fn insert(&self, into: &str, rows: &[Bytes]) -> Result<(), Error> {
        let (server, client) = self.client();
        let statement = format!("INSERT INTO {into} FORMAT Native");
        let mut insert = client.insert_formatted_with(statement);
        let sent = timeout(self.timeouts.statement, async {
            for piece in rows {
                insert.send(piece.clone()).await?;
            }
            insert.end().await
        });
        let sent = sent.await;
        self.outcome(server, sent)
    }

    /// Inserts rows.
    pub(super) async fn insert_rows<T: RowWrite>(
        &self,
        into: &str,
        rows: &[T::Value<'_>],
    ) -> Result<(), Error> {
        let (server, client) = self.client();
        let sent = timeout(self.timeouts.statement, async {
            let mut insert = client.insert_unescaped::<T>(into).await?;
            for row in rows {
                insert.write(row).await?;
            }
            insert.end().await
        });
        let sent = sent.await;
        self.outcome(server, sent)
    }

    /// All rows of an answer.
    pub(super) async fn all<T: RowOwned + RowRead>(&self, query: &str) -> Result<Vec<T>, Error> {
        let (server, client) = self.client();
        let answer = timeout(self.timeouts.statement, client.query_raw(query).fetch_all::<T>()).await;
        self.outcome(server, answer)
    }

    /// The only row of an answer.
    pub(super) async fn one<T: RowOwned + RowRead>(&self, query: &str) -> Result<T, Error> {
        let (server, client) = self.client();
        let answer = timeout(self.timeouts.statement, client.query_raw(query).fetch_one::<T>()).await;
        self.outcome(server, answer)
    }

    /// The rows of an answer, one by one.
    pub(super) fn rows<T: clickhouse::Row>(&self, query: &str) -> Result<Rows<T>, Error> {
        let (server, client) = self.client();
        let cursor = client.query_raw(query).fetch::<T>();
        let cursor = self.outcome(server, Ok(cursor))?;
        Ok(Rows { cursor, server, connection: self.clone() })
    }
}

/// Rows of an answer that is being read.
pub(super) struct Rows<T> {
    cursor: RowCursor<T>,
    server: usize,
    connection: Connection,
}

impl<T: clickhouse::Row> Rows<T> {
    /// The next one.
    pub(super) async fn next(&mut self) -> Result<Option<T::Value<'_>>, Error>
    where
        T: RowRead,
    {
        let next = timeout(self.connection.timeouts.statement, self.cursor.next()).await;
        self.connection.outcome(self.server, next)
    }
}

fn client(url: &Url, options: &Options) -> Result<Client, Error> {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(options.timeouts.connect));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let mut http = HttpClient::builder(TokioExecutor::new());
    http.pool_idle_timeout(IDLE);
    let client = if url.scheme() == "https" {
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls()?).https_only().enable_http1();
        Client::with_http_client(http.build(tls.wrap_connector(tcp)))
    } else {
        Client::with_http_client(http.build(tcp))
    };
    let client = client
        .with_url(url.as_str())
        .with_user(&options.user)
        .with_password(&options.password)
        .with_compression(Compression::None)
        .with_product_info("milepost", env!("CARGO_PKG_VERSION"));
    let settings = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(OURS
        .into_iter()
        .chain(settings)
        .fold(client, |client, (name, value)| client.with_setting(name, value)))
}

/// Trusts whom the system trusts, or the file that `SSL_CERT_FILE` names.
fn tls() -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::Setting(
            "clickhouse.url: no certificate authority is known here, so no certificate of a server can be trusted: install those of the \
             system (ca-certificates), or name a file of them in the environment variable SSL_CERT_FILE"
                .to_owned(),
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Setting(format!("clickhouse.url: TLS cannot be used: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// A text as a literal.
pub(super) fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => literal.extend(['\\', c]),
            // A NUL ends nothing, and stays what it is.
            c if c.is_ascii_control() => drop(write!(literal, "\\x{:02x}", c as u32)),
            c => literal.push(c),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_hold_anything() {
        assert_eq!(quoted(r"it's \ 'é'"), r"'it\'s \\ \'é\''");
        assert_eq!(quoted("a\0b\n"), r"'a\x00b\x0a'");
    }
}
