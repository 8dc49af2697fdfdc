//! What the reader, librdkafka's callbacks and the user have in common: which partitions are ours, and how far they are done.
//!
//! Law: every assignment of a partition has a number of its own, and what was read by an earlier one is nobody's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use milepost_model::{Partition, Positions};
use parking_lot::Mutex;

/// How far a partition is from its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Which one.
    pub partition: Partition,
    /// Records in it that are not done.
    pub records: i64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Whether there is something for the reader to do beside polling.
    news: AtomicBool,
    ended: AtomicBool,
    lost: AtomicU64,
    refused_commits: AtomicU64,
}

#[derive(Default)]
struct State {
    owned: BTreeMap<Partition, Owned>,
    assignments: u64,
    changes: Vec<Change>,
}

struct Owned {
    assignment: u64,
    /// The offset of the first record that is not done; none before it is known where the partition is begun.
    done: Option<i64>,
    /// What was sent to be committed.
    sent: Option<i64>,
    /// Where the partition ends.
    end: Option<i64>,
}

/// What the group has decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Assigned { partitions: Vec<Partition>, assignment: u64 },
    Revoked(Vec<Partition>),
}

impl Shared {
    /// The group has given us partitions.
    pub(super) fn assign(&self, partitions: Vec<Partition>) {
        let mut state = self.state.lock();
        state.assignments += 1;
        let assignment = state.assignments;
        for partition in &partitions {
            let owned = Owned { assignment, done: None, sent: None, end: None };
            state.owned.insert(partition.clone(), owned);
        }
        state.changes.push(Change::Assigned { partitions, assignment });
        self.news.store(true, Relaxed);
    }

    /// It is read from here on. That is committed, too: whoever was done with what is before may not have come to commit it, and in
    /// a quiet log it would look like a lag for ever.
    pub(super) fn begin(&self, partition: &Partition, next: i64) {
        if let Some(owned) = self.state.lock().owned.get_mut(partition) {
            (owned.done, owned.sent) = (Some(next), None);
        }
        self.news.store(true, Relaxed);
    }

    /// The group has taken partitions from us. Gives those that were begun, and what of them is done and not committed.
    pub(super) fn revoke(&self, partitions: &[Partition]) -> (Vec<Partition>, Vec<(Partition, i64)>) {
        let mut state = self.state.lock();
        let (mut begun, mut uncommitted) = (Vec::new(), Vec::new());
        for partition in partitions {
            let Some(owned) = state.owned.remove(partition) else { continue };
            if let Some(done) = owned.done {
                begun.push(partition.clone());
                if owned.sent != Some(done) {
                    uncommitted.push((partition.clone(), done));
                }
            }
        }
        state.changes.push(Change::Revoked(partitions.to_vec()));
        self.news.store(true, Relaxed);
        (begun, uncommitted)
    }

    pub(super) fn owns(&self, partition: &Partition, assignment: u64) -> bool {
        self.state.lock().owned.get(partition).is_some_and(|owned| owned.assignment == assignment)
    }

    /// The user is done with all before these.
    pub(super) fn done(&self, positions: &Positions) {
        let mut state = self.state.lock();
        for (partition, next) in positions.iter() {
            if let Some(Owned { done: Some(done), .. }) = state.owned.get_mut(partition) {
                *done = next.max(*done);
                self.news.store(true, Relaxed);
            }
        }
    }

    /// What is done and not committed; from now on it counts as committed.
    pub(super) fn to_commit(&self) -> Vec<(Partition, i64)> {
        let mut state = self.state.lock();
        let due = state.owned.iter_mut().filter(|(_, owned)| owned.sent != owned.done);
        due.filter_map(|(partition, owned)| {
            owned.sent = owned.done;
            owned.done.map(|done| (partition.clone(), done))
        })
        .collect()
    }

    /// What was sent last was not committed.
    pub(super) fn not_committed(&self, partitions: &[Partition]) {
        self.refused_commits.fetch_add(1, Relaxed);
        let mut state = self.state.lock();
        for partition in partitions {
            if let Some(owned) = state.owned.get_mut(partition) {
                owned.sent = None;
            }
        }
    }

