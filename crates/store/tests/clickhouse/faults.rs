//! Rows of docs/faults.md that are about ClickHouse.

use std::time::Duration;

use milepost_model::Positions;
use milepost_services::clickhouse;
use milepost_store::clickhouse::{ClickHouse, Error, Followed, Options, Timeouts};

use crate::proxy::{Harm, Proxy};
use crate::support::{Database, Log, Replica, of_server, partition, runtime, some, sql, used};

/// The same database through a proxy, with little patience.
fn through_a_proxy(database: &Database) -> (ClickHouse, Proxy) {
    let proxy = Proxy::before(&database.options.url, database.runtime.handle());
    let timeouts = Timeouts { statement: Duration::from_millis(300), ..database.options.timeouts };
    let options = Options { url: proxy.url(), timeouts, ..database.options.clone() };
    (ClickHouse::new(&options).unwrap(), proxy)
}

fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unavailable(_)))
}

#[test]
fn f16_an_insert_is_applied_and_its_answer_is_lost() {
    let database = Database::new("f16");
    let (clickhouse, proxy) = through_a_proxy(&database);
    let log = Log::of(some(100));
    let batch = log.batch();
    database.runtime.block_on(async {
        proxy.harm("INSERT", Harm::LoseAnswers);
        for _ in 0..3 {
            let lost = clickhouse.insert(&batch).await;
            assert!(is_unavailable(&lost), "{lost:?}");
        }
        let rows = format!("SELECT count() FROM {}.events", database.options.database);
        assert_eq!(sql(&database.options, &rows).await.unwrap(), "300");
        // Nobody sees of it before it is said to be there.
        let nothing = clickhouse.load(|_, _| {}).await.unwrap();
        assert_eq!(nothing.counts.versions, 0);
        proxy.harm("INSERT", Harm::None);
        clickhouse.insert(&batch).await.unwrap();
        clickhouse.advance(&log.end(), 0).await.unwrap();
        let loaded = clickhouse.load(|_, _| {}).await.unwrap();
        assert_eq!((loaded.counts, loaded.model.fingerprint()), (log.counts(), log.fingerprint()));
    });
}

#[test]
fn f17_clickhouse_hangs() {
    let database = Database::new("f17");
    let (clickhouse, proxy) = through_a_proxy(&database);
    let log = Log::of(some(100));
    database.runtime.block_on(async {
        let mut replica = Replica::new(clickhouse.load(|_, _| {}).await.unwrap());
        proxy.harm("", Harm::Hang);
        assert!(is_unavailable(&clickhouse.insert(&log.batch()).await));
        assert!(is_unavailable(&clickhouse.advance(&log.end(), 0).await));
        assert!(is_unavailable(&replica.follower.follow(10).await));
        assert!(is_unavailable(&clickhouse.load(|_, _| {}).await));
        proxy.harm("", Harm::None);
        clickhouse.insert(&log.batch()).await.unwrap();
        clickhouse.advance(&log.end(), 0).await.unwrap();
        while replica.follow(1_000).await.unwrap() {}
        assert_eq!(replica.winners, log.winners());
    });
}

#[test]
fn f18_clickhouse_is_asked_for_too_much() {
    let database = Database::new("f18");
    let (clickhouse, proxy) = through_a_proxy(&database);
    let log = Log::of(some(10));
    database.runtime.block_on(async {
        for name in ["252. DB::Exception: Too many parts (TOO_MANY_PARTS)", "241. x (MEMORY_LIMIT_EXCEEDED)", "202. x (TOO_MANY_SIMULTANEOUS_QUERIES)"] {
            proxy.harm("", Harm::Answer(format!("Code: {name}")));
            let refused = clickhouse.insert(&log.batch()).await;
            assert!(matches!(&refused, Err(Error::Unavailable(said)) if name.contains(said.trim_start_matches("Code: "))), "{refused:?}");
        }
        proxy.harm("", Harm::Answer("<html>bad gateway</html>".to_owned()));
        assert!(is_unavailable(&clickhouse.insert(&log.batch()).await));
    });
}

