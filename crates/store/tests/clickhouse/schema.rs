//! Migrations.

use milepost_services::clickhouse;
use milepost_store::clickhouse::{ClickHouse, Error, Options};

use crate::proxy::{Harm, Proxy};
use crate::support::{Database, Log, of_server, runtime, some, sql};

#[test]
fn it_is_done_once() {
    let database = Database::empty("migrate");
    let migrate = || database.runtime.block_on(database.clickhouse.migrate()).unwrap();
    let check = || database.runtime.block_on(database.clickhouse.check_schema());
    assert!(matches!(check(), Err(Error::Schema(said)) if said.contains("milepost migrate")));
    let applied = migrate();
    assert_eq!(applied.iter().map(|migration| migration.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(migrate(), []);
    check().unwrap();
}

#[test]
fn several_do_it_at_the_same_time() {
    let database = Database::empty("together");
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let clickhouse = ClickHouse::new(&database.options).unwrap();
            database.runtime.spawn(async move { clickhouse.migrate().await })
        })
        .collect();
    database.runtime.block_on(async {
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        database.clickhouse.check_schema().await.unwrap();
    });
    database.keep(&Log::of(some(5)));
    assert_eq!(database.winners().len(), 5);
}

/// Cut off before each of its statements in turn, and done again.
#[test]
fn cut_off_anywhere_it_is_done_by_the_next_one() {
    let statements = [
        "CREATE DATABASE",
        "migrations (",
        "events (",
        "arrivals (",
        "MATERIALIZED",
        "progress (",
        "quarantine (",
        "settled (",
        "config (",
        "VALUES (1",
        "VIEW",
        "VALUES (2",
        "metrics (",
        "metric_history (",
        "metric_today",
        "VALUES (3",
        "frozen (",
        "frozen_events (",
        "freezes (",
        "VALUES (4",
    ];
    let database = Database::empty("cut");
    let proxy = Proxy::before(&database.options.url, database.runtime.handle());
    let clickhouse = ClickHouse::new(&Options { url: proxy.url(), ..database.options.clone() }).unwrap();
    for statement in statements {
        database.sql(&format!("DROP DATABASE IF EXISTS {}", database.options.database));
        proxy.harm(statement, Harm::Answer("cut off".to_owned()));
        let cut = database.runtime.block_on(clickhouse.migrate());
        assert!(matches!(&cut, Err(Error::Unavailable(said)) if said == "cut off"), "{statement}: {cut:?}");
        proxy.harm("", Harm::None);
        database.runtime.block_on(clickhouse.migrate()).unwrap();
        database.keep(&Log::of(some(3)));
        assert_eq!(database.winners().len(), 3, "{statement}");
    }
}

#[test]
fn a_newer_form_is_refused() {
    let database = Database::new("newer");
    database.sql(&format!(
        "INSERT INTO {}.migrations (number, name) VALUES (99, 'later')",
        database.options.database
    ));
    for refused in [
        database.runtime.block_on(database.clickhouse.check_schema()),
        database.runtime.block_on(database.clickhouse.migrate()).map(drop),
    ] {
        assert!(
            matches!(&refused, Err(Error::Schema(said)) if said.contains("upgrade milepost")),
            "{refused:?}"
        );
    }
}

#[test]
fn tables_of_one_server_are_not_taken_for_those_of_many() {
    let database = Database::new("form");
    let known = database.sql("SELECT cluster FROM system.clusters LIMIT 1");
    let with = |cluster: &str| {
        let options = Options { cluster: Some(cluster.to_owned()), ..database.options.clone() };
        database.runtime.block_on(ClickHouse::new(&options).unwrap().check_schema())
    };
    let unknown = with("nowhere");
    assert!(
        matches!(&unknown, Err(Error::Setting(said)) if said.starts_with("clickhouse.cluster: ")),
        "{unknown:?}"
    );
    if !known.is_empty() {
        let other = with(&known);
        assert!(
            matches!(&other, Err(Error::Setting(said)) if said.starts_with("clickhouse.cluster: ")),
            "{other:?}"
        );
    }
}

/// What a user may do who is given no more than is needed, and what is said to one who is given less.
#[test]
fn users_and_passwords() {
    let users = "<milepost><password>right</password><profile>default</profile><quota>default</quota>\
                 <networks><ip>127.0.0.1</ip></networks>\
                 <grants><query>GRANT SELECT, INSERT, CREATE TABLE, CREATE VIEW ON milepost.*</query>\
                 <query>GRANT TABLE ENGINE ON *</query><query>GRANT SELECT ON system.*</query></grants></milepost>";
    let directory = tempfile::tempdir().unwrap();
    let options = clickhouse::Options { users: users.to_owned(), ..Default::default() };
    let server = clickhouse::start(directory.path(), &options).unwrap();
    let default = of_server(&server.url());
    let milepost = Options { user: "milepost".to_owned(), password: "right".to_owned(), ..default.clone() };
    let migrate = |options: &Options| runtime().block_on(ClickHouse::new(options).unwrap().migrate());

    let wrong =
        migrate(&Options { password: "wrong".to_owned(), ..milepost.clone() }).unwrap_err().to_string();
    assert!(wrong.contains("clickhouse.password") && !wrong.contains("wrong)"), "{wrong}");
    let missing = migrate(&milepost).unwrap_err();
    assert!(
        matches!(&missing, Error::Setting(said) if said.starts_with("clickhouse.database: ")),
        "{missing}"
    );
    runtime().block_on(sql(&default, "CREATE DATABASE milepost")).unwrap();
    assert_eq!(migrate(&milepost).unwrap().len(), 4);
    let kept = runtime().block_on(async {
        let clickhouse = ClickHouse::new(&milepost)?;
        let log = Log::of(some(3));
        clickhouse.insert(&log.batch()).await?;
        clickhouse.advance(&log.end(), 0).await?;
        Ok::<_, Error>((clickhouse.load(|_, _| {}).await?.counts, clickhouse.sizes().await?.winners()))
    });
    assert!(matches!(&kept, Ok((counts, 3)) if counts.winners == 3), "{kept:?}");
}
