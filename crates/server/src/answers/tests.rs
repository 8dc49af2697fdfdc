use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::page::Token;
use super::text::{self, Format};
use super::*;
use crate::testing;

fn parameters(pairs: &[(&str, &str)]) -> Parameters {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(metric: &str, pairs: &[(&str, &str)]) -> Result<Ask, AskError> {
    Ask::read(metric, &parameters(pairs), testing::NOW.parse().unwrap())
}

fn field(result: Result<Ask, AskError>) -> String {
    result.err().expect("refused").field().unwrap().to_owned()
}

#[test]
fn a_question_is_read_from_parameters() {
    let ask = read("market_share", &[("capability", "ci"), ("window", "7d"), ("team", "")]).unwrap();
    assert_eq!(ask.selector.capability.as_deref(), Some("ci"));
    assert_eq!(ask.selector.window.as_deref(), Some("7d"));
    assert_eq!(ask.selector.team, None, "an empty value is as good as none");
    assert!(matches!(ask.when, When::Moment(milepost_model::AsOf::Instant(_))));
    let day = "2026-02-01".parse().unwrap();
    assert_eq!(
        read("nps", &[("as_of", "2026-02-01")]).unwrap().when,
        When::Moment(milepost_model::AsOf::Day(day))
    );
    let range = read("nps", &[("from", "2026-02-01"), ("to", "2026-02-09"), ("step", "2d")]).unwrap();
    assert_eq!(range.when, When::Range { from: day, to: day.plus(8), step: 2 });
}

#[test]
fn what_is_wrong_with_a_question_is_named() {
    for (pairs, expected) in [
        (&[("colour", "red")][..], "colour"),
        (&[("team", "a"), ("team", "b")], "team"),
        (&[("as_of", "yesterday")], "as_of"),
        (&[("as_of", "2026-03-02")], "as_of"),
        (&[("from", "2026-01-01")], "to"),
        (&[("to", "2026-01-01")], "from"),
        (&[("step", "2d")], "step"),
        (&[("from", "2026-02-01"), ("to", "2026-01-01")], "from"),
        (&[("from", "2026-02-01"), ("to", "2026-03-02")], "to"),
        (&[("from", "2026-02-01"), ("to", "2026-02-02"), ("as_of", "2026-02-01")], "as_of"),
        (&[("from", "2026-02-01"), ("to", "2026-02-02"), ("step", "36h")], "step"),
        (&[("from", "0001-01-01"), ("to", "2026-02-02")], "step"),
    ] {
        assert_eq!(field(read("market_share", pairs)), expected, "{pairs:?}");
    }
    let unknown = read("market_shares", &[]).err().unwrap();
    assert!(
        matches!(&unknown, AskError::Unknown(message) if message.contains("market_share, keep_rate")),
        "{unknown}"
    );
}

#[test]
fn today_can_be_asked_for() {
    assert!(read("market_share", &[("as_of", "2026-03-01")]).is_ok());
}

#[test]
fn json_is_one_answer_a_line_and_csv_one_row() {
    let engine = testing::engine();
    let ask = read("market_share", &[("as_of", "2026-02-28")]).unwrap();
    let answers = answer(&engine, &ask).unwrap();
    let json = text::write(Format::Json, ask.metric.spec(), &answers).unwrap();
    assert!(
        json.starts_with(
            r#"[{"metric":"market_share","labels":{"capability":"ci"},"as_of":"2026-02-28","value":0.5,"numerator":3,"denominator":6,"#
        ),
        "{json}"
    );
    assert_eq!(json.lines().count(), 2);
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&json).unwrap().len(), 2);

    let csv = text::write(Format::Csv, ask.metric.spec(), &answers).unwrap();
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "metric,capability,team,service,as_of,value,numerator,denominator,low,high,counts,notes"
    );
    assert!(lines[1].starts_with("market_share,ci,,,2026-02-28,0.5,3,6,0."), "{csv}");
    assert_eq!(lines.len(), 3);
}

