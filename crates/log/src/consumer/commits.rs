//! Commits what is done, in the background and one commit at a time, so that a later offset never stands below an earlier one.
//!
//! Each is a synchronous commit on a thread of its own: of asynchronous ones rdkafka does not tell what became of them.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use milepost_model::Partition;
use rdkafka::consumer::{CommitMode, Consumer as _};
use tokio::runtime::Handle;

use super::context::{Kafka, list_of};
use super::shared::Shared;
use crate::LogError;
use crate::beside::beside;

/// Before a commit that was refused is tried again.
const BEFORE_NEXT: Duration = Duration::from_millis(500);

/// What was to be committed, and what became of it.
type Answer = (Vec<Partition>, Result<(), LogError>);

/// See the module.
pub(super) struct Commits {
    answers: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
    in_flight: bool,
    /// Not before this.
    next: Instant,
}

impl Commits {
    pub(super) fn new() -> Self {
        Self { answers: mpsc::channel(), in_flight: false, next: Instant::now() }
    }

    /// Hears what became of the last commit, and sends the next one if there is something to commit.
    pub(super) fn serve(&mut self, kafka: &Arc<Kafka>, shared: &Arc<Shared>, runtime: &Handle) {
        if let Ok((partitions, answer)) = self.answers.1.try_recv() {
            self.in_flight = false;
            if let Err(error) = answer {
                tracing::warn!(
                    "a commit was refused, and is tried again if the partitions are still ours: {error}"
                );
                shared.not_committed(&partitions);
                self.next = Instant::now() + BEFORE_NEXT;
            }
        }
        if self.in_flight || Instant::now() < self.next {
            return;
        }
        let due = shared.to_commit();
        if due.is_empty() {
            return;
        }
        self.in_flight = true;
        let (kafka, shared, answers) = (Arc::clone(kafka), Arc::clone(shared), self.answers.0.clone());
        let list = list_of(due.iter().map(|(partition, next)| (partition, Some(*next))));
        runtime.spawn(async move {
            let commit = beside("commit", move || kafka.commit(&list, CommitMode::Sync));
            let answer = commit.await.and_then(|answer| answer.map_err(LogError::unavailable));
            // The reader may have ended.
            let _ = answers.send((due.into_iter().map(|(partition, _)| partition).collect(), answer));
            shared.tell();
        });
    }
}
