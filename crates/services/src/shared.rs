//! Servers for tests that do not break them: the one named in the environment, else one of our own, shared by all tests
//! that run at the same time in one process.
//!
//! Tests share it, so each makes topics and databases of names that no other uses: [`unique`] gives one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::{Error, Service, clickhouse, kafka};

/// A server for as long as this is kept.
#[derive(Debug)]
pub struct Shared {
    address: String,
    // Dropped in this order: the process first, then its directory.
    _own: Option<(Service, TempDir)>,
}

impl Shared {
    /// Where it is: `host:port` for Kafka, a URL without a path for ClickHouse.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// The variable that names a Kafka for tests.
pub(crate) const KAFKA: &str = "MILEPOST_TEST_KAFKA";
/// The variable that names a ClickHouse for tests.
pub(crate) const CLICKHOUSE: &str = "MILEPOST_TEST_CLICKHOUSE";

/// The server that a variable names.
pub(crate) fn given(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|address| !address.is_empty())
}

type Slot = Mutex<Weak<Shared>>;

/// Kafka: that of `MILEPOST_TEST_KAFKA` (`host:port`), else one of our own.
pub fn kafka() -> Result<Arc<Shared>, Error> {
    static SLOT: Slot = Mutex::new(Weak::new());
    shared(&SLOT, KAFKA, |directory| {
        let service = kafka::start(directory.path(), &kafka::Options::default())?;
        Ok((service.address().to_string(), service))
    })
}

/// ClickHouse: that of `MILEPOST_TEST_CLICKHOUSE` (a URL, which may hold a user and a password), else one of our own.
pub fn clickhouse() -> Result<Arc<Shared>, Error> {
    static SLOT: Slot = Mutex::new(Weak::new());
    shared(&SLOT, CLICKHOUSE, |directory| {
        let service = clickhouse::start(directory.path(), &clickhouse::Options::default())?;
        Ok((service.url(), service))
    })
}

fn shared(
    slot: &Slot,
    variable: &str,
    start: impl FnOnce(&TempDir) -> Result<(String, Service), Error>,
) -> Result<Arc<Shared>, Error> {
    // A test that failed to start one leaves the slot as it was.
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shared) = slot.upgrade() {
        return Ok(shared);
    }
    let shared = Arc::new(if let Some(address) = given(variable) {
        Shared { address: address.trim_end_matches('/').to_owned(), _own: None }
    } else {
        let directory = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
        let (address, service) = start(&directory)?;
        Shared { address, _own: Some((service, directory)) }
    });
    *slot = Arc::downgrade(&shared);
    Ok(shared)
}

/// A name that no other test uses, now or later, as a topic's or a database's.
pub fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{name}_{now}_{}_{count}", std::process::id())
}
