//! Events as their senders write them: bare CDEvents.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

/// The prefix of Milepost's own types.
pub const MILEPOST: &str = "dev.cdeventsx.milepost-";

/// Now.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// `count` days and `seconds` seconds before `now`.
pub fn ago(now: Timestamp, days: u64, seconds: u64) -> Timestamp {
    now - Duration::from_secs(days * 86_400 + seconds)
}

/// An event. `kind` without its version.
pub fn event(
    kind: &str,
    id: &str,
    at: Timestamp,
    subject: &str,
    content: Value,
    custom_data: Value,
) -> Value {
    let mut event = json!({
        "context": {
            "specversion": "0.5.0", "id": id, "source": "/test", "type": format!("{kind}.0.2.0"), "timestamp": at.to_string(),
        },
        "subject": {"id": subject},
        "customDataContentType": "application/json",
    });
    event["subject"]["content"] = content;
    event["customData"] = custom_data;
    event
}

/// A team used the capability `portal`.
pub fn used(id: &str, at: Timestamp, team: &str) -> Value {
    event(
        &format!("{MILEPOST}capability.used"),
        id,
        at,
        "portal",
        json!({}),
        json!({"team": team, "actor": "dev-1"}),
    )
}

/// A person answered a survey.
pub fn answered(id: &str, at: Timestamp, respondent: &str, score: i64) -> Value {
    let content = json!({"survey": "s", "respondent": respondent, "score": score});
    event(&format!("{MILEPOST}survey.answered"), id, at, "s", content, json!({}))
}

/// Events as lines of NDJSON.
pub fn lines(events: &[Value]) -> Vec<String> {
    events.iter().map(Value::to_string).collect()
}

/// The last months of a small platform, up to `now`: every exported metric has a value for it.
pub fn recent_history(now: Timestamp) -> Vec<Value> {
    (0..6).flat_map(|service| life(now, service)).chain(survey(now)).collect()
}

/// A service that is registered, onboarded to, deployed and kept in use.
fn life(now: Timestamp, number: u64) -> Vec<Value> {
    let (service, team) = (format!("service-{number}"), format!("team-{}", number / 2));
    let registered = ago(now, 150 - number, 0);
    let started = registered + Duration::from_secs(3_600 * number);
    let deployed = started + Duration::from_secs(5_400 * (number + 1));
    let id = |what: &str, index: u64| format!("{what}-{number}-{index}");
    let developer = format!("dev-{number}");
    let milepost = |kind: &str, id: String, at, subject: &str, content, data| {
        event(&format!("{MILEPOST}{kind}"), &id, at, subject, content, data)
    };
    let mut events = vec![
        milepost(
            "service.registered",
            id("registered", 0),
            registered,
            &service,
            json!({"owner": team}),
            json!({}),
        ),
        milepost(
            "onboarding.started",
            id("started", 0),
            started,
            &service,
            json!({}),
            json!({"actor": developer}),
        ),
        event(
            "dev.cdevents.service.deployed",
            &id("deployed", 0),
            deployed,
            &service,
            json!({"environment": {"id": "production"}}),
            json!({"capability": "release-pipeline", "changes": [{"id": "c", "author": developer}]}),
        ),
    ];
    for index in 0..8 {
        let at = ago(now, 2 + index * 17, 600 * number);
        let data = json!({"service": service, "actor": developer});
        events.push(milepost("capability.used", id("used", index), at, "portal", json!({}), data.clone()));
        let outcome = if index % 3 == 0 { "failure" } else { "success" };
        let content = json!({"outcome": outcome, "assisted": index % 2 == 0});
        events.push(milepost("interaction.finished", id("finished", index), at, "portal", content, data));
    }
    events
}

fn survey(now: Timestamp) -> Vec<Value> {
    let scores = [10, 9, 9, 8, 7, 3, 10];
    (0..)
        .zip(scores)
        .map(|(n, score)| answered(&format!("answer-{n}"), ago(now, 3 + n, 60), &format!("dev-{n}"), score))
        .collect()
}

/// A recent history as it really comes: some events are corrected, some sent again, some say another thing under an id
/// that was there, some are taken back, and some are refused.
pub fn troubled_history(now: Timestamp) -> Vec<Value> {
    let mut events = recent_history(now);
    let again: Vec<Value> = events.iter().step_by(7).cloned().collect();
    let mut corrected: Vec<Value> = events.iter().step_by(11).cloned().collect();
    for event in &mut corrected {
        event["customData"]["revision"] = json!(1);
        event["customData"]["team"] = json!("team-corrected");
    }
    let mut conflicting: Vec<Value> = events.iter().step_by(13).cloned().collect();
    conflicting.iter_mut().for_each(|event| event["customData"]["team"] = json!("team-conflicting"));
    let retracted = |id: &str| {
        let data = json!({"revision": 9});
        event(&format!("{MILEPOST}event.retracted"), id, now, id, json!({}), data)
    };
    let refused = |n: u64| answered(&format!("refused-{n}"), ago(now, 3 + n, 0), &format!("dev-{n}"), 11);
    events.extend(again);
    events.extend(corrected);
    events.extend(conflicting);
    events.extend(["used-1-0", "used-2-1"].map(retracted));
    events.extend((0..6).map(refused));
    events
}
