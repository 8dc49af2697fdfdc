//! The history of the metrics, as whoever asks in SQL sees it.

use std::collections::BTreeMap;

use milepost_model::answer::{Note, Ratio, Score, Value};
use milepost_model::{Answer, AsOf, Day};
use milepost_store::clickhouse::{Edition, Place, Record, Recorded};

use crate::support::{Database, Log, some};

const TODAY: i32 = 20_000;

fn place(metric: &str, capability: &str, day: i32) -> Place {
    let labels = [("capability".to_owned(), capability.to_owned())].into();
    Place { metric: metric.to_owned(), labels, day: Day::from_number(TODAY + day) }
}

fn edition(records: u64) -> Edition {
    Edition { epoch: 0, records, correction: 0 }
}

fn record(place: &Place, records: u64, value: Value) -> Record {
    let answer = Answer {
        metric: "market_share",
        labels: BTreeMap::new(),
        as_of: AsOf::Day(place.day),
        value,
        counts: BTreeMap::from([("waiting", records)]),
        notes: vec![Note::Mandated],
    };
    let said = Some((answer, "digest".to_owned()));
    Record { place: place.clone(), edition: edition(records), said, fingerprint: records * 7 }
}

/// About the present day, of this edition.
pub(crate) fn said(records: u64) -> Record {
    record(&place("nps", "", 0), records, Value::Score(None))
}

fn gone(place: &Place, records: u64) -> Record {
    Record { place: place.clone(), edition: edition(records), said: None, fingerprint: 0 }
}

fn share(numerator: u64, denominator: u64) -> Value {
    Value::Ratio(Some(Ratio { numerator, denominator }))
}

impl Database {
    fn record(&self, records: &[Record]) {
        self.runtime.block_on(self.clickhouse.record(records)).unwrap();
    }

    fn recorded(&self, from: Option<i32>, to: Option<i32>) -> Vec<Recorded> {
        let [from, to] = [from, to].map(|day| day.map(|day| Day::from_number(TODAY + day)));
        let mut recorded = self.runtime.block_on(self.clickhouse.recorded(from, to)).unwrap();
        recorded.sort_by(|a, b| a.place.cmp(&b.place));
        recorded
    }

    fn history(&self, columns: &str) -> String {
        let database = &self.options.database;
        self.sql(&format!("SELECT {columns} FROM {database}.metric_history ORDER BY metric, capability, day"))
    }
}

#[test]
fn the_latest_edition_is_seen_before_merges_and_after() {
    let database = Database::new("history");
    let name = &database.options.database;
    database.sql(&format!("SYSTEM STOP MERGES {name}.metrics"));
    let places =
        [place("market_share", "ci", -1), place("market_share", "ci", 0), place("market_share", "docs", 0)];
    database.record(&places.each_ref().map(|place| record(place, 5, share(1, 4))));
    database.record(&[record(&places[1], 9, share(2, 4)), gone(&places[2], 9)]);
    // One that lags behind.
    database.record(&places.each_ref().map(|place| record(place, 3, share(4, 4))));
    let seen = |when: &str| {
        assert_eq!(database.history("capability, numerator"), "ci\t1\nci\t2", "{when}");
        let recorded = database.recorded(None, None);
        let known: Vec<_> =
            recorded.iter().map(|row| (&row.place, row.edition.records, row.fingerprint)).collect();
        assert_eq!(
            known,
            [(&places[0], 5, Some(35)), (&places[1], 9, Some(63)), (&places[2], 9, None)],
            "{when}"
        );
    };
    seen("before");
    database.sql(&format!("SYSTEM START MERGES {name}.metrics"));
    database.sql(&format!("OPTIMIZE TABLE {name}.metrics FINAL"));
    assert_eq!(database.sql(&format!("SELECT count() FROM {name}.metrics")), "3");
    seen("after");
    // What is there no more can come back.
    database.record(&[record(&places[2], 10, share(3, 4))]);
    assert_eq!(database.history("capability, numerator"), "ci\t1\nci\t2\ndocs\t3");
}

