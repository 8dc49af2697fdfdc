//! Delivery and service levels on histories that can be worked out by hand.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use milepost_model::config::slo::{Sli, Slo};
use milepost_model::{AsOf, Config, Content, Event, EventId, Model, Selector, Span, Timestamp, metrics};
use serde_json::{Value, json};

/// A history: each event with its id, when it happened on the first day or later, and what else it says.
fn model(events: &[(&str, &str, Value)]) -> Model {
    let mut model = Model::new();
    for (id, at, said) in events {
        let mut content = said.clone();
        content["occurred_at"] = json!(instant(at));
        let content: Content = serde_json::from_value(content).unwrap();
        let id = EventId { source: "/test".into(), id: (*id).into() };
        model.insert(&Event { id, revision: 0, content });
    }
    model
}

/// `3 10:30` is half past ten on the third of March.
fn instant(at: &str) -> Timestamp {
    let (day, time) = at.split_once(' ').unwrap();
    format!("2026-03-{day:0>2}T{time}:00Z").parse().unwrap()
}

fn deploy(service: &str, more: &Value) -> Value {
    let mut body = json!({"type": "deployed", "environment": "production"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"service": service, "body": body})
}

fn incident(stage: &str, id: &str, service: &str, more: &Value) -> Value {
    let mut body = json!({"type": format!("incident_{stage}"), "incident_id": id});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"service": service, "body": body})
}

fn asked(model: &Model, metric: &str, selector: &Selector, at: &str) -> Value {
    let metric = metrics::find(metric).unwrap();
    let answers =
        metrics::query(model, &Config::default(), metric, selector, AsOf::Instant(instant(at))).unwrap();
    serde_json::to_value(answers).unwrap()
}

/// What became of each unit.
fn classes(model: &Model, metric: &str, selector: &Selector, at: &str) -> BTreeMap<String, &'static str> {
    let metric = metrics::find(metric).unwrap();
    let as_of = AsOf::Instant(instant(at));
    let explained =
        metrics::explain(model, &Config::default(), metric, selector, as_of, 0, usize::MAX).unwrap();
    let name = |unit: String| unit.trim_start_matches("/test ").to_owned();
    explained.units.into_iter().map(|unit| (name(unit.unit), unit.class)).collect()
}

fn troubled() -> Model {
    model(&[
        ("d1", "1 10:00", deploy("shop", &json!({"artifact_id": "shop@1"}))),
        ("d2", "1 11:00", deploy("shop", &json!({"artifact_id": "shop@2"}))),
        ("d3", "1 12:00", deploy("cart", &json!({"artifact_id": "cart@1"}))),
        ("d4", "1 13:00", deploy("pay", &json!({}))),
        ("d5", "1 14:00", deploy("shop", &json!({"artifact_id": "shop@3"}))),
        ("d6", "1 14:30", deploy("shop", &json!({"kind": "rolled_back", "artifact_id": "shop@2"}))),
        ("i1", "1 15:00", incident("detected", "linked", "shop", &json!({"links": ["d1"]}))),
        ("i2", "1 15:00", incident("detected", "artifact", "cart", &json!({"artifact_id": "cart@1"}))),
        ("i3", "1 15:00", incident("detected", "nearby", "pay", &json!({}))),
        ("i4", "3 15:00", incident("detected", "late", "pay", &json!({}))),
        ("i5", "1 15:00", incident("detected", "elsewhere", "pay", &json!({"environment": "staging"}))),
        ("r1", "1 16:00", incident("resolved", "linked", "shop", &json!({}))),
        ("r2", "1 17:00", incident("resolved", "artifact", "cart", &json!({"links": ["d2"]}))),
    ])
}

#[test]
fn an_incident_is_put_down_to_the_first_cause_that_is_found() {
    let model = troubled();
    let plain = Selector::default();
    let became = classes(&model, "change_failure_rate", &plain, "4 00:00");
    let expected = [
        ("d1", "linked"),
        ("d2", "good"),
        ("d3", "artifact"),
        ("d4", "nearby"),
        ("d5", "rolled_back"),
        ("d6", "good"),
        ("late", "unattributed"),
    ];
    assert_eq!(became, expected.map(|(unit, class)| (unit.to_owned(), class)).into());
    let answer = &asked(&model, "change_failure_rate", &plain, "4 00:00")[0];
    assert_eq!((&answer["numerator"], &answer["denominator"]), (&json!(4), &json!(6)));
    // What was not known then did not count then.
    let earlier = &asked(&model, "change_failure_rate", &plain, "1 14:15")[0];
    assert_eq!((&earlier["numerator"], &earlier["denominator"]), (&json!(0), &json!(5)));
}

