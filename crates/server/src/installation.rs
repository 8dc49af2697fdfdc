//! A data directory opened for writing, with everything that stands between the doors and the store.

use std::sync::Arc;

use milepost_ingest::Intake;
use milepost_store::sqlite::{Checkpoints, Options, Sqlite, Sweeper};
use milepost_store::{Loaded, Store, StoreError};
use parking_lot::Mutex;

use crate::checkpointer::{Checkpointer, Pace};
use crate::config::{KeyError, PersonKeys, Settings};
use crate::engine::{Engine, system_clock};
use crate::health::Health;
use crate::keeper::Keeper;
use crate::quarantine::Quarantine;
use crate::retention::Retainer;

/// Read events between two lines of the log.
const READ_LOG: u64 = 1_000_000;

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key for persons.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The keeper's thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// The way in, behind which events are kept.
pub struct Writing {
    /// Where doors bring their events.
    pub intake: Arc<Intake>,
    /// Milepost's own numbers.
    pub health: Arc<Health>,
    keeper: Arc<Keeper>,
    retainer: Mutex<Option<Retainer>>,
}

impl Writing {
    /// Opens the data directory only to write: no Model is built. Blocks.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        Self::around(open_store(settings)?, None, None, settings)
    }

    /// Opens the data directory and builds the Model of what is in it. Blocks until it is there.
    pub fn open_with_model(settings: &Settings) -> Result<(Self, Arc<Engine>), OpenError> {
        let mut store = open_store(settings)?;
        let Loaded { model, checkpoint, read, unused } = store.load(&mut |read, of| {
            if read.is_multiple_of(READ_LOG) && read < of {
                tracing::info!(read, of, "reading events");
            }
        })?;
        if let Some(why) = unused {
            tracing::warn!(%why, "the checkpoint is not used; every event was read instead");
        }
        tracing::info!(events = model.events(), read, "the Model is there");
        let engine = Engine::new(model, settings.metrics(), store.reader()?);
        let checkpoints = Checkpoints::open(&settings.data)?;
        let checkpointer = Checkpointer::start(Arc::clone(&engine), checkpoints, checkpoint, Pace::default())
            .map_err(OpenError::Thread)?;
        Ok((Self::around(store, Some(Arc::clone(&engine)), Some(checkpointer), settings)?, engine))
    }

    fn around(
        mut store: Sqlite,
        engine: Option<Arc<Engine>>,
        checkpointer: Option<Checkpointer>,
        settings: &Settings,
    ) -> Result<Self, OpenError> {
        let configured = settings.privacy.key.as_ref();
        let in_force = store.keys_in_force()?;
        let keys = PersonKeys::of_directory(&settings.data, configured, &in_force)?;
        if in_force.fingerprint.is_none() {
            store.note_key_fingerprint(&keys.fingerprint())?;
        }
        let health = Health::new(system_clock());
        let limits = settings.limits.keeper();
        let keeper = Keeper::start(Box::new(store), engine, checkpointer, Arc::clone(&health), limits)
            .map_err(OpenError::Thread)?;
        let intake = Intake::new(
            settings.limits.doors(),
            keys.pseudonymizer(),
            system_clock,
            Arc::clone(&keeper) as _,
            Arc::clone(&health.events),
        );
        Ok(Self { intake, health, keeper, retainer: Mutex::new(None) })
    }

    /// The quarantine, to be tried again.
    pub fn quarantine(&self, engine: &Arc<Engine>) -> Quarantine {
        Quarantine::new(Arc::clone(&self.intake), Arc::clone(&self.keeper), Arc::clone(engine))
    }

    /// Drops from now on what is older than is to be kept, if that is configured.
    pub fn retain(&self, settings: &Settings) -> Result<(), OpenError> {
        if let Some(days) = settings.retention.days {
            let sweeper = Sweeper::open(&settings.data)?;
            let retainer = Retainer::start(Arc::clone(&self.keeper), sweeper, days, system_clock);
            *self.retainer.lock() = Some(retainer.map_err(OpenError::Thread)?);
        }
        Ok(())
    }

    /// Takes no more, keeps and answers all that was taken, and gives up the data directory. Blocks.
    pub fn close(&self) {
        let retainer = self.retainer.lock().take();
        if let Some(retainer) = retainer {
            retainer.finish();
        }
        self.keeper.close();
    }
}

fn open_store(settings: &Settings) -> Result<Sqlite, StoreError> {
    let options = Options {
        quarantine_rows: settings.limits.quarantine_events,
        quarantine_bytes: settings.limits.quarantine_bytes,
        quarantine_age: settings.limits.quarantine_age,
        ..Options::default()
    };
    Sqlite::open(&settings.data, options)
}
