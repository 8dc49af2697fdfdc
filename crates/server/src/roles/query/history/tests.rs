mod real;

use std::collections::BTreeMap;
use std::time::Duration;

use milepost_model::event::Outcome;
use milepost_model::{Answer, Body, Config, Content, Day, Event, EventId, Model};
use milepost_store::clickhouse::{Edition, Place, Record, Recorded};
use proptest::prelude::*;

use super::difference::{Difference, difference};
use super::{ANSWERS, READING, answers, stride};

const CONFIG: &str = "digest";

/// A table, before and after merges: what is written later does not win, what is of a later edition does.
#[derive(Debug, Clone, Default, PartialEq)]
struct Table(BTreeMap<Place, Record>);

impl Table {
    fn write(&mut self, rows: Vec<Record>) {
        for row in rows {
            match self.0.get(&row.place) {
                Some(known) => {
                    assert_ne!(known.edition, row.edition, "which one would win is not known");
                    if known.edition < row.edition {
                        self.0.insert(row.place.clone(), row);
                    }
                }
                None => drop(self.0.insert(row.place.clone(), row)),
            }
        }
    }

    fn recorded(&self, from: Day) -> Vec<Recorded> {
        let known = |row: &Record| Recorded {
            place: row.place.clone(),
            edition: row.edition,
            fingerprint: row.said.as_ref().map(|_| row.fingerprint),
        };
        self.0.values().filter(|row| row.place.day >= from).map(known).collect()
    }

    fn says(&self) -> Vec<Answer> {
        self.0.values().filter_map(|row| Some(row.said.as_ref()?.0.clone())).collect()
    }
}

fn day(number: i32) -> Day {
    Day::from_number(20_000 + number)
}

/// The last one: the present day.
const DAYS: i32 = 12;

fn edition(records: u64) -> Edition {
    Edition { epoch: 0, records, correction: 0 }
}

fn difference_from(table: &Table, model: &Model, from: Day, records: u64, config: &str) -> Difference {
    let answers = answers(model, &Config::default(), from, day(DAYS)).unwrap();
    difference(answers, table.recorded(from), edition(records), config)
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::CapabilityUsed),
        Just(Body::TeamRegistered),
        Just(Body::TeamRetired),
        Just(Body::CapabilityRetired),
        Just(Body::ServiceRegistered { owner: Some("team-0".to_owned()), preexisting: false }),
        Just(Body::InteractionFinished {
            interaction_id: None,
            outcome: Outcome::Success,
            assisted: Some(true),
            duration_seconds: Some(90),
        }),
        (0..=10_u8).prop_map(|score| Body::SurveyAnswered { survey: None, respondent: None, score }),
        Just(Body::Retracted),
    ]
}

