//! Which ClickHouse, and how it is spoken to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use url::Url;

use super::Error;

/// Which ClickHouse, and how it is spoken to.
#[derive(Clone)]
pub struct Options {
    /// `http://host:8123`, or `https://`. Several stand with commas between them: the first that can be reached is asked, and
    /// migrations are made on all of them.
    pub url: String,
    /// Where its tables are; made by the first migration if it is missing.
    pub database: String,
    /// As whom.
    pub user: String,
    /// The password, if there is one.
    pub password: String,
    /// The name of a cluster of `system.clusters`, for tables spread over its shards. All its servers have to stand in `url`.
    pub cluster: Option<String>,
    /// Settings of ClickHouse that go with each statement.
    pub settings: BTreeMap<String, String>,
    /// How long it is waited for.
    pub timeouts: Timeouts,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            database: "milepost".to_owned(),
            user: "default".to_owned(),
            password: String::new(),
            cluster: None,
            settings: BTreeMap::new(),
            timeouts: Timeouts::default(),
        }
    }
}

/// Without the password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("database", &self.database)
            .field("user", &self.user)
            .field("cluster", &self.cluster)
            .field("settings", &self.settings)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// How long it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection: 5 seconds.
    pub connect: Duration,
    /// For the answer to a statement, and between pieces of a long one: 60 seconds. An insert that takes longer is given up, which has to be
    /// well before Kafka takes the partitions away (`max.poll.interval.ms`, five minutes).
    pub statement: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), statement: Duration::from_secs(60) }
    }
}

/// Settings that go with every statement. What is exact is so because of them, so nobody else may set them.
pub(super) const OURS: [(&str, &str); 16] = [
    // An insert that returned is there, on every shard, in every table.
    ("async_insert", "0"),
    ("distributed_foreground_insert", "1"),
    ("materialized_views_ignore_errors", "0"),
    // What is sent again is inserted again: a part may have been lost since, or a view may have failed. Identity is in the key.
    ("insert_deduplicate", "0"),
    // Merging takes out what is there twice; doing so in each insert as well doubles what that costs.
    ("optimize_on_insert", "0"),
    // Whoever gets an answer gets all of it.
    ("skip_unavailable_shards", "0"),
    ("read_overflow_mode", "throw"),
    ("result_overflow_mode", "throw"),
    ("timeout_overflow_mode", "throw"),
    ("group_by_overflow_mode", "throw"),
    ("sort_overflow_mode", "throw"),
    ("set_overflow_mode", "throw"),
    ("limit", "0"),
    ("offset", "0"),
    // Load reads in the order of the key, and holds little of it.
    ("optimize_read_in_order", "1"),
    // Nobody waits for it any more.
    ("cancel_http_readonly_queries_on_client_close", "1"),
];

/// Parameters of ClickHouse's HTTP interface that are no settings.
const PARAMETERS: [&str; 13] = [
    "query",
    "database",
    "user",
    "password",
    "role",
    "session_id",
    "session_timeout",
    "session_check",
    "query_id",
    "quota_key",
    "compress",
    "decompress",
    "default_format",
];

impl Options {
    /// The servers, if all settings make sense.
    pub(super) fn servers(&self) -> Result<Vec<Url>, Error> {
        let servers: Vec<Url> =
            self.url.split(',').map(|url| server(url.trim())).collect::<Result<_, _>>()?;
        name("clickhouse.database", &self.database)?;
        self.cluster.as_ref().map_or(Ok(()), |cluster| name("clickhouse.cluster", cluster))?;
        for setting in self.settings.keys().map(String::as_str) {
            if OURS.iter().any(|(ours, _)| *ours == setting) || setting == "final" {
                return Err(Error::Setting(format!(
                    "clickhouse.settings.{setting}: numbers are exact because Milepost sets it itself: leave it out"
                )));
            }
            if PARAMETERS.contains(&setting) || setting.starts_with("param_") {
                return Err(Error::Setting(format!(
                    "clickhouse.settings.{setting}: it is no setting of ClickHouse but a parameter of a request: leave it out"
                )));
            }
        }
        Ok(servers)
    }
}

fn server(text: &str) -> Result<Url, Error> {
    let wrong =
        |what: &str| Err(Error::Setting(format!("clickhouse.url: {what}, such as http://clickhouse:8123")));
    if text.is_empty() {
        return wrong("name the address of ClickHouse's HTTP interface");
    }
    let Ok(url) = Url::parse(text) else {
        return wrong("this is no URL: give one with a scheme, a host and a port");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Setting(
            "clickhouse.url: it holds a user or a password, which would be shown with it: put them into clickhouse.user and \
             clickhouse.password"
                .to_owned(),
        ));
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return wrong("ClickHouse is spoken to over HTTP: give a URL with http or https, a host and a port");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("leave out everything from the question mark on; settings go into clickhouse.settings");
    }
    Ok(url)
}

/// Stands in statements as it is.
fn name(setting: &str, name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Error::Setting(format!(
            "{setting}: a name is made of letters, digits and _, and does not begin with a digit"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(url: &str) -> Options {
        Options { url: url.to_owned(), ..Options::default() }
    }

    fn message(options: &Options) -> String {
        options.servers().unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named() {
        for url in [
            "",
            "clickhouse",
            "clickhouse:8123",
            "tcp://a:9000",
            "http://",
            "http://a:8123/?database=x",
            "http://a, ",
        ] {
            assert!(message(&with(url)).starts_with("clickhouse.url: "), "{url}");
        }
        let good = with("http://a:8123, https://b:8443/clickhouse/");
        assert_eq!(good.servers().unwrap().len(), 2);
        for (database, fits) in
            [("m", true), ("a_1", true), ("", false), ("a.b", false), ("1a", false), ("a`; DROP", false)]
        {
            let options = Options { database: database.to_owned(), ..good.clone() };
            assert_eq!(options.servers().is_ok(), fits, "{database}");
        }
        let cluster = Options { cluster: Some("a'b".to_owned()), ..good.clone() };
        assert!(message(&cluster).starts_with("clickhouse.cluster: "));
        for (setting, fits) in [
            ("max_threads", true),
            ("async_insert", false),
            ("final", false),
            ("query", false),
            ("param_x", false),
        ] {
            let settings = BTreeMap::from([(setting.to_owned(), "1".to_owned())]);
            let options = Options { settings, ..good.clone() };
            assert_eq!(options.servers().is_ok(), fits, "{setting}");
            assert!(fits || message(&options).starts_with(&format!("clickhouse.settings.{setting}: ")));
        }
    }

    #[test]
    fn passwords_are_not_repeated() {
        let said = message(&with("http://me:secret@a:8123"));
        assert!(said.contains("clickhouse.password") && !said.contains("secret"), "{said}");
        let options = Options { password: "secret".to_owned(), ..with("http://a:8123") };
        assert!(!format!("{options:?}").contains("secret"));
    }
}
