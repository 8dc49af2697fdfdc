//! Answers: the one way from a question in words to numbers, whichever door it came through.
//!
//! Equal events and equal configuration give equal answers, and equal answers are equal bytes ([`text`]): HTTP, the
//! command line on a data directory and the command line on a server print the same.

mod ask;
mod explained;
mod page;
mod source;
pub mod text;

use std::sync::Arc;
use std::time::Duration;

use milepost_model::{Answer, QuestionError, metrics};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use ask::{Ask, Parameters, When};
pub use explained::{EventRef, Explained, MAX_EVENTS, PageRequest, Unit, explain};
pub use source::Source;

use crate::engine::Engine;

/// How long a question waits for its turn before its asker is sent away, and after how long to ask again.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// There is no such metric.
    #[error("metric: {0}")]
    Unknown(String),
    /// A parameter is at fault.
    #[error("{field}: {message}")]
    Bad {
        /// Which.
        field: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Too many long questions are being answered.
    #[error("too many questions are being answered; ask again later")]
    Busy,
    /// Whoever asks may not know.
    #[error("{0}")]
    Forbidden(String),
    /// The question is fine, but it could not be answered.
    #[error("{0}")]
    Failed(String),
}

impl AskError {
    /// An error about a parameter.
    pub fn bad(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Bad { field: field.into(), message: message.into() }
    }

    /// The parameter at fault, if one is.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Unknown(_) => Some("metric"),
            Self::Bad { field, .. } => Some(field),
            Self::Busy | Self::Forbidden(_) | Self::Failed(_) => None,
        }
    }

    /// What is wrong, without the field.
    pub fn message(&self) -> &str {
        match self {
            Self::Unknown(message)
            | Self::Forbidden(message)
            | Self::Failed(message)
            | Self::Bad { message, .. } => message,
            Self::Busy => "too many questions are being answered; ask again later",
        }
    }
}

impl From<QuestionError> for AskError {
    fn from(error: QuestionError) -> Self {
        Self::bad(error.field, error.message)
    }
}

/// Answers a question from the Model as it is now. May take long: not for an async worker.
pub fn answer(engine: &Engine, ask: &Ask) -> Result<Vec<Answer>, AskError> {
    let model = engine.model.read();
    let answers = match ask.when {
        When::Moment(as_of) => metrics::query(&model, &engine.config, ask.metric, &ask.selector, as_of),
        When::Range { from, to, step } => {
            metrics::query_range(&model, &engine.config, ask.metric, &ask.selector, from, to, step)
        }
    };
    Ok(answers?)
}

/// Runs `work` where it may take long, and at most a few of its kind at once: an async worker must not be held up by
/// it, nor may questions take every core from the keeper.
pub async fn computing<T: Send + 'static>(
    engine: Arc<Engine>,
    work: impl FnOnce(&Engine) -> Result<T, AskError> + Send + 'static,
) -> Result<T, AskError> {
    computing_within(Arc::clone(&engine.questions), move || work(&engine)).await
}

/// What a long question has until it goes among the extensions of its response, and with it to whoever counts what waits
/// to be sent: until then its answers are counted nowhere else.
#[derive(Debug, Clone)]
pub struct Long {
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

/// As [`computing`], for the answers to a question: of the long ones, one after the other.
pub async fn answering<T: Send + 'static>(
    engine: Arc<Engine>,
    ask: Ask,
    form: impl FnOnce(&Ask, Vec<Answer>) -> Result<T, AskError> + Send + 'static,
) -> Result<(T, Long), AskError> {
    let permit = if ask.is_long() { Some(permit(Arc::clone(&engine.long_questions)).await?) } else { None };
    let long = Long { _permit: permit.map(Arc::new) };
    // Held by the work: whoever asked may hang up.
    computing(engine, move |engine| Ok((form(&ask, answer(engine, &ask)?)?, long))).await
}

/// As [`computing`], with room of its own: what must not wait for the questions of others.
pub async fn computing_within<T: Send + 'static>(
    room: Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, AskError> + Send + 'static,
) -> Result<T, AskError> {
    let permit = permit(room).await?;
    let computed = tokio::task::spawn_blocking(move || {
        // Held by the work, not by its caller: a caller that goes away does not make room for another.
        let _permit = permit;
        work()
    });
    computed.await.unwrap_or_else(|panic| Err(AskError::Failed(format!("the computation failed: {panic}"))))
}

async fn permit(room: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, AskError> {
    let permit = tokio::time::timeout(PATIENCE, room.acquire_owned()).await.map_err(|_| AskError::Busy)?;
    permit.map_err(|closed| AskError::Failed(closed.to_string()))
}

#[cfg(test)]
mod tests;
