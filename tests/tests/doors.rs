//! Bad input at every door: a clear error for that event alone, the rest of the batch stored, the process unharmed, every
//! event counted in exactly one fate, and no person's name kept anywhere.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use milepost_tests::delivery::protobuf;
use milepost_tests::events::{self, MILEPOST, ago, answered, event, used};
use milepost_tests::grpc::{Grpc, fates};
use milepost_tests::{Installation, Served, binary, exposition, state};
use serde_json::{Value, json};

/// A person whose name must not be found anywhere.
const CANARY: &str = "canary-person-7f3a";
const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// A bad event, with the reason and the field it is refused for.
struct Bad {
    event: Value,
    reason: &'static str,
    field: &'static str,
}

fn bad(reason: &'static str, field: &'static str, event: Value) -> Bad {
    Bad { event, reason, field }
}

/// A good event with one thing changed.
fn broken(id: &str, pointer: &str, value: Value) -> Value {
    let mut event = used(id, ago(events::now(), 1, 0), "a");
    event["customData"]["actor"] = CANARY.into();
    match event.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => panic!("{pointer} is not in {event}"),
    }
    event
}

fn deployed(id: &str, content: Value, changes: Value) -> Value {
    let at = ago(events::now(), 1, 0);
    let mut event = event("dev.cdevents.service.deployed", id, at, "shop", content, json!({"actor": CANARY}));
    event["customData"]["changes"] = changes;
    event
}

fn finished(id: &str, content: Value) -> Value {
    let data = json!({"team": "a", "actor": CANARY});
    event(&format!("{MILEPOST}interaction.finished"), id, ago(events::now(), 1, 0), "portal", content, data)
}

/// Everything that can be wrong with one event that is JSON at all.
fn bad_events(now: Timestamp) -> Vec<Bad> {
    let production = json!({"environment": {"id": "production"}});
    let in_an_hour = now + Duration::from_secs(3_600);
    vec![
        bad(
            "unknown_type",
            "context.type",
            broken("b1", "/context/type", json!("dev.cdevents.build.started.0.2.0")),
        ),
        bad("missing", "context.id", broken("", "/context/id", json!(""))),
        bad("missing", "context.source", broken("b2", "/context/source", json!(""))),
        bad("invalid", "context.timestamp", broken("b3", "/context/timestamp", json!("2026-01-01T12:00:00"))),
        bad("invalid", "context.timestamp", broken("b4", "/context/timestamp", json!("yesterday"))),
        bad("future", "context.timestamp", broken("b5", "/context/timestamp", json!(in_an_hour.to_string()))),
        bad("too_long", "customData.team", broken("b6", "/customData/team", json!("x".repeat(257)))),
        bad("too_long", "context.id", broken("b7", "/context/id", json!("x".repeat(513)))),
        bad("invalid", "customData.team", broken("b8", "/customData/team", json!("a\u{7}b"))),
        bad("invalid", "customData.team", broken("b9", "/customData/team", json!(["a"]))),
        bad("invalid", "customData.actor", broken("b10", "/customData/actor", json!({"name": CANARY}))),
        bad("too_long", "customData.actor", broken("b11", "/customData/actor", json!(CANARY.repeat(50)))),
        bad("out_of_range", "subject.content.score", answered("b12", now, CANARY, 11)),
        bad("out_of_range", "subject.content.score", answered("b13", now, CANARY, -1)),
        bad(
            "out_of_range",
            "subject.content.durationSeconds",
            finished("b14", json!({"outcome": "success", "durationSeconds": -5})),
        ),
        bad("missing", "subject.content.outcome", finished("b15", json!({}))),
        bad("invalid", "subject.content.outcome", finished("b16", json!({"outcome": "maybe"}))),
        bad("missing", "subject.content.environment.id", deployed("b17", json!({}), json!([]))),
        bad(
            "too_long",
            "customData.changes",
            deployed("b18", production.clone(), json!(vec![json!({"author": CANARY}); 1_001])),
        ),
        bad(
            "invalid",
            "customData.changes[0].author",
            deployed("b19", production, json!([{"author": [CANARY]}])),
        ),
        bad("too_large", "", broken("b20", "/customDataContentType", json!("x".repeat(1 << 20)))),
    ]
}

