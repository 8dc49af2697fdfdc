//! Retention: no number changes, wherever it is cut off.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use milepost_model::{Body, Content, Event, EventId, Model};
use milepost_store::Reader;
use milepost_store::clickhouse::{ClickHouse, Dropping, Error, Followed, Follower, Freeze, Options};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::proxy::{Harm, Proxy};
use crate::support::{Database, Log, at, used};

/// What the numbers are made of: the largest version of each event, until it is frozen.
#[derive(Debug, Clone, Default)]
struct Truth {
    winners: BTreeMap<EventId, Event>,
    frozen: HashSet<EventId>,
}

impl Truth {
    fn take(&mut self, event: &Event) {
        if self.frozen.contains(&event.id) {
            return;
        }
        let winner = self.winners.entry(event.id.clone()).or_insert_with(|| event.clone());
        if event.version() > winner.version() {
            *winner = event.clone();
        }
    }

    /// How many that are.
    fn freeze(&mut self, horizon: i64) -> u64 {
        let before = self.frozen.len();
        let old = self.winners.values().filter(|winner| winner.at() < at(horizon));
        self.frozen.extend(old.map(|winner| winner.id.clone()));
        (self.frozen.len() - before) as u64
    }

    fn fingerprint(&self) -> u64 {
        let mut model = Model::new();
        self.winners.values().for_each(|winner| model.insert(winner));
        model.fingerprint()
    }
}

/// One that follows, and loads where it has to.
struct Replica {
    model: Model,
    follower: Follower,
}

impl Replica {
    fn load(database: &Database) -> Self {
        let loaded = database.load();
        Self { model: loaded.model, follower: loaded.follower }
    }

    /// To the end of the log; how many versions were ignored.
    fn follow(&mut self, database: &Database, limit: usize) -> u64 {
        let mut all = 0;
        loop {
            match database.runtime.block_on(self.follower.follow(limit)).unwrap() {
                Followed::Changed { changes, ignored, more, .. } => {
                    for change in changes {
                        change.old.iter().for_each(|old| self.model.remove(old));
                        self.model.insert(&change.new);
                    }
                    all += ignored;
                    if !more {
                        return all;
                    }
                }
                Followed::Reload => *self = Self::load(database),
                Followed::Recovering => panic!("nothing is read again"),
            }
        }
    }
}

impl Database {
    fn freeze(&self, horizon: i64) -> Option<Freeze> {
        self.runtime.block_on(self.clickhouse.freeze(at(horizon))).unwrap()
    }

