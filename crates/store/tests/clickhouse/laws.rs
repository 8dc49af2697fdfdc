//! The laws, against a log in memory.

use milepost_model::{Body, Content, Event, EventId, Positions};
use milepost_store::clickhouse::{Counts, Followed};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::{Database, Log, Replica, at, some, sql, used};

/// What the log becomes.
const TABLES: [&str; 3] = ["events", "arrivals", "progress"];

/// Few identities, revisions and contents, so that they meet.
fn events() -> impl Strategy<Value = Event> {
    let body = prop_oneof![
        4 => Just(Body::CapabilityUsed),
        1 => Just(Body::Retracted),
        1 => any::<bool>().prop_map(|preexisting| Body::ServiceRegistered { owner: None, preexisting }),
    ];
    let revision = prop_oneof![6 => 0..3_u64, 1 => Just(u64::MAX)];
    let text = prop_oneof![4 => "[ab]", 1 => any::<String>()];
    let source = prop::sample::select(vec!["ci", "portal", "é\0'\\"]);
    (source, "[1-4]", revision, body, prop::option::of(text), 0..2_i64).prop_map(
        |(source, id, revision, body, team, second)| Event {
            id: EventId { source: source.to_owned(), id },
            revision,
            content: Content {
                actor: None,
                body,
                capability: Some("c".to_owned()),
                occurred_at: at(second),
                service: Some("s".to_owned()),
                team,
            },
        },
    )
}

#[derive(Debug, Clone)]
enum Step {
    /// Records come, and are kept together with so many that are delivered again.
    Keep {
        events: Vec<(i32, Event)>,
        again: usize,
    },
    /// Progress is written of this part of what was kept.
    Advance {
        percent: usize,
    },
    Follow {
        limit: usize,
    },
    Merge,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keep = (prop::collection::vec((0..3_i32, events()), 1..12), 0..6_usize)
        .prop_map(|(events, again)| Step::Keep { events, again });
    let step = prop_oneof![
        4 => keep,
        3 => (0..=100_usize).prop_map(|percent| Step::Advance { percent }),
        4 => (1..9_usize).prop_map(|limit| Step::Follow { limit }),
        1 => Just(Step::Merge),
    ];
    prop::collection::vec(step, 1..14)
}

/// A part of the way to the end.
fn part(log: &Log, percent: usize) -> Positions {
    Log(log.0[..log.0.len() * percent / 100].to_vec()).end()
}

async fn step(database: &Database, log: &mut Log, replica: &mut Replica, step: Step) {
    let clickhouse = &database.clickhouse;
    match step {
        Step::Keep { events, again } => {
            let new = log.0.len();
            events.into_iter().for_each(|(partition, event)| log.push(partition, event));
            clickhouse.insert(&Log::encoded(&log.0[new.saturating_sub(again)..])).await.unwrap();
        }
        Step::Advance { percent } => drop(clickhouse.advance(&part(log, percent), 0).await.unwrap()),
        Step::Follow { limit } => {
            replica.follow(limit).await.unwrap();
            let before = log.before(&replica.follower.progress().positions);
            assert_eq!(replica.winners, before.winners());
            assert_eq!(replica.counts, before.counts());
        }
        Step::Merge => {
            for table in TABLES {
                let table = format!("{}.{table}", database.options.database);
                for statement in ["SYSTEM START MERGES", "OPTIMIZE TABLE", "SYSTEM STOP MERGES"] {
                    let end = if statement == "OPTIMIZE TABLE" { " FINAL" } else { "" };
                    sql(&database.options, &format!("{statement} {table}{end}")).await.unwrap();
                }
            }
        }
    }
}

