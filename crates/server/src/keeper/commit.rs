//! Several submissions made one commit, and its result made one answer for each.

use std::fmt::Write as _;
use std::time::Instant;

use milepost_ingest::{HandedBack, Kept};
use milepost_model::{Door, Event, Payload, Position, Refusal, Rejected, Sealed};
use milepost_store::Appended;
use milepost_wire::proto;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{KeeperLimits, Pending};

/// Events and refusals of several submissions in the order they came, and who waits for which part of the result.
pub(super) struct Commit {
    pub(super) events: Vec<Sealed>,
    pub(super) rejected: Vec<Rejected>,
    waiting: Vec<Waiting>,
    /// Of every event that came why it was taken out, if it was; none if none was.
    refused: Vec<Option<Refusal>>,
}

struct Waiting {
    door: Door,
    events: usize,
    accepted: Instant,
    answer: oneshot::Sender<Result<Vec<Kept>, HandedBack>>,
    _room: OwnedSemaphorePermit,
}

impl Commit {
    /// From the first submission and those that `next` has ready, until one of the limits is reached.
    pub(super) fn form(
        first: Pending,
        mut next: impl FnMut() -> Option<Pending>,
        limits: &KeeperLimits,
    ) -> Self {
        let mut commit =
            Self { events: Vec::new(), rejected: Vec::new(), waiting: Vec::new(), refused: Vec::new() };
        commit.add(first);
        while commit.size() < limits.commit_events
            && commit.waiting.len() < limits.commit_submissions
            && let Some(pending) = next()
        {
            commit.add(pending);
        }
        commit
    }

    fn add(&mut self, pending: Pending) {
        let Pending { mut submission, accepted, answer, room } = pending;
        let (door, events) = (submission.door, submission.events.len());
        self.waiting.push(Waiting { door, events, accepted, answer, _room: room });
        if self.events.is_empty() {
            self.events = submission.events;
        } else {
            self.events.append(&mut submission.events);
        }
        self.rejected.extend(submission.rejected.into_iter().map(with_origin));
    }

    /// Events in it, refused ones included.
    pub(super) fn size(&self) -> usize {
        self.events.len() + self.rejected.len()
    }

    /// Takes events out that are not to be kept after all: one reason or none for each, or no reasons at all.
    pub(super) fn refuse(&mut self, refusals: Vec<Option<Refusal>>) {
        if refusals.iter().all(Option::is_none) {
            return;
        }
        let doors = self.waiting.iter().flat_map(|waiting| std::iter::repeat_n(waiting.door, waiting.events));
        let events = std::mem::take(&mut self.events);
        for ((sealed, refusal), door) in events.into_iter().zip(&refusals).zip(doors) {
            match refusal {
                None => self.events.push(sealed),
                Some(refusal) => self.rejected.push(rejected(door, &sealed.event, refusal)),
            }
        }
        self.refused = refusals;
    }

    /// Gives every sender his part of the result, and `each` the moment it was accepted.
    pub(super) fn answer(self, appended: &[Appended], mut each: impl FnMut(Instant)) {
        let mut appended = appended.iter().map(told);
        let mut refused = self.refused.into_iter();
        for waiting in self.waiting {
            each(waiting.accepted);
            let kept = (0..waiting.events).map_while(|_| match refused.next().flatten() {
                Some(refusal) => Some(Kept::Refused(refusal)),
                None => appended.next(),
            });
            // A sender who is gone needs no answer.
            let _ = waiting.answer.send(Ok(kept.collect()));
        }
    }

    /// Tells every sender to try again.
    pub(super) fn hand_back(self, reason: &HandedBack) {
        for waiting in self.waiting {
            let _ = waiting.answer.send(Err(reason.clone()));
        }
    }
}

/// What its sender is told.
pub(super) fn told(appended: &Appended) -> Kept {
    match appended {
        Appended::Duplicate => Kept::Duplicate,
        Appended::Stored { conflict, .. } => Kept::Stored { conflict: *conflict },
    }
}