    /// Until it is done.
    fn drop_contents(&self) {
        let step = || self.runtime.block_on(self.clickhouse.drop_contents(Duration::ZERO)).unwrap();
        while step() != Dropping::Done {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn reader(&self) -> Box<dyn Reader> {
        self.clickhouse.reader(self.runtime.handle().clone())
    }

    fn count(&self, table: &str, condition: &str) -> u64 {
        let name = &self.options.database;
        self.sql(&format!("SELECT count() FROM {name}.{table} WHERE {condition}")).parse().unwrap()
    }
}

/// Few identities, so that frozen ones are met again.
fn events() -> impl Strategy<Value = Event> {
    let body = prop_oneof![Just(Body::CapabilityUsed), Just(Body::TeamRegistered), Just(Body::Retracted)];
    (0..9_u8, 0..3_u64, 0..9_i64, 0..3_u8, body).prop_map(|(id, revision, day, team, body)| Event {
        id: EventId { source: "ci".to_owned(), id: id.to_string() },
        revision,
        content: Content {
            actor: None,
            body,
            capability: Some("pipeline".to_owned()),
            occurred_at: at(day * 86_400),
            service: None,
            team: Some(format!("team-{team}")),
        },
    })
}

#[derive(Debug, Clone)]
enum Step {
    Keep(Vec<Event>),
    Follow(usize),
    /// What is dated before the start of this day.
    Freeze(i64),
    Drop,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        prop::collection::vec(events(), 1..8).prop_map(Step::Keep),
        (1..9_usize).prop_map(Step::Follow),
        (0..10_i64).prop_map(Step::Freeze),
        Just(Step::Drop),
        Just(Step::Restart),
    ];
    prop::collection::vec(step, 3..14)
}

#[test]
fn no_number_changes_whatever_is_frozen_dropped_and_sent_again() {
    let cases = ProptestConfig { cases: ProptestConfig::default().cases / 16, ..ProptestConfig::default() };
    let law = |steps: Vec<Step>| {
        let database = Database::new("retention");
        let (mut log, mut truth) = (Log::default(), Truth::default());
        let mut replica = Replica::load(&database);
        for step in steps {
            match step {
                Step::Keep(events) => {
                    for (n, event) in events.into_iter().enumerate() {
                        truth.take(&event);
                        log.push(n as i32 % 3, event);
                    }
                    // All of it: what was kept before is sent again.
                    database.keep(&log);
                }
                Step::Follow(limit) => drop(replica.follow(&database, limit)),
                Step::Freeze(day) => {
                    let horizon = database.reader().horizon().unwrap();
                    let frozen = database.freeze(day * 86_400).map_or(0, |freeze| freeze.events);
                    // A horizon never goes back.
                    let goes_on = horizon.is_none_or(|horizon| horizon.at < at(day * 86_400));
                    prop_assert_eq!(frozen, if goes_on { truth.freeze(day * 86_400) } else { 0 });
                }
                Step::Drop => database.drop_contents(),
                Step::Restart => replica = Replica::load(&database),
            }
            prop_assert_eq!(database.load().model.fingerprint(), truth.fingerprint());
        }
        replica.follow(&database, 3);
        prop_assert_eq!(replica.model.fingerprint(), truth.fingerprint());
        Ok(())
    };
    TestRunner::new(cases).run(&steps(), law).unwrap();
}

/// A use on a day.
fn on(day: i64, id: &str, revision: u64) -> Event {
    let event = used(id, revision, &format!("team-{revision}"));
    Event { content: Content { occurred_at: at(day * 86_400), ..event.content.clone() }, ..event }
}

#[test]
fn contents_are_dropped_and_identity_stays() {
    let database = Database::new("dropped");
    let mut log =
        Log::of([on(1, "old", 0), on(1, "old", 1), on(1, "moved", 0), on(9, "moved", 1), on(9, "new", 0)]);
    database.keep(&log);
    let mut replica = Replica::load(&database);
    let before = replica.model.fingerprint();
    assert_eq!(database.freeze(5 * 86_400).map(|freeze| freeze.events), Some(1));
    assert_eq!(database.freeze(5 * 86_400), None, "it is done");
    let drop_old = |age| database.runtime.block_on(database.clickhouse.drop_contents(age)).unwrap();
    assert_eq!(drop_old(Duration::from_secs(3_600)), Dropping::Waiting);
    assert_eq!(database.count("events", "content = ''"), 0);
    database.drop_contents();
    assert_eq!((database.count("events", "content = ''"), database.count("events", "1")), (2, 5));
    assert_eq!(database.count("arrivals", "1"), 0);
    assert_eq!(database.load().model.fingerprint(), before);

    // What was there is known, what is another version of it changes nothing, and both are said.
    log.push(0, on(9, "old", 7));
    log.push(1, on(1, "old", 1));
    log.push(2, on(9, "new", 1));
    let mut expected = Model::new();
    [on(1, "old", 1), on(9, "moved", 1), on(9, "new", 1)].iter().for_each(|event| expected.insert(event));
    replica.follow(&database, 100);
    database.keep(&log);
    assert_eq!(replica.follow(&database, 100), 1);
    assert_eq!(replica.model.fingerprint(), expected.fingerprint());
    assert_eq!(database.load().model.fingerprint(), expected.fingerprint());
    let mut reader = database.reader();
    let horizon = reader.horizon().unwrap().unwrap();
    assert_eq!((horizon.at, horizon.finished, horizon.dropped), (at(5 * 86_400), true, 1));
    let find = |reader: &mut Box<dyn Reader>, id, day: i64| {
        reader
            .find(EventId { source: "ci".into(), id: String::from(id) }.key(), at(day * 86_400))
            .unwrap()
            .len()
    };
    assert_eq!((find(&mut reader, "moved", 9), find(&mut reader, "new", 9)), (1, 1));
}

/// Whoever is in the middle of reading when contents are dropped notices, and begins anew.
#[test]
fn who_lags_behind_loads_again() {
    let database = Database::new("lags");
    let mut log = Log::of([on(1, "a", 0), on(1, "b", 0)]);
    database.keep(&log);
    let mut replica = Replica::load(&database);
    // In the log, and not followed yet: who needs the old winner to take it out finds it dropped.
    log.push(0, on(9, "a", 1));
    database.keep(&log);
    database.freeze(5 * 86_400).unwrap();
    database.drop_contents();
    let followed = database.runtime.block_on(replica.follower.follow(100)).unwrap();
    assert!(matches!(followed, Followed::Reload), "{followed:?}");
    replica.follow(&database, 100);
    assert_eq!(replica.model.fingerprint(), database.load().model.fingerprint());
}

#[test]
fn cut_off_anywhere_it_is_done_by_the_next_one() {
    let database = Database::new("freeze_cut");
    let events: Vec<_> = (0..40).map(|n| on(n % 9, &n.to_string(), 0)).collect();
    database.keep(&Log::of(events));
    let expected = database.load().model.fingerprint();
    let proxy = Proxy::before(&database.options.url, database.runtime.handle());
    let clickhouse = ClickHouse::new(&Options { url: proxy.url(), ..database.options.clone() }).unwrap();
    for (day, statement) in [(2, ".frozen_events%28"), (3, ".frozen%28"), (4, ".freezes%28")] {
        proxy.harm(statement, Harm::Answer("cut off".to_owned()));
        let cut = database.runtime.block_on(clickhouse.freeze(at(day * 86_400)));
        assert!(matches!(&cut, Err(Error::Unavailable(said)) if said == "cut off"), "{statement}: {cut:?}");
        assert_eq!(database.load().model.fingerprint(), expected, "{statement}");
        proxy.harm("", Harm::None);
        assert!(database.freeze(day * 86_400).is_some());
        assert_eq!(database.load().model.fingerprint(), expected, "{statement}");
        proxy.harm("ALTER TABLE", Harm::Answer("cut off".to_owned()));
        let cut = database.runtime.block_on(clickhouse.drop_contents(Duration::ZERO));
        assert!(matches!(&cut, Err(Error::Unavailable(said)) if said == "cut off"), "{statement}: {cut:?}");
        proxy.harm("", Harm::None);
        database.drop_contents();
        assert_eq!(database.load().model.fingerprint(), expected, "{statement}");
    }
}

/// Of those that freeze at the same time one counts for all, whoever thought it was the first.
#[test]
fn two_that_freeze_at_the_same_time_do_no_harm() {
    let database = Database::new("freeze_two");
    let events: Vec<_> = (0..40).map(|n| on(n % 9, &n.to_string(), 0)).collect();
    database.keep(&Log::of(events));
    let expected = database.load().model.fingerprint();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let clickhouse = database.clickhouse.clone();
            database.runtime.spawn(async move { clickhouse.freeze(at(5 * 86_400)).await })
        })
        .collect();
    let frozen: Vec<_> =
        tasks.into_iter().filter_map(|task| database.runtime.block_on(task).unwrap().unwrap()).collect();
    assert!(!frozen.is_empty());
    assert_eq!(database.freeze(5 * 86_400), None, "it is frozen already");
    assert_eq!(database.load().model.fingerprint(), expected);
    database.drop_contents();
    assert_eq!(database.load().model.fingerprint(), expected);
}
