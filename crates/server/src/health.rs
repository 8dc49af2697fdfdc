//! Milepost's own numbers, as plain atomics: written where things happen, read by the exporter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use milepost_ingest::Counters;
use milepost_model::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Upper bounds of the seconds a commit takes, and an event from acceptance to the Model.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds of the events of a commit.
const EVENTS: &[f64] = &[1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];

/// All of them.
#[derive(Debug)]
pub struct Health {
    /// Events by door and fate.
    pub events: Arc<Counters>,
    /// Events waiting to be committed.
    pub queue_events: AtomicU64,
    /// Events of each commit, refused ones included.
    pub commit_events: Histogram,
    /// Seconds of each commit.
    pub commit_seconds: Histogram,
    /// Seconds from the acceptance of a submission to its being in the Model.
    pub freshness_seconds: Histogram,
    /// Commits that failed, their events handed back.
    pub commit_failures: AtomicU64,
    /// Events with the same revision as a kept one and another content.
    pub conflicts: AtomicU64,
    /// Refused events that were tried again: stored, duplicate, refused again.
    pub retried: [AtomicU64; 3],
    /// Requests turned away, without a good token and with one that is for something else.
    denials: [AtomicU64; 2],
    /// When the process started.
    pub started_at: Timestamp,
    /// Microseconds of the last commit; see [`Health::last_commit`].
    last_commit: AtomicI64,
    trouble: watch::Sender<Option<String>>,
    serving: AtomicBool,
    /// What must be there first, and is not yet.
    starting: Mutex<Option<String>>,
}

impl Health {
    /// Of a process that started at this moment and does not serve yet.
    pub fn new(started_at: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            events: Arc::new(Counters::default()),
            queue_events: AtomicU64::new(0),
            commit_events: Histogram::new(EVENTS),
            commit_seconds: Histogram::new(SECONDS),
            freshness_seconds: Histogram::new(SECONDS),
            commit_failures: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            retried: Default::default(),
            denials: [AtomicU64::new(0), AtomicU64::new(0)],
            started_at,
            last_commit: AtomicI64::new(i64::MIN),
            trouble: watch::Sender::new(None),
            serving: AtomicBool::new(false),
            starting: Mutex::new(None),
        })
    }

    /// The time of the last commit since the start, if there was one.
    pub fn last_commit(&self) -> Option<Timestamp> {
        Timestamp::from_micros(self.last_commit.load(Relaxed))
    }

    /// Notes a commit.
    pub fn committed(&self, at: Timestamp) {
        self.last_commit.store(at.micros(), Relaxed);
    }

    /// Counts a request that is turned away; whether its token is known.
    pub fn denied(&self, is_known: bool) {
        self.denials[usize::from(is_known)].fetch_add(1, Relaxed);
    }

    /// Requests turned away: without a good token, and with one that is for something else.
    pub fn denials(&self) -> (u64, u64) {
        (self.denials[0].load(Relaxed), self.denials[1].load(Relaxed))
    }

    /// Whether requests are answered: after the replay, before the shutdown.
    pub fn set_serving(&self, serving: bool) {
        self.serving.store(serving, Relaxed);
    }

    /// Notes what is being waited for before anything can be answered, such as `loading events`; none: nothing any more.
    pub fn set_starting(&self, what: Option<String>) {
        *self.starting.lock() = what;
    }

    /// What is being waited for before anything can be answered.
    pub fn starting(&self) -> Option<String> {
        self.starting.lock().clone()
    }

    /// Notes why the process must not be sent anything any more. The first reason stays: the others follow from it.
    pub fn fail(&self, reason: impl Into<String>) {
        self.trouble.send_if_modified(|trouble| {
            let first = trouble.is_none();
            trouble.get_or_insert_with(|| reason.into());
            first
        });
    }

    /// Waits until there is such a reason.
    pub async fn failed(&self) {
        // An error means that the sender is gone, and it is `self`.
        let _ = self.trouble.subscribe().wait_for(Option::is_some).await;
    }

    /// Whether requests should be sent here, and if not, why.
    pub fn ready(&self) -> Result<(), String> {
        if let Some(trouble) = &*self.trouble.borrow() {
            return Err(trouble.clone());
        }
        if let Some(what) = self.starting() {
            return Err(what);
        }
        if self.serving.load(Relaxed) { Ok(()) } else { Err("starting or shutting down".into()) }
    }
}

/// How often values fell at or under each of its bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all of them.
    buckets: Vec<AtomicU64>,
    /// Kept as the bits of an `f64`, as there is no atomic one.
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramCounts {
    /// Each bound with the number of values at or under it.
    pub cumulative: Vec<(f64, u64)>,
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

impl Histogram {
    /// With these upper bounds, ascending.
    pub fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, sum: AtomicU64::new(0f64.to_bits()) }
    }

    /// Notes a value.
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // Never fails: `add` always gives a value.
        let _ = self.sum.fetch_update(Relaxed, Relaxed, add);
    }

    /// Notes a length of time, in seconds.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(duration.as_secs_f64());
    }

    /// What it holds now.
    pub fn read(&self) -> HistogramCounts {
        let mut count = 0;
        let mut cumulative = Vec::with_capacity(self.bounds.len());
        for (index, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Relaxed);
            if let Some(bound) = self.bounds.get(index) {
                cumulative.push((*bound, count));
            }
        }
        HistogramCounts { cumulative, count, sum: f64::from_bits(self.sum.load(Relaxed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_counts_under_it() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 2.0, 3.0] {
            histogram.observe(value);
        }
        let expected = HistogramCounts { cumulative: vec![(1.0, 2), (2.0, 3)], count: 4, sum: 6.5 };
        assert_eq!(histogram.read(), expected);
    }

    #[test]
    fn the_first_trouble_is_the_one_told() {
        let health = Health::new(Timestamp::MIN);
        assert!(health.ready().is_err());
        health.set_serving(true);
        assert_eq!(health.ready(), Ok(()));
        health.fail("disk");
        health.fail("everything else");
        assert_eq!(health.ready(), Err("disk".into()));
    }
}
