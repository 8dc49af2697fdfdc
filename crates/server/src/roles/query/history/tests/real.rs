//! The writer on a real ClickHouse.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use milepost_ingest::Sent;
use milepost_model::config::CapabilityConfig;
use milepost_model::metrics::{self, Metric};
use milepost_model::{AsOf, Config, Day, Event, Selector, Timestamp};
use milepost_store::clickhouse::{Followed as Step, Follower};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::super::{History, Written};
use crate::engine::{Engine, system_clock};
use crate::health::Health;
use crate::roles::query::follow::{Follow, Followed};
use crate::roles::query::testing::{Database, NOON, at_noon};
use crate::testing::used;

const MICROS_PER_DAY: i64 = 86_400_000_000;

fn today() -> Day {
    at_noon().day()
}

/// A replica that writes the history.
struct Replica {
    follow: Follow,
    follower: Follower,
    history: History,
    written: Arc<Written>,
}

impl Replica {
    async fn start(database: &Database, config: Config, clock: fn() -> Timestamp) -> Self {
        let clickhouse = database.clickhouse.clone();
        let engine = Engine::following(config, clickhouse.reader(tokio::runtime::Handle::current()), clock);
        let followed: Arc<Mutex<Followed>> = Arc::default();
        let written: Arc<Written> = Arc::default();
        let history = History::new(
            clickhouse.clone(),
            Arc::clone(&engine),
            Arc::clone(&followed),
            Arc::clone(&written),
        );
        let (health, every) = (Health::new(system_clock()), Duration::from_millis(1));
        let follow = Follow { clickhouse, engine, health, followed, every };
        let follower = follow.load().await.unwrap();
        Self { follow, follower, history, written }
    }

    /// Follows to the end of the log.
    async fn follow(&mut self) {
        loop {
            let Step::Changed { changes, more, .. } = self.follower.follow(1_000).await.unwrap() else {
                panic!("it has to be loaded again");
            };
            self.follow.take(&changes, self.follower.progress());
            if !more {
                return;
            }
        }
    }

    /// Makes a pass; how many rows that took.
    async fn pass(&mut self) -> u64 {
        let before = self.written.rows.load(Relaxed);
        self.history.pass().await.unwrap();
        self.written.rows.load(Relaxed) - before
    }

    /// What is asked of every day of these, as rows of `metric_history`.
    fn asked(&self, first: Day, last: Day) -> Vec<Value> {
        let mut rows = Vec::new();
        for metric in metrics::registry().iter().copied().filter(|metric| metric.spec().exported) {
            let mut day = first;
            while day <= last {
                rows.extend(self.asked_of(metric, day));
                day = day.plus(1);
            }
        }
        in_order(rows)
    }

    fn asked_of(&self, metric: &'static dyn Metric, day: Day) -> Vec<Value> {
        let (model, config) = (self.follow.engine.model.read(), &self.follow.engine.config);
        let answers = metrics::query(&model, config, metric, &Selector::default(), AsOf::Day(day)).unwrap();
        let row = |answer| {
            // As every door gives it.
            let answer = serde_json::to_value(answer).unwrap();
            json!({
                "day": answer["as_of"],
                "metric": answer["metric"],
                "capability": answer["labels"].get("capability").unwrap_or(&json!("")),
                "labels": answer["labels"],
                "value": answer["value"],
                "low": answer["low"],
                "high": answer["high"],
                "numerator": answer["numerator"],
                "denominator": answer["denominator"],
                "seconds_p50": answer["quantiles"]["0.5"],
                "seconds_p90": answer["quantiles"]["0.9"],
                "counts": answer["counts"],
                "notes": answer.get("notes").unwrap_or(&json!([])),
                "config": self.follow.engine.digest,
            })
        };
        answers.into_iter().map(row).collect()
    }
}

fn in_order(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_cached_key(|row| ["metric", "labels", "day"].map(|column| row[column].to_string()));
    rows
}

/// Whether the history is what is asked, from the first day to the last, and nothing else.
#[track_caller]
fn assert_says(database: &Database, asked: &[Value]) {
    let mut told = in_order(database.rows("SELECT * EXCEPT written_at FROM {database}.metric_history"));
    // ClickHouse writes 1 where others write 1.0.
    for row in &mut told {
        for column in ["value", "low", "high"] {
            row[column] = json!(row[column].as_f64());
        }
    }
    let differ = told.iter().zip(asked).find(|(told, asked)| told != asked);
    assert_eq!(differ, None);
    assert_eq!(told.len(), asked.len());
}

/// A use so many days before the present one.
fn ago(days: i64, team: &str, capability: &str) -> Event {
    used(&today().plus(-days).start().to_string(), team, capability)
}

fn real_events() -> Vec<Event> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/helm-charts.ndjson.gz");
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| Sent::Json(line.as_bytes()).decode().unwrap()).collect()
}

fn real_config() -> Config {
    let golden = CapabilityConfig { golden_path: true, ..CapabilityConfig::default() };
    Config { capabilities: [("release-pipeline".to_owned(), golden)].into(), ..Config::default() }
}