/// A real limit of a real server.
#[test]
fn f18_too_many_parts() {
    let database = Database::new("parts");
    let events = format!("{}.events", database.options.database);
    database.sql(&format!("SYSTEM STOP MERGES {events}"));
    database.sql(&format!(
        "ALTER TABLE {events} MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 2"
    ));
    let log = Log::of(some(10));
    let insert = || database.runtime.block_on(database.clickhouse.insert(&log.batch()));
    let refused = (0..9).map(|_| insert()).find(Result::is_err).unwrap();
    assert!(
        matches!(&refused, Err(Error::Unavailable(said)) if said.contains("TOO_MANY_PARTS")),
        "{refused:?}"
    );
    database.sql(&format!("SYSTEM START MERGES {events}"));
    database.sql(&format!("ALTER TABLE {events} RESET SETTING parts_to_delay_insert, parts_to_throw_insert"));
    insert().unwrap();
    database.keep(&log);
    assert_eq!(database.winners(), log.winners());
}

#[test]
fn f15_one_row_is_refused() {
    let database = Database::new("f15");
    let events = format!("{}.events", database.options.database);
    database.sql(&format!("ALTER TABLE {events} ADD CONSTRAINT teams CHECK team != 'team-3'"));
    let log = Log::of(some(7));
    let insert = |from: usize, to: usize| {
        database.runtime.block_on(database.clickhouse.insert(&Log::encoded(&log.0[from..to])))
    };
    assert!(matches!(insert(0, 7), Err(Error::Rejected(_))));
    assert!(matches!(insert(3, 4), Err(Error::Rejected(_))));
    insert(0, 3).unwrap();
    insert(4, 7).unwrap();
    database.runtime.block_on(database.clickhouse.advance(&log.end(), 0)).unwrap();
    assert_eq!(database.winners().len(), 6);
}

#[test]
fn f19_parts_that_were_acked_are_gone() {
    let database = Database::new("f19");
    let log = Log::of(some(100));
    database.keep(&log);
    let mut follower = database.load().follower;
    let before = follower.progress().positions.clone();
    database.sql(&format!("TRUNCATE TABLE {}.events", database.options.database));
    assert_eq!(database.load().counts.versions, 0);

    let begin: Positions = [(partition(0), 0), (partition(1), 0)].into_iter().collect();
    database.runtime.block_on(async {
        let clickhouse = &database.clickhouse;
        let progress = clickhouse.rewind(&begin).await.unwrap();
        assert_eq!((progress.epoch, progress.recovering), (1, true));
        assert_eq!(progress.positions.next(&partition(2)), before.next(&partition(2)));
        // One that does not know changes nothing, and is told.
        assert_eq!(clickhouse.advance(&log.end(), 0).await.unwrap(), 1);
        assert_eq!(clickhouse.progress().await.unwrap(), progress);
        assert!(matches!(follower.follow(10).await.unwrap(), Followed::Recovering));
        assert!(clickhouse.load(|_, _| {}).await.unwrap().follower.progress().recovering);

        clickhouse.insert(&log.batch()).await.unwrap();
        assert!(matches!(follower.follow(10).await.unwrap(), Followed::Recovering));
        assert_eq!(clickhouse.advance(&log.end(), 1).await.unwrap(), 1);
        assert!(matches!(follower.follow(10).await.unwrap(), Followed::Reload));
    });
    let loaded = database.load();
    assert_eq!(loaded.model.fingerprint(), log.fingerprint());
    assert_eq!((loaded.follower.progress().epoch, loaded.follower.progress().recovering), (1, false));
}

/// Whatever ClickHouse remembers of inserts, or has forgotten: identity is in the key.
#[test]
fn f20_the_same_again_after_any_time() {
    let database = Database::new("f20");
    let events = format!("{}.events", database.options.database);
    let log = Log::of(some(50));
    for window in [0, 100] {
        database.sql(&format!(
            "ALTER TABLE {events} MODIFY SETTING non_replicated_deduplication_window = {window}"
        ));
        for _ in 0..2 {
            database.keep(&log);
            assert_eq!(database.load().counts, log.counts());
        }
    }
    // A part is lost, and what ClickHouse remembers of its insert is not: it is taken again.
    database.sql(&format!("TRUNCATE TABLE {events}"));
    database.sql(&format!("TRUNCATE TABLE {}.arrivals", database.options.database));
    database.keep(&log);
    assert_eq!(database.load().counts, log.counts());
    assert_eq!(
        database
            .sql(&format!("SELECT uniqExact(offset, partition) FROM {}.arrivals", database.options.database)),
        "50"
    );
}

