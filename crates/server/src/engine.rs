//! The one state of a running installation: the Model, the configuration it is read with, and the clock.

use std::sync::Arc;
use std::time::SystemTime;

use milepost_model::{Config, Model, Timestamp};
use milepost_store::Reader;
use parking_lot::{Mutex, RwLock};

/// Shared by the keeper, which alone writes the Model, and by everyone who answers questions.
pub struct Engine {
    /// All facts. Written only by [`crate::keeper`], in the order of commits, before their senders are answered: an
    /// acked event is in every later answer.
    pub model: RwLock<Model>,
    /// What numbers depend on beside the events.
    pub config: Config,
    /// [`Config::digest`], which travels with every answer.
    pub digest: String,
    /// Reads events behind explanations and the quarantine.
    pub reader: Mutex<Box<dyn Reader>>,
    clock: fn() -> Timestamp,
}

impl Engine {
    /// Around a Model that has been filled from the store behind `reader`.
    pub fn new(model: Model, config: Config, reader: Box<dyn Reader>) -> Arc<Self> {
        let digest = config.digest();
        Arc::new(Self { model: RwLock::new(model), config, digest, reader: Mutex::new(reader), clock: system_clock })
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// The system's clock, to the microsecond.
pub fn system_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).ok().and_then(Timestamp::from_micros).unwrap_or(Timestamp::MAX)
}
