//! Memory that senders share.
//!
//! Whoever serves connections counts the bytes of the bodies under way against one bound, by a [`Share`] for each body.
//! The body of a request needs its share until it is answered. That of a stream never ends: its door is handed the share
//! among the extensions of the request, and gives back what each batch has taken.
//!
//! Laws:
//!
//! 1. A share never has more of the room than it holds of bytes beyond those that are free.
//! 2. Where all of the room is taken by bodies that wait for more of it, one of them goes on without, to its end: each gives
//!    its part back in the end, so none waits for ever. Only that one is beyond the room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::Extensions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What all bodies have together.
#[derive(Debug)]
pub struct Room {
    /// A permit a byte.
    bytes: Arc<Semaphore>,
    /// For the one that goes on without.
    beyond: Arc<Semaphore>,
}

impl Room {
    /// For so many bytes.
    pub fn new(bytes: usize) -> Arc<Self> {
        let bytes = Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { bytes, beyond: Arc::new(Semaphore::new(1)) })
    }
}

/// What one body has of the room of all. Clones are the same share; it is given back when the last is dropped.
#[derive(Debug, Clone)]
pub struct Share(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    room: Arc<Room>,
    free: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Bytes that have come and are not given back.
    held: usize,
    /// When bytes were given back last, or the first of them came.
    since: Option<Instant>,
    permit: Option<OwnedSemaphorePermit>,
    /// It goes on without room.
    beyond: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// Of this room. So many bytes need none: who sends little is not kept waiting by who sends much.
    pub fn new(room: Arc<Room>, free: usize) -> Self {
        Self(Arc::new(Inner { room, free, taken: Mutex::default() }))
    }

    /// Waits until there is room for so many bytes that have come.
    pub async fn take(&self, bytes: usize) {
        let missing = {
            let mut taken = self.taken();
            taken.held += bytes;
            taken.since.get_or_insert_with(Instant::now);
            if taken.beyond.is_some() {
                return;
            }
            let has = taken.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            taken.held.saturating_sub(self.0.free).saturating_sub(has)
        };
        if missing == 0 {
            return;
        }
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        let Room { bytes, beyond } = &*self.0.room;
        // Nobody closes a room; one that is closed would bound nothing any more.
        tokio::select! {
            biased;
            Ok(permit) = Arc::clone(bytes).acquire_many_owned(missing) => match &mut self.taken().permit {
                Some(all) => all.merge(permit),
                none => *none = Some(permit),
            },
            Ok(permit) = Arc::clone(beyond).acquire_owned() => self.taken().beyond = Some(permit),
            else => {}
        }
    }

    /// Gives back the room of so many bytes that are not held any more.
    pub fn give_back(&self, bytes: usize) {
        let mut taken = self.taken();
        taken.held = taken.held.saturating_sub(bytes);
        taken.since = (taken.held > 0).then(Instant::now);
        let needed = taken.held.saturating_sub(self.0.free);
        if let Some(permit) = &mut taken.permit {
            let surplus = permit.num_permits().saturating_sub(needed);
            drop(permit.split(surplus));
        }
        if needed <= taken.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) {
            taken.beyond = None;
        }
    }

    /// Since when it has held bytes without giving any back; none while it holds none.
    pub fn held_since(&self) -> Option<Instant> {
        self.taken().since
    }

    /// The one of a request, where somebody counts.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    /// What is counted stays right whatever panics.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn taken(share: &Share, bytes: usize) -> bool {
        share.take(bytes).now_or_never().is_some()
    }

    #[test]
    fn a_share_has_what_it_holds_beyond_what_is_free() {
        let room = Room::new(100);
        let left = || room.bytes.available_permits();
        let share = Share::new(Arc::clone(&room), 10);
        assert!(share.held_since().is_none());
        assert!(taken(&share, 10));
        assert_eq!(left(), 100);
        assert!(taken(&share, 50));
        assert_eq!(left(), 50);
        assert!(share.held_since().is_some());
        share.give_back(30);
        assert_eq!(left(), 80);
        share.give_back(30);
        assert!(share.held_since().is_none());
        assert!(taken(&share, 30));
        assert_eq!(left(), 80);
        drop(share);
        assert_eq!(left(), 100);
    }

    #[test]
    fn bodies_that_all_want_more_come_to_their_end_one_by_one() {
        let room = Room::new(100);
        let share = || Share::new(Arc::clone(&room), 0);
        let [first, second, third] = [share(), share(), share()];
        assert!(taken(&first, 50) && taken(&second, 50));
        assert!(taken(&first, 10), "one goes on without room");
        assert!(!taken(&second, 10) && !taken(&third, 10), "but one alone");
        assert!(taken(&first, 1_000), "to its end");
        drop(first);
        assert!(taken(&third, 10), "what it had is there for the others");
        assert_eq!(room.bytes.available_permits(), 30);
    }

    #[test]
    fn a_stream_goes_on_without_room_until_it_is_within_it_again() {
        let room = Room::new(100);
        let share = Share::new(Arc::clone(&room), 0);
        assert!(taken(&share, 90) && taken(&share, 90));
        assert_eq!(room.beyond.available_permits(), 0);
        share.give_back(80);
        assert_eq!(room.beyond.available_permits(), 0, "100 are held, 90 have room");
        share.give_back(10);
        assert_eq!((room.beyond.available_permits(), room.bytes.available_permits()), (1, 10));
    }
}
