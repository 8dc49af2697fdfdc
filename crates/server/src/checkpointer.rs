//! Writes the Model to a file now and then, so that the next start need not read every event.
//!
//! A thread of its own does it, block by block; the Model is locked for one block at a time, which takes milliseconds, and
//! the keeper goes on between two. `milepost_model::model::Encoder` says why what comes out is right all the same.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use milepost_model::model::Encoder;
use milepost_store::sqlite::Checkpoints;

use crate::engine::Engine;

/// When a checkpoint is written.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// When so many versions came since the last one: what a start has to read after a crash.
    pub versions: u64,
    /// Or when anything came, and it is so long ago.
    pub interval: Duration,
    /// But not before so many times as long as the last one took: it shares the machine.
    pub rest: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { versions: 250_000, interval: Duration::from_secs(600), rest: 20 }
    }
}

/// How often it is looked whether it is time.
const LOOK: Duration = Duration::from_secs(1);

/// At the end none is written if a start has hardly anything to read: one in so many of the events.
const HARDLY: u64 = 1_000;

/// The thread that writes checkpoints.
#[derive(Debug)]
pub struct Checkpointer {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Checkpointer {
    /// Starts it. `position` is how far the checkpoint goes that is there.
    pub fn start(
        engine: Arc<Engine>,
        checkpoints: Checkpoints,
        position: u64,
        pace: Pace,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let mut writer = Writer { engine, checkpoints, position, last: Instant::now(), took: Duration::ZERO };
        let thread = thread::Builder::new().name("checkpoint".into()).spawn(move || {
            let asked_to_end = loop {
                match stopped.recv_timeout(LOOK) {
                    Err(RecvTimeoutError::Timeout) if writer.is_time(pace) => writer.write(),
                    Err(RecvTimeoutError::Timeout) => {}
                    // Where the keeper has failed, the Model is left as it is.
                    ended => break ended.is_ok(),
                }
            };
            let (came, events) = writer.came();
            if asked_to_end && came.saturating_mul(HARDLY) > events {
                writer.write();
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Writes a last one, if it is worth it, and ends. The Model must not change any more. Blocks until then.
    pub fn finish(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the thread that writes checkpoints has failed");
        }
    }
}

struct Writer {
    engine: Arc<Engine>,
    checkpoints: Checkpoints,
    /// Of the last checkpoint.
    position: u64,
    last: Instant,
    took: Duration,
}

impl Writer {
    /// Versions since the last checkpoint, and events in all.
    fn came(&self) -> (u64, u64) {
        let model = self.engine.model.read();
        (model.position().saturating_sub(self.position), model.events() as u64)
    }

    fn is_time(&self, pace: Pace) -> bool {
        let (came, since) = (self.came().0, self.last.elapsed());
        (came >= pace.versions || came > 0 && since >= pace.interval) && since >= self.took * pace.rest
    }

    fn write(&mut self) {
        let began = Instant::now();
        let model = &self.engine.model;
        let encoder = Encoder::new(&model.read());
        let position = encoder.position();
        match self.checkpoints.write(encoder, |encoder| encoder.block(&model.read())) {
            Ok(bytes) => {
                self.position = position;
                tracing::info!(events = position, bytes, "checkpoint written");
            }
            // The next start reads more events; the one before, if there is one, is still there.
            Err(error) => tracing::warn!(%error, "no checkpoint could be written"),
        }
        (self.last, self.took) = (Instant::now(), began.elapsed());
    }
}