/// Whoever reads it in a script finds every column also where nothing has happened yet.
#[test]
fn csv_has_the_same_columns_whatever_there_is_to_tell() {
    for metric in metrics::registry() {
        let spec = metric.spec();
        let header = |engine: &Engine| {
            let answers = answer(engine, &read(spec.name, &[]).unwrap()).unwrap();
            text::write(Format::Csv, spec, &answers).unwrap().lines().next().unwrap().to_owned()
        };
        let none = text::write(Format::Csv, spec, &[]).unwrap();
        assert_eq!(header(&testing::engine()), none.trim_end(), "{}", spec.name);
    }
    let curve = metrics::find("retention_curve").unwrap().spec();
    assert!(text::write(Format::Csv, curve, &[]).unwrap().contains(",horizon,as_of,value,"));
    let times = metrics::find("onboarding_time").unwrap().spec();
    assert!(text::write(Format::Csv, times, &[]).unwrap().contains(",as_of,seconds_0.5,seconds_0.9,counts,"));
}

#[test]
fn csv_quotes_what_needs_it() {
    let mut events = testing::history();
    events.push(testing::used("2026-02-20T08:00:00Z", "team-1", "a \"b\", c"));
    let ask = read("market_share", &[("capability", "a \"b\", c")]).unwrap();
    let answers = answer(&testing::engine_of(&events), &ask).unwrap();
    let csv = text::write(Format::Csv, ask.metric.spec(), &answers).unwrap();
    assert!(csv.contains("market_share,\"a \"\"b\"\", c\",,,"), "{csv}");
}

#[test]
fn more_answers_than_are_given_are_refused_by_the_parameter_that_mends_it() {
    let used = |n: u32| testing::used("2026-02-20T08:00:00Z", "team-1", &format!("capability-{n}"));
    let engine = testing::engine_of(&(0..5).map(used).collect::<Vec<_>>());
    // Five answers a day: ten thousand days have as many as are given.
    let mut ask = read("market_share", &[("from", "2026-02-27"), ("to", "2026-02-28")]).unwrap();
    let to: milepost_model::Day = "2026-02-28".parse().unwrap();
    ask.when = When::Range { from: to.plus(-9_999), to, step: 1 };
    assert!(answer(&engine, &ask).is_ok());
    ask.when = When::Range { from: to.plus(-10_000), to, step: 1 };
    let error = answer(&engine, &ask).unwrap_err();
    assert_eq!(error.field(), Some("step"), "{error}");
    assert!(error.message().contains("50005 answers, at most 50000"), "{error}");
    ask.when = When::Range { from: to.plus(-10_000), to, step: 2 };
    assert!(answer(&engine, &ask).is_ok(), "as it was told");
}

#[test]
fn questions_with_few_answers_do_not_wait_for_those_with_many() {
    let is_long = |pairs| read("market_share", pairs).unwrap().is_long();
    assert!(!is_long(&[]));
    assert!(!is_long(&[("by", "capability")]));
    assert!(!is_long(&[("from", "2026-02-01"), ("to", "2026-02-10")]));
    assert!(is_long(&[("from", "2026-02-01"), ("to", "2026-02-11")]));
    assert!(!is_long(&[("from", "2026-02-01"), ("to", "2026-02-11"), ("step", "2d")]));
    assert!(is_long(&[("by", "team")]));
}

/// All units, page by page.
fn pages(engine: &Arc<Engine>, ask: &Ask, size: u32) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut page = PageRequest { size, token: String::new() };
    loop {
        let explained = explain(engine, ask, &page).unwrap();
        let about: BTreeSet<_> = explained.units.iter().map(|unit| unit.labels.clone()).collect();
        let expected: Vec<_> = answer(engine, ask)
            .unwrap()
            .into_iter()
            .filter(|answer| about.contains(&answer.labels))
            .collect();
        assert_eq!(explained.answers, expected, "a page has the answers that its units are about");
        assert_eq!(explained.definition, ask.metric.spec().definition);
        assert!(explained.units.len() <= size as usize);
        units.extend(explained.units);
        if explained.next_page_token.is_empty() {
            assert_eq!(units.len(), explained.total_units);
            return units;
        }
        page.token = explained.next_page_token;
    }
}

