//! Moves the horizon of retention once a day, and has dropped what is behind it.
//!
//! A thread of its own finds what is to be dropped, beside the writer; the keeper commits it, some thousand versions at a
//! time, in turn with what the doors bring. After each of them it rests as long as that took, so acks wait for milliseconds.
//! Cut off, it goes on at the next start.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use milepost_model::Timestamp;
use milepost_store::sqlite::Sweeper;
use milepost_store::{Horizon, Retention};

use crate::keeper::{Keeper, RetainError};

/// How often it is looked whether the horizon has to move.
const LOOK: Duration = Duration::from_secs(3_600);

/// The thread.
#[derive(Debug)]
pub struct Retainer {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Retainer {
    /// Starts it. Contents are kept for so many whole days before the one that `clock` says it is, in UTC.
    pub fn start(
        keeper: Arc<Keeper>,
        sweeper: Sweeper,
        days: u32,
        clock: fn() -> Timestamp,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let mut worker = Worker { keeper, sweeper, stopped };
        let thread = thread::Builder::new().name("retention".into()).spawn(move || {
            loop {
                match worker.pass(clock().days_before(days)) {
                    Ok(()) => {}
                    Err(RetainError::Ended) => return,
                    Err(error) => tracing::warn!(%error, "retention is cut off, and goes on in an hour"),
                }
                if worker.is_stopped_within(LOOK) {
                    return;
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it after the step that is under way. Blocks until then.
    pub fn finish(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread of retention has failed");
        }
    }
}

struct Worker {
    keeper: Arc<Keeper>,
    sweeper: Sweeper,
    stopped: mpsc::Receiver<()>,
}

impl Worker {
    fn is_stopped_within(&self, time: Duration) -> bool {
        self.stopped.recv_timeout(time) != Err(RecvTimeoutError::Timeout)
    }

    /// Moves the horizon to where it has to be, and drops what is left to drop.
    fn pass(&mut self, wanted: Timestamp) -> Result<(), RetainError> {
        let at = match self.sweeper.horizon()? {
            Some(Horizon { at, finished: true, .. }) if at >= wanted => return Ok(()),
            Some(Horizon { at, .. }) if at >= wanted => at,
            _ => {
                self.keeper.retain(Retention::Advance(wanted))?;
                wanted
            }
        };
        tracing::info!(horizon = %at, "retention: contents of events before the horizon are dropped");
        self.sweeper.rewind();
        loop {
            let stopped = &self.stopped;
            let go_on = || stopped.try_recv() == Err(TryRecvError::Empty);
            let Some(dropping) = self.sweeper.next(at, go_on)? else { break };
            let began = Instant::now();
            self.keeper.retain(Retention::Drop(dropping))?;
            if self.is_stopped_within(began.elapsed()) {
                return Ok(());
            }
        }
        if self.is_stopped_within(Duration::ZERO) {
            return Ok(());
        }
        self.keeper.retain(Retention::Finish(at))?;
        let dropped = self.sweeper.horizon()?.map_or(0, |horizon| horizon.dropped);
        tracing::info!(horizon = %at, dropped, "retention: all is dropped");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