/// Good events among the bad ones, so that a batch is whole only if each is judged by itself.
fn mixed(bad: &[Bad], name: &str) -> Vec<Value> {
    let good = |index: usize| used(&format!("{name}-{index}"), ago(events::now(), 2, 0), "a");
    bad.iter().enumerate().flat_map(|(index, bad)| [good(index), bad.event.clone()]).collect()
}

fn check_refusals(answer: &Value, bad: &[Bad]) {
    let refused = answer["refused"].as_array().expect("a list");
    let found: Vec<_> =
        refused.iter().map(|r| (r["index"].as_u64(), r["reason"].as_str(), r["field"].as_str())).collect();
    let expected: Vec<_> =
        (0..).zip(bad).map(|(index, bad)| (Some(2 * index + 1), Some(bad.reason), Some(bad.field))).collect();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "{answer}");
    assert!(
        refused.iter().all(|r| r["message"].as_str().is_some_and(|message| !message.is_empty())),
        "{answer}"
    );
    let unknown_type = refused[0]["message"].as_str().unwrap_or_default();
    assert!(
        unknown_type.contains("dev.cdevents.service.deployed"),
        "accepted types are listed: {unknown_type}"
    );
}

/// Of each fate: how many events `/metrics` says had it, over all doors.
fn counted(served: &Served, fate: &str) -> u64 {
    exposition::sum(&served.metrics(), "milepost_events_total", &[&format!("fate=\"{fate}\"")]) as u64
}

fn is_unharmed(served: &Served) {
    assert_eq!(served.get("/healthz").status, 200);
    assert_eq!(served.get("/readyz").status, 200);
    let known = served.post(JSON, used("alive", ago(events::now(), 1, 0), "a").to_string());
    assert_eq!(known.status, 200, "{known:?}");
}

#[test]
fn each_bad_event_is_refused_alone() {
    let installation = Installation::new("");
    let served = installation.serve();
    let bad = bad_events(events::now());
    for (content_type, name, body) in [
        (JSON, "array", Value::Array(mixed(&bad, "array")).to_string()),
        (NDJSON, "lines", events::lines(&mixed(&bad, "lines")).join("\n")),
    ] {
        let reply = served.post(content_type, body);
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
        let answer = reply.json();
        assert_eq!(answer["stored"], json!(bad.len()), "{name}: {answer}");
        check_refusals(&answer, &bad);
    }
    assert_eq!(counted(&served, "stored"), 2 * bad.len() as u64);
    assert_eq!(counted(&served, "refused"), 2 * bad.len() as u64);
    assert_eq!(counted(&served, "duplicate") + counted(&served, "handed_back"), 0);
    is_unharmed(&served);

    // The quarantine says the same, newest first.
    let listed = quarantine(&installation);
    let reasons: Vec<_> =
        listed.iter().rev().map(|one| one["reason"].as_str().unwrap_or_default().to_owned()).collect();
    let expected: Vec<_> = bad.iter().chain(&bad).map(|bad| bad.reason.to_owned()).collect();
    assert_eq!(reasons, expected);
}

