//! Changes: which deploys brought them, when they were committed, proposed and merged.

use super::index::Table;
use super::names::{Environment, Service, Symbol as _, Word};
use super::sorted::Sorted;
use super::work::grown;
use crate::event::EventKey;
use crate::time::Timestamp;

/// A change of a successful deploy whose commit time is known. Their order is that of the deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Brought {
    /// When it was deployed.
    pub at: Timestamp,
    /// The event of the deploy.
    pub key: EventKey,
    /// Its place among the changes of the deploy.
    pub number: u16,
    /// Its id.
    pub change: Option<Word>,
    /// When it was committed.
    pub committed: Timestamp,
    /// Where to.
    pub environment: Option<Environment>,
}

/// That a change was proposed, or merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milestone {
    /// Merged; else proposed.
    pub merged: bool,
    /// When.
    pub at: Timestamp,
    /// The event that says so.
    pub key: EventKey,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// By service.
    pub(super) brought: Vec<Sorted<Brought>>,
    pub(super) milestones: Table<Word, Sorted<Milestone>>,
}

impl Changes {
    pub(super) fn insert_brought(&mut self, service: Service, brought: Brought) {
        grown(&mut self.brought, service).add(brought);
    }

    pub(super) fn remove_brought(&mut self, service: Service, brought: Brought) {
        if let Some(known) = self.brought.get_mut(service.index()) {
            known.drop(brought);
        }
    }

    pub(super) fn insert_milestone(&mut self, change: Word, milestone: Milestone) {
        self.milestones.entry(change).add(milestone);
    }

    pub(super) fn remove_milestone(&mut self, change: Word, milestone: Milestone) {
        if let Some(known) = self.milestones.get_mut(change) {
            known.drop(milestone);
        }
    }

    /// The changes that deploys of a service brought before an instant, in the order of the deploys.
    pub fn brought(&self, service: Service, before: Timestamp) -> impl Iterator<Item = &Brought> + use<'_> {
        let known = self.brought.get(service.index());
        known.into_iter().flat_map(move |known| known.before(move |brought| brought.at < before))
    }

    /// When a change was first proposed, or first merged.
    pub fn milestone(&self, change: Word, merged: bool) -> Option<&Milestone> {
        let mut known = self.milestones.get(change)?.from(move |milestone| merged && !milestone.merged);
        known.next().filter(|milestone| milestone.merged == merged)
    }
}
