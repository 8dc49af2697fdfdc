//! The one state of a running installation: the Model, the configuration it is read with, and the clock.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use milepost_model::{Config, Model, Timestamp};
use milepost_store::Reader;
use milepost_store::failpoint::number;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, watch};

/// Questions computed at the same time: enough that a short one need not wait for a long one, few enough that the
/// keeper and the doors keep their cores.
const QUESTIONS_AT_ONCE: usize = 4;

/// Answers all watchers together may have been told last: each is kept to be compared with.
const TOLD_ANSWERS: usize = 10_000;

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
    /// Bumped by the keeper after each commit has been applied to the Model: whoever watches answers looks again.
    pub changed: watch::Sender<u64>,
    /// Becomes true when the process is asked to end: streams without an end of their own end then, within the deadline.
    pub closing: watch::Sender<bool>,
    /// Room for questions that are being computed; see [`crate::answers::computing`].
    pub questions: Arc<Semaphore>,
    /// Room for the one long question among them.
    pub long_questions: Arc<Semaphore>,
    /// Room for the answers that watchers were told last, a permit each: what has changed since is found by them.
    pub told: Arc<Semaphore>,
    /// How the Model stands to a store that others write; none where the keeper does.
    following: Option<Following>,
    clock: fn() -> Timestamp,
}

/// How a Model stands to a store that others write.
#[derive(Debug, Default)]
pub struct Following(Mutex<Option<Instant>>);

impl Following {
    /// Notes that all that was kept at this instant is in the Model.
    pub fn caught_up(&self, at: Instant) {
        *self.0.lock() = Some(at);
    }

    /// Notes that the Model is to be loaded again, and is of no use until then.
    pub fn lost(&self) {
        *self.0.lock() = None;
    }

    /// How long ago everything that was kept was in the Model; none before it was loaded.
    pub fn staleness(&self) -> Option<Duration> {
        self.0.lock().map(|at| at.elapsed())
    }
}

impl Engine {
    /// Around a Model that has been filled from the store behind `reader`.
    pub fn new(model: Model, config: Config, reader: Box<dyn Reader>) -> Arc<Self> {
        Self::with_clock(model, config, reader, system_clock)
    }

    /// As [`Engine::new`], with another clock.
    pub fn with_clock(
        model: Model,
        config: Config,
        reader: Box<dyn Reader>,
        clock: fn() -> Timestamp,
    ) -> Arc<Self> {
        Arc::new(Self::unshared(model, config, reader, clock))
    }

    /// With an empty Model, which is of no use before it has caught up with the store behind `reader`.
    pub fn following(config: Config, reader: Box<dyn Reader>, clock: fn() -> Timestamp) -> Arc<Self> {
        let engine = Self::unshared(Model::new(), config, reader, clock);
        Arc::new(Self { following: Some(Following::default()), ..engine })
    }

    fn unshared(model: Model, config: Config, reader: Box<dyn Reader>, clock: fn() -> Timestamp) -> Self {
        Self {
            model: RwLock::new(model),
            digest: config.digest(),
            config,
            reader: Mutex::new(reader),
            changed: watch::Sender::new(0),
            closing: watch::Sender::new(false),
            questions: Arc::new(Semaphore::new(QUESTIONS_AT_ONCE)),
            long_questions: Arc::new(Semaphore::new(1)),
            told: Arc::new(Semaphore::new(TOLD_ANSWERS)),
            following: None,
            clock,
        }
    }

    /// How the Model stands to a store that others write, if they do.
    pub fn follows(&self) -> Option<&Following> {
        self.following.as_ref()
    }

    /// Whether there is a Model to answer from.
    pub fn is_loaded(&self) -> bool {
        self.following.as_ref().is_none_or(|following| following.staleness().is_some())
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// The system's clock, to the microsecond.
pub fn system_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
    let stepped =
        number("clock.seconds").map_or(micros, |seconds| micros.saturating_add(seconds * 1_000_000));
    Timestamp::from_micros(stepped).unwrap_or(Timestamp::MAX)
}