/// Every metric, every day of the real input, to the last digit; then what comes late, and a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sql_says_what_the_questions_say() {
    let mut database = Database::new("real").await;
    database.keep(real_events()).await;
    let mut replica = Replica::start(&database, real_config(), at_noon).await;
    let first = database.clickhouse.first_day().await.unwrap().unwrap();
    let rows = replica.pass().await;
    let asked = replica.asked(first, today());
    assert_says(&database, &asked);
    assert_eq!(rows, asked.len() as u64);
    assert_eq!(replica.pass().await, 0);

    // Late events change the past from their day on, and nothing before it.
    let late = today().plus(-700);
    let version = database.rows("SELECT toUInt64(max(version)) AS n FROM {database}.metrics")[0]["n"].clone();
    database.keep([ago(700, "late", "chart-testing"), ago(650, "late", "never-heard-of")]).await;
    replica.follow().await;
    assert!(replica.pass().await > 0);
    let asked = replica.asked(first, today());
    assert_says(&database, &asked);
    let earliest = database
        .rows(&format!("SELECT toString(min(day)) AS n FROM {{database}}.metrics WHERE version > {version}"));
    assert_eq!(earliest[0]["n"], late.to_string());

    // Whoever begins anew writes only what changed since: nothing.
    let mut again = Replica::start(&database, real_config(), at_noon).await;
    assert_eq!(again.pass().await, 0);
}

/// A few events, written by one replica; the table and that replica.
async fn few(name: &str, clock: fn() -> Timestamp) -> (Database, Replica) {
    let mut database = Database::new(name).await;
    database.keep([ago(9, "a", "ci"), ago(5, "b", "ci"), ago(3, "a", "docs")]).await;
    let mut replica = Replica::start(&database, Config::default(), clock).await;
    assert!(replica.pass().await > 0);
    (database, replica)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_taken_back_is_not_there_any_more() {
    let (mut database, mut replica) = few("gone", at_noon).await;
    let retracted = ago(3, "a", "docs");
    let retracted = Event { revision: 1, ..retracted };
    let content =
        milepost_model::Content { body: milepost_model::Body::Retracted, ..retracted.content.clone() };
    database.keep([Event { content, ..retracted }]).await;
    replica.follow().await;
    replica.pass().await;
    assert_says(&database, &replica.asked(today().plus(-9), today()));
    let docs = database.rows("SELECT count() AS n FROM {database}.metric_history WHERE capability = 'docs'");
    assert_eq!(docs[0]["n"], 0);
    // Nor after a merge, and it can come back.
    database.rows("OPTIMIZE TABLE {database}.metrics FINAL");
    database.keep([ago(2, "c", "docs")]).await;
    replica.follow().await;
    replica.pass().await;
    assert_says(&database, &replica.asked(today().plus(-9), today()));
}

/// What the clock of this test is ahead.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn as_told() -> Timestamp {
    Timestamp::from_micros(NOON + AHEAD.load(Relaxed)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_new_day_is_written_and_one_that_never_came_is_not_told() {
    let (database, mut replica) = few("midnight", as_told).await;
    let first = today().plus(-9);
    for days in [1, 3, 0] {
        AHEAD.store(days * MICROS_PER_DAY, Relaxed);
        assert!(replica.pass().await > 0);
        assert_says(&database, &replica.asked(first, today().plus(days)));
        assert_eq!(replica.pass().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_writer_that_lags_changes_nothing() {
    let (mut database, mut leader) = few("two", at_noon).await;
    let mut laggard = Replica::start(&database, Config::default(), at_noon).await;
    database.keep([ago(6, "c", "ci"), ago(4, "c", "portal")]).await;
    leader.follow().await;
    leader.pass().await;
    let told = leader.asked(today().plus(-9), today());
    laggard.pass().await;
    assert_says(&database, &told);
    // It is still behind, and looks again until it is not.
    laggard.pass().await;
    assert_says(&database, &told);
    laggard.follow().await;
    assert_eq!(laggard.pass().await, 0);
    assert_eq!(laggard.history.behind, None);
    assert_eq!(leader.pass().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_configuration_agreed_on_is_written_with_and_no_other() {
    let (mut database, mut replica) = few("config", at_noon).await;
    database.clickhouse.agree_on_config(&real_config().digest(), true).await.unwrap();
    database.keep([ago(4, "c", "portal")]).await;
    replica.follow().await;
    let mut other = Replica::start(&database, real_config(), at_noon).await;
    assert_eq!(replica.pass().await, 0);
    assert!(other.pass().await > 0);
    assert_eq!(replica.pass().await, 0);
    assert_says(&database, &other.asked(today().plus(-9), today()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_nothing_ever_happened_nothing_is_written() {
    let mut database = Database::new("nothing").await;
    let mut replica = Replica::start(&database, Config::default(), at_noon).await;
    assert_eq!(replica.pass().await, 0);
    database.keep([ago(1, "a", "ci")]).await;
    replica.follow().await;
    assert!(replica.pass().await > 0);
    assert_says(&database, &replica.asked(today().plus(-1), today()));
}

/// One event of long ago does not make a history of a thousand years.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_history_has_an_end_in_the_past() {
    let mut database = Database::new("ancient").await;
    database.keep([used("1066-10-14T00:00:00Z", "a", "ci")]).await;
    let mut replica = Replica::start(&database, Config::default(), at_noon).await;
    assert!(replica.pass().await > 0);
    let first = today().plus(1 - super::super::MOST_DAYS);
    assert_says(&database, &replica.asked(first, today()));
}