    /// Where partitions end now.
    pub(super) fn ends(&self, ends: impl Iterator<Item = (Partition, i64)>) {
        let mut state = self.state.lock();
        for (partition, end) in ends {
            if let Some(owned) = state.owned.get_mut(&partition) {
                owned.end = Some(end);
            }
        }
    }

    pub(super) fn lag(&self) -> Vec<Lag> {
        let state = self.state.lock();
        let lag = |(partition, owned): (&Partition, &Owned)| {
            let records = (owned.end? - owned.done?).max(0);
            Some(Lag { partition: partition.clone(), records })
        };
        state.owned.iter().filter_map(lag).collect()
    }

    /// What the group has decided since this was asked last.
    pub(super) fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.state.lock().changes)
    }

    /// Whether there is something to do beside polling; asked once for each record.
    pub(super) fn has_news(&self) -> bool {
        self.news.load(Relaxed) && self.news.swap(false, Relaxed)
    }

    pub(super) fn tell(&self) {
        self.news.store(true, Relaxed);
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    pub(super) fn lose(&self, records: u64) {
        self.lost.fetch_add(records, Relaxed);
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    pub(super) fn refused_commits(&self) -> u64 {
        self.refused_commits.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> Partition {
        Partition { topic: "log".into(), number }
    }

    fn at(number: i32, next: i64) -> Positions {
        [(partition(number), next)].into_iter().collect()
    }

    #[test]
    fn f08_what_an_earlier_assignment_read_is_nobodys() {
        let shared = Shared::default();
        shared.assign(vec![partition(0), partition(1)]);
        assert!(shared.owns(&partition(0), 1));
        shared.revoke(&[partition(0)]);
        assert!(!shared.owns(&partition(0), 1) && shared.owns(&partition(1), 1));
        shared.assign(vec![partition(0)]);
        assert!(!shared.owns(&partition(0), 1) && shared.owns(&partition(0), 2));
        let revoked = Change::Revoked(vec![partition(0)]);
        let assigned = |partitions, assignment| Change::Assigned { partitions, assignment };
        assert_eq!(
            shared.changes(),
            [assigned(vec![partition(0), partition(1)], 1), revoked, assigned(vec![partition(0)], 2)]
        );
    }

    #[test]
    fn what_is_done_is_committed_once_and_never_backwards() {
        let shared = Shared::default();
        shared.assign(vec![partition(0), partition(1)]);
        shared.done(&at(0, 9));
        assert!(shared.to_commit().is_empty(), "nothing is done before it is begun");
        shared.begin(&partition(0), 5);
        assert_eq!(shared.to_commit(), [(partition(0), 5)], "the group may not know where it is begun");
        assert!(shared.to_commit().is_empty());
        shared.done(&at(0, 9));
        shared.done(&at(0, 7));
        shared.done(&at(2, 7));
        assert_eq!(shared.to_commit(), [(partition(0), 9)]);
        assert!(shared.to_commit().is_empty());
        shared.not_committed(&[partition(0), partition(2)]);
        assert_eq!((shared.to_commit(), shared.refused_commits()), (vec![(partition(0), 9)], 1));
        shared.done(&at(0, 10));
        assert_eq!(
            shared.revoke(&[partition(0), partition(1)]),
            (vec![partition(0)], vec![(partition(0), 10)])
        );
        shared.done(&at(0, 11));
        assert!(shared.to_commit().is_empty(), "what is not ours is not ours to commit");
    }

    #[test]
    fn the_lag_is_what_is_not_done() {
        let shared = Shared::default();
        shared.assign(vec![partition(0), partition(1)]);
        shared.begin(&partition(0), 5);
        shared.ends([(partition(0), 12), (partition(1), 3), (partition(7), 1)].into_iter());
        assert_eq!(shared.lag(), [Lag { partition: partition(0), records: 7 }]);
        shared.done(&at(0, 12));
        assert_eq!(shared.lag(), [Lag { partition: partition(0), records: 0 }]);
    }
}
