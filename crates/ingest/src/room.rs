//! Memory that senders share.
//!
//! Whoever serves connections counts the bytes of the bodies under way against one bound, by a [`Share`] for each body.
//! The body of a request needs its share until it is answered. That of a stream never ends: its door is handed the share
//! among the extensions of the request, and gives back what each batch has taken.
//!
//! Law: a share never has more of the room than it holds of bytes beyond those that are free.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::http::Extensions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one body has of the room of all. Clones are the same share; it is given back when the last is dropped.
#[derive(Debug, Clone)]
pub struct Share(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    room: Arc<Semaphore>,
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
}

impl Share {
    /// Of this room, a permit a byte. So many bytes need none: who sends little is not kept waiting by who sends much.
    pub fn new(room: Arc<Semaphore>, free: usize) -> Self {
        Self(Arc::new(Inner { room, free, taken: Mutex::default() }))
    }

    /// Waits until there is room for so many bytes that have come.
    pub async fn take(&self, bytes: usize) {
        let missing = {
            let mut taken = self.taken();
            taken.held += bytes;
            taken.since.get_or_insert_with(Instant::now);
            let has = taken.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            taken.held.saturating_sub(self.0.free).saturating_sub(has)
        };
        if missing == 0 {
            return;
        }
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        // A room that is closed bounds nothing any more.
        let Ok(permit) = Arc::clone(&self.0.room).acquire_many_owned(missing).await else { return };
        match &mut self.taken().permit {
            Some(all) => all.merge(permit),
            none => *none = Some(permit),
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

    #[test]
    fn a_share_has_what_it_holds_beyond_what_is_free() {
        let room = Arc::new(Semaphore::new(100));
        let share = Share::new(Arc::clone(&room), 10);
        assert!(share.held_since().is_none());
        share.take(10).now_or_never().unwrap();
        assert_eq!(room.available_permits(), 100);
        share.take(50).now_or_never().unwrap();
        assert_eq!(room.available_permits(), 50);
        assert!(share.held_since().is_some());

        let other = Share::new(Arc::clone(&room), 10);
        assert!(other.take(61).now_or_never().is_none(), "51 are needed, 50 are there");
        share.give_back(30);
        assert_eq!(room.available_permits(), 80);
        share.give_back(30);
        assert!(share.held_since().is_none());
        share.take(30).now_or_never().unwrap();
        assert_eq!(room.available_permits(), 80);
        drop(share);
        assert_eq!(room.available_permits(), 100);
    }
}