#[test]
fn devlake_blames_whatever_was_deployed_last() {
    let selector = Selector { rule: Some("devlake".into()), ..Selector::default() };
    let became = classes(&troubled(), "change_failure_rate", &selector, "4 00:00");
    let blamed: Vec<_> = became.iter().filter(|(_, class)| **class == "nearby").collect();
    assert_eq!(blamed, [(&"d6".to_owned(), &"nearby")]);
}

/// The case of Middleware's own tests in which four of six deploys failed: minutes before the end, of deploys and of incidents.
#[test]
fn middlewares_own_case_has_middlewares_own_answer() {
    const DAY: i64 = 1_440;
    let end = instant("29 00:00").micros();
    let at = |minutes: i64| Timestamp::from_micros(end - minutes * 60_000_000).unwrap().to_string();
    let deploys = [7 * DAY, 6 * DAY, 4 * DAY, 2 * DAY, 360, 30];
    let incidents = [10 * DAY, 5 * DAY, 3 * DAY, 1_200, 240, 120, 60];
    let mut model = Model::new();
    let mut tell = |id: String, minutes: i64, mut said: Value| {
        said["occurred_at"] = json!(at(minutes));
        let content: Content = serde_json::from_value(said).unwrap();
        model.insert(&Event { id: EventId { source: "/test".into(), id }, revision: 0, content });
    };
    deploys.iter().for_each(|minutes| tell(format!("d{minutes}"), *minutes, deploy("shop", &json!({}))));
    incidents.iter().for_each(|minutes| {
        tell(format!("i{minutes}"), *minutes, incident("detected", &minutes.to_string(), "", &json!({})));
    });
    let selector = Selector { rule: Some("middleware".into()), ..Selector::default() };
    let answer = &asked(&model, "change_failure_rate", &selector, "29 00:00")[0];
    assert_eq!((&answer["numerator"], &answer["denominator"]), (&json!(4), &json!(6)));
    let became = classes(&model, "change_failure_rate", &selector, "29 00:00");
    let good: Vec<_> =
        became.iter().filter(|(_, class)| **class == "good").map(|(unit, _)| unit.as_str()).collect();
    assert_eq!(good, ["d10080", "d30"]);
}

#[test]
fn a_failed_deploy_is_over_when_its_incidents_are_or_it_was_rolled_back() {
    let selector =
        Selector { estimator: Some("observed".into()), by: Some("service".into()), ..Selector::default() };
    let answers = asked(&troubled(), "failed_deployment_recovery_time", &selector, "4 00:00");
    let of = |service: &str| {
        let answers = answers.as_array().unwrap();
        answers.iter().find(|answer| answer["labels"]["service"] == service).unwrap().clone()
    };
    // d1 until the resolution: six hours; d5 until the rollback: half an hour.
    assert_eq!(of("shop")["quantiles"], json!({"0.5": 1_800, "0.9": 21_600}));
    assert_eq!(of("cart")["quantiles"]["0.5"], json!(18_000));
    assert_eq!(of("pay")["counts"], json!({"recovered": 0, "unrecovered": 1}));
}

#[test]
fn a_detection_opens_an_incident_again_and_a_report_does_not() {
    let mut events = vec![
        ("1", "1 10:00", incident("detected", "a", "shop", &json!({}))),
        ("2", "1 11:00", incident("resolved", "a", "shop", &json!({}))),
        ("3", "1 11:30", incident("reported", "a", "shop", &json!({}))),
    ];
    let restored = |events: &[_], at: &str| {
        let answer = asked(&model(events), "time_to_restore", &Selector::default(), at)[0].clone();
        (answer["quantiles"]["0.5"].clone(), answer["counts"]["open"].clone())
    };
    assert_eq!(restored(&events, "1 12:00"), (json!(3_600), json!(0)));
    events.push(("4", "1 13:00", incident("detected", "a", "shop", &json!({}))));
    assert_eq!(restored(&events, "1 14:00"), (json!(null), json!(1)));
    events.push(("5", "1 15:00", incident("resolved", "a", "shop", &json!({}))));
    events.push(("6", "1 18:00", incident("resolved", "a", "shop", &json!({}))));
    assert_eq!(restored(&events, "2 00:00"), (json!(5 * 3_600), json!(0)));
}

