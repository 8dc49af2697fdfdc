//! Steps of retention, committed in turn with what the doors bring: each takes milliseconds.

use milepost_store::{Retention, StoreError};
use tokio::sync::oneshot;

use super::{Keeper, Work, Writer};

/// On its way to the writer.
pub(super) struct Retain {
    step: Retention,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum RetainError {
    /// The keeper takes nothing any more.
    #[error("the keeper has ended")]
    Ended,
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keeper {
    /// Does a step of retention, durably. Blocks: not for an async worker.
    pub fn retain(&self, step: Retention) -> Result<(), RetainError> {
        let queue = self.queue.lock().clone().ok_or(RetainError::Ended)?;
        let (answer, answered) = oneshot::channel();
        queue.send(Work::Retain(Retain { step, answer })).map_err(|_| RetainError::Ended)?;
        drop(queue);
        Ok(answered.blocking_recv().map_err(|_| RetainError::Ended)??)
    }
}

impl Writer {
    pub(super) fn retain(&mut self, retain: Retain) {
        let done = self.store.retain(&retain.step);
        // Who is gone needs no answer.
        let _ = retain.answer.send(done);
    }
}
