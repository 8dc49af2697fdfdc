//! The laws of the crate's documentation, on random histories.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod support;

use milepost_model::answer::{Part, Ratio, Value};
use milepost_model::metrics;
use milepost_model::question::{AsOf, Selector};
use milepost_model::{Content, Sealed};
use proptest::prelude::*;
use support::{DAYS, Truth, config, event, everything, first_day, folded, history, moments, selectors};

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    /// Any order and any repetition of deliveries, and building from the winners alone, give the same answers.
    #[test]
    fn order_and_repetition_do_not_matter(events in history(), shuffle in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let mut other = events.clone();
        // A permutation and duplicates that depend on the case alone.
        if !other.is_empty() {
            let at = shuffle.index(other.len());
            other.rotate_left(at);
            other.sort_by_key(|e| e.id.key().0.rotate_left((seed % 64) as u32) ^ seed.wrapping_mul(e.revision + 1));
            other.extend(events.iter().take(at).cloned());
        }
        let scratch = everything(&Truth::of(&events).model());
        prop_assert_eq!(&everything(&folded(&events)), &scratch);
        prop_assert_eq!(&everything(&folded(&other)), &scratch);
    }

    /// Adding an event and taking it away again leaves no trace.
    #[test]
    fn insert_and_remove_cancel(events in history(), extra in prop::collection::vec(event(), 1..10)) {
        let truth = Truth::of(&events);
        let before = everything(&truth.model());
        let mut model = truth.model();
        let new: Vec<_> = Truth::of(&extra).0.into_values().filter(|e| !truth.0.contains_key(&e.id)).collect();
        new.iter().for_each(|event| model.insert(event));
        new.iter().for_each(|event| model.remove(event));
        prop_assert_eq!(everything(&model), before);
        prop_assert_eq!(model.events(), truth.0.len());
    }

    /// Renaming every person gives what events with the new names give.
    #[test]
    fn persons_can_be_renamed(events in history()) {
        let renamed = |name: &str| format!("new {name}");
        let mut truth = Truth::of(&events);
        let mut model = truth.model();
        prop_assert!(model.rename_persons(renamed));
        truth.0.values_mut().for_each(|event| event.content.persons_mut().for_each(|name| *name = renamed(name)));
        prop_assert_eq!(model.fingerprint(), truth.model().fingerprint());
        prop_assert_eq!(everything(&model), everything(&truth.model()));
        let before = model.fingerprint();
        prop_assert_eq!(model.rename_persons(|_| "one".into()), model.person_names.len() < 2);
        prop_assert_eq!(model.fingerprint() == before, model.person_names.is_empty() || model.person_names.len() > 1);
    }

    /// A range of days gives what asking for each day gives.
    #[test]
    fn a_range_is_its_days(events in history(), step in 1..4_u32) {
        let (model, config) = (Truth::of(&events).model(), config());
        let (from, to) = (first_day().plus(-2), first_day().plus(DAYS + 2));
        for metric in metrics::registry() {
            for selector in selectors(*metric) {
                let range = metrics::query_range(&model, &config, *metric, &selector, from, to, step).unwrap();
                let mut singly = Vec::new();
                for n in (0..=DAYS + 4).step_by(step as usize) {
                    let as_of = AsOf::Day(from.plus(n));
                    singly.extend(metrics::query(&model, &config, *metric, &selector, as_of).unwrap());
                }
                singly.sort_by(|a, b| a.labels.cmp(&b.labels));
                prop_assert_eq!(range, singly);
            }
        }
    }

    /// What is explained adds up to what was answered.
    #[test]
    fn explanations_add_up(events in history()) {
        let (model, config) = (Truth::of(&events).model(), config());
        for metric in metrics::registry() {
            for (selector, as_of) in selectors(*metric).iter().flat_map(|s| moments().into_iter().map(move |m| (s, m))) {
                let explained = metrics::explain(&model, &config, *metric, selector, as_of, 0, usize::MAX).unwrap();
                prop_assert_eq!(explained.total, explained.units.len());
                for answer in &explained.answers {
                    let units = || explained.units.iter().filter(|u| u.labels == answer.labels);
                    let of = |part: Part| units().filter(|u| u.part == part).map(|u| u.count).sum::<u64>();
                    match &answer.value {
                        Value::Ratio(Some(Ratio { numerator, denominator })) => {
                            prop_assert_eq!(*numerator, of(Part::Numerator));
                            prop_assert_eq!(*denominator, of(Part::Numerator) + of(Part::Denominator));
                        }
                        Value::Durations(_) if answer.notes.is_empty() => {
                            let counts = |names: &[&str]| names.iter().filter_map(|n| answer.counts.get(n)).sum::<u64>();
                            prop_assert_eq!(counts(&["deployed", "shipped", "delivered", "recovered", "resolved"]), of(Part::Observed));
                            prop_assert_eq!(counts(&["waiting", "retired", "off_path", "unrecovered", "open"]), of(Part::Censored));
                        }
                        Value::Score(Some(_)) => prop_assert!(of(Part::Observed) > 0),
                        _ => {}
                    }
                    let t = as_of.instant();
                    for unit in units().filter(|u| !["not_using", "no_data"].contains(&u.class)) {
                        prop_assert!(!unit.events.is_empty(), "{:?}", unit);
                        prop_assert!(unit.events.iter().all(|(at, _)| *at < t), "{:?}", unit);
                        prop_assert!(unit.events.is_sorted());
                    }
                }
            }
        }
    }

    /// The canonical form is RFC 8785, and reads back.
    #[test]
    fn canonical_form(event in event()) {
        let sealed = Sealed::new(event.clone());
        let reference = serde_json_canonicalizer::to_vec(&serde_json::to_value(&event.content).unwrap()).unwrap();
        prop_assert_eq!(std::str::from_utf8(&sealed.canonical).unwrap(), std::str::from_utf8(&reference).unwrap());
        prop_assert_eq!(serde_json::from_slice::<Content>(&sealed.canonical).unwrap(), event.content);
    }
}

#[test]
fn a_metric_refuses_what_it_does_not_take() {
    let (model, config) = (Truth::default().model(), config());
    let now = AsOf::Day(first_day());
    let ask = |name: &str, selector: Selector| {
        let metric = metrics::find(name).unwrap();
        metrics::query(&model, &config, metric, &selector, now).unwrap_err().field
    };
    let text = |text: &str| Some(text.to_string());
    assert_eq!(ask("nps", Selector { rule: text("exact_day"), ..Selector::default() }), "rule");
    assert_eq!(ask("time_to_first_deploy", Selector { by: text("capability"), ..Selector::default() }), "by");
    assert_eq!(
        ask("onboarding_time", Selector { capability: text("ci"), ..Selector::default() }),
        "capability"
    );
    assert_eq!(ask("market_share", Selector { by: text("service"), ..Selector::default() }), "by");
    assert_eq!(ask("market_share", Selector { window: text("36h"), ..Selector::default() }), "window");
    assert_eq!(ask("keep_rate", Selector { rule: text("sometimes"), ..Selector::default() }), "rule");
    assert!(AsOf::day(first_day().plus(1), first_day().start()).is_err());
}