#[test]
fn frequencies_count_empty_weeks_and_each_by_its_own_calendar() {
    // 2026-03-01 is a Sunday. Four deploys on it, one on the 2nd, one on the 28th.
    let days = ["1 10:00", "1 11:00", "1 12:00", "1 13:00", "2 10:00", "28 10:00"];
    let ids = ["a", "b", "c", "d", "e", "f"];
    let events: Vec<_> =
        ids.into_iter().zip(days).map(|(id, at)| (id, at, deploy("shop", &json!({})))).collect();
    let model = model(&events);
    let value = |rule: &str, per: &str| {
        let selector = Selector { rule: Some(rule.into()), ..Selector::default() };
        let answers = asked(&model, "deployment_frequency", &selector, "29 00:00");
        let found = answers.as_array().unwrap().iter().find(|answer| answer["labels"]["per"] == per).unwrap();
        found["value"].clone()
    };
    assert_eq!(value("milepost", "day"), json!(6.0 / 28.0));
    // Weeks end on Saturdays here: 5, 0, 0, 1.
    assert_eq!(value("milepost", "week"), json!(0.5));
    // Days with a deploy: of weeks from Monday 1 (the Sunday alone), 1, 0, 0, 1; of weeks from Sunday 2, 0, 0, 1.
    assert_eq!(value("devlake", "week"), json!(1.0));
    assert_eq!(value("four_keys", "week"), json!(0.5));
    assert_eq!(value("middleware", "day"), json!(0.0));
    assert_eq!(value("middleware", "week"), json!(null));
}

#[test]
fn a_lead_time_and_its_parts() {
    let changes = json!({"changes": [
        {"id": "c1", "committed_at": "2026-03-01T08:00:00Z"},
        {"id": "late", "committed_at": "2026-03-02T08:00:00Z"},
        {"id": "unknown"},
    ]});
    let milestone = |kind: &str| json!({"body": {"type": format!("change_{kind}"), "change_id": "c1"}});
    let model = model(&[
        ("1", "1 10:00", milestone("created")),
        ("2", "1 13:00", milestone("merged")),
        ("3", "1 14:00", deploy("shop", &changes)),
        ("4", "5 14:00", deploy("shop", &changes)),
    ]);
    let answers = asked(&model, "lead_time_for_changes", &Selector::default(), "6 00:00");
    let hours = |part: &str| {
        let found =
            answers.as_array().unwrap().iter().find(|answer| answer["labels"]["part"] == part).unwrap();
        found["quantiles"]["0.5"].as_u64().unwrap() / 3_600
    };
    assert_eq!(["whole", "coding", "review", "waiting"].map(hours), [6, 2, 3, 1]);
    assert_eq!(answers[3]["counts"], json!({"delivered": 1, "out_of_order": 1, "unknown": 0}));
}

#[test]
fn a_burn_rate_is_of_its_window_and_a_budget_is_exact() {
    let run = |outcome: &str| json!({"service": "shop", "body": {"type": "pipeline_run_finished", "outcome": outcome}});
    let model = model(&[
        ("1", "1 10:00", run("success")),
        ("2", "1 10:30", run("failure")),
        ("3", "1 11:00", run("success")),
        ("4", "1 12:00", run("success")),
    ]);
    let mut config = Config::default();
    let objective = Some("0.9".parse().unwrap());
    let slo = Slo { sli: Some(Sli::PipelineRuns), objective, window: Some(Span::days(1)), ..Slo::default() };
    config.slo.insert("ci".into(), slo);
    let values = |metric: &str, at: &str| -> Vec<Value> {
        let metric = metrics::find(metric).unwrap();
        let as_of = AsOf::Instant(instant(at));
        let answers = metrics::query(&model, &config, metric, &Selector::default(), as_of).unwrap();
        let answers = serde_json::to_value(answers).unwrap();
        answers.as_array().unwrap().iter().map(|answer| answer["value"].clone()).collect()
    };
    assert_eq!(values("slo_sli", "1 12:01"), [json!(0.75)]);
    assert_eq!(values("slo_error_budget_remaining", "1 12:01"), [json!(-1.5)]);
    assert_eq!(values("slo_compliance", "1 12:01"), [json!(0.0)]);
    // By label: 1d, 1h, 2h, 30m, 3d, 5m, 6h.
    let (third, none) = (json!(10.0 / 3.0), json!(0.0));
    let expected =
        [json!(2.5), none.clone(), third.clone(), none.clone(), json!(2.5), none.clone(), json!(2.5)];
    assert_eq!(values("slo_burn_rate", "1 12:01"), expected);
    // What happened at T − w is in, what happened at T is not.
    assert_eq!(values("slo_burn_rate", "1 12:30")[2], third);
    assert_eq!(values("slo_burn_rate", "1 12:31")[2], none);
    assert_eq!(values("slo_burn_rate", "1 12:00")[0], third);
    assert_eq!(values("slo_sli", "3 00:00"), [json!(null)]);
    assert_eq!(values("slo_compliance", "3 00:00"), [json!(null)]);
}
