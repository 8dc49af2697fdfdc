//! How many events met which fate at which door.
//!
//! Law: once a door has answered, the events of that answer are counted in exactly one of the four fates, so that over
//! all doors and fates the counts add up to the events received.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use milepost_model::refusal::Reason;
use milepost_model::{Door, Fate};

/// Counts since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    doors: [DoorCounters; Door::ALL.len()],
}

#[derive(Debug, Default)]
struct DoorCounters {
    stored: AtomicU64,
    duplicate: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    handed_back: AtomicU64,
    unreadable: AtomicU64,
}

/// Counts of one door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DoorCounts {
    /// New events.
    pub stored: u64,
    /// Events known already.
    pub duplicate: u64,
    /// Refused events, by the order of [`Reason::ALL`].
    pub refused: [u64; Reason::ALL.len()],
    /// Events whose sender was told to try again.
    pub handed_back: u64,
    /// Requests that could not be taken apart into events, which therefore are in no other count.
    pub unreadable: u64,
}

impl DoorCounts {
    /// Refused events, whatever the reason.
    pub fn refused(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// All events received.
    pub fn received(&self) -> u64 {
        self.stored + self.duplicate + self.refused() + self.handed_back
    }
}

impl Counters {
    /// The counts of a door now.
    pub fn read(&self, door: Door) -> DoorCounts {
        let counters = &self.doors[door as usize];
        DoorCounts {
            stored: counters.stored.load(Relaxed),
            duplicate: counters.duplicate.load(Relaxed),
            refused: std::array::from_fn(|reason| counters.refused[reason].load(Relaxed)),
            handed_back: counters.handed_back.load(Relaxed),
            unreadable: counters.unreadable.load(Relaxed),
        }
    }

    pub(crate) fn fates(&self, door: Door, fates: &[Fate]) {
        let counters = &self.doors[door as usize];
        let (mut stored, mut duplicate) = (0, 0);
        for fate in fates {
            match fate {
                Fate::Stored { .. } => stored += 1,
                Fate::Duplicate => duplicate += 1,
                Fate::Refused(refusal) => {
                    counters.refused[refusal.reason as usize].fetch_add(1, Relaxed);
                }
            }
        }
        counters.stored.fetch_add(stored, Relaxed);
        counters.duplicate.fetch_add(duplicate, Relaxed);
    }

    pub(crate) fn handed_back(&self, door: Door, events: usize) {
        self.doors[door as usize].handed_back.fetch_add(events as u64, Relaxed);
    }

    pub(crate) fn unreadable(&self, door: Door) {
        self.doors[door as usize].unreadable.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arrays are indexed by discriminant.
    #[test]
    fn all_lists_are_in_the_order_of_their_discriminants() {
        assert!(Door::ALL.iter().enumerate().all(|(index, door)| *door as usize == index));
        assert!(Reason::ALL.iter().enumerate().all(|(index, reason)| *reason as usize == index));
    }
}