/// Batches become visible in another order than that of their offsets.
#[test]
fn an_insert_that_becomes_visible_late_is_not_missed() {
    let database = Database::new("late");
    let mut log = Log::default();
    for n in 0..4 {
        log.push(0, used(&n.to_string(), 0, "a"));
    }
    database.runtime.block_on(async {
        let clickhouse = &database.clickhouse;
        let mut replica = Replica::new(clickhouse.load(|_, _| {}).await.unwrap());
        let (early, late) = log.0.split_at(2);
        clickhouse.insert(&Log::encoded(late)).await.unwrap();
        replica.follow(10).await.unwrap();
        let mut loaded = clickhouse.load(|_, _| {}).await.unwrap().follower;
        clickhouse.insert(&Log::encoded(early)).await.unwrap();
        clickhouse.advance(&log.end(), 0).await.unwrap();
        replica.follow(10).await.unwrap();
        assert_eq!(replica.winners, log.winners());
        let followed = loaded.follow(10).await.unwrap();
        assert!(matches!(&followed, Followed::Changed { changes, .. } if changes.len() == 4), "{followed:?}");
    });
}

/// What waits for ClickHouse may be a task among others.
#[test]
fn calls_are_made_from_tasks() {
    let database = Database::new("tasks");
    let log = Log::of(some(4));
    database.keep(&log);
    let clickhouse = database.clickhouse.clone();
    let task = database.runtime.spawn(async move {
        let mut loaded = clickhouse.load(|_, _| {}).await?;
        let followed = loaded.follower.follow(10).await?;
        Ok::<_, Error>((loaded.counts, followed))
    });
    let (counts, followed) = database.runtime.block_on(task).unwrap().unwrap();
    assert_eq!(counts, log.counts());
    assert!(matches!(followed, Followed::Changed { changes, more: false, .. } if changes.is_empty()));
}

/// Killed at once after it has answered: what `progress` speaks of is there.
#[test]
fn a_killed_clickhouse_has_what_it_said() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = clickhouse::start(directory.path(), &clickhouse::Options::default()).unwrap();
    let clickhouse = ClickHouse::new(&of_server(&server.url())).unwrap();
    let runtime = runtime();
    let log = Log::of(some(500));
    runtime.block_on(async {
        clickhouse.migrate().await.unwrap();
        clickhouse.insert(&log.batch()).await.unwrap();
        clickhouse.advance(&log.end(), 0).await.unwrap();
    });
    server.kill().unwrap();
    let gone = runtime.block_on(clickhouse.progress());
    assert!(is_unavailable(&gone), "{gone:?}");
    server.restart().unwrap();
    let loaded = runtime.block_on(clickhouse.load(|_, _| {})).unwrap();
    assert_eq!((loaded.counts, loaded.model.fingerprint()), (log.counts(), log.fingerprint()));
}

#[test]
fn a_row_that_is_not_what_was_written_is_noticed() {
    let database = Database::new("damaged");
    let mut log = Log::of(some(3));
    database.keep(&log);
    let mut follower = database.load().follower;
    database.sql(&format!(
        "ALTER TABLE {}.events UPDATE content = replace(content, 'team-1', 'team-9') WHERE id = '1' SETTINGS mutations_sync = 2",
        database.options.database
    ));
    let damaged = |error: &Error| matches!(error, Error::Corrupt(said) if said.contains("table events"));
    let load = database.runtime.block_on(database.clickhouse.load(|_, _| {}));
    assert!(damaged(load.as_ref().unwrap_err()), "{load:?}");
    log.push(1, used("1", 5, "b"));
    database.keep(&log);
    let followed = database.runtime.block_on(follower.follow(10));
    assert!(damaged(followed.as_ref().unwrap_err()), "{followed:?}");
}
