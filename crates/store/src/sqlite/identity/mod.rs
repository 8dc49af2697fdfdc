//! The way from the key of an identity to the events that have it: exact, over all time, and flat in their number.
//!
//! ```text
//!  event:       1 ........................................ covered ............... newest
//!  run files:   [ run ][ run ][ run ]..............[ run ]
//!  in memory:                                             [ frozen tail ][ tail ]
//! ```
//!
//! Laws:
//!
//! 1. **Exact.** What covers the events (the runs, the frozen tail, the tail) has the key and number of every committed
//!    one, each once. A filter only ever says that a run need not be read. Whoever is given a number compares the source
//!    and id of that event, since identities may share a key.
//! 2. **Everything here is a cache of the table `event`.** The tail is made from it when the store is opened; a run that is
//!    missing, or not what was written, is noticed when opened or read, and written anew from it.
//! 3. **Runs never change.** They are written by threads that share nothing with the writer but other runs. A finished one
//!    is used at once, and registered by the next commit; only then are the files deleted that it stands for. A crash
//!    between any two steps leaves files that nobody registered, which the next start deletes, and an older registration,
//!    whose files are all there.
//! 4. **The tail follows the table.** Entries of a transaction that did not commit are taken back before the next one.
//!
//! An id that is new, as nearly all are, costs a look into the tail and one cache line of each run's filter. Its entry is
//! written O(log n) times; see [`merge`].

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use self::run::{Filtered, Registration, Run, RunError};
use self::tail::Tail;
use super::directory;
use crate::StoreError;
use crate::failpoint::reach;
use crate::filter::Probe;

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub(super) mod lookup;
mod merge;
pub(super) mod run;
pub(super) mod table;
mod tail;
#[cfg(test)]
mod tests;

/// Where the runs are, inside the data directory.
pub(super) const DIRECTORY: &str = "identity";

type Job = JoinHandle<Result<Run, RunError>>;

/// The writer's side.
#[derive(Debug)]
pub(super) struct Identity {
    directory: PathBuf,
    /// Entries of a tail that make it a run.
    unit: usize,
    /// In the order of their ranges, which follow one another.
    runs: Vec<Arc<Run>>,
    /// Whether the database says so.
    registered: bool,
    /// Numbers of runs whose place others took.
    replaced: Vec<u64>,
    next_number: u64,
    /// Is being made a run.
    frozen: Option<Arc<Tail>>,
    tail: Tail,
    /// The last committed event.
    committed: i64,
    /// Entries of the tail at which it is frozen: later after a failure.
    flush_at: usize,
    flushing: Option<Job>,
    merging: Option<(Job, Vec<u64>)>,
    /// Whether there may be something to merge.
    look: bool,
    stop: Arc<AtomicBool>,
}

impl Identity {
    /// Opens what is registered, writes anew what is damaged, and deletes what nobody registered. The lock of the data
    /// directory is held, and `connection` is in no transaction.
    pub(super) fn open(connection: &Connection, data: &Path, unit: usize) -> Result<Self, StoreError> {
        let directory = data.join(DIRECTORY);
        directory::create(&directory)?;
        let (registered, newest) = (table::registered(connection)?, table::newest(connection)?);
        let mut identity = Self {
            next_number: sweep(&directory, &registered.iter().map(|run| run.number).collect())?,
            directory,
            unit: unit.max(1),
            runs: Vec::new(),
            registered: true,
            replaced: Vec::new(),
            frozen: None,
            tail: Tail::default(),
            committed: 0,
            flush_at: unit.max(1),
            flushing: None,
            merging: None,
            look: true,
            stop: Arc::default(),
        };
        for registration in registered {
            match Run::open(&identity.directory, registration, Filtered::Yes) {
                Ok(run) if registration.first > identity.covered() && registration.last <= newest => {
                    identity.cover(connection, registration.first - 1)?;
                    identity.runs.push(Arc::new(run));
                }
                _ => {
                    identity.replaced.push(registration.number);
                    identity.registered = false;
                }
            }
        }
        if newest - identity.covered() > table::REBUILT {
            identity.cover(connection, newest)?;
        }
        identity.committed = identity.covered();
        identity.follow(connection)?;
        identity.start_jobs();
        Ok(identity)
    }

    /// The last event in a run.
    fn covered(&self) -> i64 {
        self.runs.last().map_or(0, |run| run.registration().last)
    }

    /// The last committed event.
    pub(super) fn last(&self) -> i64 {
        self.committed
    }

