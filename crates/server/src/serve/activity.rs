//! Which connections have nothing under way, and what is under way for too long.
//!
//! Laws:
//!
//! 1. A connection is among the silent ones exactly while it has no request under way; the one that has been silent for
//!    longest is the first to go when there is no room for another.
//! 2. What a peer has to do, read an answer or finish a batch, is overdue from a fixed time after it could begin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use milepost_ingest::Share;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::peers::Ticket;

/// Connections that have nothing under way, from the one that is silent for longest.
#[derive(Clone, Default)]
pub(super) struct Silent(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    next: u64,
    waiting: BTreeMap<u64, Arc<Notify>>,
}

impl Silent {
    fn enter(&self, end: &Arc<Notify>) -> u64 {
        let mut queue = self.0.lock();
        let place = queue.next;
        queue.next += 1;
        queue.waiting.insert(place, Arc::clone(end));
        place
    }

    fn leave(&self, place: u64) {
        self.0.lock().waiting.remove(&place);
    }

    /// Asks the connection that is silent for longest to end.
    pub(super) fn end_longest(&self) {
        if let Some((_, end)) = self.0.lock().waiting.pop_first() {
            end.notify_one();
        }
    }
}

/// Whether a connection has requests under way, and whether it ever had any.
#[derive(Clone)]
pub(super) struct Activity(Arc<Inner>);

struct Inner {
    /// Requests under way, and whether there was ever one.
    state: watch::Sender<(usize, bool)>,
    silent: Silent,
    place: Mutex<u64>,
    end: Arc<Notify>,
    overdue: Overdue,
}

impl Activity {
    /// Of a connection that has just begun.
    pub(super) fn new(silent: Silent) -> Self {
        let end = Arc::new(Notify::new());
        let place = Mutex::new(silent.enter(&end));
        let state = watch::Sender::new((0, false));
        Self(Arc::new(Inner { state, silent, place, end, overdue: Overdue::default() }))
    }

    /// A request begins; it ends when what this returns is dropped.
    pub(super) fn begin(&self, ticket: Ticket) -> UnderWay {
        self.0.state.send_modify(|(under_way, ever)| {
            if *under_way == 0 {
                self.0.silent.leave(*self.0.place.lock());
            }
            (*under_way, *ever) = (*under_way + 1, true);
        });
        UnderWay { activity: self.clone(), _ticket: ticket }
    }

    /// Waits until nothing has been under way for `start`, or for `idle` if something was before.
    pub(super) async fn ceases(&self, start: Duration, idle: Duration) {
        let mut state = self.0.state.subscribe();
        loop {
            let (under_way, ever) = *state.borrow_and_update();
            let patience = match (under_way, ever) {
                (0, false) => start,
                (0, true) => idle,
                _ => Duration::MAX,
            };
            if timeout(patience, state.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Waits until its place is needed for another while nothing is under way.
    pub(super) async fn gives_way(&self) {
        loop {
            self.0.end.notified().await;
            if self.0.state.borrow().0 == 0 {
                return;
            }
        }
    }

    /// What its peer has to do.
    pub(super) fn overdue(&self) -> &Overdue {
        &self.0.overdue
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.silent.leave(*self.place.lock());
    }
}

/// A request under way, answers that are not sent yet included.
pub(super) struct UnderWay {
    activity: Activity,
    _ticket: Ticket,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let inner = &self.activity.0;
        inner.state.send_modify(|(under_way, _)| {
            *under_way -= 1;
            if *under_way == 0 {
                *inner.place.lock() = inner.silent.enter(&inner.end);
            }
        });
    }
}

/// What a peer has to do, and since when.
#[derive(Clone, Default)]
pub(super) struct Overdue(Arc<Mutex<Duties>>);

#[derive(Default)]
struct Duties {
    next: u64,
    /// Answers to read.
    unread: BTreeMap<u64, Instant>,
    /// Streams whose batches are to be finished.
    streams: BTreeMap<u64, Share>,
}

impl Duties {
    fn oldest(&self) -> Option<Instant> {
        let batches = self.streams.values().filter_map(Share::held_since);
        batches.chain(self.unread.first_key_value().map(|(_, since)| *since)).min()
    }
}

/// Something to do; done when dropped.
pub(super) struct Duty {
    overdue: Overdue,
    number: u64,
}

impl Overdue {
    /// An answer is to be read.
    pub(super) fn to_read(&self) -> Duty {
        let mut duties = self.0.lock();
        let number = duties.next;
        duties.next += 1;
        duties.unread.insert(number, Instant::now());
        Duty { overdue: self.clone(), number }
    }

    /// The batches of a stream are to be finished.
    pub(super) fn to_finish(&self, share: Share) -> Duty {
        let mut duties = self.0.lock();
        let number = duties.next;
        duties.next += 1;
        duties.streams.insert(number, share);
        Duty { overdue: self.clone(), number }
    }

    /// Waits until something has not been done for so long, or at most a quarter longer.
    pub(super) async fn passes(&self, most: Duration) {
        let look = (most / 4).max(Duration::from_millis(1));
        loop {
            tokio::time::sleep(look).await;
            if self.0.lock().oldest().is_some_and(|since| since.elapsed() >= most) {
                return;
            }
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        let mut duties = self.overdue.0.lock();
        duties.unread.remove(&self.number);
        duties.streams.remove(&self.number);
    }
}