/// As the quarantine keeps it, which has no place of its own for where in Kafka it came from.
fn with_origin((mut rejected, origin): (Rejected, Option<Position>)) -> Rejected {
    if let Some(Position { partition, offset }) = origin {
        // Writing to a String cannot fail.
        let _ = write!(
            rejected.refusal.message,
            " (from the Kafka topic {}, partition {}, offset {offset})",
            partition.topic, partition.number
        );
    }
    rejected
}

/// As the quarantine keeps it. Its persons are pseudonyms already.
fn rejected(door: Door, event: &Event, refusal: &Refusal) -> Rejected {
    Rejected {
        refusal: refusal.clone(),
        door,
        source: Some(event.id.source.clone()),
        id: Some(event.id.id.clone()),
        payload: Some(Payload::Protobuf(proto::encode(event).encode_to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use milepost_ingest::Submission;
    use milepost_model::refusal::Reason;
    use milepost_model::{Door, Refusal};
    use milepost_store::Effect;
    use proptest::prelude::*;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::testing;

    type Answer = oneshot::Receiver<Result<Vec<Kept>, HandedBack>>;

    fn pending(events: usize, rejected: usize, room: &Arc<Semaphore>) -> (Pending, Answer) {
        let sealed = Sealed::new(testing::used("2026-01-01T00:00:00Z", "shop", "ci"));
        let refused = Rejected {
            refusal: Refusal::new(Reason::Malformed, "", ""),
            door: Door::Http,
            source: None,
            id: None,
            payload: None,
        };
        let submission = Submission {
            door: Door::Http,
            events: vec![sealed; events],
            rejected: vec![(refused, None); rejected],
        };
        let (answer, answered) = oneshot::channel();
        let room = Arc::clone(room).try_acquire_owned().unwrap();
        (Pending { submission, accepted: Instant::now(), answer, room }, answered)
    }

    fn stored() -> Appended {
        Appended::Stored { effect: Effect::Wins, conflict: false }
    }

    proptest! {
        /// Commits take all submissions in order, none beyond the limits, and each sender gets his own part.
        #[test]
        fn every_sender_gets_his_own_part(
            sizes in proptest::collection::vec((0..5usize, 0..3usize), 1..30),
            commit_events in 0..12usize,
            commit_submissions in 0..6usize,
            is_new in proptest::collection::vec(any::<bool>(), 120),
        ) {
            let limits = KeeperLimits { commit_events, commit_submissions, ..KeeperLimits::default() };
            let room = Arc::new(Semaphore::new(sizes.len()));
            let (queue, answers): (Vec<_>, Vec<_>) = sizes.iter().map(|(e, r)| pending(*e, *r, &room)).unzip();
            let mut queue = queue.into_iter();
            let mut results = is_new.iter().copied().cycle();
            let mut expected = Vec::new();
            while let Some(first) = queue.next() {
                let commit = Commit::form(first, || queue.next(), &limits);
                prop_assert!(commit.waiting.len() <= commit_submissions.max(1));
                let largest = 4 + 2;
                prop_assert!(commit.size() < commit_events.max(1) + largest);
                let new: Vec<_> = results.by_ref().take(commit.events.len()).collect();
                let appended: Vec<_> =
                    new.iter().map(|new| if *new { stored() } else { Appended::Duplicate }).collect();
                expected.extend(new.iter().map(|new| if *new { Kept::Stored { conflict: false } } else { Kept::Duplicate }));
                commit.answer(&appended, |_| ());
            }
            let mut got = Vec::new();
            for (mut answer, (events, _)) in answers.into_iter().zip(&sizes) {
                let kept = answer.try_recv().unwrap().unwrap();
                prop_assert_eq!(kept.len(), *events);
                got.extend(kept);
            }
            prop_assert_eq!(got, expected);
            prop_assert_eq!(room.available_permits(), sizes.len());
        }
    }
}