    /// Writes runs of the events up to this one that are in none.
    fn cover(&mut self, connection: &Connection, last: i64) -> Result<(), StoreError> {
        let range = (self.covered() + 1, last);
        if range.0 <= range.1 {
            let runs = self.rebuild(connection, range)?;
            self.runs.extend(runs.into_iter().map(Arc::new));
            self.registered = false;
        }
        Ok(())
    }

    fn rebuild(&mut self, connection: &Connection, range: (i64, i64)) -> Result<Vec<Run>, StoreError> {
        table::rebuild(connection, &self.directory, range, || take_number(&mut self.next_number))
    }

    /// Lets the tail end with the last committed event.
    fn follow(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.tail.truncate(self.committed);
        let tail = &mut self.tail;
        table::keys(connection, (self.committed + 1, i64::MAX), |(key, seq)| tail.insert(key, seq))?;
        if let Some((_, seq)) = self.tail.entries().last() {
            self.committed = *seq;
        }
        Ok(())
    }

    /// To be called first in a transaction: registers what has become of the runs.
    pub(super) fn begin(&mut self, connection: &Connection) -> Result<(), StoreError> {
        self.follow(connection)?;
        self.collect_flushed();
        self.collect_merged(connection)?;
        self.register(connection)
    }

    fn register(&self, connection: &Connection) -> Result<(), StoreError> {
        if self.registered {
            return Ok(());
        }
        table::register(connection, self.runs.iter().map(|run| run.registration()))
    }

    /// For each key, whether it may be in a run. Asked of many keys at once, run by run, the filters are read from memory
    /// many lines at a time; asked key by key, each look would wait for the one before.
    pub(super) fn screen(&self, keys: &[u64]) -> Vec<bool> {
        let probes: Vec<Probe> = keys.iter().map(|key| Probe::of(*key)).collect();
        let mut perhaps = vec![false; keys.len()];
        for run in &self.runs {
            for (perhaps, probe) in perhaps.iter_mut().zip(&probes) {
                *perhaps |= run.may_contain(probe);
            }
        }
        perhaps
    }

    /// Adds the events with this key, those of this transaction included. `in_a_run` is what [`Self::screen`] said of it.
    pub(super) fn find(
        &mut self,
        connection: &Connection,
        key: u64,
        in_a_run: bool,
        found: &mut Vec<i64>,
    ) -> Result<(), StoreError> {
        let probe = Probe::of(key);
        let mut place = if in_a_run { 0 } else { self.runs.len() };
        while let Some(run) = self.runs.get(place) {
            let before = found.len();
            if !run.may_contain(&probe) || run.find(key, found).is_ok() {
                place += 1;
            } else {
                found.truncate(before);
                self.mend(connection, place)?;
                self.register(connection)?;
            }
        }
        if let Some(frozen) = &self.frozen {
            frozen.find(key, found);
        }
        self.tail.find(key, found);
        Ok(())
    }

    /// Notes an event of this transaction.
    pub(super) fn insert(&mut self, key: u64, seq: i64) {
        self.tail.insert(key, seq);
    }

    /// To be called when the transaction has committed.
    pub(super) fn committed(&mut self) {
        if let Some((_, seq)) = self.tail.entries().last() {
            self.committed = *seq;
        }
        // Whatever changed since the last commit was registered in this one.
        if !self.registered {
            reach("identity.registered");
        }
        self.registered = true;
        for number in self.replaced.drain(..) {
            // What stays is deleted at the next start.
            let _ = fs::remove_file(run::path(&self.directory, number));
            reach("identity.deleted");
        }
        self.start_jobs();
    }

    /// Writes a run anew that cannot be read.
    fn mend(&mut self, connection: &Connection, place: usize) -> Result<(), StoreError> {
        let Registration { number, first, last, .. } = self.runs[place].registration();
        let runs = self.rebuild(connection, (first, last))?;
        self.replace(place..place + 1, runs);
        self.replaced.push(number);
        Ok(())
    }

    /// Lets runs take the place of others, or of a tail.
    fn replace(&mut self, places: Range<usize>, runs: Vec<Run>) {
        self.runs.splice(places, runs.into_iter().map(Arc::new));
        (self.registered, self.look) = (false, true);
    }

    fn collect_flushed(&mut self) {
        let Some(job) = self.flushing.take_if(|job| job.is_finished()) else { return };
        let Some(frozen) = self.frozen.take() else { return };
        if let Ok(Ok(run)) = job.join() {
            self.replace(self.runs.len()..self.runs.len(), vec![run]);
            self.flush_at = self.unit;
        } else {
            // There may be no room on the disk. It stays a tail, and is tried again when that has grown.
            let newer = std::mem::take(&mut self.tail);
            frozen
                .entries()
                .iter()
                .chain(newer.entries())
                .for_each(|(key, seq)| self.tail.insert(*key, *seq));
            self.flush_at = self.tail.len() + self.unit;
        }
    }