#[test]
fn pages_put_together_are_the_whole() {
    let engine = testing::engine();
    let ask = read("market_share", &[]).unwrap();
    let whole = pages(&engine, &ask, 1_000);
    assert_eq!(whole.len(), 12, "six teams for each of two capabilities");
    for size in [1, 5, 12] {
        assert_eq!(pages(&engine, &ask, size), whole);
    }
    let using: Vec<_> = whole.iter().filter(|unit| unit.part == "numerator").collect();
    assert_eq!(using.len(), 4);
    assert!(
        using
            .iter()
            .all(|unit| unit.event_count == 1 && unit.events.len() == 1 && unit.events[0].source == "test")
    );
}

#[test]
fn a_page_is_of_the_question_it_was_given_for() {
    let engine = testing::engine();
    let ask = read("market_share", &[]).unwrap();
    let token =
        explain(&engine, &ask, &PageRequest { size: 1, token: String::new() }).unwrap().next_page_token;
    let page = |token: &str| PageRequest { size: 1, token: token.to_owned() };
    assert!(explain(&engine, &ask, &page(&token)).is_ok());
    for other in [
        read("keep_rate", &[]),
        read("market_share", &[("capability", "ci")]),
        read("market_share", &[("as_of", "2026-02-28")]),
    ] {
        let error = explain(&engine, &other.unwrap(), &page(&token)).unwrap_err();
        assert_eq!(error.field(), Some("page_token"));
    }
    for nonsense in ["x", "zz", "é", &token[2..], &format!("{token}00")] {
        let error = explain(&engine, &ask, &page(nonsense)).unwrap_err();
        assert_eq!(error.field(), Some("page_token"), "{nonsense}");
    }
}

/// A token is opaque: what was not given out, letter for letter, is none, even where it would be read as the same number.
#[test]
fn a_page_token_has_one_spelling() {
    let engine = testing::engine();
    let ask = read("market_share", &[]).unwrap();
    let first = PageRequest { size: 1, token: String::new() };
    let token = explain(&engine, &ask, &first).unwrap().next_page_token;
    let respelled = [token.to_uppercase(), token.replacen("00", "+0", 1)];
    for token in respelled.into_iter().filter(|respelled| *respelled != token) {
        let error = explain(&engine, &ask, &PageRequest { size: 1, token: token.clone() }).unwrap_err();
        assert_eq!(error.field(), Some("page_token"), "{token}");
    }
}

#[test]
fn an_explanation_is_about_one_moment_and_a_page_has_a_limit() {
    let engine = testing::engine();
    let range = read("market_share", &[("from", "2026-02-01"), ("to", "2026-02-02")]).unwrap();
    assert_eq!(explain(&engine, &range, &PageRequest::default()).unwrap_err().field(), Some("from"));
    let ask = read("market_share", &[]).unwrap();
    let large = PageRequest { size: 1_001, token: String::new() };
    assert_eq!(explain(&engine, &ask, &large).unwrap_err().field(), Some("page_size"));
}

proptest! {
    #[test]
    fn tokens_read_back(offset in any::<u64>(), micros in 0..4_000_000_000_000_000_i64, now in any::<bool>()) {
        let at = milepost_model::Timestamp::from_micros(micros).unwrap();
        let as_of = if now { milepost_model::AsOf::Instant(at) } else { milepost_model::AsOf::Day(at.day()) };
        let mut ask = read("market_share", &[]).unwrap();
        ask.when = When::Moment(as_of);
        let token = Token::new(&ask, as_of, "digest", offset);
        let read = Token::read(&token.encode(), &ask, "digest").unwrap();
        prop_assert_eq!(read, (token, as_of));
        prop_assert!(Token::read(&token.encode(), &ask, "another digest").is_err());
    }

    #[test]
    fn no_token_is_too_strange_to_be_refused(text in ".{0,60}") {
        let ask = read("market_share", &[]).unwrap();
        prop_assert!(Token::read(&text, &ask, "digest").is_err());
    }
}
