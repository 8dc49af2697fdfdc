//! A question as a query string: the metric, `?`, and its parameters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use milepost::answers::text::{self, Format};
use milepost::answers::{self, Ask, PageRequest, Parameters, When};
use milepost_fuzz::installation;
use milepost_model::AsOf;
use percent_encoding::percent_decode_str;

/// A range of more points is not asked day by day.
const POINTS: usize = 5;

fn parameters(query: &str) -> Parameters {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fuzz_target!(|data: &str| {
    let (metric, query) = data.split_once('?').unwrap_or((data, ""));
    let engine = installation::engine();
    let Ok(ask) = Ask::read(metric, &parameters(query), engine.now()) else { return };
    let Ok(answered) = answers::answer(&engine, &ask) else { return };
    assert_eq!(
        answers::answer(&engine, &ask).as_ref(),
        Ok(&answered),
        "the same question has the same answer"
    );
    let json = text::write(Format::Json, ask.metric.spec(), &answered).expect("an answer can be written");
    let read: Vec<serde_json::Value> = serde_json::from_str(&json).expect("an answer is JSON");
    assert_eq!(read.len(), answered.len());
    text::write(Format::Csv, ask.metric.spec(), &answered).expect("an answer can be written");

    match ask.when {
        When::Moment(_) => {
            let page = answers::explain(&engine, &ask, &PageRequest::default()).expect("an explanation");
            assert!(page.units.len() <= page.total_units);
            let unexplained = page.answers.iter().find(|answer| !answered.contains(answer));
            assert_eq!(unexplained, None, "what is explained is what was answered");
        }
        When::Range { from, to, step } => {
            let days: Vec<_> = (0..=POINTS)
                .map(|n| from.plus(n as i64 * i64::from(step)))
                .take_while(|day| *day <= to)
                .collect();
            if days.len() > POINTS {
                return;
            }
            let mut singly = Vec::new();
            for day in days {
                let when = When::Moment(AsOf::Day(day));
                singly.extend(answers::answer(&engine, &Ask { when, ..ask.clone() }).expect("an answer"));
            }
            singly.sort_by(|a, b| a.labels.cmp(&b.labels));
            assert_eq!(answered, singly, "a range is its days");
        }
    }
});