#[test]
fn days_are_read_with_both_ends_or_none() {
    let database = Database::new("days");
    let places = [-2, -1, 0, 1].map(|day| place("nps", "", day));
    database.record(&places.each_ref().map(|place| record(place, 1, Value::Score(None))));
    let read = |from, to| {
        let recorded = database.recorded(from, to);
        recorded.iter().map(|row| row.place.day.number() - TODAY).collect::<Vec<_>>()
    };
    assert_eq!(read(None, None), [-2, -1, 0, 1]);
    assert_eq!(read(Some(-1), Some(0)), [-1, 0]);
    assert_eq!(read(None, Some(-1)), [-2, -1]);
    assert_eq!(read(Some(1), None), [1]);
    assert_eq!(read(Some(-TODAY - 1), Some(-2)), [-2]);
}

/// As ClickHouse writes it in the format TSV.
const NULL: &str = r"\N";

#[test]
fn no_value_is_null_and_values_are_exact_to_the_last_digit() {
    let database = Database::new("values");
    let third = 1.0 / 3.0;
    let score = Score { value: -third * 100.0, interval: Some((-99.999_999_999_999_99, 0.1 + 0.2)) };
    let quantiles = |p50, p90| Value::Durations(BTreeMap::from([("0.5", p50), ("0.9", p90)]));
    let values = [
        ("a", share(1, 3)),
        ("b", share(0, 0)),
        ("c", Value::Ratio(None)),
        ("d", Value::Score(Some(score))),
        ("e", Value::Score(None)),
        ("f", quantiles(Some(7), None)),
    ];
    database.record(&values.map(|(metric, value)| record(&place(metric, "", 0), 1, value)));
    let columns = "value, low, high, numerator, denominator, seconds_p50, seconds_p90";
    let rows = database.history(columns);
    let rows: Vec<Vec<_>> = rows.lines().map(|row| row.split('\t').collect()).collect();
    let interval = Ratio { numerator: 1, denominator: 3 }.interval().unwrap();
    let text = |number: f64| number.to_string();
    let [low, high] = [interval.0, interval.1].map(text);
    assert_eq!(rows[0], [&*text(third), &low, &high, "1", "3", NULL, NULL]);
    assert_eq!(rows[1], [NULL, NULL, NULL, "0", "0", NULL, NULL]);
    assert_eq!(rows[2], [NULL; 7]);
    assert_eq!(rows[3][..3], [&*text(score.value), "-99.99999999999999", "0.30000000000000004"]);
    assert_eq!(rows[4], [NULL; 7]);
    assert_eq!(rows[5], [NULL, NULL, NULL, NULL, NULL, "7", NULL]);
    let said = database.history("counts['waiting'], counts['invited'], notes, config");
    assert!(said.lines().all(|row| row == r"1	\N	['mandated']	digest"), "{said}");
}

#[test]
fn every_column_says_what_it_is_and_today_is_the_present_day() {
    let database = Database::new("columns");
    let name = &database.options.database;
    let silent = format!(
        "SELECT groupArray(name) FROM system.columns WHERE database = '{name}' AND table = 'metric_history' AND comment = ''"
    );
    assert_eq!(database.sql(&silent), "[]");
    // The clock of the server decides.
    let today: i32 = database.sql("SELECT toInt32(toDate(now('UTC')))").parse().unwrap();
    let days = [today - 1, today].map(|day| place("nps", "", day - TODAY));
    database.record(&days.map(|place| record(&place, 1, Value::Score(None))));
    let shown = database.sql(&format!(
        "SELECT toInt32(toDate(now('UTC'))), groupArray(toInt32(day)) FROM {name}.metric_today"
    ));
    let (now, shown) = shown.split_once('\t').unwrap();
    // Midnight may have come.
    let expected = if now == today.to_string() { format!("[{today}]") } else { "[]".to_owned() };
    assert_eq!(shown, expected);
}

#[test]
fn it_begins_with_the_first_event() {
    let database = Database::new("first");
    let first = || database.runtime.block_on(database.clickhouse.first_day()).unwrap();
    assert_eq!(first(), None);
    database.keep(&Log::of(some(3)));
    assert_eq!(first(), Some(Day::from_number(0)));
}
