//! Where days begin and end: row F26 of docs/faults.md.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use milepost_model::answer::{Ratio, Value};
use milepost_model::event::Outcome;
use milepost_model::{AsOf, Body, Config, Content, Day, Event, EventId, Model, Selector, Timestamp, metrics};
use proptest::prelude::*;

/// Days around which calendars do something: leap days and days that are none, ends of years and of ISO weeks, clocks put forward
/// and back in Europe, America and Australia.
const DAYS: [&str; 12] = [
    "2000-02-29",
    "2024-02-29",
    "2023-02-28",
    "2100-02-28",
    "2020-12-31",
    "2021-01-03",
    "2026-12-31",
    "2026-03-29",
    "2026-10-25",
    "2026-03-08",
    "2026-11-01",
    "2026-04-05",
];

/// An instant near the beginning of a day, as a sender in some zone writes it.
fn written() -> impl Strategy<Value = (String, i64)> {
    let zone = (-14 * 4..=14 * 4_i64).prop_map(|quarters| quarters * 900);
    let second = prop_oneof![Just(0_i64), Just(-1), Just(1), Just(86_399), Just(86_400), -90_000..90_000_i64];
    (prop::sample::select(DAYS.to_vec()), second, zone).prop_map(|(day, second, zone)| {
        let utc = day.parse::<Day>().unwrap().start().micros() / 1_000_000 + second;
        let local = Timestamp::from_micros((utc + zone) * 1_000_000).unwrap().to_string();
        let (sign, minutes) = (if zone < 0 { '-' } else { '+' }, zone.abs() / 60);
        (format!("{}{sign}{:02}:{:02}", local.trim_end_matches('Z'), minutes / 60, minutes % 60), utc)
    })
}

fn finished(number: usize, at: Timestamp) -> Event {
    Event {
        id: EventId { source: "s".into(), id: number.to_string() },
        revision: 0,
        content: Content {
            actor: None,
            body: Body::InteractionFinished {
                interaction_id: None,
                outcome: Outcome::Success,
                assisted: Some(false),
                duration_seconds: None,
            },
            capability: Some("portal".into()),
            occurred_at: at,
            service: None,
            team: Some("a".into()),
        },
    }
}

/// Interactions that ended on a day.
fn on(model: &Model, day: Day) -> u64 {
    let selector = Selector { window: Some("1d".into()), ..Selector::default() };
    let metric = metrics::find("self_service_rate").unwrap();
    let answers = metrics::query(model, &Config::default(), metric, &selector, AsOf::Day(day)).unwrap();
    answers
        .iter()
        .map(|answer| match &answer.value {
            Value::Ratio(Some(Ratio { denominator, .. })) => *denominator,
            _ => 0,
        })
        .sum()
}

proptest! {
    /// **F26.** In whatever zone it is written, each instant is of exactly one day, the one it has in UTC; and the days of a
    /// history add up to it.
    #[test]
    fn f26_each_event_is_of_exactly_one_day(written in prop::collection::vec(written(), 1..20)) {
        let mut model = Model::new();
        let mut days = Vec::new();
        for (number, (text, utc)) in written.iter().enumerate() {
            let at: Timestamp = text.parse().unwrap();
            prop_assert_eq!(at.micros(), utc * 1_000_000, "{}", text);
            let day = at.day();
            prop_assert_eq!(i64::from(day.number()), utc.div_euclid(86_400), "{}", text);
            prop_assert!(day.start() <= at && at < day.end());
            prop_assert_eq!(day.end(), day.plus(1).start());
            prop_assert_eq!(day.to_string().parse::<Day>().unwrap(), day);
            model.insert(&finished(number, at));
            days.push(day);
        }
        let mut around: Vec<Day> = days.iter().flat_map(|day| [day.plus(-1), *day, day.plus(1)]).collect();
        around.sort_unstable();
        around.dedup();
        let mut sum = 0;
        for day in around {
            let count = on(&model, day);
            prop_assert_eq!(count, days.iter().filter(|other| **other == day).count() as u64, "{}", day);
            sum += count;
        }
        prop_assert_eq!(sum, written.len() as u64);
    }
}