    fn collect_merged(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let Some((job, numbers)) = self.merging.take_if(|(job, _)| job.is_finished()) else { return Ok(()) };
        let place_of = |number: u64| self.runs.iter().position(|run| run.registration().number == number);
        match job.join() {
            Ok(Ok(run)) => {
                let places: Option<Vec<usize>> = numbers.iter().map(|number| place_of(*number)).collect();
                // A part that was written anew meanwhile has another number: then the parts stay as they are.
                if let Some(from) = places.and_then(|places| places.first().copied()) {
                    self.replace(from..from + numbers.len(), vec![run]);
                    self.replaced.extend(numbers);
                } else {
                    self.replaced.push(run.registration().number);
                }
                self.look = true;
            }
            Ok(Err(RunError::Damaged { number, .. })) => {
                if let Some(place) = place_of(number) {
                    self.mend(connection, place)?;
                }
            }
            // There may be no room on the disk: tried again after the next flush.
            Ok(Err(RunError::Write(_) | RunError::Interrupted)) | Err(_) => {}
        }
        Ok(())
    }

    /// Starts what is due. A thread that cannot be started is a job that failed.
    fn start_jobs(&mut self) {
        if self.flushing.is_none() && self.tail.len() >= self.flush_at {
            // The next one will be as long.
            let next = Tail::with_capacity(self.tail.len());
            let frozen = Arc::new(std::mem::replace(&mut self.tail, next));
            let (number, tail) = (take_number(&mut self.next_number), Arc::clone(&frozen));
            self.frozen = Some(frozen);
            self.flushing =
                spawn("identity-flush", &self.directory, move |directory| flush(directory, number, &tail));
            if self.flushing.is_none()
                && let Some(frozen) = self.frozen.take()
                && let Ok(tail) = Arc::try_unwrap(frozen)
            {
                self.flush_at = tail.len() + self.unit;
                self.tail = tail;
            }
        }
        if self.look && self.merging.is_none() {
            self.look = false;
            let entries: Vec<u64> = self.runs.iter().map(|run| run.entries()).collect();
            let Some(places) = merge::due(&entries, self.unit as u64) else { return };
            let (number, runs) = (take_number(&mut self.next_number), self.runs[places].to_vec());
            let numbers = runs.iter().map(|run| run.registration().number).collect();
            let stop = Arc::clone(&self.stop);
            let job = spawn("identity-merge", &self.directory, move |directory| {
                merge::merge(directory, number, &runs, &stop)
            });
            self.merging = job.map(|job| (job, numbers));
        }
    }

    /// Whether the next commit has something to register.
    pub(super) fn is_registered(&self) -> bool {
        self.registered
    }

    /// Whether a thread is at work.
    #[cfg(test)]
    fn is_busy(&self) -> bool {
        self.flushing.is_some() || self.merging.is_some()
    }
}

impl Drop for Identity {
    /// The lock of the data directory is given up after this: no thread may write there any more.
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let merging = self.merging.take().map(|(job, _)| job);
        for job in self.flushing.take().into_iter().chain(merging) {
            // What it wrote is registered nowhere.
            drop(job.join());
        }
    }
}

fn take_number(next: &mut u64) -> u64 {
    *next += 1;
    *next - 1
}

fn spawn(
    name: &str,
    directory: &Path,
    work: impl FnOnce(&Path) -> Result<Run, RunError> + Send + 'static,
) -> Option<Job> {
    let directory = directory.to_owned();
    thread::Builder::new().name(name.to_owned()).spawn(move || work(&directory)).ok()
}

fn flush(directory: &Path, number: u64, tail: &Tail) -> Result<Run, RunError> {
    let mut entries = tail.entries().to_vec();
    let range = (entries.first().map_or(0, |entry| entry.1), entries.last().map_or(0, |entry| entry.1));
    entries.sort_unstable();
    table::write(directory, number, range, &entries)
}

/// Deletes what nobody registered. Returns a number that no file has.
fn sweep(directory: &Path, registered: &BTreeSet<u64>) -> Result<u64, StoreError> {
    let failed = |error: std::io::Error| StoreError::Io(format!("{}: {error}", directory.display()));
    let mut largest = registered.last().copied().unwrap_or(0);
    for file in fs::read_dir(directory).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        let Some(number) = number else { continue };
        largest = largest.max(number);
        if !registered.contains(&number) || path != run::path(directory, number) {
            fs::remove_file(&path).map_err(failed)?;
            reach("identity.swept");
        }
    }
    Ok(largest + 1)
}