fn quarantine(installation: &Installation) -> Vec<Value> {
    let data = installation.data();
    let data = data.to_str().expect("temporary paths are UTF-8");
    let list =
        binary::milepost(["quarantine", "list", "--data", data, "--format", "json", "--limit", "1000"]);
    list.expect_success().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn what_is_wrong_with_a_whole_request() {
    let installation = Installation::new("");
    let served = installation.serve();
    let good = used("w1", ago(events::now(), 1, 0), "a").to_string();
    let too_many = format!("[{}]", vec![good.as_str(); 10_001].join(","));
    for (status, content_type, body) in [
        (400, JSON, "{\"context\":"),
        (400, JSON, ""),
        (400, JSON, "[]"),
        (400, NDJSON, "\n\n"),
        (400, "application/cloudevents-batch+json", "{}"),
        (415, "text/plain", &good),
        (415, "", &good),
        (413, JSON, &too_many),
    ] {
        let reply = served.post(content_type, body);
        let begin: String = body.chars().take(30).collect();
        assert_eq!(reply.status, status, "{content_type} {begin}: {reply:?}");
        let message = reply.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(!message.is_empty(), "{reply:?}");
        assert!(status != 415 || message.contains(JSON), "what is accepted is told: {message}");
    }
    assert_eq!(served.get("/v1/events").status, 405);
    assert_eq!(counted(&served, "stored"), 0);
    is_unharmed(&served);
}

#[test]
fn a_request_that_is_too_large() {
    // So small that it is sent before the server, which does not read all of it, answers.
    let installation = Installation::new("[limits]\nbody_bytes = 65536\n");
    let served = installation.serve();
    let reply = served.post(JSON, " ".repeat(65_537));
    assert_eq!(reply.status, 413, "{reply:?}");
    assert!(reply.body.contains("65536"), "the limit is told: {reply:?}");
    is_unharmed(&served);
}

#[test]
fn all_refused_is_an_error() {
    let installation = Installation::new("");
    let served = installation.serve();
    let reply = served.post(JSON, answered("r1", events::now(), "dev-1", 11).to_string());
    assert_eq!(reply.status, 422, "{reply:?}");
    assert_eq!(reply.json()["refused"][0]["reason"], "out_of_range");
}

#[test]
fn a_line_that_is_no_json_harms_no_other() {
    let installation = Installation::new("");
    let served = installation.serve();
    let good = |id| used(id, ago(events::now(), 1, 0), "a").to_string();
    let body =
        [good("l1").as_str(), "{\"context\": {", "\u{0}\u{1}", "[1, 2]", good("l2").as_str()].join("\n");
    let reply = served.post(NDJSON, body);
    assert_eq!(reply.status, 200, "{reply:?}");
    let answer = reply.json();
    assert_eq!(answer["stored"], 2, "{answer}");
    let indices: Vec<_> =
        answer["refused"].as_array().into_iter().flatten().map(|r| r["index"].as_u64()).collect();
    assert_eq!(indices, [Some(1), Some(2), Some(3)]);
    is_unharmed(&served);
}

/// **F28.** The same id with another body is a conflict that is told and counted; which one wins does not depend on the order: the
/// store's `neither_batches_nor_order_matter` holds that.
#[test]
fn f28_the_same_id_with_another_body_is_a_conflict() {
    let installation = Installation::new("");
    let served = installation.serve();
    let one = used("c1", ago(events::now(), 1, 0), "a");
    let other = used("c1", ago(events::now(), 1, 0), "b");
    let reply = served.post(JSON, json!([one, other, one]).to_string());
    let told = reply.json();
    assert_eq!((&told["stored"], &told["duplicate"], &told["refused"]), (&json!(2), &json!(1), &json!([])));
    assert_eq!(told["conflicts"][0]["index"], 1);
    assert!(told["conflicts"][0]["message"].as_str().is_some_and(|message| message.contains("revision")));
    assert_eq!(told["conflicts"].as_array().map(Vec::len), Some(1));
    assert_eq!(exposition::sum(&served.metrics(), "milepost_conflicts_total", &[]) as u64, 1);
}

#[test]
fn every_form_of_a_cloudevent() {
    let installation = Installation::new("");
    let served = installation.serve();
    let yesterday = ago(events::now(), 1, 0);
    let data = |id| used(id, yesterday, "a");
    let envelope = |id| {
        let data = data(id);
        json!({
            "specversion": "1.0", "id": id, "source": data["context"]["source"], "type": data["context"]["type"],
            "datacontenttype": JSON, "data": data,
        })
    };
    let structured = served.post("application/cloudevents+json", envelope("f1").to_string());
    let batch = json!([envelope("f2"), envelope("f3")]).to_string();
    let batch = served.post("application/cloudevents-batch+json", batch);
    let event = data("f4");
    let attribute = |name: &str| event["context"][name].as_str().expect("text").to_owned();
    let (source, kind) = (attribute("source"), attribute("type"));
    let headers = [
        ("content-type", JSON),
        ("ce-specversion", "1.0"),
        ("ce-id", "f4"),
        ("ce-source", source.as_str()),
        ("ce-type", kind.as_str()),
    ];
    let binary = served.post_with(&headers, event.to_string());
    for (reply, stored) in [(structured, 1), (batch, 2), (binary, 1)] {
        assert_eq!(reply.json(), json!({"stored": stored, "duplicate": 0, "refused": []}), "{reply:?}");
    }
    // However it was wrapped, it is the same event.
    let bare = json!([data("f1"), data("f2"), data("f3"), data("f4")]).to_string();
    assert_eq!(served.post(JSON, bare).json(), json!({"stored": 0, "duplicate": 4, "refused": []}));
}

#[test]
fn what_ends_in_the_middle_harms_nothing() {
    let installation = Installation::new("");
    let served = installation.serve();
    let lines = events::lines(&[used("m1", ago(events::now(), 1, 0), "a")]);

    let mut connection = TcpStream::connect(served.address()).expect("it listens");
    let head = "POST /v1/events HTTP/1.1\r\nHost: milepost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n";
    connection.write_all(format!("{head}{}", lines[0]).as_bytes()).expect("it reads");
    drop(connection);

    let grpc = Grpc::connect(&served);
    let response = grpc.cut_stream(protobuf(&lines)).expect("the first batch is answered");
    assert_eq!((response.sequence, fates(&response.results)), (1, (1, 0, 0)));
    drop(grpc);

    is_unharmed(&served);
    let again = served.post(NDJSON, &lines[0]);
    assert_eq!(again.json()["duplicate"], 1, "what was acknowledged is kept: {again:?}");
}

#[test]
fn both_forms_of_an_event_are_one_event() {
    let installation = Installation::new("");
    let served = installation.serve();
    let lines = events::lines(&events::recent_history(events::now()));
    let stored = served.post(NDJSON, lines.join("\n")).json();
    assert_eq!(stored["stored"], json!(lines.len()), "{stored}");
    let results = Grpc::connect(&served).publish(protobuf(&lines)).expect("the batch is taken");
    assert_eq!(fates(&results), (0, lines.len(), 0));
}

/// **F23.** Dated six minutes, two hours and fifty years ahead: refused, counted and kept aside, and nothing else changes by it.
#[test]
fn f23_what_is_dated_ahead_changes_nothing() {
    let installation = Installation::new("");
    let served = installation.serve();
    let now = events::now();
    let history = events::lines(&events::recent_history(now));
    assert_eq!(served.post(NDJSON, history.join("\n")).json()["stored"], json!(history.len()));
    let yesterday = ago(now, 1, 0).to_string();
    let numbers = || (state::answers(&served, &yesterday[..10]), counted(&served, "stored"));
    let before = numbers();
    for (count, seconds) in [(1, 6 * 60), (2, 2 * 3_600), (3, 50 * 365 * 86_400)] {
        let ahead = used(&format!("ahead-{seconds}"), now + Duration::from_secs(seconds), "ahead");
        let reply = served.post(JSON, ahead.to_string());
        assert_eq!(
            (reply.status, &reply.json()["refused"][0]["reason"]),
            (422, &json!("future")),
            "{reply:?}"
        );
        let future =
            exposition::sum(&served.metrics(), "milepost_refused_events_total", &["reason=\"future\""]);
        assert_eq!((future as u64, quarantine(&installation).len()), (count, count as usize));
    }
    assert_eq!(numbers(), before);
    // Within what clocks may differ by, it is an event like any other.
    let ahead = used("ahead-a-little", now + Duration::from_secs(60), "ahead");
    assert_eq!(served.post(JSON, ahead.to_string()).json()["stored"], 1);
}

/// **F38.** A name made up for each event: beyond the budget they are refused and counted, and the series stay within it.
#[test]
fn f38_made_up_names_make_no_series_without_end() {
    const MOST: usize = 20;
    let installation =
        Installation::new(&format!("[limits]\nteams = {MOST}\nservices = {MOST}\ncapabilities = {MOST}\n"));
    let served = installation.serve();
    let yesterday = ago(events::now(), 1, 0);
    let series = || exposition::samples(&served.metrics()).len();
    let made_up = |round: usize| {
        let event = |n: usize| {
            let mut used = used(&format!("{round}-{n}"), yesterday, &format!("team-{round}-{n}"));
            used["subject"]["id"] = format!("capability-{round}-{n}").into();
            used
        };
        served.post(NDJSON, events::lines(&(0..1_000).map(event).collect::<Vec<_>>()).join("\n"))
    };
    let first = made_up(0).json();
    assert_eq!(
        (&first["stored"], first["refused"].as_array().map(Vec::len)),
        (&json!(MOST), Some(1_000 - MOST))
    );
    let full = series();
    for round in 1..4 {
        assert_eq!(made_up(round).status, 422, "all of them are refused");
    }
    assert!(series() <= full, "{} series, and {full} before", series());
    let refused =
        exposition::sum(&served.metrics(), "milepost_refused_events_total", &["reason=\"too_many_names\""]);
    assert_eq!(refused as usize, 4_000 - MOST);
}

#[test]
fn no_persons_name_is_kept() {
    let installation = Installation::new("");
    let mut served = installation.serve();
    let now = events::now();
    let production = json!({"environment": {"id": "production"}});
    let good = [
        deployed("n1", production, json!([{"id": "c", "author": CANARY}])),
        answered("n2", now, CANARY, 9),
        finished("n3", json!({"outcome": "success"})),
        event(
            &format!("{MILEPOST}onboarding.started"),
            "n4",
            now,
            "shop",
            json!({}),
            json!({"actor": CANARY}),
        ),
    ];
    assert_eq!(served.post(JSON, Value::Array(good.to_vec()).to_string()).json()["stored"], 4);
    let results =
        Grpc::connect(&served).publish(protobuf(&events::lines(&good))).expect("the batch is taken");
    assert_eq!(fates(&results), (0, 4, 0));

    let mut told = String::new();
    for bad in bad_events(now) {
        told += &served.post(JSON, bad.event.to_string()).body;
    }
    told += &served.post(JSON, format!("{{\"actor\": \"{CANARY}\"")).body;
    told += &served.post(NDJSON, format!("{{\"actor\": \"{CANARY}\"\n{{\"customData\": \"{CANARY}\"}}")).body;

    told += &served.metrics();
    for metric in ["onboarding_time", "nps", "self_service_rate"] {
        told += &served.get(&format!("/v1/metrics/{metric}?window=28d")).body;
        told += &served.get(&format!("/v1/metrics/{metric}/explain?window=28d")).body;
    }
    for one in quarantine(&installation) {
        told += &one.to_string();
    }
    served.terminate();
    assert!(served.wait().success());
    told += &served.log();
    assert!(!told.contains(CANARY), "told: {}", around(&told));
    assert_not_in(&installation.data());
}

fn around(told: &str) -> &str {
    let at = told.find(CANARY).unwrap_or_default();
    told.get(at.saturating_sub(200)..told.len().min(at + 100)).unwrap_or_default()
}

fn assert_not_in(directory: &Path) {
    for entry in std::fs::read_dir(directory).expect("it is a directory") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            assert_not_in(&path);
            continue;
        }
        let bytes = std::fs::read(&path).expect("it can be read");
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "{}", path.display());
    }
}