/// Nothing is left but what follows from the log.
fn equal_to(database: &Database, log: &Log) {
    let loaded = database.load();
    assert_eq!(loaded.counts, log.counts());
    assert_eq!(loaded.model.fingerprint(), log.fingerprint());
    assert_eq!(database.winners(), log.winners());
    let mut reader = database.clickhouse.reader(database.runtime.handle().clone());
    let sizes = reader.sizes().unwrap();
    assert_eq!((sizes.versions, sizes.winners()), (log.counts().versions, log.counts().winners));
    for event in log.winners().values().take(3) {
        assert_eq!(reader.find(event.id.key(), event.at()).unwrap(), vec![event.id.clone()]);
        assert_eq!(reader.find(event.id.key(), at(99)).unwrap(), vec![]);
    }
    let winners = database
        .sql(&format!("SELECT count(), uniqExact(source, id) FROM {}.winners", database.options.database));
    assert_eq!(winners, format!("{0}\t{0}", log.winners().len()));
}

#[test]
fn f21_whoever_follows_and_whoever_loads_has_the_winners() {
    let database = Database::new("laws");
    let cases = ProptestConfig { cases: ProptestConfig::default().cases / 16, ..ProptestConfig::default() };
    let law = |steps| {
        for table in TABLES {
            database.sql(&format!("TRUNCATE TABLE {}.{table}", database.options.database));
            database.sql(&format!("SYSTEM STOP MERGES {}.{table}", database.options.database));
        }
        let mut log = Log::default();
        let mut replica = Replica::new(database.load());
        database.runtime.block_on(async {
            for next in steps {
                step(&database, &mut log, &mut replica, next).await;
            }
            database.clickhouse.advance(&log.end(), 0).await.unwrap();
            while replica.follow(5).await.unwrap() {}
        });
        prop_assert_eq!(&replica.winners, &log.winners());
        prop_assert_eq!(replica.model.fingerprint(), log.fingerprint());
        equal_to(&database, &log);
        for table in TABLES {
            database.sql(&format!("SYSTEM START MERGES {}.{table}", database.options.database));
        }
        database.merge();
        equal_to(&database, &log);
        Ok(())
    };
    TestRunner::new(cases).run(&steps(), law).unwrap();
}

/// Merging may leave one of two records with the same version: that which was there first, so that nobody thinks it is new.
#[test]
fn what_came_first_stays() {
    let database = Database::new("first");
    let mut log = Log::default();
    log.push(0, used("1", 0, "a"));
    database.keep(&log);
    let mut follower = database.load().follower;
    log.push(0, used("1", 0, "a"));
    database.keep(&log);
    database.merge();
    let left = format!("SELECT count(), min(offset) FROM {}.events", database.options.database);
    assert_eq!(database.sql(&left), "1\t8");
    let followed = database.runtime.block_on(follower.follow(10)).unwrap();
    let Followed::Changed { changes, counts, .. } = followed else { panic!("{followed:?}") };
    assert_eq!((changes, counts), (Vec::new(), Counts::default()));
}

/// More than a piece of a load, than a statement of keys that are looked up, and than a step of a follower.
#[test]
fn it_does_not_depend_on_how_much_is_read_at_once() {
    let database = Database::new("pieces");
    let mut replica = Replica::new(database.load());
    let mut log = Log::of(some(12_000));
    database.keep(&log);
    // Every one again, with another team.
    for (n, event) in some(12_000).into_iter().enumerate() {
        log.push(n as i32 % 3, Event { revision: 1, ..used(&event.id.id, 1, "moved") });
    }
    database.runtime.block_on(async {
        assert!(replica.follow(5_000).await.unwrap());
        while replica.follow(5_000).await.unwrap() {}
    });
    assert_eq!(replica.winners.len(), 12_000);
    database.keep(&log);
    let mut read = Vec::new();
    database.runtime.block_on(async {
        while replica.follow(11_000).await.unwrap() {}
        let loaded = database.clickhouse.load(|rows, of| read.push((rows, of))).await.unwrap();
        assert_eq!(loaded.model.fingerprint(), replica.model.fingerprint());
    });
    assert_eq!(replica.winners, log.winners());
    assert_eq!(replica.counts, log.counts());
    assert_eq!(read.len(), 1);
    assert!(read[0].0 == read[0].1 && (24_000..=36_000).contains(&read[0].0), "{read:?}");
}