/// Few identities, so that events are replaced.
fn event() -> impl Strategy<Value = Event> {
    (0..12_u8, 0..i64::from(DAYS), body(), 0..3_u8, 0..3_u8).prop_map(|(id, at, body, team, capability)| {
        Event {
            id: EventId { source: "ci".to_owned(), id: id.to_string() },
            revision: 0,
            content: Content {
                actor: Some(format!("person-{team}")),
                body,
                capability: Some(format!("capability-{capability}")),
                occurred_at: day(at as i32).start(),
                service: Some(format!("service-{team}")),
                team: Some(format!("team-{team}")),
            },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever comes and goes: with nothing but the days from the earliest change on looked at, the table says what is asked of every day.
    #[test]
    fn the_table_says_what_the_questions_say(events in prop::collection::vec(event(), 1..30)) {
        let (mut model, mut table) = (Model::new(), Table::default());
        table.write(difference_from(&table, &model, day(0), 0, CONFIG).rows);
        let mut winners = BTreeMap::<EventId, Event>::new();
        for (records, event) in (1..).zip(events) {
            let old = winners.insert(event.id.clone(), event.clone());
            old.iter().for_each(|old| model.remove(old));
            model.insert(&event);
            let from = old.iter().chain([&event]).map(|event| event.at().day()).min().unwrap();
            let Difference { rows, is_behind } = difference_from(&table, &model, from, records, CONFIG);
            prop_assert!(!is_behind);
            table.write(rows);
            let asked = answers(&model, &Config::default(), day(0), day(DAYS)).unwrap();
            prop_assert_eq!(table.says(), sorted(asked));
        }
    }

    /// One that lags behind another changes no row of that, and what it alone has written is taken back.
    #[test]
    fn two_writers_agree_in_the_end(events in prop::collection::vec(event(), 2..20), lag in 1..19_usize) {
        let lag = lag.min(events.len() - 1);
        let model = |events: &[Event]| {
            let mut model = Model::new();
            let winners: BTreeMap<_, _> = events.iter().map(|event| (&event.id, event)).collect();
            winners.into_values().for_each(|event| model.insert(event));
            model
        };
        let (late, all) = (model(&events[..lag]), model(&events));
        let (mut table, records) = (Table::default(), events.len() as u64);
        table.write(difference_from(&table, &all, day(0), records, CONFIG).rows);
        let before = table.clone();
        let Difference { rows, is_behind } = difference_from(&table, &late, day(0), lag as u64, CONFIG);
        table.write(rows);
        prop_assert!(before.0.iter().all(|(place, row)| table.0.get(place) == Some(row)));
        let differs = answers(&late, &Config::default(), day(0), day(DAYS)).unwrap() != answers(&all, &Config::default(), day(0), day(DAYS)).unwrap();
        prop_assert!(differs || !is_behind);
        table.write(difference_from(&table, &all, day(0), records, CONFIG).rows);
        prop_assert_eq!(table.says(), before.says());
        prop_assert_eq!(difference_from(&table, &all, day(0), records, CONFIG), Difference::default());
    }
}

/// In the order of places.
fn sorted(mut answers: Vec<Answer>) -> Vec<Answer> {
    answers.sort_by_key(|answer| (answer.metric, answer.labels.clone(), answer.as_of.to_string()));
    answers
}

#[test]
fn only_what_changed_is_written() {
    let (mut model, mut table) = (Model::new(), Table::default());
    let event =
        |n: i32, capability: &str| crate::testing::used(&day(n).start().to_string(), "team", capability);
    model.insert(&event(2, "ci"));
    table.write(difference_from(&table, &model, day(0), 1, CONFIG).rows);
    model.insert(&event(9, "docs"));
    let rows = difference_from(&table, &model, day(0), 2, CONFIG).rows;
    let about: Vec<_> =
        rows.iter().map(|row| (row.place.labels["capability"].as_str(), row.place.day)).collect();
    assert!(!about.is_empty() && about.iter().all(|(of, on)| *of == "docs" && *on >= day(9)), "{about:?}");
    table.write(rows);
    assert_eq!(difference_from(&table, &model, day(0), 3, CONFIG), Difference::default());
}

#[test]
fn what_is_no_more_leaves_a_row_that_says_so() {
    let (mut model, mut table) = (Model::new(), Table::default());
    let used = crate::testing::used(&day(5).start().to_string(), "team", "ci");
    model.insert(&used);
    table.write(difference_from(&table, &model, day(0), 1, CONFIG).rows);
    model.remove(&used);
    let rows = difference_from(&table, &model, day(5), 2, CONFIG).rows;
    let gone = rows.iter().filter(|row| row.said.is_none()).count();
    assert_eq!(gone, rows.len());
    assert!(rows.iter().any(|row| row.place.labels.get("capability").is_some_and(|name| name == "ci")
        && row.place.day == day(DAYS)));
    table.write(rows);
    assert!(table.says().iter().all(|answer| !answer.labels.contains_key("capability")));
}

/// Another configuration, or a Milepost that defines a metric in another way: nothing has come, but what is said changes.
#[test]
fn what_is_corrected_at_the_same_progress_wins() {
    let (mut model, mut table) = (Model::new(), Table::default());
    model.insert(&crate::testing::used(&day(5).start().to_string(), "team", "ci"));
    table.write(difference_from(&table, &model, day(0), 1, CONFIG).rows);
    for config in ["another", CONFIG] {
        table.write(difference_from(&table, &model, day(0), 1, config).rows);
        assert!(table.0.values().all(|row| row.said.as_ref().is_some_and(|(_, with)| with == config)));
    }
}

#[test]
fn the_model_is_read_for_a_while_and_no_longer() {
    assert_eq!(stride(1, Duration::ZERO, 50), 2);
    assert_eq!(stride(8, READING, 50), 8);
    assert_eq!(stride(8, READING * 2, 50), 4);
    assert_eq!(stride(1, READING * 9, 50), 1);
    assert_eq!(stride(1 << 20, Duration::ZERO, 50) as usize, ANSWERS / 50);
    assert_eq!(stride(8, Duration::ZERO, usize::MAX), 1);
}
